"""Trackers with one mistake each, and the test of the suite that finds it.

The sound one is the tracker that ``flowyml plugin new`` writes.
"""

# mypy: ignore-errors

from __future__ import annotations

import sys
import uuid
from string import Template
from types import ModuleType

import attrs
import pytest
from tests.testing.broken.table import suites
from tests.testing.environments import ROOT

from flowyml.core import Parameters
from flowyml.records import LoggedRun
from flowyml.testing import ComponentContract, TrackerContract

TEMPLATES = ROOT / "core" / "flowyml" / "cli" / "plugin_template" / "experiment_tracker"


def written(name):
    module = ModuleType(f"flowyml_written.{name}")
    sys.modules[module.__name__] = module
    text = Template((TEMPLATES / f"{name}.py.txt").read_text())
    source = text.substitute(module="flowyml_written", cls="Written", type="written")
    exec(compile(source, f"{name}.py", "exec"), vars(module))
    return module


sys.modules["flowyml_written"] = ModuleType("flowyml_written")
Sound = written("component").Written
Files = written("test_component").Files


class Late(Sound):
    def log_metrics(self, metrics, context):
        return super().log_metrics(metrics, attrs.evolve(context, made_at=None))


class Repeating(Sound):
    def log_metrics(self, metrics, context):
        return super().log_metrics(metrics, attrs.evolve(context, key=uuid.uuid4().hex))


class Restarting(Sound):
    def log_metrics(self, metrics, context):
        super().log_metrics(metrics, context)
        return LoggedRun(uuid.uuid4().hex)


class Sampling(Sound):
    def log_metrics_batch(self, batch):
        return super().log_metrics_batch(batch[:1000])


class Doubling(Sound):
    def log_metrics_batch(self, batch):
        fresh = [(each, attrs.evolve(about, key=uuid.uuid4().hex)) for each, about in batch]
        return super().log_metrics_batch(fresh)


class Nesting(Sound):
    def log_parameters(self, parameters, context):
        flat = {name: str(value) for name, value in parameters.items()}
        return super().log_parameters(Parameters(flat), context)


class Changing(Sound):
    def _lines(self, run):
        lines = super()._lines(run)
        return (line for line in lines if "parameters" not in line)


class Unlinked(Sound):
    def artifact_stored(self, run, stored):
        self._write(run, {stored.uri: {"artifact": {"uri": stored.uri}}})


class Eager(Sound):
    def run_finished(self, run, status):
        self._write(run, {"end": {"status": str(status)}})


class Base(TrackerContract):
    @pytest.fixture
    def new_tracker(self, tmp_path):
        return lambda: self.make(folder=tmp_path / "runs")

    @pytest.fixture
    def backend(self, tmp_path):
        return Files(tmp_path / "runs")


SHARED = {name for name in vars(ComponentContract) if name.startswith("test_")}

BROKEN = {
    "test_points_keep_step_and_time_in_any_order": Late,
    "test_a_delivery_that_is_repeated_adds_nothing": Repeating,
    "test_a_resumed_run_goes_on_in_the_same_place": Restarting,
    "test_a_batch_is_all_of_its_points": Sampling,
    "test_a_batch_that_is_repeated_adds_nothing": Doubling,
    "test_parameters_are_flat": Nesting,
    "test_a_parameter_never_changes": Changing,
    "test_a_stored_artifact_is_linked": Unlinked,
    "test_a_run_that_logs_nothing_leaves_nothing": Eager,
}

globals().update(suites(Base, BROKEN, Sound))
