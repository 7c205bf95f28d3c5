"""What orchestrators have in common that run each step as a job of a service.

A subclass says how its service starts a job, looks at it, ends it and finds it again; `Jobs` packs
the step, waits, and takes the outcome over. A job is known by its run and its step: where a run is
gone on with, one that is still running or has done its work is not started again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import define, field

from flowyml._version import __version__
from flowyml.errors import ConfigurationError
from flowyml.plugins.components import Component, Orchestrator, StepExecutor
from flowyml.plugins.discovery import installed
from flowyml.plugins.errands import Errand
from flowyml.plugins.jobs import Job, Jobs
from flowyml.plugins.limits import at_least_one, positive
from flowyml.plugins.markers import hookimpl
from flowyml.records import RunInfo

__all__ = ["Job", "RemoteOrchestrator"]

SCRIPT: Final = (
    "errand=$1 outcome=$2; shift 2; "
    'python -m pip install --quiet "$@" && '
    'exec python -m flowyml.pipelines.errand "$errand" "$outcome"'
)


@define(slots=False)
class RemoteOrchestrator(Orchestrator):
    """Runs each step as a job of a service that runs containers.

    Attributes:
        image: Image with FlowyML and all that the steps import; where it is None, one with only
            Python, in which ``requirements`` and the stack's packages are installed first.
        requirements: What pip installs before a step, such as ``scikit-learn==1.9.1``.
        environment: Environment variables of the jobs. No others of this machine's are there.
        include: Patterns of files that are sent besides the project's Python files
            (``params/*.json``).
        deadline: Seconds that a job may take, from when it is started.
        poll_seconds: Most seconds between two looks at a job.
        max_jobs: How many run at once.
    """

    image: str | None = field(default=None, kw_only=True)
    requirements: list[str] = field(factory=list, kw_only=True)
    environment: dict[str, str] = field(factory=dict, kw_only=True, repr=False)
    include: list[str] = field(factory=list, kw_only=True)
    deadline: float = field(default=86400.0, kw_only=True, validator=positive)
    poll_seconds: float = field(default=15.0, kw_only=True, validator=positive)
    max_jobs: int = field(default=16, kw_only=True, validator=at_least_one)
    neighbours: tuple[Component, ...] = field(factory=tuple, init=False, repr=False, eq=False)

    # ─── what a subclass says ───────────────────────────────────────────────────────────────────

    def default_image(self) -> str:
        """Return an image with the Python of this process.

        Raises:
            ConfigurationError: There is none.
        """
        raise NotImplementedError

    def jobs(self, errand: Errand) -> Sequence[Job]:
        """Return the jobs of all attempts at a step, the first one first."""
        raise NotImplementedError(errand)

    def start(self, errand: Errand, archive: bytes) -> Job:
        """Put the archive where the job finds it, and start the job."""
        raise NotImplementedError(errand, archive)

    def look(self, job: Job) -> Job:
        """Return how a job stands."""
        raise NotImplementedError(job)

    def cancel(self, job: Job) -> None:
        """Tell a job to stop."""
        raise NotImplementedError(job)

    def outcome(self, errand: Errand) -> bytes | None:
        """Return what a job left; None where it left nothing."""
        raise NotImplementedError(errand)

    # ─── what they have in common ───────────────────────────────────────────────────────────────

    def provided(self) -> dict[str, str]:
        """Return the environment variables that a job has without being told."""
        return {}

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the jobs."""
        return {**self.provided(), **self.environment}

    def knowing(self, others: Sequence[Component]) -> None:
        """Remember the other components of the stack; `beside` calls it on what it returns."""
        self.neighbours = tuple(others)

    def preflight(self) -> None:
        """Refuse a stack that keeps something on this machine, where no job reaches it."""
        for component in self.neighbours:
            if component.stays_here:
                message = (
                    f"the {component.role} is local, and steps that run as jobs would write to "
                    "the job's own disk, which is gone afterwards; give the stack one that the "
                    "jobs reach"
                )
                raise ConfigurationError(message)

    def command(self, archive: str, outcome: str) -> list[str]:
        """Return the command of a job.

        Args:
            archive: Path of the archive in the container.
            outcome: Path that the outcome is written to.
        """
        if self.image and not self.requirements:
            return ["python", "-m", "flowyml.pipelines.errand", archive, outcome]
        own = () if self.image else self._packages()
        return ["sh", "-c", SCRIPT, "errand", archive, outcome, *own, *self.requirements]

    def _packages(self) -> Sequence[str]:
        """Return FlowyML and the distributions of the stack's components, as they are here."""
        classes = {f"{type(each).__module__}:{type(each).__name__}" for each in self._stack()}
        found = {
            f"{provider.distribution}=={provider.version}"
            for provider in installed().providers
            if provider.entry_point.value in classes
        }
        return sorted({f"flowyml=={__version__}", *found})

    def _stack(self) -> Sequence[Component]:
        return (self, *self.neighbours)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Say whether a call may go through later."""
        del error
        return None

    @hookimpl
    def open_executor(self, run: RunInfo) -> StepExecutor:
        """Open what starts the jobs and waits for them."""
        del run
        return Jobs(self)
