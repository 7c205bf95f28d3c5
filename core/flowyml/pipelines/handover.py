"""Live objects on their way from the step that made them to those that take them."""

from __future__ import annotations

from threading import Lock

from attrs import define, field, frozen

from flowyml.metadata.rows import ArtifactRecord

__all__ = ["Handover", "Made"]


@frozen(eq=False)
class Made:
    """An output that was made in this process.

    Attributes:
        value: The object itself.
        records: The artifacts that it was stored as; those of it whose storing is owed are missing.
        is_stored: Whether nothing of it is missing, so that it can be loaded again.
    """

    value: object
    records: tuple[ArtifactRecord, ...]
    is_stored: bool


@define(eq=False)
class Handover:
    """Keeps each output until the last step that takes it has it, and no longer."""

    _made: dict[str, Made] = field(factory=dict, init=False)
    _waiting: dict[str, int] = field(factory=dict, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def give(self, output: str, made: Made, takers: int) -> None:
        """Keep an output for so many steps."""
        if takers:
            with self._lock:
                self._made[output] = made
                self._waiting[output] = takers

    def holds(self, output: str) -> bool:
        """Whether an output is kept for some step."""
        with self._lock:
            return output in self._made

    def take(self, output: str) -> Made | None:
        """Return an output to one of its steps; None where it was not made in this process."""
        with self._lock:
            made = self._made.get(output)
            if made is not None:
                self._waiting[output] -= 1
                if not self._waiting[output]:
                    del self._made[output], self._waiting[output]
            return made
