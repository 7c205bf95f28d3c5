"""The prebuilt containers that serve each framework, and the file that each of them looks for.

From Google's list of prebuilt containers for prediction. A model whose framework or version is not
in it names its own image: ``Model(serving_config={"image": "..."})``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml.records import Registration

__all__ = ["container_spec", "serving_image"]

HOSTS: Final = {"us": "us", "europe": "europe", "asia": "asia"}
"""Multi-regions of the registry, by the first part of a location."""


@frozen
class Prebuilt:
    """The images of one framework.

    Attributes:
        distribution: The package whose version decides.
        name: The images' name.
        versions: Versions there are, oldest first.
        files: Names of which one has to lie in the model's folder.
    """

    distribution: str
    name: str
    versions: tuple[str, ...]
    files: tuple[str, ...]


PREBUILT: Final = {
    "sklearn": Prebuilt(
        "scikit-learn",
        "sklearn-cpu",
        ("0.23", "0.24", "1.0", "1.2", "1.3", "1.4", "1.5", "1.6"),
        ("model.joblib", "model.pkl"),
    ),
    "xgboost": Prebuilt(
        "xgboost",
        "xgboost-cpu",
        ("1.6", "1.7", "2.0", "2.1"),
        ("model.bst", "model.joblib", "model.pkl"),
    ),
    "tensorflow": Prebuilt(
        "tensorflow", "tf2-cpu", ("2.11", "2.12", "2.13", "2.14", "2.15"), ("saved_model.pb",)
    ),
    "pytorch": Prebuilt(
        "torch", "pytorch-cpu", ("2.0", "2.1", "2.2", "2.3", "2.4"), ("model.mar",)
    ),
}


def container_spec(registration: Registration, location: str) -> dict[str, Any]:
    """Return how a model is served: the image, and what `Model.serving_config` says of it.

    Args:
        registration: The model.
        location: Region that it is served in.

    Raises:
        DeliveryError: There is no image, or what should be environment variables is none.
    """
    serving = registration.serving_config
    chosen: dict[str, Any] = {"image_uri": serving_image(registration, location)}
    for field in ("command", "args", "predict_route", "health_route"):
        if field in serving:
            chosen[field] = serving[field]
    variables = serving.get("environment") or {}
    if not isinstance(variables, Mapping) or None in variables.values():
        message = (
            "serving_config['environment'] maps names of variables to their values; "
            f"got {variables!r}"
        )
        raise DeliveryError(message)
    return {
        **chosen,
        "env": [{"name": str(name), "value": str(value)} for name, value in variables.items()],
    }


def serving_image(registration: Registration, location: str) -> str:
    """Return the image that serves a model.

    Args:
        registration: The model; ``serving_config["image"]`` goes before the table.
        location: Region; the image is taken from the registry nearest to it.

    Raises:
        DeliveryError: There is no prebuilt container for it.
    """
    if image := registration.serving_config.get("image"):
        return str(image)
    prebuilt = PREBUILT.get(registration.framework or "")
    if prebuilt is None:
        raise _no_image(registration, f"Vertex AI has no container for {registration.framework}")
    stored = {file.name for file in registration.stored.manifest.files}
    if not stored.intersection(prebuilt.files):
        wanted = " or ".join(prebuilt.files)
        reason = f"the prebuilt container for {registration.framework} looks for {wanted}"
        raise _no_image(registration, f"{reason}, and it is stored as {', '.join(sorted(stored))}")
    chosen = _nearest(prebuilt).replace(".", "-")
    host = HOSTS.get(location.partition("-")[0], "us")
    return f"{host}-docker.pkg.dev/vertex-ai/prediction/{prebuilt.name}.{chosen}:latest"


def _nearest(prebuilt: Prebuilt) -> str:
    """Return the newest version that is not newer than the library that made the model."""
    try:
        installed = _numbers(version(prebuilt.distribution))
    except PackageNotFoundError:
        return prebuilt.versions[-1]
    older = [known for known in prebuilt.versions if _numbers(known) <= installed]
    return older[-1] if older else prebuilt.versions[0]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _no_image(registration: Registration, reason: str) -> DeliveryError:
    message = (
        f"the model {registration.name!r} cannot be served: {reason}; name a container that "
        'serves it with Model(..., serving_config={"image": "..."})'
    )
    return DeliveryError(message)
