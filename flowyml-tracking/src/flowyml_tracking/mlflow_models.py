"""Stored models as logged models of MLflow, which `mlflow.pyfunc.load_model` loads.

The model stays where it was stored. What MLflow keeps is a small folder with an ``MLmodel`` file
whose loader, `flowyml_tracking.mlflow_loading`, reads the model from there and verifies it. For
`mlflow.sklearn.load_model` there is a pickle beside it, which calls the same loader.
"""

from __future__ import annotations

import json
import pickle
import platform
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from flowyml.records import StoredArtifact
from flowyml_tracking.mlflow_names import entity_name

__all__ = ["LOADER", "REFERENCE", "MLflowModels"]

LOADER: Final = "flowyml_tracking.mlflow_loading"
REFERENCE: Final = "flowyml.json"
"""The file that tells the loader where the model lies, and its digest."""

PICKLE: Final = "model.pkl"
"""The file for MLflow's own loader of scikit-learn models."""

DISTRIBUTIONS: Final = {
    "catboost": ("catboost",),
    "keras": ("keras",),
    "lightgbm": ("lightgbm",),
    "onnx": ("onnx", "onnxruntime"),
    "pytorch": ("torch",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow",),
    "transformers": ("transformers",),
    "xgboost": ("xgboost",),
}
"""What has to be installed to run a model of a framework."""


@frozen
class Lead:
    """What becomes the stored model itself when it is unpickled."""

    uri: str
    digest: str

    def __reduce__(self) -> tuple[Callable[[str, str], Any], tuple[str, str]]:
        """Have pickle read the model from the store, if it is the one that was logged."""
        # It imports fsspec, which the trackers can do without.
        from flowyml_tracking.mlflow_loading import read_model  # noqa: PLC0415

        return read_model, (self.uri, self.digest)


@frozen
class MLflowModels:
    """Logs models to one experiment, each once for a run."""

    client: Any
    experiment_id: str

    def log(self, stored: StoredArtifact, run_id: str | None) -> str:
        """Return MLflow's id for a stored model; what was begun before is brought to its end."""
        tags = self._tags(stored)
        model = self._find(tags) or self.client.create_logged_model(
            self.experiment_id,
            name=entity_name(stored.manifest.name).replace("/", "_").replace(":", "_"),
            source_run_id=run_id,
            tags=tags,
            model_type=stored.manifest.properties.get("framework"),
        )
        model_id = str(model.model_id)
        if str(model.status) != "READY":
            with tempfile.TemporaryDirectory() as folder:
                _write(Path(folder), stored, model_id, run_id)
                self.client.log_model_artifacts(model_id, folder)
            self.client.finalize_logged_model(model_id, "READY")
        return model_id

    def _find(self, tags: dict[str, str]) -> Any:
        wanted = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self.client.search_logged_models([self.experiment_id], filter_string=wanted)
        return found[0] if found else None

    def _tags(self, stored: StoredArtifact) -> dict[str, str]:
        """Return what tells a stored model from every other: where it lies, and what is there."""
        return {"flowyml.digest": stored.digest, "flowyml.uri": stored.uri.replace("'", "%27")}


def _write(folder: Path, stored: StoredArtifact, model_id: str, run_id: str | None) -> None:
    framework = stored.manifest.properties.get("framework")
    reference = {"uri": stored.uri, "digest": stored.digest, "framework": framework}
    model = {
        "flavors": _flavors(framework),
        "mlflow_version": version("mlflow-skinny"),
        "model_id": model_id,
        "model_uuid": model_id,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
        "metadata": {"flowyml": reference},
        **({"run_id": run_id} if run_id else {}),
    }
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    # JSON is YAML.
    contents = {"MLmodel": model, REFERENCE: reference, "python_env.yaml": environment}
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2))
    names = ("mlflow", "flowyml-tracking", *DISTRIBUTIONS.get(framework or "", ()))
    (folder / "requirements.txt").write_text("".join(f"{_pinned(name)}\n" for name in names))
    if framework == "sklearn":
        (folder / PICKLE).write_bytes(pickle.dumps(Lead(stored.uri, stored.digest)))


def _flavors(framework: str | None) -> dict[str, dict[str, Any]]:
    """Return the ways in which MLflow may load the model."""
    loader = {
        "loader_module": LOADER,
        "data": REFERENCE,
        "python_version": platform.python_version(),
        "env": {"virtualenv": "python_env.yaml"},
    }
    if framework != "sklearn":
        return {"python_function": loader}
    own = {"pickled_model": PICKLE, "serialization_format": "pickle"}
    return {"python_function": loader, "sklearn": own}


def _pinned(distribution: str) -> str:
    try:
        return f"{distribution}=={version(distribution)}"
    except PackageNotFoundError:
        return distribution
