"""What somebody most likely meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["meant"]


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return a question that names the closest of the known names; None where none is close."""
    import difflib  # noqa: PLC0415  # only a mistake pays for it

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None
