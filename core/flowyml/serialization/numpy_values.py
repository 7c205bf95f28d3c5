"""NumPy scalars in JSON: their class, and a plain value that is exact for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError

__all__ = ["VALUES", "NumpyValues"]


@frozen
class NumpyValues:
    """Writes numbers, booleans, text, bytes, times and time spans."""

    tag: ClassVar[str] = "numpy"

    def take(self, value: Any) -> dict[str, Any]:
        """Return the class's name and the value as Python has it."""
        kind = value.dtype.kind
        if kind in "mM":
            import numpy as np

            unit, count = np.datetime_data(value.dtype)
            return {
                "class": type(value).__name__,
                "value": int(value.view("i8")),
                "unit": [unit, count],
            }
        exact = value.dtype.itemsize <= (16 if kind == "c" else 8)
        plain = _PLAIN.get(kind) if exact or kind in "SU" else None
        if plain is None or type(value).__module__ != "numpy":
            message = f"a numpy.{type(value).__name__} has no exact form in JSON"
            raise SerializationError(message)
        return {"class": type(value).__name__, "value": plain(value)}

    def make(self, kept: Mapping[str, Any]) -> object:
        """Look up the class among NumPy's scalars and nowhere else."""
        import numpy as np

        cls: Any = getattr(np, kept["class"], None)
        if not (isinstance(cls, type) and issubclass(cls, np.generic)):
            message = f"numpy.{kept['class']} is no scalar of NumPy"
            raise SerializationError(message)
        if "unit" in kept:
            unit, count = kept["unit"]
            return np.int64(kept["value"]).view(np.dtype(cls).str + f"[{count}{unit}]")
        return cls(kept["value"])


_PLAIN: Mapping[str, Callable[[Any], object]] = {
    "S": bytes,
    "U": str,
    "b": bool,
    "c": complex,
    "f": float,
    "i": int,
    "u": int,
}

VALUES = NumpyValues()
