"""Which stored artifacts may be read although reading them could run code."""

from __future__ import annotations

from flowyml.metadata.store import MetadataStore
from flowyml.stacks.stack import Stack

__all__ = ["is_trusted"]


def is_trusted(digest: str, stack: Stack, metadata: MetadataStore) -> bool:
    """Whether a run of this project stored the digest, or the stack trusts what lies in its stores.

    Nothing that lies beside an artifact has a say in it.
    """
    return "pickle" in stack.trust or metadata.knows_digest(digest)
