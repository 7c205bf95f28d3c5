"""The labels of a frame's columns, and of categories, as tagged JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowyml.errors import SerializationError
from flowyml.serialization.tagged import decode, encode

__all__ = ["labels_from_json", "labels_to_json", "names_for"]


def labels_to_json(labels: Any) -> dict[str, Any]:
    """Return a `pandas.Index` as JSON.

    Raises:
        SerializationError: A label or the dtype has no exact form.
    """
    import pandas as pd

    names = encode(list(labels.names))
    if type(labels) is pd.RangeIndex:
        return {"range": [labels.start, labels.stop, labels.step], "names": names}
    if type(labels) is pd.MultiIndex:
        levels = [labels_to_json(level) for level in labels.levels]
        return {"levels": levels, "codes": [code.tolist() for code in labels.codes], "names": names}
    kept = {"labels": encode(labels.tolist()), "dtype": str(labels.dtype), "names": names}
    kept["freq"] = getattr(labels, "freqstr", None)
    if not labels_from_json(kept).identical(labels):
        message = f"labels of the dtype {labels.dtype} have no exact form in parquet"
        raise SerializationError(message)
    return kept


def labels_from_json(kept: Mapping[str, Any]) -> Any:
    """Return the `pandas.Index` again."""
    import pandas as pd

    names = decode(kept["names"])
    if "range" in kept:
        start, stop, step = kept["range"]
        return pd.RangeIndex(start, stop, step, name=names[0])
    if "levels" in kept:
        levels = [labels_from_json(level) for level in kept["levels"]]
        return pd.MultiIndex(levels=levels, codes=kept["codes"], names=names)
    try:
        labels: Any = pd.Index(
            decode(kept["labels"]), dtype=kept["dtype"], name=names[0], tupleize_cols=False
        )
    except (TypeError, ValueError) as cause:
        message = f"labels of the dtype {kept['dtype']} have no exact form in parquet"
        raise SerializationError(message) from cause
    if kept["freq"] is not None:
        labels.freq = kept["freq"]
    return labels


def names_for(labels: Any) -> list[str]:
    """Return names for the file: labels that are text and unique, else what comes close."""
    names: list[str] = []
    taken: set[str] = set()
    for label in labels:
        base = label if type(label) is str else str(label)
        name, count = base, 0
        while name in taken:
            count += 1
            name = f"{base}.{count}"
        taken.add(name)
        names.append(name)
    return names
