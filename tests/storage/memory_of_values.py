"""Stores a large value of one kind in a run and loads it; prints how much memory that took.

Usage: ``python memory_of_values.py KIND MIB`` in an empty folder.
"""

from __future__ import annotations

import json
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from flowyml import Pipeline, load, step

STATUS = Path("/proc/self/status")


def peak_of(work: Any) -> tuple[Any, float]:
    """Do some work; return what it gives, and by how many MiB memory grew at its peak.

    What is mapped from files is left out: the system takes it back whenever it likes.
    """
    over = threading.Event()
    before = _resident()
    seen = [before]

    def look() -> None:
        while not over.wait(0.005):
            seen.append(_resident())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        done = work()
    finally:
        over.set()
        watcher.join()
    return done, max(seen) - before


def _resident() -> float:
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024


def array(mib: int) -> Any:
    """Make an array."""
    return import_module("numpy").arange(mib * 2**17, dtype="f8")


def frame(mib: int) -> Any:
    """Make a frame of two columns, each longer than what may be in memory twice."""
    np, pd = import_module("numpy"), import_module("pandas")

    columns = {f"c{i}": np.arange(mib * 2**16, dtype="f8") for i in range(2)}
    return pd.DataFrame(columns, copy=False)


def folder(mib: int) -> Path:
    """Make a folder of eight files."""
    made = Path(f"folder-{mib}").absolute()
    made.mkdir()
    for i in range(8):
        with (made / f"{i}.bin").open("wb") as file:
            for _ in range(mib // 8):
                file.write(bytes([i]) * 2**20)
    return made


def main(kind: str, mib: int) -> None:
    """Measure one kind."""
    values = [{"array": array, "frame": frame, "folder": folder}[kind](size) for size in (8, mib)]

    @step
    def large() -> object:
        return values.pop(0)

    pipeline = Pipeline("memory").add_step(large)
    first = pipeline.run()  # what is imported and started only once
    load(f"run:{first.run_id}/large")
    result, stored = peak_of(pipeline.run)
    result.raise_for_status()
    again, loaded = peak_of(lambda: load(f"run:{result.run_id}/large"))
    mapped = "memmap" in type(getattr(again, "base", None)).__name__
    json.dump({"stored": stored, "loaded": loaded, "mapped": mapped}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
