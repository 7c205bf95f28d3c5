"""Values that JSON has no word for, each with its tag and its plain form."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from attrs import frozen

from flowyml.errors import SerializationError

__all__ = ["SCALARS", "Scalar"]


@frozen
class Scalar:
    """How the values of one class are written.

    Attributes:
        tag: What stands under ``$type``.
        cls: The class; a subclass is another matter.
        to_json: Returns the plain JSON that stands under ``value``.
        from_json: Returns the value again.
    """

    tag: str
    cls: type
    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Any]


def _to_base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode("ascii")


def _from_base64(plain: str) -> bytes:
    return base64.b64decode(plain, validate=True)


def _zone_to_json(zone: tzinfo | None) -> Any:
    if zone is None or zone is UTC:
        return None if zone is None else "UTC"
    if type(zone) is timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # not in typeshed
        return {"offset": _timedelta_to_json(offset), "name": name[0] if name else None}
    if type(zone) is ZoneInfo and zone.key is not None:
        return {"key": zone.key}
    message = f"a time zone of class {type(zone).__qualname__} has no exact form in JSON"
    raise SerializationError(message)


def _zone_from_json(plain: Any) -> tzinfo | None:
    if plain is None or plain == "UTC":
        return None if plain is None else UTC
    if "key" in plain:
        return ZoneInfo(plain["key"])
    offset = _timedelta_from_json(plain["offset"])
    return timezone(offset) if plain["name"] is None else timezone(offset, plain["name"])


def _clock_to_json(value: datetime | time) -> Any:
    """Write wall time and zone apart: an offset alone would forget which zone it came from."""
    bare = value.replace(tzinfo=None, fold=0).isoformat()
    if value.tzinfo is None and not value.fold:
        return bare
    return {"clock": bare, "zone": _zone_to_json(value.tzinfo), "fold": value.fold}


def _datetime_from_json(plain: Any) -> datetime:
    if isinstance(plain, str):
        return datetime.fromisoformat(plain)
    bare = datetime.fromisoformat(plain["clock"])
    return bare.replace(tzinfo=_zone_from_json(plain["zone"]), fold=plain["fold"])


def _time_from_json(plain: Any) -> time:
    if isinstance(plain, str):
        return time.fromisoformat(plain)
    bare = time.fromisoformat(plain["clock"])
    return bare.replace(tzinfo=_zone_from_json(plain["zone"]), fold=plain["fold"])


def _timedelta_to_json(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _timedelta_from_json(plain: list[int]) -> timedelta:
    days, seconds, microseconds = plain
    return timedelta(days=days, seconds=seconds, microseconds=microseconds)


def _complex_to_json(value: complex) -> list[str]:
    return [repr(value.real), repr(value.imag)]


def _complex_from_json(plain: list[str]) -> complex:
    real, imaginary = plain
    return complex(float(real), float(imaginary))


def _fraction_to_json(value: Fraction) -> list[str]:
    return [hex(value.numerator), hex(value.denominator)]


def _fraction_from_json(plain: list[str]) -> Fraction:
    numerator, denominator = plain
    return Fraction(int(numerator, 16), int(denominator, 16))


def _paths() -> tuple[Scalar, ...]:
    """Name the kinds of paths; a concrete one is only made on a system that has it."""
    kinds: Mapping[str, type] = {
        "PosixPath": PosixPath,
        "PurePosixPath": PurePosixPath,
        "PureWindowsPath": PureWindowsPath,
        "WindowsPath": WindowsPath,
    }
    return tuple(
        Scalar(tag, cls, str, Path if issubclass(cls, Path) else cls) for tag, cls in kinds.items()
    )


SCALARS = (
    Scalar("bytes", bytes, _to_base64, _from_base64),
    Scalar("bytearray", bytearray, _to_base64, lambda plain: bytearray(_from_base64(plain))),
    Scalar("complex", complex, _complex_to_json, _complex_from_json),
    Scalar("date", date, date.isoformat, date.fromisoformat),
    Scalar("datetime", datetime, _clock_to_json, _datetime_from_json),
    Scalar("decimal", Decimal, str, Decimal),
    Scalar("fraction", Fraction, _fraction_to_json, _fraction_from_json),
    Scalar("time", time, _clock_to_json, _time_from_json),
    Scalar("timedelta", timedelta, _timedelta_to_json, _timedelta_from_json),
    Scalar("uuid", UUID, str, UUID),
    *_paths(),
)
