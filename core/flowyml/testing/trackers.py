"""What every experiment tracker has to do.

Subclass `TrackerContract` and give its two fixtures::

    class TestLabTracker(TrackerContract):
        @pytest.fixture
        def new_tracker(self, tmp_path):
            return lambda: LabTracker(folder=tmp_path)

        @pytest.fixture
        def backend(self, tmp_path):
            return LabBackend(tmp_path)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from flowyml.artifacts import Metrics, Parameters
from flowyml.errors import DeliveryError
from flowyml.records import RunInfo, RunStatus
from flowyml.testing.components import ComponentContract
from flowyml.testing.deliveries import Deliveries

__all__ = ["Backend", "TrackerContract"]


class Backend(Protocol):
    """Looks at what a tracker left, with the backend's own means.

    It is asked once the tracker was told that the run is over.
    """

    def runs(self, run: RunInfo) -> int:
        """Count the backend's runs for a pipeline run."""

    def points(self, run: RunInfo, name: str) -> list[tuple[int, float, int]]:
        """Return step, value and milliseconds since 1970 of each point of a metric, sorted."""

    def parameters(self, run: RunInfo) -> dict[str, str]:
        """Return the parameters of a run as text."""

    def links(self, run: RunInfo) -> str:
        """Return all that the run tells of stored artifacts, as one text."""


