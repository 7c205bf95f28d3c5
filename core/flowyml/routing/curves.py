"""Curves: many points in one artifact, each found by the name that it would have on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flowyml.artifacts import Curve, Metrics
from flowyml.errors import NotFoundError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.serialization.classes import place_of

__all__ = ["holder_of", "point_of", "written_names", "written_points"]

CURVE: Final = place_of(Curve)


def written_points(value: object) -> dict[str, Any] | None:
    """Return what the ledger keeps of a curve that is stored, for a later try of its step."""
    return {"points": value.data["names"]} if isinstance(value, Curve) else None


def written_names(payload: Mapping[str, Any]) -> list[str]:
    """Return the names of the points that a line of the ledger speaks of."""
    columns = payload.get("kept", {}).get("curve", {})
    names: list[str] = payload.get("points") or columns.get("names", [])
    return names


def holder_of(output: str, artifacts: Mapping[str, ArtifactRecord]) -> str | None:
    """Return the output that a value is stored as: its own, or the curve that it is a point of.

    Args:
        output: Name of an output, of an element of one, or of a point (``train.yielded-7``).
        artifacts: The artifacts of its step, or its run, by output.
    """
    if output in artifacts:
        return output
    stem, _, number = output.rpartition("-")
    if not number.isdecimal():
        return None
    before = (f"{stem}-{first}" for first in range(int(number) - 1, 1, -1))
    nearest = next((name for name in (*before, stem) if name in artifacts), None)
    curve = nearest is not None and artifacts[nearest].manifest["artifact_class"] == CURVE
    return nearest if curve else None


def point_of(curve: Curve, output: str) -> Metrics:
    """Return the point of a curve that has this name.

    Raises:
        NotFoundError: Its step never handed it over.
    """
    name, names = output.rpartition(".")[2], curve.data["names"]
    if name not in names:
        message = f"there is no {output!r}: the curve ends with {names[-1]!r}"
        raise NotFoundError(message)
    return curve[names.index(name)]
