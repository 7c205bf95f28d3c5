"""What users write, for messages: an annotation, and what they most likely meant by a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

__all__ = ["hint", "meant", "spelled"]


def meant(name: str, known: Iterable[str], closeness: float = 0.6, most: int = 1) -> str | None:
    """Return a question that names the closest of the known names, in whatever case it is written.

    None where none is close.

    Args:
        name: What was written.
        known: What could be meant.
        closeness: How alike they have to be: 1 is the same.
        most: How many the question names at most.
    """
    import difflib  # noqa: PLC0415  # only a mistake pays for it

    by_letters = {each.lower(): each for each in known if each != name}
    close = difflib.get_close_matches(name.lower(), list(by_letters), n=most, cutoff=closeness)
    named = " or ".join(repr(by_letters[letters]) for letters in close)
    return f"did you mean {named}?" if close else None


def hint(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return that question as it goes on behind what is wrong; empty where none is close."""
    question = meant(name, known, most=most)
    return f"; {question}" if question else ""


def spelled(annotation: object) -> str:
    """Return an annotation as its user wrote it."""
    if get_args(annotation):
        return str(annotation).replace("typing.", "").replace("flowyml.artifacts.", "")
    return getattr(annotation, "__name__", str(annotation))
