"""A process that works on a metadata store, for the tests of several processes.

It says ``ready`` when it has loaded everything, and begins when it reads a line, so that several of
them really begin at once. It prints a line after each thing that is committed.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

from tests.metadata.metadata_samples import a_delivery, a_run, an_artifact, an_event

from flowyml.errors import FlowyMLError
from flowyml.metadata.store import MetadataStore

HOOKS = ("store_artifact", "register_model", "deploy_model")


def say(word: object) -> None:
    """Tell the test; it may act on it at once."""
    print(word, flush=True)  # noqa: T201


def add_whole_run(store: MetadataStore, run_id: str) -> None:
    """Add a run with all that belongs to it in one transaction."""
    with store.transaction():
        store.add_run(a_run(run_id))
        store.add_steps(run_id, ["load", "train"])
        data = store.add_artifact(an_artifact("data", run_id=run_id), [])
        store.add_artifact(an_artifact("model", run_id=run_id), [data])
        store.add_deliveries([a_delivery(run_id=run_id, hook=hook) for hook in HOOKS])


def add_rows(path: Path, name: str, count: int) -> None:
    """Add runs one by one, with a step and an artifact each in transactions of their own."""
    with MetadataStore.open(path) as store:
        for number in range(count):
            run_id = f"{name}-{number}"
            store.add_run(a_run(run_id))
            store.add_steps(run_id, ["train"])
            store.start_step(run_id, "train")
            store.add_artifact(an_artifact(run_id=run_id), [])
    say("done")


def add_for_ever(path: Path, name: str, _count: int) -> None:
    """Add whole runs until the process is killed."""
    with MetadataStore.open(path) as store:
        for number in itertools.count():
            run_id = f"{name}-{number}"
            add_whole_run(store, run_id)
            say(run_id)


def append_events(path: Path, name: str, count: int) -> None:
    """Add to the history that all processes add to."""
    with MetadataStore.open(path) as store:
        for number in range(count):
            store.append_event(an_event(actor=name, comment=str(number)))
    say("done")


def take_leases(path: Path, name: str, count: int) -> None:
    """Reach for one lease after the other and tell which were to be had."""
    with MetadataStore.open(path) as store:
        taken = [
            str(number)
            for number in range(count)
            if store.acquire_lease(f"run-{number}", name, seconds=600)
        ]
    say(" ".join(taken))


def just_open(path: Path, name: str, _count: int) -> None:
    """Open the store, make sure that it works, and close it."""
    with MetadataStore.open(path) as store:
        store.add_run(a_run(name))
    say("done")


def meet_a_limit(path: Path, name: str, _count: int) -> None:
    """Write whole runs until the operating system lets no file grow any more."""
    import resource  # noqa: PLC0415  # Windows has none

    with MetadataStore.open(path) as store:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
        number = 0
        try:
            for number in itertools.count():
                add_whole_run(store, f"{name}-{number}")
        except FlowyMLError as error:
            say(f"{number} {type(error).__name__} {error}")
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        add_whole_run(store, f"{name}-after")


WORK: dict[str, Callable[[Path, str, int], None]] = {
    work.__name__: work
    for work in (add_rows, add_for_ever, append_events, take_leases, just_open, meet_a_limit)
}


def main() -> None:
    """Work as the command line says."""
    work, path, name, count = sys.argv[1:]
    say("ready")
    sys.stdin.readline()
    WORK[work](Path(path), name, int(count))


if __name__ == "__main__":
    main()
