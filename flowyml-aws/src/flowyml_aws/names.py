"""From the user's names to names and texts that SageMaker takes, and back.

SageMaker's names hold letters, digits and single dashes, 63 at most; its tags and metadata hold
letters, digits, spaces and ``_.:/=+-@``. Whatever else a text holds is written as ``=`` and two
hexadecimal digits for each byte, as in quoted-printable, so that it comes back as it was.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping

__all__ = ["fingerprint", "quote", "resource_name", "tag_list", "tag_map", "unique_name", "unquote"]

LONGEST = 63
PLAIN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
OTHER = re.compile(r"[^a-zA-Z0-9]+")
ESCAPED = re.compile(r"((?:=[0-9A-F]{2})+)")


def fingerprint(*facts: str) -> str:
    """Return a digest of facts, 12 hexadecimal digits long."""
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:12]


def resource_name(text: str, *, longest: int = LONGEST) -> str:
    """Return the name itself where SageMaker takes it, else one like it that no other name gets."""
    if PLAIN.fullmatch(text) and len(text) <= longest:
        return text
    return unique_name(text, text, longest=longest)


def unique_name(text: str, *facts: str, longest: int = LONGEST) -> str:
    """Return a name that is like a text and different for other facts."""
    mark = fingerprint(*facts)
    plain = OTHER.sub("-", text).strip("-")[: longest - len(mark) - 1].rstrip("-")
    return f"{plain}-{mark}" if plain else f"x-{mark}"


def quote(text: str) -> str:
    """Write a text in the characters that tags and metadata take."""
    return "".join(
        character if _is_allowed(character) else _escape(character) for character in text
    )


def unquote(text: str) -> str:
    """Read back what `quote` wrote."""
    return ESCAPED.sub(lambda found: bytes.fromhex(found[1].replace("=", "")).decode(), text)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in the form that requests have; a value that is None is left out."""
    return [{"Key": key, "Value": quote(value)} for key, value in tags.items()]


def tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return tags from the form that answers have."""
    return {tag["Key"]: unquote(tag["Value"]) for tag in tags}


def _is_allowed(character: str) -> bool:
    return character in "_.:/+-@ " or unicodedata.category(character)[0] in "LN"


def _escape(character: str) -> str:
    return "".join(f"={byte:02X}" for byte in character.encode())
