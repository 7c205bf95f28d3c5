"""What a run was given, from what is written down about it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from flowyml.metadata.rows import RunRecord
from flowyml.pipelines.context import Context, recordable
from flowyml.pipelines.pipeline import Pipeline

__all__ = ["command_anew", "context_of", "given_to"]


def context_of(pipeline: Pipeline, record: RunRecord) -> Context:
    """Return the context of a run: the pipeline's, and what was given for this run alone.

    A value that looks like what is recorded is taken from the pipeline, where it is the object
    itself and not its record.
    """
    return pipeline.context.over(given_to(pipeline, record))


def given_to(pipeline: Pipeline, record: RunRecord) -> dict[str, Any]:
    """Return what a run was given besides what its pipeline's own context has by now."""
    own = recordable(pipeline.context.public)
    return {
        name: value
        for name, value in record.parameters.items()
        if name not in own or own[name] != value
    }


def command_anew(record: RunRecord, given: Mapping[str, Any]) -> str:
    """Return the command that begins another run of a pipeline, with these values of its own."""
    options = (part for name, value in given.items() for part in ("--param", f"{name}={value}"))
    return shlex.join(["flowyml", "run", record.reference or record.pipeline, *options])
