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
from flowyml.storage.folders import ArtifactFolders, LocalFolders

__all__ = ["StoredModel"]


@frozen
class StoredModel:
    """A stored model with the one method that MLflow asks for.

    Attributes:
        model: The model itself, in the class it was stored from.
        framework: The library that made it.
    """

    model: Any
    framework: str | None

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Return one prediction for each row."""
        del params
        predict = PREDICTING.get(self.framework or "", _by_method)
        return predict(self.model, model_input)


def _load_pyfunc(path: str) -> StoredModel:
    """Read the model, once its digest is that of the day it was logged."""
    reference = json.loads(Path(path).read_text())
    source = _source(reference["uri"])
    found = source.manifest.digest
    if found != reference["digest"]:
        message = (
            f"the model at {reference['uri']} is not the one that was logged: its digest is "
            f"{found}, and MLflow has {reference['digest']}"
        )
        raise IntegrityError(message)
    # MLflow vouches for the digest, so the format may be one that runs code.
    return StoredModel(unpack_data(source, trusted=True), reference["framework"])


def _source(uri: str) -> FileSource:
    root = uri.rpartition("/")[0]
    if urlsplit(uri).scheme == "file":
        return LocalFolders.at(Path(unquote(urlsplit(root).path))).load(uri)
    filesystem, _ = fsspec.core.url_to_fs(root)
    return ArtifactFolders(FilesystemBucket(filesystem, root)).load(uri)


def _by_method(model: Any, rows: Any) -> Any:
    """Ask a model as scikit-learn's are asked; a plain function is called."""
    return model.predict(rows) if hasattr(model, "predict") else model(rows)


def _xgboost(model: Any, rows: Any) -> Any:
    import xgboost

    if isinstance(model, xgboost.Booster):
        return model.predict(xgboost.DMatrix(rows))
    return model.predict(rows)


def _pytorch(model: Any, rows: Any) -> Any:
    import numpy as np
    import torch

    model.eval()
    with torch.no_grad():
        answer = model(torch.from_numpy(np.asarray(rows, dtype=np.float32)))
    return answer.numpy()


PREDICTING: Final[MappingProxyType[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {"pytorch": _pytorch, "xgboost": _xgboost}
)
"""How the models of a library are asked that have no method ``predict`` taking rows."""
