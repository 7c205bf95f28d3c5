"""An extension that encrypts every file on its way into a store, and decrypts it on the way out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Generator
from typing import ClassVar

from attrs import define, field

from flowyml.errors import ConfigurationError
from flowyml.plugins import Extension, hookimpl
from flowyml.records import StoredArtifact
from flowyml.storage.files import StoreRequest, StreamFilter
from flowyml.storage.filters import EncodedSource, unfiltered
from flowyml_prompts.segments import KEY_BYTES, decrypting, encrypting

__all__ = ["Encryption"]

FILTER = "aes-gcm-segments"


@define(slots=False)
class Encryption(Extension):
    """Encrypts data files with AES-256-GCM.

    What is written down about an artifact (names, sizes, metadata) is not encrypted. The same value
    lies encrypted differently each time, so that nobody sees which values are equal.

    Attributes:
        key: 32 bytes in Base64, as ``openssl rand -base64 32`` makes them; take it from the
            environment with ``${PROMPTS_KEY}``.
    """

    flowyml_api: ClassVar[str] = ">=1,<2"

    key: str = field(repr=False)

    @key.validator
    def _check(self, _field: object, key: str) -> None:
        try:
            length = len(base64.b64decode(key, validate=True))
        except (binascii.Error, ValueError) as cause:
            message = "the key of the extension `encryption` is not Base64"
            raise ConfigurationError(message) from cause
        if length != KEY_BYTES:
            message = (
                f"the key of the extension `encryption` has {length} bytes and needs {KEY_BYTES}; "
                "make one with `openssl rand -base64 32`"
            )
            raise ConfigurationError(message)

    @hookimpl(wrapper=True)
    def store_artifact(
        self, request: StoreRequest
    ) -> Generator[None, StoredArtifact, StoredArtifact]:
        """Put the filter around every file."""
        key = base64.b64decode(self.key)
        request.filters.append(StreamFilter(FILTER, lambda stream: encrypting(stream, key)))
        return (yield)

    @hookimpl(wrapper=True)
    def load_artifact(self) -> Generator[None, EncodedSource, EncodedSource]:
        """Undo it, where it is around the files."""
        key = base64.b64decode(self.key)
        source = yield
        return unfiltered(source, FILTER, lambda stream: decrypting(stream, key))
