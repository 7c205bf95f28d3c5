"""Versions of models that are there already, which is for every registry the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from flowyml.errors import DeliveryError
from flowyml.records import ModelVersion, Registration

__all__ = ["settle", "unless_other"]

Claim = TypeVar("Claim")


def settle(
    claims: Sequence[Claim], own: Collection[Claim], give_up: Callable[[Claim], None]
) -> Claim:
    """Let one of those who registered a version at the same moment have it: the first one.

    A vendor's registry that counts by itself does not know of the user's versions, and takes one
    twice. Its own count is given once, and whoever looks after it was given sees whoever was
    earlier. So all of them agree, whenever each of them looks.

    Args:
        claims: What bears the version, in the order of the registry's count.
        own: What the delivery made that is looking.
        give_up: Deletes one of its own; one that is gone already is no error.

    Returns:
        The first claim, which may be another delivery's, with another model.
    """
    first = claims[0]
    for claim in own:
        if claim != first:
            give_up(claim)
    return first


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
