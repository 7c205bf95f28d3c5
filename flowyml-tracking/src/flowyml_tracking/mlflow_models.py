"""Stored models as logged models of MLflow, which `mlflow.pyfunc.load_model` loads.

The model stays where it was stored. What MLflow keeps is a small folder with an ``MLmodel`` file
whose loader, `flowyml_tracking.mlflow_loading`, reads the model from there and verifies it.
"""

from __future__ import annotations

import json
import platform
import tempfile
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

DISTRIBUTIONS: Final = {
    "catboost": "catboost",
    "keras": "keras",
    "lightgbm": "lightgbm",
    "onnx": "onnxruntime",
    "pytorch": "torch",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
    "transformers": "transformers",
    "xgboost": "xgboost",
}
"""What has to be installed to run a model of a framework."""


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
    requirements = _requirements(framework)
    reference = {"uri": stored.uri, "digest": stored.digest, "framework": framework}
    python = platform.python_version()
    environment = {"python": python, "dependencies": ["-r requirements.txt"]}
    model = {
        "flavors": {
            "python_function": {
                "loader_module": LOADER,
                "data": REFERENCE,
                "python_version": python,
                "env": {"virtualenv": "python_env.yaml"},
            }
        },
        "mlflow_version": version("mlflow-skinny"),
        "model_id": model_id,
        "model_uuid": model_id,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
        "metadata": {"flowyml": reference},
        **({"run_id": run_id} if run_id else {}),
    }
    # JSON is YAML.
    contents = {"MLmodel": model, REFERENCE: reference, "python_env.yaml": environment}
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2))
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))


def _requirements(framework: str | None) -> list[str]:
    names = ["mlflow", "flowyml-tracking", DISTRIBUTIONS.get(framework or "")]
    return [_pinned(name) for name in names if name]


def _pinned(distribution: str) -> str:
    try:
        return f"{distribution}=={version(distribution)}"
    except PackageNotFoundError:
        return distribution
