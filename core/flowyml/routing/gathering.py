"""Gathering: metrics that a step hands over one after the other are delivered together.

One delivery costs milliseconds, whatever is in it, so the points of a training curve gather for a
moment. What has gathered is delivered when

* a second has passed since the last delivery, or ten times as long as that took, if it was slow,
* there are ten thousand numbers,
* anything else is delivered from the step, or the step ends, in whatever way.

No thread watches the time: it is looked at whenever a point comes. So the first point after a pause
is delivered at once, and the points of a slow loop are delivered one by one.

Every point keeps the name, the time and the idempotency key that it would have on its own. Once a
curve is written down in a way that outlives the process, a later try of the step leaves its points
out, however the points of that try gather.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from attrs import define, field, frozen

from flowyml.artifacts import Curve, Metrics
from flowyml.metadata.columns import to_micros
from flowyml.metadata.rows import DeliveryRecord
from flowyml.records import DeliveryStatus
from flowyml.routing.containers import Leaf, child_name
from flowyml.routing.curves import written_names
from flowyml.routing.ledger import now
from flowyml.routing.router import STORE, Router
from flowyml.stacks.rules import Route

__all__ = ["Earlier", "Gathering", "Hooks", "is_point"]

Hooks = tuple[str, ...] | None

PAUSE: Final = 1.0
"""Seconds between two deliveries."""

SHARE: Final = 10
"""A delivery takes at most one part in so many of the time in which points come."""

MOST: Final = 10_000
"""Numbers in one curve."""

POINT_HOOKS: Final = frozenset({STORE, "log_metrics"})
"""Hooks that know a curve; any other is given its points one by one."""

PLAIN: Final = frozenset({bool, float, int, str, type(None)})


@frozen
class Earlier:
    """What earlier tries of a step have written down of its curves.

    Attributes:
        safe: Names of the points that need not be delivered again: they are delivered, or owed.
        lengths: Of each curve that is written down and was not stored, by the name of its first
            point. It gathers once more just as it was, for its delivery has that name.
    """

    safe: frozenset[str] = frozenset()
    lengths: Mapping[str, int] = field(factory=dict)

    @classmethod
    def of(cls, deliveries: Iterable[DeliveryRecord]) -> Earlier:
        """Read the lines of a step in the ledger."""
        safe: set[str] = set()
        lengths: dict[str, int] = {}
        for delivery in deliveries:
            names = written_names(delivery.payload or {})
            if names and delivery.hook == STORE and delivery.status != DeliveryStatus.DONE:
                lengths[names[0]] = len(names)
            else:
                safe.update(names)
        return cls(frozenset(safe), lengths)


@define(eq=False)
class Gathering:
    """Gathers the points of one try of a step. Threads may share it.

    Attributes:
        step: Name of the step.
        deliver: Delivers a curve.
        find_earlier: Reads what earlier tries have written down; called with the first point.
        clock: Tells the seconds.
    """

    step: str
    deliver: Callable[[Leaf, Hooks], None]
    find_earlier: Callable[[], Earlier]
    clock: Callable[[], float] = time.monotonic
    _turn: threading.RLock = field(factory=threading.RLock, init=False)
    _earlier: Earlier | None = field(default=None, init=False)
    _kind: tuple[Hooks, Route | None] = field(default=(None, None), init=False)
    _columns: dict[str, list[Any]] = field(init=False)
    _numbers: int = field(default=0, init=False)
    _due: float = field(default=float("-inf"), init=False)

    @_columns.default
    def _empty(self) -> dict[str, list[Any]]:
        return {"names": [], "steps": [], "times": [], "metrics": [], "metadata": []}

    def add(self, name: str, leaf: Leaf, hooks: Hooks) -> None:
        """Take a point, and deliver what has gathered if it is time.

        Args:
            name: Name of the point below its step.
            leaf: The point; `is_point` says so.
            hooks: The hooks that were called by name; None for all that its type names.

        Raises:
            DeliveryError: A delivery failed whose rule says ``on_error: fail``.
        """
        with self._turn:
            earlier = self._earlier = self._earlier or self.find_earlier()
            known = name in earlier.safe
            if known or name in earlier.lengths or self._kind != (hooks, leaf.route):
                self.flush()
            if known:
                return
            self._kind = (hooks, leaf.route)
            self._append(name, leaf.value)
            if self._is_due(earlier):
                self.flush()

    def flush(self) -> None:
        """Deliver what has gathered.

        Raises:
            DeliveryError: A delivery failed whose rule says ``on_error: fail``.
        """
        with self._turn:
            if not self._columns["names"]:
                return
            columns, (hooks, route) = self._columns, self._kind
            self._columns, self._numbers = self._empty(), 0
            if not any(columns["metadata"]):
                del columns["metadata"]
            curve = Curve(columns, step=columns["steps"][0])
            output = child_name(self.step, columns["names"][0])
            started = self.clock()
            try:
                self.deliver(Leaf(output, curve, route), hooks)
            finally:
                ended = self.clock()
                self._due = ended + max(PAUSE, SHARE * (ended - started))

    def flush_unless_busy(self) -> None:
        """Deliver what has gathered, unless another thread is at it and may never be done."""
        if self._turn.acquire(blocking=False):
            try:
                self.flush()
            finally:
                self._turn.release()

    def _append(self, name: str, metrics: Any) -> None:
        """Copy a point: its step may change the very same object before it is delivered."""
        columns = self._columns
        columns["names"].append(name)
        columns["steps"].append(metrics.step)
        columns["times"].append(to_micros(now()))
        columns["metrics"].append(dict(metrics.data))
        columns["metadata"].append(dict(metrics.metadata))
        self._numbers += max(1, len(metrics.data))

    def _is_due(self, earlier: Earlier) -> bool:
        names = self._columns["names"]
        if names[0] in earlier.lengths:
            return len(names) == earlier.lengths[names[0]]
        return self._numbers >= MOST or self.clock() >= self._due


def is_point(leaf: Leaf, router: Router, hooks: Hooks) -> bool:
    """Whether a value can be delivered as a point of a curve without any loss.

    A final figure that is stored, a subclass of the user's, and metrics that a third party's hook
    is to be given are delivered on their own.
    """
    metrics = leaf.value
    if type(metrics) is not Metrics or leaf.shape is not None:
        return False
    if metrics.name is not None or metrics.version is not None:
        return False
    if any(type(fact) not in PLAIN for fact in metrics.metadata.values()):
        return False
    if hooks is not None:
        return type(metrics.step) in {int, type(None)}
    planned = router.route(Metrics, leaf.route).deliveries
    return type(metrics.step) is int and POINT_HOOKS.issuperset(
        each.hook for each in planned if each.action != "skip"
    )
