"""The artifact types: what a step returns to say what its value is.

The type of a returned value names the hooks that deliver it. A subclass inherits them and may
name others; a third party gives its own subclass of `Artifact` hooks of its own.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self, overload

import attrs
from attrs import field, frozen

__all__ = ["Artifact", "Curve", "Dataset", "Metrics", "Model", "Parameters"]

FRAMEWORKS = {
    "catboost": "catboost",
    "keras": "keras",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "sklearn": "sklearn",
    "tensorflow": "tensorflow",
    "torch": "pytorch",
    "transformers": "transformers",
    "xgboost": "xgboost",
}

FORMATS = {
    ("builtins", "bytes"): "bytes",
    ("builtins", "dict"): "json",
    ("builtins", "list"): "json",
    ("builtins", "str"): "text",
    ("numpy", "ndarray"): "npy",
    ("pandas", "DataFrame"): "parquet",
    ("pandas", "Series"): "parquet",
    ("polars", "DataFrame"): "parquet",
    ("polars", "Series"): "parquet",
    ("pyarrow", "Table"): "parquet",
    ("pyarrow", "RecordBatch"): "arrow",
}


def _required(artifact: Artifact, _field: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        kind = type(artifact).__name__
        message = (
            f"{kind}(data=None): the data is what a {kind} carries; "
            f"annotate the step `-> {kind} | None` and return None where there is nothing"
        )
        raise ValueError(message)


def _text(artifact: Artifact, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse a number for a version: 1.10 and 1.1 are one number and two versions."""
    if value is not None and not isinstance(value, str):
        what = f"{type(artifact).__name__}({field.name}={value!r})"
        message = f"{what}: the {field.name} is text; write {field.name}={str(value)!r}"
        raise TypeError(message)


def _own_dict(value: Any) -> dict[str, Any]:
    """Copy, so that a caller's later change to its own dict does not reach the artifact.

    ``{...}``, with which the documentation leaves a dict open, is Python too, and says nothing.
    """
    return {} if value == {...} else dict(value or {})


@frozen(eq=False)
class Artifact:
    """A value that knows which hooks deliver it.

    Attributes:
        hooks: Names of the hooks that deliver this type.
        routed_as: The type whose hooks and rules speak for this one; None for itself.
        data: The value itself.
        name: Display name; the name of the output where it is not given.
        version: Version as its user counts it.
        metadata: Free facts, stored beside the value.
    """

    hooks: ClassVar[tuple[str, ...]] = ("store_artifact",)
    routed_as: ClassVar[type[Artifact] | None] = None

    data: Any = field(validator=_required)
    name: str | None = field(default=None, kw_only=True, validator=_text)
    version: str | None = field(default=None, kw_only=True, validator=_text)
    metadata: dict[str, Any] = field(factory=dict, kw_only=True, converter=_own_dict)

    def properties(self) -> dict[str, Any]:
        """Return the fields that only this type has and that are set, as manifests keep them."""
        common = {a.name for a in attrs.fields(Artifact)}
        own = (a.name for a in attrs.fields(type(self)) if a.name not in common)
        return {name: value for name in own if (value := getattr(self, name)) not in (None, {})}


@frozen(eq=False)
class Model(Artifact):
    """A trained model: stored, registered where there is a registry, deployed where a rule says so.

    Attributes:
        framework: Name of the library that made it; detected from the class of ``data``.
        input_schema: What the model takes, as its users describe it.
        output_schema: What the model gives back.
        serving_config: Settings for the deployer, such as an image or a machine type.
    """

    hooks: ClassVar[tuple[str, ...]] = ("store_artifact", "register_model", "deploy_model")

    framework: str | None = field(kw_only=True, validator=_text)
    serving_config: dict[str, Any] = field(factory=dict, kw_only=True, converter=_own_dict)
    input_schema: Any = field(default=None, kw_only=True)
    output_schema: Any = field(default=None, kw_only=True)

    @framework.default
    def _detected_framework(self) -> str | None:
        return detect_framework(type(self.data))


