"""Base classes of components: one for each role.

A component is an attrs class. Its fields are its configuration: the YAML mapping below its role is
structured into them, a field without a default is required, a `pathlib.Path` is taken relative to
the file that names it, and a field with ``repr=False`` is a secret that is never shown. Its methods
marked ``@hookimpl`` are its work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

from attrs import define

from flowyml.plugins.markers import hookimpl
from flowyml.records import Check, DeliveryContext, RunInfo, StepOutcome, StepTask, StoredArtifact
from flowyml.storage.files import FileSource, StoreRequest

if TYPE_CHECKING:
    from flowyml.storage.folders import ArtifactFolders  # fsspec, which few who import this need

__all__ = [
    "ArtifactStore",
    "Component",
    "ExperimentTracker",
    "Extension",
    "ModelDeployer",
    "ModelRegistry",
    "Orchestrator",
    "StepExecutor",
]


@define(slots=False)
class Component:
    """Does the work of one role of a stack.

    Attributes:
        role: The role it fills; the entry-point group is ``flowyml.<role>``.
        reads_schemes: Schemes of the stores whose URIs it can read (``{"gs"}``); None for any.
        flowyml_api: Versions of the hook contract that it is built for (``>=1,<2``); empty for any.
        stays_here: Whether what it keeps lies on this machine, so that a step which runs on another
            one cannot reach it.
        libraries: Modules of other distributions that it imports once it works, each with the
            requirement that brings it (``{"mlflow": "flowyml[mlflow]"}``). Before a run starts,
            its plan names those that are missing.
        deprecated: Attributes and methods of this very class that go, each with the warning for
            whoever overrides it; `flowyml.plugins.deprecations.going` makes one.
    """

    role: ClassVar[str]
    reads_schemes: ClassVar[frozenset[str] | None] = None
    flowyml_api: ClassVar[str] = ""
    stays_here: ClassVar[bool] = False
    libraries: ClassVar[Mapping[str, str]] = {}
    deprecated: ClassVar[Mapping[str, Warning]] = {}

    def beside(self, others: Sequence[Component]) -> Self:
        """Return this component completed from the others of its stack.

        A registry may take the project that only the store names. Called once, when the stack is
        built; what the user wrote for this component goes first. Nothing is missing by default.

        Args:
            others: The other components, as their own configuration made them.
        """
        del others
        return self

    def preflight(self) -> None:
        """Check cheaply, before a run starts, that this component can do its work.

        Raises:
            ConfigurationError: Its configuration points at nothing.
            DeliveryError: Its backend cannot be reached, or refuses.
        """

    def diagnose(self) -> Sequence[Check]:
        """Look at packages, credentials, reachability and permissions for `stack doctor`.

        Returns:
            One finding for each thing looked at. What is wrong is in the findings, not raised.
        """
        return ()


@define(slots=False)
class ArtifactStore(Component):
    """Keeps artifacts in folders of an fsspec filesystem.

    A subclass gives its configuration as fields and overrides `folders`. A store that is not built
    on fsspec overrides the hooks instead.
    """

    role: ClassVar[str] = "artifact_store"

    def folders(self) -> ArtifactFolders:
        """Return the layout engine over this store's filesystem and root; cache it."""
        message = f"{type(self).__name__} overrides neither folders() nor the hooks of its role"
        raise NotImplementedError(message)

    def root_uri(self) -> str:
        """Return the URI below which this store keeps everything, without asking the backend."""
        return self.folders().uri

    @hookimpl
    def store_artifact(self, request: StoreRequest, context: DeliveryContext) -> StoredArtifact:
        """Stage, write, commit."""
        return self.folders().store(request, key=context.key)

    @hookimpl
    def load_artifact(self, uri: str) -> FileSource:
        """Open by URI."""
        return self.folders().load(uri)

    @hookimpl
    def list_artifacts(self, prefix: str) -> Iterable[StoredArtifact]:
        """List what is committed."""
        return self.folders().list(prefix)

    @hookimpl
    def delete_artifact(self, uri: str) -> bool:
        """Delete, manifest first."""
        return self.folders().delete(uri)


@define(slots=False)
class ExperimentTracker(Component):
    """Shows metrics and parameters to people."""

    role: ClassVar[str] = "experiment_tracker"


@define(slots=False)
class ModelRegistry(Component):
    """Gives stored models names and versions."""

    role: ClassVar[str] = "model_registry"


@define(slots=False)
class ModelDeployer(Component):
    """Serves registered models at endpoints."""

    role: ClassVar[str] = "model_deployer"


@define(slots=False)
class Extension(Component):
    """Wraps or observes the hooks of other components."""

    role: ClassVar[str] = "extension"


@runtime_checkable
class StepExecutor(Protocol):
    """Runs the steps of one run, wherever that is.

    Attributes:
        in_process: Whether ``work`` runs in the calling process, so that steps can hand each other
            live objects.
        shares_project: An executor that has this and sets it to False runs steps where the
            project's folder is not, on another machine. The task then carries the records that its
            step needs, and the outcome must bring back its own.
        environment: An executor that has this names the environment variables that its steps find,
            and a run is refused whose stack needs others.
    """

    in_process: bool

    def submit(
        self, work: Callable[[StepTask], StepOutcome], task: StepTask
    ) -> Future[StepOutcome]:
        """Start a step.

        Args:
            work: Runs a task. An executor in the same process calls it; any other runs
                ``python -m flowyml.pipelines.worker`` with the task as JSON where the step
                belongs, and ignores it.
            task: The step. It is all that another machine needs to know.
        """

    def close(self) -> None:
        """Give back threads, processes and machines; running steps are told to stop."""


@define(slots=False)
class Orchestrator(Component):
    """Decides where steps run."""

    role: ClassVar[str] = "orchestrator"

    @hookimpl
    def open_executor(self, run: RunInfo) -> StepExecutor:
        """Open whatever runs the steps of one run."""
        raise NotImplementedError(run)
