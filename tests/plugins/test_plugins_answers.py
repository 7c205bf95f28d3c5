"""A record that a plugin makes takes what its annotations say, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import attrs
import pytest

from flowyml.records import (
    Check,
    Deployment,
    LoggedRun,
    Manifest,
    ModelVersion,
    Receipt,
    StepOutcome,
    StepStatus,
    StoredArtifact,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MANIFEST = Manifest("dict", "builtins:dict", None, "json", 1, (), "model", NOW)
VERSION = ModelVersion("fraud", "3", "file:///fraud", "sha256:0", "sample", NOW)
SERVING = Deployment("fraud", "fraud", "3", "sha256:0", "sample", NOW)

UNFIT: dict[str, Callable[[Any], object]] = {
    "ModelVersion.version takes text, and not this int": lambda made: made(VERSION, version=3),
    "ModelVersion.version takes text, and not this None": lambda made: made(VERSION, version=None),
    "ModelVersion.registry_id takes text or None, and not this UUID": lambda made: made(
        VERSION, registry_id=UUID(int=7)
    ),
    "ModelVersion.created_at takes datetime, and not this str": lambda made: made(
        VERSION, created_at="2026-01-02"
    ),
    "ModelVersion.created_at takes a datetime with a time zone": lambda made: made(
        VERSION, created_at=NOW.replace(tzinfo=None)
    ),
    "ModelVersion.aliases takes tuple, and not this list": lambda made: made(VERSION, aliases=[]),
    "ModelVersion.approval takes text, and not this bool": lambda made: made(
        VERSION, approval=True
    ),
    "Deployment.url takes text or None, and not this PurePosixPath": lambda made: made(
        SERVING, url=PurePosixPath("/fraud")
    ),
    "LoggedRun.run_id takes text, and not this UUID": lambda _: LoggedRun(UUID(int=7)),  # type: ignore[arg-type]
    "LoggedRun.run_id has a character that cannot be written": lambda _: LoggedRun("run \udc80"),
    "LoggedRun.url takes text or None, and not this bytes": lambda _: LoggedRun("run", b"http:"),  # type: ignore[arg-type]
    "Receipt.reference takes text, and not this int": lambda _: Receipt(7),  # type: ignore[arg-type]
    "Check.message takes text, and not this None": lambda _: Check("disk", True, None),  # type: ignore[arg-type]
    "StoredArtifact.manifest takes Manifest, and not this dict": lambda _: StoredArtifact(
        "file:///fraud",
        "artifact_store",
        {},  # type: ignore[arg-type]
    ),
    "StepOutcome.status takes StepStatus, and not this str": lambda _: StepOutcome("train", "done"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("said", UNFIT)
def test_what_does_not_fit_is_refused_where_the_record_is_made(said: str) -> None:
    """The record and the field are named, what it takes and what it got; the value is not told."""
    with pytest.raises((TypeError, ValueError), match=said):
        UNFIT[said](attrs.evolve)


def test_what_fits_is_taken() -> None:
    """Words that UTF-8 knows, a field that may be None, and whatever a dictionary of theirs has."""
    version = attrs.evolve(VERSION, version="3 €", registry_id=None, metadata={"rows": {1: set()}})
    assert version.reference == "fraud@3 €"
    assert LoggedRun("run", None).reference == "run"
    assert StoredArtifact("file:///fraud", "artifact_store", MANIFEST).digest == MANIFEST.digest
    assert StepOutcome("train", StepStatus.DONE).error is None
