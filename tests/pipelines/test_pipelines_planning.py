"""The plan of a pipeline says what its steps deliver while they run, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.pipelines.conftest import WriteFile

from flowyml import Metrics, Pipeline, step
from flowyml.errors import ConfigurationError


@step
def losses() -> Iterator[Metrics]:
    """Yield three figures."""
    for number in range(3):
        yield Metrics({"loss": number}).at_step(number)


@pytest.mark.usefixtures("notebook")
def test_what_a_generator_yields_is_planned_and_delivered_as_planned() -> None:
    """Under one line, for nobody knows how often it will yield."""
    pipeline = Pipeline("live").add_step(losses)
    planned = pipeline.plan().outputs

    result = pipeline.run()

    assert [(each.output, each.type) for each in planned] == [
        ("losses.yielded*", "Metrics"),
        ("losses", "decided by the value"),
    ]
    assert planned[0].uri.endswith("/{run_id}/{output_name}")
    hooks = {each.hook for each in planned[0].deliveries}
    done = {(d.output, d.hook) for d in result.deliveries if d.output.startswith("losses.yielded")}
    assert {hook for _, hook in done} == hooks == {"store_artifact", "log_metrics"}
    assert [result.outputs[f"losses.yielded-{number}"].step for number in (2, 3)] == [1, 2]


def test_yields_that_would_all_lie_at_one_path_are_refused_before_anything_runs(
    write_file: WriteFile,
) -> None:
    """The second one would meet the first in the middle of the run."""
    write_file(
        "flowyml.yaml",
        'stacks: { s: { artifact_routing: { Metrics: { path: "{run_id}/all/{step_name}" } } } }\n',
    )

    with pytest.raises(ConfigurationError, match=r"losses\.yielded\* would all be stored at"):
        Pipeline("live").add_step(losses).run()
