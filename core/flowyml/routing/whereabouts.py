"""Where an artifact lies by now: the folder of a project may have been moved or copied.

The ledger has the URI at which an artifact was stored. Where that is in no store of the stack any
more, the same path below the root of a local store is looked at, and taken only if what lies there
has the digest that was recorded: so it is the same artifact, however it got there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs
from attrs import frozen

from flowyml.errors import IntegrityError, NotFoundError
from flowyml.metadata.store import MetadataStore
from flowyml.records import ModelVersion
from flowyml.stacks.stack import Stack

__all__ = ["Place", "find_place", "where_it_lies"]

FILE: Final = "file://"


@frozen
class Place:
    """Where an artifact lies.

    Attributes:
        store: The store of the stack.
        uri: Its address there.
    """

    store: str
    uri: str


def find_place(stack: Stack, uri: str, digest: str | None, metadata: MetadataStore) -> Place | None:
    """Return where a stack keeps an artifact; None where it does not.

    Args:
        stack: The stack.
        uri: Where it was stored.
        digest: What was stored; None where that is not known, and only the URI tells.
        metadata: Tells what a later run stored in its place.

    Raises:
        DeliveryError: A store cannot be read.
    """
    store = stack.store_of_uri(uri)
    if store is not None:
        return Place(store, uri)
    if digest is None:
        return None
    for place in _same_paths(stack, uri):
        found = _digest_at(stack, place)
        if found == digest or (found and metadata.replacement(uri, recorded=digest, found=found)):
            return place
    return None


def where_it_lies(stack: Stack, model: ModelVersion, metadata: MetadataStore) -> ModelVersion:
    """Return a registered model with its address of by now; as it is where no store has it."""
    place = find_place(stack, model.uri, model.digest, metadata)
    return attrs.evolve(model, uri=place.uri) if place else model


def _same_paths(stack: Stack, uri: str) -> Iterator[Place]:
    """Yield where a file would lie if its store's root were another folder, the longest path first.

    Nobody wrote down where the root ended and the path began, and the digest decides.
    """
    if not uri.startswith(FILE):
        return
    segments = uri.removeprefix(FILE).strip("/").split("/")
    for store in stack.stores:
        root = stack.store_uri(store)
        if root.startswith(FILE):
            for start in range(1, len(segments)):
                yield Place(store, "/".join([root, *segments[start:]]))


def _digest_at(stack: Stack, place: Place) -> str | None:
    try:
        return stack.hooks.load_artifact(place.store, place.uri).manifest.digest
    except (NotFoundError, IntegrityError):  # then it is not the artifact that is looked for
        return None
