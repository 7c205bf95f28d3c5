"""Reading a stored artifact only to find out whether it is whole."""

from __future__ import annotations

from flowyml.errors import IntegrityError
from flowyml.storage.filters import EncodedSource

__all__ = ["faults"]


def faults(source: EncodedSource) -> tuple[IntegrityError, ...]:
    """Read every file of an artifact, filters left around them, and return what is wrong.

    Args:
        source: What the store's ``load`` returned; its manifest is verified already.
    """
    found = []
    for file in source.manifest.files:
        try:
            source.encoded(file.name).close()
        except IntegrityError as fault:
            found.append(fault)
    return tuple(found)
