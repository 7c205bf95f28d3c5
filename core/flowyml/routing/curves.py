"""Curves: many points in one artifact, each found by the name that it would have on its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from flowyml.artifacts import Curve, Metrics
from flowyml.errors import NotFoundError
from flowyml.metadata.rows import ArtifactRecord
from flowyml.serialization.classes import place_of

__all__ = ["LOGGED", "holders_of", "point_of", "written_names", "written_points"]

CURVE: Final = place_of(Curve)

LOGGED: Final = "metrics"
"""What the names of points begin with that a step logs by a call: ``train.metrics-at-7``."""


def written_points(value: object) -> dict[str, Any] | None:
    """Return what the ledger keeps of a curve that is stored, for a later try of its step."""
    return {"points": value.data["names"]} if isinstance(value, Curve) else None


def written_names(payload: Mapping[str, Any]) -> list[str]:
    """Return the names of the points that a line of the ledger speaks of."""
    columns = payload.get("kept", {}).get("curve", {})
    names: list[str] = payload.get("points") or columns.get("names", [])
    return names


def holders_of(output: str, artifacts: Mapping[str, ArtifactRecord]) -> tuple[str, ...]:
    """Return the outputs of which one is a value: its own, or the curves it may be a point of.

    Args:
        output: Name of an output, of an element of one, or of a point (``train.yielded-7``).
        artifacts: The artifacts of its step, or its run, by output.
    """
    if output in artifacts:
        return (output,)
    step, _, own = output.rpartition(".")
    if own.startswith(LOGGED):  # named after its step in the loop, which tells no order
        near = [name for name in artifacts if name.startswith(f"{step}.{LOGGED}")]
    else:
        near = _before(output, artifacts)
    return tuple(name for name in near if artifacts[name].manifest["artifact_class"] == CURVE)


def _before(output: str, artifacts: Mapping[str, ArtifactRecord]) -> list[str]:
    """Return what is stored under the nearest number before that of a name; nothing otherwise."""
    stem, _, number = output.rpartition("-")
    if not number.isdecimal():
        return []
    before = (f"{stem}-{first}" for first in range(int(number) - 1, 1, -1))
    return [name for name in (*before, stem) if name in artifacts][:1]


def point_of(curves: Iterable[Curve], output: str) -> Metrics:
    """Return the point that has this name.

    Args:
        curves: Those that may have it, at least one.
        output: Its name, below its step.

    Raises:
        NotFoundError: Its step never handed it over.
    """
    name, last = output.rpartition(".")[2], None
    for curve in curves:
        names = curve.data["names"]
        if name in names:
            return curve[names.index(name)]
        last = names[-1]
    message = f"there is no {output!r}: the curve ends with {last!r}"
    raise NotFoundError(message)
