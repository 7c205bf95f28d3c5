"""The columns that several tables have, and how their cells are written for people.

Times, lengths and digests are what a narrow terminal does without.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from flowyml.cli.cells import Column, Object

__all__ = ["digest", "duration", "moment", "prose", "short_digest", "size", "status", "text"]

DIGEST_DIGITS: Final = 12
MINUTE: Final = 60
KIB: Final = 1024


def text(heading: str, key: str, *, is_spare: bool = False) -> Column:
    """Return a column of a value as it is."""
    return Column(heading, lambda item: _or_dash(item.get(key)), is_spare=is_spare)


def prose(heading: str, key: str) -> Column:
    """Return a column of what is told in words."""
    return Column(heading, lambda item: _or_dash(item.get(key)), is_text=True)


def status(heading: str = "status", key: str = "status") -> Column:
    """Return a column of a status."""
    return Column(heading, lambda item: _or_dash(item.get(key)), is_status=True)


def moment(heading: str, key: str) -> Column:
    """Return a column of a time, as the user's clock shows it."""
    return Column(heading, _shown(key, local_time), is_spare=True)


def digest(heading: str = "digest", key: str = "digest") -> Column:
    """Return a column of the first digits of a digest, enough to name it by."""
    return Column(heading, _shown(key, short_digest), is_spare=True)


def size(heading: str = "size", key: str = "size") -> Column:
    """Return a column of a length in bytes."""
    return Column(heading, _shown(key, human_size), is_spare=True)


def duration(heading: str = "time", key: str = "seconds") -> Column:
    """Return a column of a number of seconds."""
    return Column(heading, _shown(key, human_duration), is_spare=True)


def local_time(value: datetime) -> str:
    """Return a time to the second in the user's zone."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def short_digest(value: str) -> str:
    """Return the first digits of a digest."""
    return value.removeprefix("sha256:")[:DIGEST_DIGITS]


def human_size(value: int) -> str:
    """Return a length with a unit."""
    number, units = float(value), ["B", "KiB", "MiB", "GiB", "TiB"]
    while number >= KIB and len(units) > 1:
        number /= KIB
        units.pop(0)
    return f"{value} B" if units[0] == "B" else f"{number:.1f} {units[0]}"


def human_duration(value: float) -> str:
    """Return a number of seconds as people say it."""
    if value < MINUTE:
        return f"{value:.2f} s"
    minutes, seconds = divmod(round(value), MINUTE)
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _shown(key: str, show: Callable[[Any], str]) -> Callable[[Object], str]:
    return lambda item: "-" if item.get(key) is None else show(item[key])


def _or_dash(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
