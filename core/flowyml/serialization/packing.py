"""From a value to the draft of its manifest and the function that writes its files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import attrs
from attrs import frozen

from flowyml.artifacts import Artifact
from flowyml.errors import SerializationError
from flowyml.records import Manifest, Producer
from flowyml.serialization.catalog import automatic, by_format
from flowyml.serialization.classes import is_importable, place_of
from flowyml.serialization.contract import PickleWarning, RefusedError, Serializer, Write
from flowyml.serialization.objects import family_of
from flowyml.serialization.tagged import encode
from flowyml.storage.files import FileSink

__all__ = ["Packed", "check_class", "pack", "serializer_name"]

JSON: Final = "json"


@frozen
class Packed:
    """A value that is ready to be stored.

    Attributes:
        manifest: What it is, still without its files.
        write: Writes its files; may be called once for each attempt.
    """

    manifest: Manifest
    write: Write


def pack(
    value: object,
    *,
    type_name: str,
    name: str,
    producer: Producer | None,
    key: str | None,
    format: str | None = None,  # noqa: A002  # the word of rules and of `Dataset.format`
) -> Packed:
    """Find the format for a value and prepare it for storing.

    Args:
        value: An artifact, or any other value.
        type_name: The type that it was routed as.
        name: Name for an artifact that has none of its own.
        producer: Where it comes from.
        key: Idempotency key of the delivery that stores it.
        format: The format that a rule asks for; else an artifact's own ``format`` counts.

    Raises:
        SerializationError: No format holds the value exactly, or the one asked for does not; or
            its class would not be found, or not be made again, by whoever loads it.

    Warns:
        PickleWarning: It had to be cloudpickle.
    """
    artifact = value if isinstance(value, Artifact) else None
    if artifact:
        check_class(type(artifact))
    data = artifact.data if artifact else value
    serializer, write = _choose(data, format or _own_format(artifact), producer)
    manifest = Manifest(
        type=type_name,
        python_type=place_of(type(data)),
        artifact_class=place_of(type(artifact)) if artifact else None,
        serializer=serializer.name,
        serializer_version=serializer.version,
        files=(),
        name=(artifact.name if artifact else None) or name,
        created_at=datetime.now(UTC),
        version=artifact.version if artifact else None,
        properties=_facts(artifact, "property", _properties(artifact)) if artifact else {},
        metadata=_facts(artifact, "metadata", artifact.metadata) if artifact else {},
        producer=producer,
        key=key,
    )
    return Packed(manifest, write)


def check_class(cls: Any) -> None:
    """Refuse an artifact type whose artifacts could be stored and never loaded.

    Raises:
        SerializationError: It is not found under its own name, or not made from its fields alone.
    """
    if fault := _fault_of(cls):
        raise SerializationError(fault)


@cache
def _fault_of(cls: Any) -> str | None:
    if not is_importable(cls):
        return (
            f"the class {cls.__qualname__} is not found in a module under its own name, so nobody "
            "could load what is stored of it; define it at the top level of a Python file"
        )
    written_by = getattr(cls.__init__, "__code__", None)
    if written_by is None or not written_by.co_filename.startswith("<attrs generated"):
        return (
            f"a {cls.__qualname__} could not be made again when it is loaded, which is done from "
            "its data and its fields alone; declare what it adds with `@attrs.frozen(eq=False)` "
            "and `attrs.field(kw_only=True)`, without an `__init__` of its own"
        )
    return None


def serializer_name(cls: type, format: str | None = None) -> str:  # noqa: A002
    """Return the format that is tried first for values of a class, from the class alone.

    A value that it does not hold exactly gets the next one that does.

    Args:
        cls: Class of the value.
        format: The format that a rule asks for.

    Raises:
        SerializationError: There is no such format for this class.
    """
    if issubclass(cls, Artifact):
        return format or (JSON if issubclass(cls, Mapping) else "decided by the value")
    if format:
        return by_format(cls, format).name
    could = family_of(cls) is None or is_importable(cls)  # else its objects have no form in JSON
    first = next((each for each in automatic(cls) if could or each.name != JSON), None)
    if first is None:
        message = f"a {cls.__module__}.{cls.__qualname__} cannot be stored in any format"
        raise SerializationError(message)
    return first.name


def _own_format(artifact: Artifact | None) -> str | None:
    """Return the format that an artifact asks for; one that was only detected is no wish."""
    wanted: str | None = getattr(artifact, "format", None)
    return None if getattr(artifact, "format_is_detected", False) else wanted


def _choose(
    data: object, wanted: str | None, producer: Producer | None
) -> tuple[Serializer, Write]:
    cls = type(data)
    if wanted:
        wish = _Wish(wanted, data)
        return wish.serializer, wish.writer()
    reasons: list[str] = []
    for serializer in automatic(cls):
        try:
            write = serializer.writer(data)
        except RefusedError:
            raise
        except SerializationError as error:
            reasons.append(f"{serializer.name}: {error}")
        else:
            if serializer.name == "cloudpickle":
                _warn(cls, reasons, producer)
            return serializer, write
    why = "; ".join(reasons) or "it is no value that could be written down"
    message = f"a {cls.__module__}.{cls.__qualname__} cannot be stored: {why}"
    raise SerializationError(message)


@frozen
class _Wish:
    """A format that was asked for: it is fulfilled exactly, or refused."""

    format: str
    data: object

    @property
    def serializer(self) -> Serializer:
        """The serializer of that format."""
        return by_format(type(self.data), self.format)

    def writer(self) -> Write:
        """Return what writes the data; some formats find out only then what they cannot hold."""
        with self._refusal():
            write = self.serializer.writer(self.data)

        def fulfil(sink: FileSink) -> None:
            with self._refusal():
                write(sink)

        return fulfil

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        try:
            yield
        except SerializationError as cause:
            cls = type(self.data)
            message = (
                f"a {cls.__module__}.{cls.__qualname__} cannot be stored as {self.format!r}, the "
                f"format that was asked for: {cause}{self._instead(cause)}"
            )
            raise SerializationError(message) from cause

    def _instead(self, cause: SerializationError) -> str:
        """Name the format that the data would have got, if there is another one."""
        if isinstance(cause, RefusedError):  # it says itself what to do
            return ""
        for serializer in automatic(type(self.data)):
            if serializer.name != self.serializer.name:
                with suppress(SerializationError):
                    serializer.writer(self.data)
                    return f"; without `format` it would be stored as {serializer.name!r}"
        return ""


def _warn(cls: type, reasons: list[str], producer: Producer | None) -> None:
    """Warn of cloudpickle, once for each output: no line at work now is one that would help."""
    output = producer.output.partition(".")[0] if producer else ""
    place = f"step {producer.step!r}, output {output!r}: " if producer else ""
    because = f" ({'; '.join(reasons)})" if reasons else ""
    message = (
        f"{place}a {cls.__module__}.{cls.__qualname__} is stored with cloudpickle, which only this "
        f"project reads back{because}; a format for its class would be safer"
    )
    known = globals().setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, PickleWarning, "flowyml", 0, __name__, known)


def _properties(artifact: Artifact) -> dict[str, Any]:
    """Return the artifact's own fields, with those that were emptied although they have a default.

    An empty ``name`` is among them: the manifest's own name is that of the output then.
    """
    properties = artifact.properties()
    common = {a.name for a in attrs.fields(Artifact)}
    for a in attrs.fields(type(artifact)):
        if a.name not in common and a.name not in properties:
            value = getattr(artifact, a.name)
            if value != _default(a.default, artifact):
                properties[a.name] = value
    return properties if artifact.name else {**properties, "name": artifact.name}


def _default(default: Any, artifact: Artifact) -> object:
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # attrs calls it a function
        return default
    return default.factory(artifact) if default.takes_self else default.factory()


def _facts(artifact: Artifact | None, kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    try:
        encoded: dict[str, Any] = encode(facts)
    except SerializationError as cause:
        message = (
            f"{type(artifact).__name__}: the {kind} {cause}; "
            "keep numbers, text, dates and collections of them there"
        )
        raise SerializationError(message) from cause
    return encoded
