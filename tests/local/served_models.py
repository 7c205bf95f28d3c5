"""Functions that are served as models; a server imports them from here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any


def doubled(instances: Sequence[float]) -> list[float]:
    """Predict twice the instance."""
    return [2 * instance for instance in instances]


def tripled(instances: Sequence[float]) -> list[float]:
    """Predict three times the instance."""
    return [3 * instance for instance in instances]


def odd(instances: Sequence[str]) -> Any:
    """Do what the first instance says."""
    answers: dict[str, Any] = {
        "one too few": instances[1:],
        "not a number": [float("nan")] * len(instances),
        "no list": 7,
        "an object": [object()] * len(instances),
    }
    if instances[0] == "fail":
        message = "the secret path is /etc/shadow"
        raise RuntimeError(message)
    return answers[instances[0]]


class Unloadable:
    """Cannot be made again from its pickle."""

    def __call__(self, instances: Sequence[Any]) -> Sequence[Any]:
        """Predict the instances themselves."""
        return instances

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how it would be made again."""
        return (_refuse, ())


class Deadly(Unloadable):
    """Takes the whole process with it when it is made again."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how it would be made again."""
        return (_die, ())


def _refuse() -> None:
    message = "its licence has run out"
    raise RuntimeError(message)


def _die() -> None:
    sys.stderr.write("the driver crashed\n")
    sys.stderr.flush()
    os._exit(3)
