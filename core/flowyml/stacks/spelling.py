"""What somebody most likely meant by a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["meant"]


def meant(name: str, known: Iterable[str], closeness: float = 0.6) -> str | None:
    """Return a question that names the closest of the known names, in whatever case it is written.

    None where none is close.

    Args:
        name: What was written.
        known: What could be meant.
        closeness: How alike they have to be: 1 is the same.
    """
    import difflib  # noqa: PLC0415  # only a mistake pays for it

    by_letters = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), list(by_letters), n=1, cutoff=closeness)
    return f"did you mean {by_letters[close[0]]!r}?" if close else None
