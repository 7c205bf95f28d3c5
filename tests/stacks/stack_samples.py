"""Small components that the tests of stacks are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from attrs import define, field, frozen, validators

from flowyml.artifacts import Metrics
from flowyml.errors import ConfigurationError
from flowyml.plugins import (
    ArtifactStore,
    Component,
    DeliveryHook,
    ExperimentTracker,
    Extension,
    ModelDeployer,
    ModelRegistry,
    Orchestrator,
    Role,
    hookimpl,
    hookspec,
)
from flowyml.plugins.discovery import Catalog, Provider
from flowyml.records import (
    DeliveryContext,
    LoggedRun,
    Receipt,
    RunInfo,
    RunStatus,
    StoredArtifact,
)
from flowyml.storage.files import StoreRequest


@define(slots=False)
class MemoryStore(ArtifactStore):
    path: Path = Path("artifacts")
    stored: list[str] = field(factory=list, init=False)

    def root_uri(self) -> str:
        return self.path.as_uri()

    @hookimpl
    def store_artifact(self, request: StoreRequest, context: DeliveryContext) -> StoredArtifact:
        self.stored.append(context.key)
        return StoredArtifact(f"{self.root_uri()}/{request.path}", "", request.manifest)

    @hookimpl
    def list_artifacts(self, prefix: str) -> list[StoredArtifact]:
        del prefix
        return []


@frozen
class Retries:
    attempts: int = 3
    wait: float = 0.5


@define(slots=False)
class BucketStore(ArtifactStore):
    bucket: str = field(validator=validators.matches_re("[a-z-]+"))
    prefix: str = ""
    project: str | None = None
    token: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    parts: int = 4
    verify: bool = True
    tier: Literal["hot", "cold"] = "hot"
    labels: Mapping[str, str] = field(factory=dict)
    regions: Sequence[str] = ()
    options: dict[str, Any] = field(factory=dict)
    retries: Retries = field(factory=Retries)
    cache: Path = Path("cache")

    def root_uri(self) -> str:
        return f"bucket://{self.bucket}/{self.prefix}".rstrip("/")


@define(slots=False)
class Tracker(ExperimentTracker):
    tracking_uri: str = "memory:"
    experiment_name: str = "flowyml"
    logged: list[Mapping[str, Any]] = field(factory=list, init=False)

    @hookimpl
    def log_metrics(self, metrics: Metrics) -> LoggedRun:
        self.logged.append(dict(metrics))
        return LoggedRun("run-1")


@define(slots=False)
class Registry(ModelRegistry):
    project: str | None = None

    def beside(self, others: Sequence[Component]) -> Self:
        stores = (other for other in others if isinstance(other, BucketStore))
        if self.project is None:
            self.project = next((store.project for store in stores), None)
        return self


@define(slots=False)
class Lonely(ModelRegistry):
    def beside(self, others: Sequence[Component]) -> Self:
        message = "no store names a project"
        raise ConfigurationError(message)


@define(slots=False)
class Deployer(ModelDeployer):
    role_arn: str = "arn"


@define(slots=False)
class Threads(Orchestrator):
    workers: int = 2


@define(slots=False)
class Remote(Orchestrator):
    project: str = ""
    location: str = ""
    staging_bucket: str = ""
    region: str = ""


@define(slots=False)
class Picky(ModelRegistry):
    """Refuses its secret, and is indiscreet about it."""

    password: str = field(repr=False)

    def __attrs_post_init__(self) -> None:
        message = f"the password {self.password} is too weak"
        raise ValueError(message)


@define(slots=False)
class Faulty(ModelRegistry):
    """Has a fault in its own code."""

    regions: dict[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.regions["home"]


@define(slots=False)
class Audit(Extension):
    name: str = "audit"
    seen: list[str] = field(factory=list, init=False)

    @hookimpl(wrapper=True)
    def store_artifact(self, request: StoreRequest) -> Iterator[None]:
        self.seen.append(f"{self.name} before {request.path}")
        stored = yield
        self.seen.append(f"{self.name} after {request.path}")
        return stored

    @hookimpl
    def run_started(self, run: RunInfo) -> None:
        self.seen.append(f"{self.name} {run.run_id}")


@define(slots=False)
class Grumpy(Extension):
    @hookimpl
    def run_started(self, run: RunInfo) -> None:
        message = f"no {run.run_id} today"
        raise RuntimeError(message)

    @hookimpl
    def run_finished(self, run: RunInfo, status: RunStatus) -> None:
        message = f"{run.run_id} is {status}"
        raise RuntimeError(message)


class PromptSpec:
    @hookspec(firstresult=True)
    def publish_prompt(
        self, artifact: object, stored: StoredArtifact, context: DeliveryContext
    ) -> Receipt | None:
        """Publish a prompt."""


PROMPTS = Role(
    "prompt_registry", PromptSpec, hooks=(DeliveryHook("publish_prompt", "prompt_registry"),)
)


@define(slots=False)
class Prompts(Component):
    role: ClassVar[str] = "prompt_registry"

    @hookimpl
    def publish_prompt(self, artifact: object) -> Receipt:
        return Receipt(f"prompt:{artifact}")


@define(slots=False)
class Misspelt(ModelRegistry):
    @hookimpl
    def register_modle(self) -> None: ...


@define(slots=False)
class Greedy(ModelRegistry):
    @hookimpl
    def register_model(self, registration: object, password: str) -> None: ...


@define(slots=False)
class Unmarked(ModelRegistry):
    def register_model(self, registration: object) -> None: ...


@define(slots=False)
class Broken(Orchestrator):
    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        return True if isinstance(error, KeyError) else None

    @hookimpl
    def open_executor(self, run: RunInfo) -> None:  # type: ignore[override]  # the mistake
        del run


_OFFERS: dict[str, dict[str, type[Component]]] = {
    "artifact_store": {
        "local": MemoryStore,
        "gcs": BucketStore,
        "s3": BucketStore,
        "memory": MemoryStore,
    },
    "experiment_tracker": {"mlflow": Tracker, "wandb": Tracker},
    "model_registry": {
        "local": Registry,
        "vertex_model_registry": Registry,
        "sagemaker_model_registry": Registry,
        "lonely": Lonely,
        "picky": Picky,
        "faulty": Faulty,
        "misspelt": Misspelt,
        "unmarked": Unmarked,
        "greedy": Greedy,
    },
    "model_deployer": {
        "local": Deployer,
        "vertex_endpoint": Deployer,
        "sagemaker_endpoint": Deployer,
    },
    "orchestrator": {"local": Threads, "vertex_ai": Remote, "sagemaker": Remote, "broken": Broken},
    "extension": {"audit": Audit, "grumpy": Grumpy},
    "prompt_registry": {"memory": Prompts},
}


def provider(role: str, type_: str, place: str, distribution: str = "samples") -> Provider:
    """Return an offer that no distribution made."""
    entry_point = EntryPoint(type_, place, f"flowyml.{role}")
    return Provider(role, type_, distribution, "1.0", entry_point)


CATALOG = Catalog(
    (
        provider("role", "prompt_registry", f"{__name__}:PROMPTS"),
        provider("model_registry", "gone", "no_such_module:Registry"),
        *(
            provider(role, type_, f"{__name__}:{cls.__name__}")
            for role, offers in _OFFERS.items()
            for type_, cls in offers.items()
        ),
    )
)
