"""Where a run comes from, as every tracker writes it beside the run."""

from __future__ import annotations

import getpass
import shutil
import subprocess

from flowyml.records import DeliveryContext, RunInfo

__all__ = ["origin_of", "time_of", "user"]

PATIENCE = 5.0
"""Seconds that git may take."""


def origin_of(run: RunInfo) -> dict[str, str]:
    """Return pipeline, run, stack, user and git commit, by name; what is unknown is left out."""
    facts = {
        "run_id": run.run_id,
        "pipeline": run.pipeline,
        "stack": run.stack,
        "git_commit": commit(),
        "user": user(),
    }
    return {name: fact for name, fact in facts.items() if fact}


def time_of(context: DeliveryContext) -> int:
    """Return when a value was made, in milliseconds since 1970: the same for every attempt."""
    return int((context.made_at or context.run.started_at).timestamp() * 1000)


def user() -> str:
    """Return the name of whoever runs this, or nothing on a machine without names."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return ""


def commit() -> str:
    """Return the commit of the working directory, or nothing outside a repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    try:
        done = subprocess.run(
            [git, "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
