"""Versions of models that are there already, which is for every registry the same."""

from __future__ import annotations

from flowyml.errors import DeliveryError
from flowyml.records import ModelVersion, Registration

__all__ = ["unless_other"]


def unless_other(found: ModelVersion, registration: Registration) -> ModelVersion:
    """Return the version that is there already, if it is the model that is to be registered.

    Args:
        found: What the registry has under the name and the version.
        registration: What is to be registered.

    Raises:
        DeliveryError: It is another model, and a version never changes.
    """
    if found.digest == registration.stored.digest:
        return found
    origin = f", from the run {found.run_id}" if found.run_id else ""
    message = (
        f"the version {found.version!r} of {found.name!r} is another model already{origin}, and a "
        "version never changes. Leave `version` out of the Model, and the registry counts, or "
        "give it another version; then run again "
        f"(that one is {found.digest}, this one {registration.stored.digest})"
    )
    raise DeliveryError(message)
