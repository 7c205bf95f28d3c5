"""The depot: parcels are stored before anything else is delivered of them, or wait here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import compress
from operator import not_

from attrs import define, field

from flowyml.errors import SerializationError
from flowyml.records import Producer
from flowyml.routing.attempts import Attempts
from flowyml.routing.parcels import Parcel
from flowyml.routing.storing import StoreCall, Storing
from flowyml.routing.together import do_together

__all__ = ["Depot"]


@define(eq=False)
class Depot:
    """Stores the parcels of one run, and keeps those whose storing is deferred until it ends.

    Attributes:
        storing: Prepares what is stored.
        attempts: Makes the attempts.
    """

    storing: Storing
    attempts: Attempts
    _unstored: dict[str, StoreCall] = field(factory=dict, init=False)
    _lost: dict[str, Producer] = field(factory=dict, init=False)

    @property
    def unstored(self) -> Sequence[StoreCall]:
        """What could not be stored, and is still in this process."""
        return list(self._unstored.values())

    def lacks(self, step: str | None) -> set[str]:
        """Return the outputs of a step that are not stored, also where it went on without one."""
        waiting = (call.parcel.producer for call in self.unstored)
        producers = (*waiting, *list(self._lost.values()))
        return {producer.output for producer in producers if producer.step == step}

    def store(self, parcels: Sequence[Parcel], parents: Sequence[int], *, counted: bool) -> None:
        """Store the parcels of a step, those together that only wait for a network.

        Args:
            parcels: The parcels.
            parents: Ids of the artifacts that they were made from.
            counted: Whether the first attempt is counted already.

        Raises:
            DeliveryError: One of them failed and that ends the step: the first one in order.
            SerializationError: No format holds a value, or the one asked for does not.
        """
        calls = [StoreCall(self.storing, parcel, tuple(parents)) for parcel in parcels]
        tasks = [partial(self._store, call, counted=counted) for call in calls]
        far = [len(tasks) > 1 and self._is_far(parcel) for parcel in parcels]
        do_together(tuple(compress(tasks, far)))
        for task in compress(tasks, map(not_, far)):
            task()

    def try_again(self, call: StoreCall) -> None:
        """Try to store what could not be; where that fails it stays here.

        Raises:
            SerializationError: No format holds the value, or the one asked for does not.
        """
        self._store(call, counted=False)

    def _store(self, call: StoreCall, *, counted: bool) -> None:
        """Store a parcel; a failure ends the step, or is left for the end of the run."""
        parcel = call.parcel
        delivery = parcel.storing()
        if delivery is None:
            return
        try:
            outcome = self.attempts.attempt(parcel, delivery, call, counted=counted)
        except SerializationError as error:
            # The value is at fault, not its store: waiting does not help, whatever a rule says.
            self._lost[delivery.key] = parcel.producer
            begun = parcel.deliveries[delivery.key]
            message = f"step {begun.step!r}, output {begun.output!r}: {begun.error}"
            raise SerializationError(message) from error
        except Exception as error:
            if parcel.on_error[delivery.key] == "fail":
                self._lost[delivery.key] = parcel.producer  # the step may catch it
                raise self.attempts.failure(parcel.deliveries[delivery.key], error) from error
            self._unstored[delivery.key] = call
        else:
            self._unstored.pop(delivery.key, None)
            self._lost.pop(delivery.key, None)
            begun = parcel.deliveries[delivery.key]
            parcel.deliveries[delivery.key] = self.attempts.ledger.closed(begun, outcome)

    def _is_far(self, parcel: Parcel) -> bool:
        """Whether storing a parcel is waiting for another machine."""
        route = parcel.route
        if route is None or parcel.storing() is None:
            return False
        return not self.storing.stack.store_uri(route.store).startswith("file:")
