"""What an MLflow run tells of the artifacts that a pipeline run stored."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from flowyml.records import Manifest, StoredArtifact
from flowyml_tracking.mlflow_models import MLflowModels
from flowyml_tracking.mlflow_names import LONGEST_TAG, entity_name
from flowyml_tracking.mlflow_runs import OpenRun
from flowyml_tracking.parameters import shortened
from flowyml_tracking.stores import Stores
from flowyml_tracking.trackers import link_to

__all__ = ["MLflowLinks"]

LONGEST_SHORT_DIGEST = 36


@frozen
class MLflowLinks:
    """Links artifacts to one run; linking one again changes nothing."""

    client: Any
    run: OpenRun
    stores: Stores

    def add(self, stored: StoredArtifact, name: str) -> None:
        """Tag the run with URI and digest, and show what MLflow has a place for."""
        text = json.dumps(link_to(stored))
        tag = entity_name(f"flowyml.artifact.{name}")
        self.client.set_tag(self.run.run_id, tag, shortened(text, LONGEST_TAG))
        if _is(stored.manifest, "Dataset", "format"):
            self._dataset(stored)
        if _is(stored.manifest, "Model", "framework"):
            self._model(stored)
        picture = self.stores.picture(stored)
        if picture is not None:
            self._figure(name, picture)

    def _dataset(self, stored: StoredArtifact) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        producer = stored.manifest.producer
        dataset = Dataset(
            name=stored.manifest.name[:500],
            # MLflow has room for half a digest; the whole one is the tag.
            digest=stored.digest.removeprefix("sha256:")[:LONGEST_SHORT_DIGEST],
            source_type=urlsplit(stored.uri).scheme.replace("file", "local"),
            source=json.dumps({"uri": stored.uri}),
            profile=json.dumps(
                {"size": stored.manifest.size, "format": stored.manifest.serializer}
            ),
        )
        tags = [InputTag("flowyml.digest", stored.digest)]
        if producer is not None:
            tags.append(InputTag("mlflow.data.context", producer.step[:500]))
        self.client.log_inputs(self.run.run_id, datasets=[DatasetInput(dataset, tags)])

    def _model(self, stored: StoredArtifact) -> None:
        from mlflow.entities import LoggedModelOutput

        models = MLflowModels(self.client, self.run.experiment_id)
        model_id = models.log(stored, self.run.run_id)
        outputs = self.client.get_run(self.run.run_id).outputs
        known = {output.model_id for output in outputs.model_outputs} if outputs else set()
        if model_id not in known:
            self.client.log_outputs(self.run.run_id, [LoggedModelOutput(model_id, 0)])

    def _figure(self, name: str, picture: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{entity_name(name).replace('/', '_')}.png")
            file.write_bytes(picture)
            self.client.log_artifact(self.run.run_id, str(file), "figures")


def _is(manifest: Manifest, kind: str, mark: str) -> bool:
    """Say whether an artifact is of this type or derives from it, and so has the type's field."""
    return manifest.type == kind or (
        manifest.artifact_class is not None and mark in manifest.properties
    )
