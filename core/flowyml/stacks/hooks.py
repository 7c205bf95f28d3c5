"""The typed facade over pluggy: one method for each hook, and nobody else calls one.

A hook that picks one backend is called on that component alone; extensions stay in the call, so
that their wrappers are around it. A hook that informs reaches every component and extension, and
what one of them raises keeps it from none of the others: it becomes a warning, or is returned where
a component has to be told again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, Self, cast

import attrs
import pluggy
from attrs import define, field

from flowyml.artifacts import Metrics, Parameters
from flowyml.errors import DeliveryError, FlowyMLError
from flowyml.plugins.components import StepExecutor
from flowyml.records import (
    ApprovalStatus,
    DeliveryContext,
    Deployment,
    LoggedRun,
    ModelVersion,
    Receipt,
    Registration,
    RunInfo,
    RunStatus,
    StepStatus,
    StoredArtifact,
)
from flowyml.stacks.guarding import GuardedCall, answer, answers
from flowyml.stacks.seats import Seat
from flowyml.stacks.secrecy import is_told, redact, said
from flowyml.storage.files import FileSource, StoreRequest

__all__ = ["Hooks", "LifecycleWarning"]

Tell = Callable[[GuardedCall], object]

NOBODY: Final[Mapping[str, Exception]] = MappingProxyType({})


class LifecycleWarning(UserWarning):
    """Somebody failed while told of a run or a step, who is not told again."""


@define
class Hooks:
    """The hooks of one stack.

    Attributes:
        manager: Its plugin manager, with a seat for every component.
        seats: The seats by the names of the components.
        extensions: Names of the extensions.
        further: Secrets besides those of the components, such as those of a run's context.
    """

    _manager: pluggy.PluginManager
    _seats: Mapping[str, Seat]
    _extensions: frozenset[str]
    _further: frozenset[str] = field(default=frozenset(), repr=False)
    _callers: dict[tuple[str, str], GuardedCall] = field(factory=dict, init=False)
    _secrets: frozenset[str] = field(init=False, repr=False)

    @_secrets.default
    def _kept(self) -> frozenset[str]:
        own = (secret for seat in self._seats.values() for secret in seat.secrets)
        return self._further.union(own)

    def keeping(self, secrets: Iterable[str]) -> Self:
        """Return the same hooks, which keep further secrets out of what they say."""
        return attrs.evolve(self, further=self._further.union(secrets))

    # ─── artifact stores ────────────────────────────────────────────────────────────────────────

    def store_artifact(
        self, component: str, request: StoreRequest, context: DeliveryContext
    ) -> StoredArtifact:
        """Store an artifact; what comes back knows the name of its store."""
        given = self._caller("store_artifact", component)(request=request, context=context)
        stored = answer(given, StoredArtifact, "store_artifact", component)
        return StoredArtifact(stored.uri, component, stored.manifest)

    def load_artifact(self, component: str, uri: str) -> FileSource:
        """Open a stored artifact."""
        source = self._caller("load_artifact", component)(uri=uri)
        return cast("FileSource", answer(source, object, "load_artifact", component))

    def list_artifacts(self, component: str, prefix: str = "") -> Iterable[StoredArtifact]:
        """List what is committed below a path of a store."""
        given = self._caller("list_artifacts", component)(prefix=prefix)
        found = answers(given, StoredArtifact, "list_artifacts", component)
        return (attrs.evolve(stored, store=component) for stored in found)

    def delete_artifact(self, component: str, uri: str) -> bool:
        """Delete a stored artifact; False where there was none."""
        return bool(self._caller("delete_artifact", component)(uri=uri))

    # ─── experiment trackers ────────────────────────────────────────────────────────────────────

    def log_metrics(self, component: str, metrics: Metrics, context: DeliveryContext) -> LoggedRun:
        """Log numbers."""
        given = self._caller("log_metrics", component)(metrics=metrics, context=context)
        return answer(given, LoggedRun, "log_metrics", component)

    def log_metrics_batch(
        self, component: str, batch: Sequence[tuple[Metrics, DeliveryContext]]
    ) -> LoggedRun | None:
        """Log many numbers of one run; None where the tracker takes them one by one only."""
        given = self._caller("log_metrics_batch", component)(batch=batch)
        return None if given is None else answer(given, LoggedRun, "log_metrics_batch", component)

    def log_parameters(
        self, component: str, parameters: Parameters, context: DeliveryContext
    ) -> LoggedRun:
        """Log settings."""
        given = self._caller("log_parameters", component)(parameters=parameters, context=context)
        return answer(given, LoggedRun, "log_parameters", component)

    # ─── model registries ───────────────────────────────────────────────────────────────────────

    def register_model(
        self, component: str, registration: Registration, context: DeliveryContext
    ) -> ModelVersion:
        """Register a stored model."""
        call = self._caller("register_model", component)
        given = call(registration=registration, context=context)
        return answer(given, ModelVersion, "register_model", component)

    def get_model(self, component: str, name: str, version: str | None) -> ModelVersion | None:
        """Find one version of a model."""
        given = self._caller("get_model", component)(name=name, version=version)
        return None if given is None else answer(given, ModelVersion, "get_model", component)

    def list_models(self, component: str, name: str | None = None) -> Sequence[ModelVersion]:
        """List model versions, newest first."""
        given = self._caller("list_models", component)(name=name)
        return tuple(answers(given, ModelVersion, "list_models", component))

    def set_approval(
        self, component: str, name: str, version: str, approval: ApprovalStatus, comment: str
    ) -> ModelVersion | None:
        """Tell a registry of a decision; None where it keeps none."""
        call = self._caller("set_approval", component)
        given = call(name=name, version=version, approval=approval, comment=comment)
        return None if given is None else answer(given, ModelVersion, "set_approval", component)

    def set_alias(self, component: str, name: str, version: str, alias: str) -> ModelVersion | None:
        """Point an alias at a version; None where the registry has no aliases."""
        given = self._caller("set_alias", component)(name=name, version=version, alias=alias)
        return None if given is None else answer(given, ModelVersion, "set_alias", component)

    # ─── model deployers ────────────────────────────────────────────────────────────────────────

    def deploy_model(
        self, component: str, model: ModelVersion, endpoint: str, context: DeliveryContext
    ) -> Deployment:
        """Serve a registered model at an endpoint."""
        call = self._caller("deploy_model", component)
        given = call(model=model, endpoint=endpoint, context=context)
        return answer(given, Deployment, "deploy_model", component)

    def undeploy_model(self, component: str, endpoint: str) -> bool:
        """End an endpoint; False where there was none."""
        return bool(self._caller("undeploy_model", component)(endpoint=endpoint))

    def list_deployments(self, component: str) -> Sequence[Deployment]:
        """List what is deployed, newest first."""
        given = self._caller("list_deployments", component)()
        return tuple(answers(given, Deployment, "list_deployments", component))

    def predict(self, component: str, endpoint: str, instances: Sequence[Any]) -> Sequence[Any]:
        """Ask an endpoint for one prediction a row."""
        given = self._caller("predict", component)(endpoint=endpoint, instances=instances)
        return cast("Sequence[Any]", answer(given, object, "predict", component))

    # ─── orchestrators, faults, third parties ───────────────────────────────────────────────────

    def open_executor(self, run: RunInfo) -> StepExecutor:
        """Open whatever runs the steps of a run."""
        given = self._caller("open_executor", "orchestrator")(run=run)
        return answer(given, StepExecutor, "open_executor", "orchestrator")  # type: ignore[type-abstract]

    def close_executor(self, executor: StepExecutor) -> None:
        """Give back what ran the steps; a run that is done is done where that fails, too."""
        try:
            with self.in_words("give back what ran the steps", "orchestrator"):
                executor.close()
        except FlowyMLError as error:
            self._warn("close", {"orchestrator": error})

    def is_transient(self, component: str, error: Exception) -> bool:
        """Say whether the call that raised this may go through when it is tried again."""
        if isinstance(error, DeliveryError):
            return error.transient
        said: bool | None = self._caller("is_transient", component)(error=error)
        return isinstance(error, ConnectionError | TimeoutError) if said is None else bool(said)

    def deliver(
        self,
        hook: str,
        component: str,
        artifact: object,
        stored: StoredArtifact,
        context: DeliveryContext,
    ) -> Receipt | None:
        """Call a delivery hook of a third party's role."""
        given = self._caller(hook, component)(artifact=artifact, stored=stored, context=context)
        return None if given is None else answer(given, Receipt, hook, component)

    # ─── lifecycle ──────────────────────────────────────────────────────────────────────────────

    def run_started(self, run: RunInfo) -> None:
        """Tell that a run begins."""
        self._warn("run_started", self._inform("run_started", lambda call: call(run=run)))

    def run_finished(self, run: RunInfo, status: RunStatus) -> Mapping[str, Exception]:
        """Tell that a run ended; return what components raised, by their names."""
        return self._missed("run_finished", lambda call: call(run=run, status=status))

    def tell_finished(self, component: str, run: RunInfo, status: RunStatus) -> None:
        """Tell one component, which missed it, that a run ended."""
        self._subset("run_finished", {component})(run=run, status=status)

    def artifact_stored(
        self, run: RunInfo, stored: StoredArtifact, unasked: Mapping[str, Exception] = NOBODY
    ) -> Mapping[str, Exception]:
        """Tell that an artifact lies in a store; return what components raised, by their names.

        Args:
            run: The run.
            stored: The artifact.
            unasked: Components that are down, and are not told; what to return of each.
        """
        return self._missed("artifact_stored", lambda call: call(run=run, stored=stored), unasked)

    def tell_stored(self, component: str, run: RunInfo, stored: StoredArtifact) -> None:
        """Tell one component, which missed it, that an artifact lies in a store."""
        self._subset("artifact_stored", {component})(run=run, stored=stored)

    def step_started(self, run: RunInfo, step: str) -> None:
        """Tell that a step begins."""
        raised = self._inform("step_started", lambda call: call(run=run, step=step))
        self._warn("step_started", raised)

    def step_finished(self, run: RunInfo, step: str, status: StepStatus) -> None:
        """Tell that a step ended."""
        raised = self._inform("step_finished", lambda call: call(run=run, step=step, status=status))
        self._warn("step_finished", raised)

    # ─── what a component could not do ──────────────────────────────────────────────────────────

    @contextmanager
    def in_words(self, doing: str, component: str) -> Iterator[None]:
        """Say what a component could not do, in place of what its library says, and no secret.

        Raises:
            DeliveryError: It failed in a way of its own, or quoted a secret.
        """
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            telling = is_told(error, self._secrets)
            if isinstance(error, FlowyMLError) and not telling:
                raise
            message = redact(f"{component} could not {doing}: {said(error)}", self._secrets)
            passing = isinstance(error, Exception) and self.is_transient(component, error)
            raise DeliveryError(message, transient=passing) from (None if telling else error)

    # ─── how a call finds its component ─────────────────────────────────────────────────────────

    def _caller(self, hook: str, component: str) -> GuardedCall:
        """Return the call of a hook that reaches one component and all extensions."""
        key = (hook, component)
        if key not in self._callers:
            reached = self._extensions | {component}
            self._callers[key] = self._subset(hook, reached)
        return self._callers[key]

    def _subset(self, hook: str, reached: Iterable[str]) -> GuardedCall:
        silent = [seat for name, seat in self._seats.items() if name not in reached]
        caller = self._manager.subset_hook_caller(hook, remove_plugins=silent)
        asked = [name for name in reached if name not in self._extensions] or reached
        return GuardedCall(caller, hook, ", ".join(asked))

    def _inform(
        self, hook: str, tell: Tell, unasked: Mapping[str, Exception] = NOBODY
    ) -> dict[str, Exception]:
        """Tell everybody, whatever one raises; return that, by name."""
        raised: dict[str, Exception] = {}
        for told in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            if told.plugin_name in unasked:
                raised[told.plugin_name] = unasked[told.plugin_name]
                continue
            try:
                tell(self._subset(hook, {told.plugin_name}))
            except Exception as error:  # noqa: BLE001  # a run outlives whoever watches it
                raised[told.plugin_name] = error
        return raised

    def _missed(
        self, hook: str, tell: Tell, unasked: Mapping[str, Exception] = NOBODY
    ) -> dict[str, Exception]:
        """Tell everybody; warn of what extensions raise, and return the rest."""
        raised = self._inform(hook, tell, unasked)
        watching = {name: raised.pop(name) for name in self._extensions & raised.keys()}
        self._warn(hook, watching)
        return raised

    def _warn(self, hook: str, raised: Mapping[str, Exception]) -> None:
        for name, error in raised.items():
            message = f"{name}: {hook} failed: {said(error)}"
            warnings.warn(redact(message, self._secrets), LifecycleWarning, stacklevel=4)
