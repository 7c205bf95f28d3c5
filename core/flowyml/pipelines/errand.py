"""One step on a machine that has nothing of the project: ``python -m flowyml.pipelines.errand``.

It is given two paths: of the archive that `flowyml.plugins.errands` packed, and of the file that
the outcome goes to. A service that runs containers brings the one and takes the other away, so
that nothing here has to know the service.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from flowyml._version import __version__
from flowyml.errors import FlowyMLError, PluginError
from flowyml.pipelines.worker import run_task
from flowyml.plugins.errands import FORMAT
from flowyml.records import StepOutcome, StepStatus, StepTask

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Do an errand; return the exit code, 0 whenever there is an outcome, also a bad one."""
    archive, answer = (Path(argument).absolute() for argument in arguments)
    with TemporaryDirectory(prefix="flowyml-", ignore_cleanup_errors=True) as scratch:
        outcome, ended = _do(archive, Path(scratch))
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_text(json.dumps(attrs.asdict(outcome)), encoding="utf-8")
        _tell(outcome)
        if not ended:  # the step's thread is still busy, and nothing but this ends it
            os._exit(0)
        os.chdir("/")
    return 0


def _do(archive: Path, scratch: Path) -> tuple[StepOutcome, bool]:
    """Unpack and run; whatever goes wrong is the outcome, for nobody else would tell the run."""
    step = ""
    try:
        head = _unpack(archive, scratch)
        step = head["task"]["step"]
        _check(head)
        project = _under_its_name(scratch, head)
        task = _task(head["task"], project)
        os.chdir(project)
        sys.path[:0] = [str(project / path) for path in head["paths"]]
        if (project / "__init__.py").exists():
            sys.path.append(str(project.parent))
        return run_task(task)
    except FlowyMLError as error:
        return StepOutcome(step, StepStatus.FAILED, str(error)), True
    except Exception:  # noqa: BLE001  # as above
        return StepOutcome(step, StepStatus.FAILED, traceback.format_exc()), True


def _unpack(archive: Path, scratch: Path) -> Mapping[str, Any]:
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
    (scratch / "project").mkdir(exist_ok=True)
    head: dict[str, Any] = json.loads((scratch / "errand.json").read_text(encoding="utf-8"))
    return head


def _under_its_name(scratch: Path, head: Mapping[str, Any]) -> Path:
    """Give the project's folder its own name back, which is in that of its modules' classes."""
    project = scratch / "there" / (head.get("folder") or "project")
    project.parent.mkdir()
    return (scratch / "project").rename(project)


def _check(head: Mapping[str, Any]) -> None:
    if head["format"] != FORMAT:
        message = (
            f"this errand is of format {head['format']}, from flowyml {head['flowyml']}, and "
            f"flowyml {__version__} in this image does format {FORMAT}; use one version in both"
        )
        raise PluginError(message)


def _task(plain: Mapping[str, Any], project: Path) -> StepTask:
    config = plain["config"]
    there = str(project / config) if config else None
    return StepTask(**{**plain, "project": str(project), "config": there})


def _tell(outcome: StepOutcome) -> None:
    """Say in the job's log how it went."""
    said = f"step {outcome.step!r}: {outcome.status}"
    sys.stdout.flush()
    sys.stderr.write(f"{outcome.error or said}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
