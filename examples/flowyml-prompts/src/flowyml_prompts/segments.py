"""A stream encrypted in segments, so that memory does not grow with it.

A file begins with a random salt, from which, with the key, a key of its own is derived. Segments of
one size follow, each sealed by AES-GCM under its number and whether it is the last one: segments
that are exchanged, left out or cut off at the end do not open.
"""

from __future__ import annotations

import io
import os
from typing import BinaryIO, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flowyml.errors import IntegrityError

__all__ = ["KEY_BYTES", "decrypting", "encrypting"]

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
TAG_BYTES: Final = 16
SEGMENT: Final = 2**18


def encrypting(target: BinaryIO, key: bytes) -> BinaryIO:
    """Return a stream that writes what it is given to another one, encrypted."""
    return cast("BinaryIO", _Encrypting(target, key))


def decrypting(source: BinaryIO, key: bytes) -> BinaryIO:
    """Return a stream that reads what `encrypting` wrote.

    Raises:
        IntegrityError: While reading: the key is another one, or the bytes are.
    """
    return cast("BinaryIO", io.BufferedReader(_Decrypting(source, key), SEGMENT))


class _Encrypting(io.RawIOBase):
    def __init__(self, target: BinaryIO, key: bytes) -> None:
        super().__init__()
        salt = os.urandom(SALT_BYTES)
        self._target = target
        self._cipher = _cipher(key, salt)
        self._number = 0
        self._waiting = bytearray()
        target.write(salt)

    def writable(self) -> bool:
        return True

    def write(self, buffer: object) -> int:
        content = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        self._waiting += content
        # The last segment is kept back: only at the end is it known to be the last.
        while len(self._waiting) > SEGMENT:
            self._seal(bytes(self._waiting[:SEGMENT]), last=False)
            del self._waiting[:SEGMENT]
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._seal(bytes(self._waiting), last=True)
        super().close()

    def _seal(self, segment: bytes, *, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._number, last=last), segment, None))
        self._number += 1


class _Decrypting(io.RawIOBase):
    def __init__(self, source: BinaryIO, key: bytes) -> None:
        super().__init__()
        self._source = source
        self._cipher = _cipher(key, source.read(SALT_BYTES))
        self._next = source.read(SEGMENT + TAG_BYTES)
        self._number = 0
        self._opened = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._opened and not self._ended:
            self._opened = memoryview(self._open())
        count = min(len(target), len(self._opened))
        target[:count] = self._opened[:count]
        self._opened = self._opened[count:]
        return count

    def _open(self) -> bytes:
        segment, self._next = self._next, self._source.read(SEGMENT + TAG_BYTES)
        self._ended = not self._next
        nonce = _nonce(self._number, last=self._ended)
        self._number += 1
        try:
            opened: bytes = self._cipher.decrypt(nonce, segment, None)
        except InvalidTag as cause:
            message = (
                "an encrypted file does not open: it was stored with another key, or changed "
                "since; give the extension `encryption` the key of that time"
            )
            raise IntegrityError(message) from cause
        return opened


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"flowyml-prompts")
    return AESGCM(derived.derive(key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