@frozen(eq=False)
class Dataset(Artifact):
    """A table, an array or any other collection of examples.

    Attributes:
        format: Storage format, such as ``parquet``; detected from the class of ``data``.
        format_is_detected: Whether nobody asked for the format: then another one that holds the
            data exactly may be taken.
        schema: What the columns mean, as its users describe it.
        statistics: Facts about the content that are worth keeping beside it.
    """

    format_is_detected: bool = field(default=False, init=False, repr=False)
    format: str | None = field(kw_only=True, validator=_text)
    schema: Any = field(default=None, kw_only=True)
    statistics: dict[str, Any] = field(factory=dict, kw_only=True, converter=_own_dict)

    @format.default
    def _detected_format(self) -> str | None:
        object.__setattr__(self, "format_is_detected", True)  # only called where none is given
        return detect_format(type(self.data))

    @property
    def rows(self) -> int | None:
        """Number of examples, or None where the data does not say."""
        shape = getattr(self.data, "shape", None)
        if isinstance(shape, tuple):
            return int(shape[0]) if shape else None
        try:
            return len(self.data)
        except TypeError:
            return None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns, or None where the data has none."""
        names = getattr(self.data, "column_names", None)
        if names is None:
            names = getattr(self.data, "columns", None)
        return None if names is None or callable(names) else tuple(str(name) for name in names)


def _named_values(value: Mapping[str, Any]) -> dict[str, Any]:
    """Take a mapping from names; a list of pairs or a bare number is most likely a slip."""
    if not isinstance(value, Mapping):
        message = f"expected a mapping from names to values, got {type(value).__name__}"
        raise TypeError(message)
    for key in value:
        if not isinstance(key, str):
            message = f"the key {key!r} is a {type(key).__name__}; every key is a string"
            raise TypeError(message)
    return dict(value)


def _number(key: str, value: Any) -> int | float:
    """Return a plain number for anything numeric, also NumPy scalars and 0-d tensors."""
    if type(value) is float or type(value) is int:  # the points of a curve come in their thousands
        return value
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if isinstance(plain, bool):
        message = f"the metric {key!r} is the bool {plain}; write {int(plain)} if that is meant"
        raise TypeError(message)
    if isinstance(plain, numbers.Integral):
        return int(plain)
    if isinstance(plain, numbers.Real):
        return float(plain)
    message = (
        f"the metric {key!r} is {value!r}, a {type(value).__name__}; a metric is a number. "
        "Facts about the metrics go into with_metadata(...)"
    )
    raise TypeError(message)


def _numbers(value: Mapping[str, Any]) -> dict[str, int | float]:
    return {key: _number(key, item) for key, item in _named_values(value).items()}


def _position(step: Any) -> int | None:
    """Return a whole number for anything that is one, also a NumPy scalar."""
    if step is None or type(step) is int:
        return step
    try:
        return operator.index(step)
    except TypeError as cause:
        message = f"the step of metrics is a whole number, not {step!r}"
        raise TypeError(message) from cause


@frozen(eq=False)
class _NamedValues(Artifact, Mapping[str, Any]):
    """An artifact that is a mapping; copies and unions keep everything else it carries."""

    data: dict[str, Any] = field(converter=_named_values)

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        """Compare class and every field; a plain dict is never equal."""
        if type(other) is not type(self):
            return NotImplemented
        return all(
            getattr(self, a.name) == getattr(other, a.name) for a in attrs.fields(type(self))
        )

    __hash__ = None  # type: ignore[assignment]  # mutable content, as with a dict

    def __or__(self, other: Mapping[str, Any]) -> Self:
        """Return a copy with the values of ``other`` on top; its metadata goes along."""
        metadata = {**self.metadata, **getattr(other, "metadata", {})}
        return attrs.evolve(self, data={**self.data, **other}, metadata=metadata)

    def copy(self) -> Self:
        """Return a copy with a dict of its own."""
        return attrs.evolve(self, data=dict(self.data))

    def with_metadata(self, **metadata: Any) -> Self:
        """Return a copy that carries these facts as well."""
        return attrs.evolve(self, metadata={**self.metadata, **metadata})


@frozen(eq=False)
class Metrics(_NamedValues):
    """Numbers that say how well something did: stored, and logged to the trackers.

    Attributes:
        data: Number by name. NumPy scalars and 0-d tensors become plain numbers.
        step: Position in a training loop, or None for a final figure.
    """

    hooks: ClassVar[tuple[str, ...]] = ("store_artifact", "log_metrics")

    data: dict[str, int | float] = field(converter=_numbers)
    step: int | None = field(default=None, kw_only=True, converter=_position)

    def at_step(self, step: int) -> Self:
        """Return a copy measured at this position of a training loop."""
        return attrs.evolve(self, step=step)


@frozen(eq=False)
class Curve(Artifact, Sequence[Metrics]):
    """Points of a curve that a step handed over one after the other: a sequence of `Metrics`.

    A run makes it of metrics that a step logs or yields.

    Attributes:
        data: Its columns, an entry for each point: ``names``, the name of the point below its step;
            ``steps``; ``times``, in microseconds since 1970, when it was handed over; ``metrics``,
            its numbers by name; ``metadata``, where any point has some.
        step: The step of its first point.
    """

    routed_as: ClassVar[type[Artifact]] = Metrics

    data: dict[str, list[Any]]
    step: int | None = field(default=None, kw_only=True)

    @overload
    def __getitem__(self, index: int) -> Metrics: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Metrics]: ...

    def __getitem__(self, index: int | slice) -> Metrics | Sequence[Metrics]:
        """Return a point, or several, as the step handed them over."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        metadata = self.data["metadata"][index] if "metadata" in self.data else {}
        return Metrics(
            self.data["metrics"][index], step=self.data["steps"][index], metadata=metadata
        )

    def __len__(self) -> int:
        return len(self.data["metrics"])


@frozen(eq=False)
class Parameters(_NamedValues):
    """Settings that something was made with: stored, and logged to the trackers."""

    hooks: ClassVar[tuple[str, ...]] = ("store_artifact", "log_parameters")


def detect_framework(cls: type) -> str | None:
    """Return the framework whose class this is or derives from, importing nothing."""
    roots = (base.__module__.partition(".")[0] for base in cls.__mro__)
    return next((FRAMEWORKS[root] for root in roots if root in FRAMEWORKS), None)


def detect_format(cls: type) -> str | None:
    """Return the format that fits this class, importing nothing."""
    places = ((base.__module__.partition(".")[0], base.__name__) for base in cls.__mro__)
    return next((FORMATS[place] for place in places if place in FORMATS), None)
