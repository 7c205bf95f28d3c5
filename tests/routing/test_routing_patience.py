"""A component that is down holds up no step: what it should have is owed, and tried later."""

from __future__ import annotations

import pytest
from tests.routing.routing_samples import Workshop, flaky_components

from flowyml.artifacts import Metrics
from flowyml.errors import DeliveryError
from flowyml.routing.deliver import Courier
from flowyml.routing.patience import DOWN, MOST, REST, Patience
from flowyml.stacks.rules import Rule

TRACKER = "experiment_tracker"
BUSY = DeliveryError("it does not answer", transient=True)
REFUSED = DeliveryError("it will not have that", transient=False)


def _steps(shop: Workshop, courier: Courier, count: int) -> None:
    for number in range(count):
        value = Metrics({"a": number})
        shop.route(value, step=f"step_{number}", output=f"out_{number}", courier=courier)


def _patience(shop: Workshop, now: list[float]) -> Patience:
    shop.components = flaky_components(shop.folder)
    return Patience(shop.courier()._attempts, clock=lambda: now[0])


def test_only_the_first_steps_wait_for_it(shop: Workshop) -> None:
    """The first as long as ever, the second once, the others not at all."""
    shop.components = flaky_components(shop.folder, log_metrics="before:transient:100")

    _steps(shop, shop.courier(), 4)

    assert [(d.output, d.attempts, d.reason) for d in shop.metadata.debts("run-1")] == [
        ("out_0", 4, None),
        ("out_1", 1, None),
        ("out_2", 0, DOWN),
        ("out_3", 0, DOWN),
    ]
    assert len(shop.pauses) == 3


def test_the_end_of_the_run_asks_it_once_more(shop: Workshop) -> None:
    """Where it is back it gets all that it missed."""
    shop.components = flaky_components(shop.folder, log_metrics="before:transient:5")
    courier = shop.courier()
    _steps(shop, courier, 4)

    courier.pay_debts()

    assert shop.metadata.debts("run-1") == []


def test_the_end_of_the_run_does_not_wait_for_it_either(shop: Workshop) -> None:
    """One attempt tells that it is down still."""
    shop.components = flaky_components(shop.folder, log_metrics="before:transient:100")
    courier = shop.courier()
    _steps(shop, courier, 4)

    courier.pay_debts()

    assert [d.attempts for d in shop.metadata.debts("run-1")] == [5, 1, 0, 0]


def test_a_step_that_fails_without_it_waits_each_time(shop: Workshop) -> None:
    """A rule says that the delivery is worth it."""
    shop.rules = {"Metrics": Rule(on_error="fail")}
    shop.components = flaky_components(shop.folder, log_metrics="before:transient:100")
    courier = shop.courier()

    for _ in range(MOST + 1):
        with pytest.raises(DeliveryError, match="failed after"):
            _steps(shop, courier, 1)

    assert [d.attempts for d in shop.metadata.debts("run-1")] == [4 * (MOST + 1)]


def test_it_is_asked_again_after_a_while(shop: Workshop) -> None:
    """A run may go on for days, and its tracker be back in a minute."""
    now = [1000.0]
    patience = _patience(shop, now)
    for _ in range(MOST):
        patience.note(TRACKER, BUSY)
    over = patience.is_over(TRACKER)

    now[0] += REST
    again = patience.is_over(TRACKER)
    patience.note(TRACKER, BUSY)

    assert (over, again, patience.is_over(TRACKER)) == (True, False, True)


def test_what_refuses_is_not_down(shop: Workshop) -> None:
    """It answered: the next delivery may please it."""
    patience = _patience(shop, [0.0])

    for error in (BUSY, REFUSED, BUSY):
        patience.note(TRACKER, error)

    assert not patience.is_over(TRACKER)
