"""pandas timestamps, time spans and missing values in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any, ClassVar

from attrs import frozen

from flowyml.errors import SerializationError

__all__ = ["VALUES", "PandasValues"]


@frozen
class PandasValues:
    """Writes a number of units since the epoch, the unit, and the time zone apart."""

    tag: ClassVar[str] = "pandas"

    def take(self, value: Any) -> dict[str, Any]:
        """Return the class's name and what makes the value again."""
        import pandas as pd

        if value is pd.NaT or value is pd.NA:
            return {"class": "NaT" if value is pd.NaT else "NA"}
        if type(value) is pd.Timedelta:
            return {"class": "Timedelta", "value": value.asm8.view("i8").item(), "unit": value.unit}
        if type(value) is pd.Timestamp:
            return {
                "class": "Timestamp",
                "value": value.asm8.view("i8").item(),
                "unit": value.unit,
                "zone": _zone(value),
            }
        message = f"a pandas {type(value).__qualname__} has no exact form in JSON"
        raise SerializationError(message)

    def make(self, kept: Mapping[str, Any]) -> object:
        """Count the units from the epoch again."""
        import numpy as np
        import pandas as pd

        if kept["class"] in {"NaT", "NA"}:
            return pd.NaT if kept["class"] == "NaT" else pd.NA
        if kept["class"] == "Timedelta":
            return pd.Timedelta(np.timedelta64(kept["value"], kept["unit"]))
        stamp = pd.Timestamp(np.datetime64(kept["value"], kept["unit"]))
        if kept["zone"] is None:
            return stamp
        return stamp.tz_localize("UTC").tz_convert(kept["zone"].tzinfo)


def _zone(value: Any) -> object:
    """Let an empty clock carry the zone: how zones are written is known for clocks."""
    return None if value.tzinfo is None else time(tzinfo=value.tzinfo)


VALUES = PandasValues()
