"""What FlowyML calls things, in the forms that Google Cloud allows, and the way back.

========================  =============================================  ======================
FlowyML                   Vertex AI                                      example
========================  =============================================  ======================
model ``Fraud Detector``  model id, `resource_id`                        ``m_46raud_20_44etector``
version ``1.0.0``         alias, `version_alias`                         ``v-1-2e0-2e0``
version ``1.0.0``         label, `label_value`                           ``1_2e0_2e0``
digest, key (SHA-256)     label in base 32, `digest_label`               52 characters
========================  =============================================  ======================

Letters, digits and what else is allowed stay; every other byte of the UTF-8 form becomes an escape
character and two hexadecimal digits. So different names stay different, and each can be read back.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from flowyml.errors import DeliveryError

__all__ = [
    "MODEL_PREFIX",
    "deployed_id",
    "digest_label",
    "digest_of",
    "endpoint_id",
    "is_alias",
    "label_text",
    "label_value",
    "resource_id",
    "version_alias",
    "version_of",
]

LONGEST_LABEL: Final = 63
LONGEST_ID: Final = 63
MODEL_PREFIX: Final = "m_"
ALIAS_PREFIX: Final = "v-"
DIGEST: Final = "sha256:"

_ALIAS: Final = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")


def resource_id(name: str) -> str:
    """Return the id of the model with this name: always the same, so it is made once."""
    return _cut(MODEL_PREFIX + _escape(name, "abcdefghijklmnopqrstuvwxyz0123456789-", "_"), name)


def endpoint_id(name: str) -> str:
    """Return the id of the endpoint with this name: always the same, so it is made once."""
    return _cut("e-" + _escape(name, "abcdefghijklmnopqrstuvwxyz0123456789", "-"), name)


def version_alias(version: str) -> str:
    """Return the alias of the user's version.

    Raises:
        DeliveryError: It is too long to be kept in a label as well.
    """
    label_value(version, what="version")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    written = _escape(version, letters, "-")
    # An alias ends in a small letter or a digit.
    if written[-1:].isupper():
        written = f"{written[:-1]}-{ord(written[-1]):02x}"
    return ALIAS_PREFIX + written


def version_of(alias: str) -> str | None:
    """Return the user's version of an alias; None for an alias of another kind."""
    if not alias.startswith(ALIAS_PREFIX):
        return None
    rest = alias.removeprefix(ALIAS_PREFIX).encode()
    plain = re.sub(rb"-([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), rest)
    return plain.decode(errors="replace")


def is_alias(alias: str) -> bool:
    """Whether Vertex AI takes this as a version alias, and FlowyML does not use it itself."""
    return bool(_ALIAS.fullmatch(alias)) and not alias.startswith(ALIAS_PREFIX)


def label_value(text: str, *, what: str | None = None) -> str:
    """Write a text so that it is legal in a label.

    Args:
        text: The text.
        what: Names it in the error; None cuts what is too long instead.

    Raises:
        DeliveryError: It is longer than a label can be.
    """
    written = _escape(text, "abcdefghijklmnopqrstuvwxyz0123456789-", "_")
    if len(written) <= LONGEST_LABEL:
        return written
    if what is None:
        return _cut(written, text)
    message = (
        f"the {what} {text!r} takes {len(written)} characters as a label, and Google Cloud "
        f"allows {LONGEST_LABEL}; use a shorter one"
    )
    raise DeliveryError(message)


def label_text(label: str) -> str:
    """Return the text of a label again, as far as it was not cut."""
    plain = re.sub(
        rb"_([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), label.encode()
    )
    return plain.decode(errors="replace")


def digest_label(digest: str) -> str:
    """Write a SHA-256 in base 32: in hexadecimal it is one character too long for a label."""
    hexadecimal = digest.removeprefix(DIGEST)
    return base64.b32encode(bytes.fromhex(hexadecimal)).decode().rstrip("=").lower()


def digest_of(label: str) -> str:
    """Return the hexadecimal SHA-256 of a label again."""
    padded = label.upper() + "=" * (-len(label) % 8)
    return base64.b32decode(padded).hex()


def deployed_id(key: str) -> str:
    """Return the id of the deployment with this key: at most ten digits, always the same."""
    number = int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10**10
    return str(number or 1)


def _escape(text: str, plain: str, escape: str) -> str:
    return "".join(
        character
        if character in plain
        else "".join(f"{escape}{byte:02x}" for byte in character.encode(errors="surrogatepass"))
        for character in text
    )


def _cut(written: str, text: str) -> str:
    if len(written) <= LONGEST_ID:
        return written
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    kept = written[: LONGEST_ID - len(digest) - 1].rstrip("-_")
    return f"{kept}-{digest}"
