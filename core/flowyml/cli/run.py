"""``flowyml run``: one run of a pipeline, watched while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from flowyml.cli.options import Output, ProjectCommand, output_format, parametrised, stacked

if TYPE_CHECKING:
    from flowyml.pipelines.result import RunResult

__all__ = ["run", "watched"]


@click.command(cls=ProjectCommand)
@click.argument("target")
@parametrised
@output_format
@stacked
def run(*, target: str, given: tuple[str, ...], output: Output) -> int:
    """Run a pipeline on a stack.

    TARGET is a file, FILE:attribute, module:attribute, a module, or a name: of the table
    `pipelines` in flowyml.yaml, or of a pipeline in the project.

    Exits with 0 when all is done, 1 when a step failed, 3 when deliveries are owed.
    """
    from flowyml.cli.parameters import parse_parameters
    from flowyml.pipelines.finding import run_target
    from flowyml.stacks.active import current_project

    parameters = parse_parameters(given)
    return watched(lambda: run_target(target, current_project(), parameters), output)


def watched(work: Callable[[], Sequence[RunResult]], output: Output) -> int:
    """Do something that runs pipelines, show it, and return the exit code.

    Args:
        work: Runs them and returns their results.
        output: With ``json`` what is watched goes to the standard error stream.
    """
    from flowyml.cli.runs import list_whole_runs
    from flowyml.cli.screen import complain
    from flowyml.cli.summary import EXIT_CODES, summarize
    from flowyml.cli.watch import LiveView, observer
    from flowyml.pipelines.watching import watching
    from flowyml.storage.transfers import watching_transfers

    with ExitStack() as block:
        view = observer(on_stderr=output == "json")
        block.callback(view.close)
        block.enter_context(watching(view))
        if isinstance(view, LiveView) and output == "table":
            block.enter_context(watching_transfers(view))
        try:
            results = work()
        except KeyboardInterrupt:
            if view.times.interrupted:
                resume = f"`flowyml resume {view.times.interrupted}`"
                complain(f"{resume} goes on with it; what was stored is not made again")
            raise
    if output == "json":
        list_whole_runs([result.run_id for result in reversed(results)])
    for result in results if output == "table" else ():
        summarize(result, view.times.of(result.run_id))
    return max((EXIT_CODES[result.status] for result in results), default=0)
