"""The pipeline: steps under a name, with the context they share."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from flowyml.errors import PipelineError
from flowyml.pipelines.context import Context
from flowyml.pipelines.graph import AnyStep, Graph
from flowyml.pipelines.loading import StoppedError, current_loading, loading
from flowyml.pipelines.step import Step
from flowyml.pipelines.wiring import wire

if TYPE_CHECKING:
    from flowyml.pipelines.result import RunResult
    from flowyml.routing.plan import Plan

__all__ = ["Pipeline"]


class Pipeline:
    """Steps that take each other's outputs by name.

    Attributes:
        name: Name of the pipeline; its runs are listed under it.
        context: Values that its steps may ask for by name.
        steps: The steps, in the order in which they were added.

    Example:
        ::

            pipeline = Pipeline("production", context=context(lr=0.01))
            pipeline.add_step(load_data).add_step(train)
            result = pipeline.run()
    """

    def __init__(self, name: str, context: Mapping[str, Any] | None = None) -> None:
        """Start a pipeline without steps.

        Args:
            name: Name of the pipeline.
            context: What `flowyml.context` returned, or any mapping from names to values.

        Raises:
            PipelineError: The name is empty, or the context is no mapping.
        """
        if not isinstance(name, str) or not name.strip():
            message = f"a pipeline has a name, Pipeline('production'); got {name!r}"
            raise PipelineError(message)
        if context is not None and not isinstance(context, Mapping):
            message = f"pipeline {name!r}: context is context(name=value); got {context!r}"
            raise PipelineError(message)
        self.name = name
        self.context = Context().over(context or {})
        self.steps: list[AnyStep] = []
        # The module that makes the pipeline, where another process will look for it.
        self._module: str = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001
        self._reference: str | None = None

    def __repr__(self) -> str:
        """Show name and steps."""
        return f"<pipeline {self.name!r}: {', '.join(step.name for step in self.steps)}>"

    def add_step(self, step: AnyStep) -> Self:
        """Add a step; return the pipeline, so that calls can be chained.

        Raises:
            PipelineError: It is no step.
        """
        if not isinstance(step, Step):
            shown = getattr(step, "__name__", repr(step))
            message = f"pipeline {self.name!r}: {shown} is no step; write @step above its `def`"
            raise PipelineError(message)
        self.steps.append(step)
        return self

    def run(
        self, stack: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> RunResult:
        """Run all steps and deliver what they return.

        Args:
            stack: Name of the stack; the active one where it is not given.
            parameters: Context values for this run, over those of the pipeline.

        Returns:
            How it went. A run that fails raises nothing: ask for ``status`` or call
            ``raise_for_status()``.

        Raises:
            PipelineError: The pipeline cannot be wired; nothing has run.
            ConfigurationError: The stack cannot be used; nothing has run.
        """
        from flowyml.pipelines.run import start_run  # noqa: PLC0415  # a pipeline is cheap to define

        state = current_loading()
        if state is None:
            return start_run(self, stack, parameters)
        if not state.in_place:
            raise StoppedError(self)
        with loading(None):
            result = start_run(self, stack, {**(parameters or {}), **state.parameters})
        state.results.append(result)
        return result

    def plan(self, stack: str | None = None, parameters: Mapping[str, Any] | None = None) -> Plan:
        """Return what a run would do, without running any step.

        Args:
            stack: Name of the stack; the active one where it is not given.
            parameters: Context values of the run, over those of the pipeline.

        Raises:
            PipelineError: The pipeline cannot be wired, or a parameter fits no step.
            ConfigurationError: The stack cannot be used.
        """
        from flowyml.pipelines.planning import plan_run  # noqa: PLC0415  # as in run()

        return plan_run(self, stack, parameters)

    def graph(self, parameters: Mapping[str, Any] | None = None) -> Graph:
        """Return the steps, wired.

        Args:
            parameters: Further context values.

        Raises:
            PipelineError: They cannot be wired; the message lists everything that is wrong.
        """
        if not self.steps:
            message = f"pipeline {self.name!r} has no steps; add some with add_step(...)"
            raise PipelineError(message)
        return wire(self.name, self.steps, self.context.keys() | (parameters or {}).keys())

    def reference(self, folder: Path) -> str | None:
        """Return what finds this pipeline from another process.

        Args:
            folder: The project's folder; files below it are named relative to it.

        Returns:
            ``file.py:attribute`` or ``module:attribute``; None where the pipeline lives only in
            memory.
        """
        module = sys.modules.get(self._module)
        if self._reference is not None or module is None:
            return self._reference
        attribute = next((name for name, value in vars(module).items() if value is self), None)
        if attribute is None:
            return None
        if "." in self._module or hasattr(module, "__path__"):
            return f"{self._module}:{attribute}"
        file = getattr(module, "__file__", None)
        place = file and (_started_as(module, folder) or _relative(Path(file), folder))
        return f"{place}:{attribute}" if place else None

    def is_of(self, module: str) -> bool:
        """Whether it was made by the code of a module, not imported there."""
        return self._module == module

    def found_at(self, reference: str) -> Self:
        """Remember what finds this pipeline; return it."""
        self._reference = reference
        return self


def _started_as(module: ModuleType, folder: Path) -> str | None:
    """Return the name of a module that ``python -m`` runs out of a package of the project."""
    spec = getattr(module, "__spec__", None)
    name = spec.name if spec else ""
    file = folder.joinpath(*name.split(".")).with_suffix(".py").resolve()
    return name if "." in name and file == Path(str(module.__file__)).resolve() else None


def _relative(file: Path, folder: Path) -> str:
    """Return a path below a folder relative to it, any other one as it is."""
    file, folder = file.resolve(), folder.resolve()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
