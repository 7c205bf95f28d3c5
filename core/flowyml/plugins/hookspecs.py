"""The hook contract: all that a component can do, one class for each role.

A component implements the hooks of its role with methods marked ``@hookimpl``; it may leave out
any parameter that it does not need. Two kinds of hooks exist:

* A hook that picks one backend is called on one component, and its first result counts. An
  extension may wrap it with ``@hookimpl(wrapper=True)``.
* A hook that informs (`Lifecycle`) is called on every component and extension.

Every delivery hook is given a `DeliveryContext` whose ``key`` stays the same over retries and
crashes. A component records the key with its backend, looks for it first, and returns what it
delivered before instead of delivering twice.

A component reports a failure by raising: `DeliveryError` with a message for the user, or the
backend's own exception, which ``is_transient`` then classifies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flowyml.plugins.markers import hookspec

if TYPE_CHECKING:
    from flowyml.artifacts import Metrics, Parameters
    from flowyml.plugins.components import StepExecutor
    from flowyml.records import (
        ApprovalStatus,
        DeliveryContext,
        Deployment,
        LoggedRun,
        ModelVersion,
        Registration,
        RunInfo,
        RunStatus,
        StepStatus,
        StoredArtifact,
    )
    from flowyml.storage.files import FileSource, StoreRequest

__all__ = [
    "ArtifactStoreSpec",
    "ExperimentTrackerSpec",
    "Faults",
    "Lifecycle",
    "ModelDeployerSpec",
    "ModelRegistrySpec",
    "OrchestratorSpec",
]


class ArtifactStoreSpec:
    """Hooks of the role ``artifact_store``: keeps artifacts, and gives back what was put in."""

    @hookspec(firstresult=True)
    def store_artifact(
        self, request: StoreRequest, context: DeliveryContext
    ) -> StoredArtifact | None:
        """Store one artifact so that it is there as a whole or not at all.

        Storing the same digest at the same path again changes nothing and returns what is there.

        Args:
            request: What to store, where, and the function that writes its files.
            context: Run, step, output and idempotency key.

        Returns:
            The committed artifact with its URI, sizes and digests.

        Raises:
            DeliveryError: Another digest lies at the path, or the backend refused.

        Example:
            ::

                class ZipStore(ArtifactStore):
                    folder: Path

                    @hookimpl
                    def store_artifact(self, request: StoreRequest) -> StoredArtifact: ...
        """

    @hookspec(firstresult=True)
    def load_artifact(self, uri: str) -> FileSource | None:
        """Open a stored artifact for reading; its bytes are verified before they are given out.

        Args:
            uri: The URI that ``store_artifact`` returned.

        Raises:
            NotFoundError: No committed artifact lies there.
            IntegrityError: Its manifest is damaged.
        """

    @hookspec(firstresult=True)
    def list_artifacts(self, prefix: str) -> Iterable[StoredArtifact] | None:
        """List the committed artifacts below a path of the store, by path.

        Args:
            prefix: Relative to the store's root; empty for all.
        """

    @hookspec(firstresult=True)
    def delete_artifact(self, uri: str) -> bool | None:
        """Delete a stored artifact, its manifest first, so that no reader sees half of it.

        Returns:
            Whether there was one.
        """


class ExperimentTrackerSpec:
    """Hooks of the role ``experiment_tracker``; a stack may have several trackers."""

    @hookspec(firstresult=True)
    def log_metrics(self, metrics: Metrics, context: DeliveryContext) -> LoggedRun | None:
        """Log numbers to the tracker's run for this pipeline run.

        Args:
            metrics: The numbers, with their ``step`` and ``metadata``.
            context: Run, step, output and idempotency key.

        Returns:
            The tracker's run that has them now.
        """

    @hookspec(firstresult=True)
    def log_metrics_batch(
        self, batch: Sequence[tuple[Metrics, DeliveryContext]]
    ) -> LoggedRun | None:
        """Log many metrics of one run in one go: the points of a curve, or debts that are paid.

        A tracker that leaves it out is given the metrics one by one.

        Args:
            batch: The numbers and the context of each, in the order they were made.

        Returns:
            The tracker's run, once it has all of them; None where the tracker has no such way.
        """

    @hookspec(firstresult=True)
    def log_parameters(self, parameters: Parameters, context: DeliveryContext) -> LoggedRun | None:
        """Log settings to the tracker's run for this pipeline run.

        Args:
            parameters: The settings, possibly nested.
            context: Run, step, output and idempotency key.

        Returns:
            The tracker's run that has them now.
        """


class ModelRegistrySpec:
    """Hooks of the role ``model_registry``: names and versions for stored models."""

    @hookspec(firstresult=True)
    def register_model(
        self, registration: Registration, context: DeliveryContext
    ) -> ModelVersion | None:
        """Register a stored model as a version of its name.

        Args:
            registration: Name, version, and the stored artifact with its digest.
            context: Run, step, output and idempotency key.

        Returns:
            The version, with the user's version in ``version``.

        Raises:
            DeliveryError: The version exists already with another digest.
        """

    @hookspec(firstresult=True)
    def get_model(self, name: str, version: str | None) -> ModelVersion | None:
        """Find one version of a model; None finds none.

        Args:
            name: Name of the model.
            version: The user's version or an alias; None for the newest.
        """

    @hookspec(firstresult=True)
    def list_models(self, name: str | None) -> Sequence[ModelVersion] | None:
        """List model versions, newest first.

        Args:
            name: Name of one model; None for all.
        """

    @hookspec(firstresult=True)
    def set_approval(
        self, name: str, version: str, approval: ApprovalStatus, comment: str
    ) -> ModelVersion | None:
        """Keep the registry's own notion of approval in step with a decision.

        Args:
            name: Name of the model.
            version: The user's version.
            approval: The decision.
            comment: Why, in the words of whoever decided.
        """

    @hookspec(firstresult=True)
    def set_alias(self, name: str, version: str, alias: str) -> ModelVersion | None:
        """Point an alias at a version, and away from any other version of the model.

        Args:
            name: Name of the model.
            version: The user's version.
            alias: A name such as ``champion``.
        """


class ModelDeployerSpec:
    """Hooks of the role ``model_deployer``: endpoints that serve registered models."""

    @hookspec(firstresult=True)
    def deploy_model(
        self, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment | None:
        """Serve a registered model at an endpoint, in place of what serves there.

        What served before goes on serving until the new version does.

        Args:
            model: The version; its digest is compared again before it serves.
            endpoint: Name of the endpoint; made where there is none.
            context: Run, step, output and idempotency key.

        Returns:
            The deployment, with the address that answers predictions.
        """

    @hookspec(firstresult=True)
    def undeploy_model(self, endpoint: str) -> bool | None:
        """End an endpoint and give back what it occupies.

        Returns:
            Whether there was one.
        """

    @hookspec(firstresult=True)
    def list_deployments(self) -> Sequence[Deployment] | None:
        """List what is deployed, newest first, with its status as it is now."""

    @hookspec(firstresult=True)
    def predict(self, endpoint: str, instances: Sequence[Any]) -> Sequence[Any] | None:
        """Ask an endpoint for predictions.

        Args:
            endpoint: Name of the endpoint.
            instances: Rows of features, as JSON values.

        Returns:
            One prediction for each row.
        """


class OrchestratorSpec:
    """Hook of the role ``orchestrator``: where steps run."""

    @hookspec(firstresult=True)
    def open_executor(self, run: RunInfo) -> StepExecutor | None:
        """Open whatever runs the steps of one run.

        Args:
            run: The run.

        Returns:
            An executor; the caller closes it when the run ends.
        """


class Faults:
    """Hook of every component: which failures may pass."""

    @hookspec(firstresult=True)
    def is_transient(self, error: Exception) -> bool | None:
        """Say whether the call that raised this may go through when it is tried again.

        Args:
            error: An exception that one of this component's hooks raised.

        Returns:
            True or False where the component knows; None leaves the general rule
            (connection errors and time-outs are transient, everything else is not).
        """


class Lifecycle:
    """Hooks that inform every component and extension; what one raises keeps it from no other.

    It is shown as a warning and the run goes on, with one exception: a component (an extension is
    none, it only watches) that raises in `artifact_stored` or `run_finished` is owed it. It is
    told again with the pauses between deliveries where ``is_transient`` says that this may help,
    and by ``flowyml resume``; until then the run is incomplete.
    """

    @hookspec
    def run_started(self, run: RunInfo) -> None:
        """Tell that a run begins, or goes on after an interruption."""

    @hookspec
    def run_finished(self, run: RunInfo, status: RunStatus) -> None:
        """Tell that a run ended, and how. It may be told twice, and ends again when resumed."""

    @hookspec
    def artifact_stored(self, run: RunInfo, stored: StoredArtifact) -> None:
        """Tell that an artifact of this run lies committed in a store.

        Trackers link it to their run. It may be told twice, after an interruption, and late, by
        another process, after a failure.
        """

    @hookspec
    def step_started(self, run: RunInfo, step: str) -> None:
        """Tell that a step begins."""

    @hookspec
    def step_finished(self, run: RunInfo, step: str, status: StepStatus) -> None:
        """Tell that a step ended, and how."""