class TrackerContract(ComponentContract):
    """Tests of a tracker; a subclass may add its own beside them."""

    @pytest.fixture
    def new_tracker(self) -> Callable[[], Any]:
        """Return a function that makes a tracker of the backend, as another process would."""
        raise NotImplementedError

    @pytest.fixture
    def backend(self) -> Backend:
        """Return what looks at the backend."""
        raise NotImplementedError

    @pytest.fixture
    def new_component(self, new_tracker: Callable[[], Any]) -> Callable[[], Any]:
        """Let the tests of any component have a tracker."""
        return new_tracker

    @pytest.fixture
    def deliveries(self, tmp_path: Path) -> Deliveries:
        """Return a run that the backend has not seen."""
        return Deliveries.of(f"run-{uuid.uuid4().hex[:12]}", tmp_path / "artifacts")

    def test_points_keep_step_and_time_in_any_order(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """The time is that of the measurement, whenever it is delivered."""
        tracker = new_tracker()
        for step in (2, 0, 1):
            metrics = Metrics({"loss": 0.5 + step}).at_step(step)
            tracker.log_metrics(metrics=metrics, context=deliveries.context(at=step * 1000))
        _finish(tracker, deliveries.run, RunStatus.DONE)
        began = int(deliveries.run.started_at.timestamp() * 1000)
        expected = [(step, 0.5 + step, began + step * 1000) for step in range(3)]
        assert backend.points(deliveries.run, "loss") == expected

    def test_a_delivery_that_is_repeated_adds_nothing(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """Not in one process, not in the next, and not after the run ended."""
        metrics, context = Metrics({"loss": 0.25}).at_step(3), deliveries.context()
        settings, other = Parameters({"lr": 0.5}), deliveries.context("prepare")
        for _ in range(2):
            tracker = new_tracker()
            for _ in range(2):
                tracker.log_metrics(metrics=metrics, context=context)
                tracker.log_parameters(parameters=settings, context=other)
            _finish(tracker, deliveries.run, RunStatus.INCOMPLETE)
        assert backend.runs(deliveries.run) == 1
        assert len(backend.points(deliveries.run, "loss")) == 1
        assert backend.parameters(deliveries.run)["lr"] == "0.5"

    def test_a_resumed_run_goes_on_in_the_same_place(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """Another process finds the run that the first one ended."""
        found = []
        for step in range(2):
            tracker = new_tracker()
            metrics = Metrics({"loss": 1.0}).at_step(step)
            found.append(tracker.log_metrics(metrics=metrics, context=deliveries.context(at=step)))
            _finish(tracker, deliveries.run, RunStatus.INCOMPLETE)
        assert found[0].run_id == found[1].run_id
        assert backend.runs(deliveries.run) == 1
        assert [step for step, _, _ in backend.points(deliveries.run, "loss")] == [0, 1]

    def test_a_batch_is_all_of_its_points(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """A long curve arrives whole."""
        tracker = new_tracker()
        if not hasattr(tracker, "log_metrics_batch"):
            pytest.skip("this tracker is given metrics one by one")
        batch = [
            (Metrics({"loss": 0.5}).at_step(step), deliveries.context(at=step))
            for step in range(1200)
        ]
        tracker.log_metrics_batch(batch=batch)
        _finish(tracker, deliveries.run, RunStatus.DONE)
        assert [step for step, _, _ in backend.points(deliveries.run, "loss")] == [*range(1200)]

    def test_a_batch_that_is_repeated_adds_nothing(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """A process that died in the middle of a curve leaves a part of it to the next one."""
        tracker = new_tracker()
        if not hasattr(tracker, "log_metrics_batch"):
            pytest.skip("this tracker is given metrics one by one")
        batch = [
            (Metrics({"loss": 0.5}).at_step(step), deliveries.context(at=step * 1000))
            for step in range(4)
        ]
        tracker.log_metrics_batch(batch=batch[:3])
        tracker.log_metrics_batch(batch=batch)
        _finish(tracker, deliveries.run, RunStatus.INCOMPLETE)
        later = new_tracker()
        later.log_metrics_batch(batch=batch)
        _finish(later, deliveries.run, RunStatus.DONE)
        began = int(deliveries.run.started_at.timestamp() * 1000)
        expected = [(step, 0.5, began + step * 1000) for step in range(4)]
        assert backend.points(deliveries.run, "loss") == expected

    def test_parameters_are_flat(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """Nested names are joined by dots."""
        tracker = new_tracker()
        parameters = Parameters({"optimizer": {"lr": 0.5, "name": "adam"}})
        tracker.log_parameters(parameters=parameters, context=deliveries.context())
        _finish(tracker, deliveries.run, RunStatus.DONE)
        kept = backend.parameters(deliveries.run)
        assert (kept["optimizer.lr"], kept["optimizer.name"]) == ("0.5", "adam")

    def test_a_parameter_never_changes(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """Another value is an error that names both steps, and the first value stays."""
        tracker = new_tracker()
        first, second = deliveries.context("prepare"), deliveries.context("train")
        tracker.log_parameters(parameters=Parameters({"lr": 0.5}), context=first)
        with pytest.raises(DeliveryError, match=r"(?s)'lr'.*'train'.*'prepare'") as raised:
            tracker.log_parameters(parameters=Parameters({"lr": 0.25}), context=second)
        _finish(tracker, deliveries.run, RunStatus.FAILED)
        assert not raised.value.transient
        assert backend.parameters(deliveries.run)["lr"] == "0.5"

    def test_a_stored_artifact_is_linked(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """URI and digest stand in the run."""
        tracker = new_tracker()
        if not hasattr(tracker, "artifact_stored"):
            pytest.skip("this tracker has no place for links")
        stored = deliveries.stored({"a": 1}, "dict", "prepare", "counts")
        tracker.artifact_stored(run=deliveries.run, stored=stored)
        _finish(tracker, deliveries.run, RunStatus.DONE)
        links = backend.links(deliveries.run)
        assert stored.uri in links
        assert stored.digest in links

    def test_a_run_that_logs_nothing_leaves_nothing(
        self, new_tracker: Callable[[], Any], backend: Backend, deliveries: Deliveries
    ) -> None:
        """The end alone makes no run."""
        _finish(new_tracker(), deliveries.run, RunStatus.DONE)
        assert backend.runs(deliveries.run) == 0


def _finish(tracker: Any, run: RunInfo, status: RunStatus) -> None:
    """Tell that the run is over, where the tracker listens."""
    if hasattr(tracker, "run_finished"):
        tracker.run_finished(run=run, status=status)
