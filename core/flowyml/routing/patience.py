"""How long a run waits for a component that is down: less each time, and then not for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

from attrs import define, field, frozen

from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import DeliveryStatus
from flowyml.routing.attempts import Attempts
from flowyml.routing.parcels import Parcel

__all__ = ["DOWN", "Patience"]

MOST: Final = 2
"""After so many failures in a row that may pass, a component is left alone: it is down, and each
delivery would wait for it as long as these did. One alone may be the fault of its value."""

REST: Final = 60.0
"""Seconds for which it is left alone: one that is back in a minute need not wait for the end."""

DOWN: Final = "its component did not answer; it is tried again when the run ends"
"""Why a delivery is not attempted yet."""


@frozen
class _Silence:
    failures: int
    since: float


@define(eq=False)
class Patience:
    """Makes the deliveries that follow storing, with regard to how a component's last ones ended.

    Threads may share it.

    Attributes:
        attempts: Makes them.
        clock: Tells the time in seconds.
    """

    attempts: Attempts
    clock: Callable[[], float] = time.monotonic
    _silences: dict[str, _Silence] = field(factory=dict, init=False)

    @property
    def down(self) -> Collection[str]:
        """Components whose last delivery failed in a way that may pass."""
        return tuple(self._silences)

    def left_alone(self) -> Collection[str]:
        """Return the components that nobody waits for at the moment."""
        now = self.clock() if self._silences else 0.0
        return {
            component
            for component, silence in list(self._silences.items())
            if silence.failures >= MOST and now - silence.since < REST
        }

    def is_over(self, component: str) -> bool:
        """Whether a component is left alone for now; what it should have is owed."""
        return component in self.left_alone()

    def deliver(self, parcel: Parcel, delivery: DeliveryRecord) -> Exception | None:
        """Make a delivery, with a single attempt where the component's last one failed.

        Returns:
            What the last attempt raised; None where nothing failed.
        """
        was_down = delivery.component in self._silences
        attempts = self.attempts.once() if was_down else self.attempts
        error = attempts.deliver(parcel, delivery)
        if error is not None:
            self.note(delivery.component, error)
        elif parcel.deliveries[delivery.key].status is DeliveryStatus.DONE:
            self._silences.pop(delivery.component, None)
        return error

    def note(self, component: str, error: Exception) -> None:
        """Take notice of what a component raised: it is down, or it answers."""
        silence = self._silences.pop(component, _Silence(0, 0.0))
        if self.attempts.may_pass(component, error):
            self._silences[component] = _Silence(silence.failures + 1, self.clock())

    def renew(self) -> None:
        """Wait for everybody again; where our patience was over, for one more attempt."""
        over = {name: one for name, one in self._silences.items() if one.failures >= MOST}
        self._silences = {name: _Silence(MOST - 1, one.since) for name, one in over.items()}
