"""What serves where, and what served before, as a model's history tells it."""

from __future__ import annotations

from collections.abc import Iterable

from flowyml.metadata.rows import ModelEvent

__all__ = ["served_before", "serving"]

Succession = dict[str, list[ModelEvent | None]]


def serving(events: Iterable[ModelEvent]) -> dict[str, ModelEvent]:
    """Return for each endpoint the entry that made what serves there serve."""
    lasts = {endpoint: entries[-1] for endpoint, entries in _successions(events).items()}
    return {endpoint: last for endpoint, last in lasts.items() if last is not None}


def served_before(events: Iterable[ModelEvent], endpoint: str) -> ModelEvent | None:
    """Return the entry of the version that served at an endpoint before the one that does now.

    After a rollback that is what served before the version that is back, not what was rolled back;
    after the endpoint was ended it is what served last. A version that served, was ended and serves
    again is not its own predecessor.
    """
    *earlier, current = _successions(events).get(endpoint, [None])
    others = (e for e in reversed(earlier) if e and not (current and _same(e, current)))
    return next(others, None)


def _successions(events: Iterable[ModelEvent]) -> Succession:
    successions: Succession = {}
    for event in events:
        entries = successions.setdefault(str(event.details.get("endpoint")), [])
        if event.kind == "deployed":
            if entries and _same(entries[-1], event):
                entries.pop()
            entries.append(event)
        elif event.kind == "undeployed":
            entries.append(None)
        elif event.kind == "rolled_back":
            while entries and not _same(entries[-1], event):
                entries.pop()
            entries[-1:] = [event]
    return {endpoint: entries for endpoint, entries in successions.items() if entries}


def _same(entry: ModelEvent | None, other: ModelEvent) -> bool:
    return entry is not None and (entry.version, entry.digest) == (other.version, other.digest)
