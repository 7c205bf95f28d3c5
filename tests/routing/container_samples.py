"""Classes whose objects hold artifacts, found in a module under their own names."""

from __future__ import annotations

import dataclasses
from typing import Annotated, NamedTuple, Optional

from attrs import define, field, frozen

from flowyml.artifacts import Metrics, Model
from flowyml.stacks.rules import Route


@dataclasses.dataclass
class Report:
    """A dataclass with artifacts, a plain value and a field that no caller gives."""

    scores: Metrics
    note: str = ""
    best: Optional[Model] = None  # noqa: UP045  # as users write it
    count: int = dataclasses.field(default=0, init=False)


def _upper(text: str) -> str:
    return text.upper()


@frozen
class Trained:
    """A frozen attrs class with a private field, a converter and a validator."""

    model: Annotated[Model, Route(register=False)]
    _secret: str = field(default="s", converter=_upper)


@define
class Nested:
    """An attrs class that holds a dataclass and a list."""

    report: Report
    models: list[Model]


@define
class Chain:
    """An attrs class that holds another of its kind."""

    scores: Metrics
    rest: Optional[Chain] = None  # noqa: UP045  # as users write it


class Pair(NamedTuple):
    """A named tuple."""

    model: Model
    score: Metrics


class FraudModel(Model):
    """A user's own model."""
