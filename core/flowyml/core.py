"""The artifact types, under the name that pipelines import them by."""

from __future__ import annotations

from flowyml.artifacts import Artifact, Dataset, Metrics, Model, Parameters

__all__ = ["Artifact", "Dataset", "Metrics", "Model", "Parameters"]
