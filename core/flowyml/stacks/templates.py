"""Path templates: where below a store's root an artifact lies.

A template is literal segments and placeholders. It is parsed here, not by `str.format`, so that a
template can reach no attribute and no item. A value put into it can never leave its segment, and
two different values never become the same segment.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from flowyml.spelling import hint

__all__ = ["PLACEHOLDERS", "PathTemplate", "safe_segment"]

PLACEHOLDERS: Final = (
    "run_id",
    "pipeline_name",
    "step_name",
    "output_name",
    "artifact_name",
    "stack_name",
    "name",
    "version",
    "date",
)

_PIECE = re.compile(r"\{([^{}/]*)\}")
_LITERAL = re.compile(r"[\w .=@+,-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]")
_HARMLESS = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9_.-]{0,118}[A-Za-z0-9_-])?")
_WINDOWS_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_LONGEST = 120
_KEPT = 80


@frozen
class PathTemplate:
    """A template such as ``{run_id}/data/{step_name}``.

    Attributes:
        text: The template as it was written.

    Raises:
        ValueError: The template is not one; the message says which part.
    """

    text: str = field()

    @text.validator
    def _check(self, _field: object, text: str) -> None:
        if not isinstance(text, str) or not text:
            message = "a path template is a text such as '{run_id}/{output_name}'"
            raise ValueError(message)
        if text.startswith("/"):
            message = f"the path {text!r} is absolute; it is taken below the store's root"
            raise ValueError(message)
        for segment in text.split("/"):
            _check_segment(segment, text)

    def __str__(self) -> str:
        """Return the template as it was written."""
        return self.text

    def render(self, values: Mapping[str, str]) -> str:
        """Put values in for the placeholders; one without a value stays as it stands."""
        return _PIECE.sub(
            lambda piece: safe_segment(values[piece[1]]) if piece[1] in values else piece[0],
            self.text,
        )


def safe_segment(value: str) -> str:
    """Write a value so that it is one harmless path segment everywhere.

    Letters, digits, ``_``, ``-`` and inner dots stay; every other byte of the UTF-8 form becomes
    ``~`` and two hexadecimal digits, which keeps different values different. What would be longer
    than 120 characters keeps its first 80 and ends in ``~~`` and a digest of the whole.
    """
    reserved = bool(_WINDOWS_RESERVED.fullmatch(value))
    if not reserved and _HARMLESS.fullmatch(value):
        return value
    last = len(value) - 1
    written = "".join(
        character
        if _PLAIN.fullmatch(character)
        and not (character == "." and position in (0, last))
        and not (reserved and position == 0)
        else "".join(f"~{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
        for position, character in enumerate(value)
    )
    if not written:
        return "~"
    if len(written) <= _LONGEST:
        return written
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{written[:_KEPT]}~~{digest[:32]}"


def _check_segment(segment: str, text: str) -> None:
    literal = _PIECE.sub("", segment)
    if not segment:
        message = f"the path {text!r} has an empty segment"
        raise ValueError(message)
    if segment.strip(". ") == "":
        message = f"the path {text!r} has the segment {segment!r}, which leads out of the store"
        raise ValueError(message)
    for name in _PIECE.findall(segment):
        if name not in PLACEHOLDERS:
            raise ValueError(_unknown(name, text))
    if not _LITERAL.fullmatch(literal):
        strange = next(character for character in literal if not _LITERAL.fullmatch(character))
        message = f"the path {text!r} has the character {strange!r}, which is not portable"
        raise ValueError(message)


def _unknown(name: str, text: str) -> str:
    known = " ".join(f"{{{placeholder}}}" for placeholder in PLACEHOLDERS)
    unknown = f"the path {text!r} has the unknown placeholder {{{name}}}"
    return f"{unknown}{hint(name, PLACEHOLDERS)} (known: {known})"
