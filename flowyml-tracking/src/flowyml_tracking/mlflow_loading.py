"""Loads a model that MLflow leads to from where FlowyML stored it.

`mlflow.pyfunc.load_model` calls `_load_pyfunc`, which every loader module of MLflow's has. It needs
this package, the model's library and access to the store, with the credentials that fsspec finds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import fsspec
from attrs import frozen

from flowyml.errors import IntegrityError
from flowyml.serialization import unpack_data
from flowyml.storage.files import FileSource
from flowyml.storage.filesystems import FilesystemBucket
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders

__all__ = ["StoredModel", "read_model"]


@frozen
class StoredModel:
    """A stored model with the methods that MLflow asks for.

    Attributes:
        model: The model itself, in the class it was stored from.
        ask: How it is asked for predictions.
    """

    model: Any
    ask: Callable[[Any], Any]

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Return one prediction for each row."""
        del params
        return self.ask(model_input)

    def get_raw_model(self) -> Any:
        """Return the model itself."""
        return self.model


def _load_pyfunc(path: str) -> StoredModel:
    """Read the model that the file at this path leads to."""
    reference = json.loads(Path(path).read_text())
    model = read_model(reference["uri"], reference["digest"])
    return StoredModel(model, ASKING.get(reference["framework"], _plainly)(model))


def read_model(uri: str, digest: str) -> Any:
    """Read a stored model.

    Args:
        uri: Where it lies.
        digest: Its digest of the day that it was logged.

    Raises:
        IntegrityError: What lies there is another one by now.
    """
    source = _source(uri)
    found = source.manifest.digest
    if found != digest:
        message = (
            f"the model at {uri} is not the one that was logged: its digest is {found}, and "
            f"MLflow has {digest}"
        )
        raise IntegrityError(message)
    # MLflow vouches for the digest, so the format may be one that runs code.
    return unpack_data(source, trusted=True)


def _source(uri: str) -> FileSource:
    root = uri.rpartition("/")[0]
    if urlsplit(uri).scheme == "file":
        return LocalFolders.at(Path(unquote(urlsplit(root).path))).load(uri)
    filesystem, _ = fsspec.core.url_to_fs(root)
    return ArtifactFolders(FilesystemBucket(filesystem, root)).load(uri)


def _plainly(model: Any) -> Callable[[Any], Any]:
    """Ask a model as scikit-learn's are asked; a plain function is called."""
    return getattr(model, "predict", model)  # type: ignore[no-any-return]


def _onnx(model: Any) -> Callable[[Any], Any]:
    """Run the graph on its one input, or on several by name, and return its first output."""
    import numpy as np
    import onnxruntime  # type: ignore[import-not-found,unused-ignore] # noqa: PLC0415 # only here

    session = onnxruntime.InferenceSession(model.SerializeToString())
    inputs = {each.name: NUMBERS.get(each.type) for each in session.get_inputs()}

    def ask(rows: Any) -> Any:
        named = rows if isinstance(rows, dict) else {next(iter(inputs)): rows}
        feeds = {name: np.asarray(each, dtype=inputs[name]) for name, each in named.items()}
        return session.run(None, feeds)[0]

    return ask


def _pytorch(model: Any) -> Callable[[Any], Any]:
    """Give the module its rows in the kind of numbers that it computes with.

    Whole numbers of an array stay what they are: they may be the places of words.
    """
    import numpy as np
    import torch

    model.eval()
    kinds = (each.dtype for each in model.parameters() if each.is_floating_point())
    kind = next(kinds, torch.float32)

    def ask(rows: Any) -> Any:
        array = np.asarray(rows)
        whole = isinstance(rows, np.ndarray) and np.issubdtype(array.dtype, np.integer)
        with torch.no_grad():
            given = torch.tensor(array)  # a copy: a module may write into its rows
            return model(given if whole else given.to(kind)).numpy()

    return ask


def _xgboost(model: Any) -> Callable[[Any], Any]:
    import xgboost

    if isinstance(model, xgboost.Booster):
        return lambda rows: model.predict(xgboost.DMatrix(rows))
    return _plainly(model)


NUMBERS: Final = MappingProxyType({"tensor(double)": "float64", "tensor(float)": "float32"})
"""What NumPy calls the kinds of numbers that ONNX does not convert by itself."""

ASKING: Final[MappingProxyType[str, Callable[[Any], Callable[[Any], Any]]]] = MappingProxyType(
    {"onnx": _onnx, "pytorch": _pytorch, "xgboost": _xgboost}
)
"""How the models of a library are asked that have no method ``predict`` taking rows."""
