"""MLflow's model registry."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self, get_args

import attrs
from attrs import define, field

from flowyml.errors import DeliveryError, FlowyMLError, NotFoundError
from flowyml.plugins import Component, ModelRegistry, hookimpl
from flowyml.plugins.versions import settle, unless_other
from flowyml.records import (
    ApprovalStatus,
    Check,
    DeliveryContext,
    ModelVersion,
    Registration,
)
from flowyml.serialization import decode, encode
from flowyml_tracking.addresses import without_password
from flowyml_tracking.mlflow_client import answers, connect, is_missing, is_passing, is_taken
from flowyml_tracking.mlflow_models import MLflowModels
from flowyml_tracking.mlflow_names import unfit_for_models
from flowyml_tracking.mlflow_runs import MLflowRuns
from flowyml_tracking.mlflow_tracker import MLflowTracker

__all__ = ["MLflowModelRegistry"]

LONGEST_FACTS: Final = 100_000
FACTS: Final = ("metadata", "input_schema", "output_schema", "serving_config")
"""The fields of a version that only its users understand; one tag holds them as JSON."""


class SpoiltVersionWarning(UserWarning):
    """Somebody changed a tag of a version in MLflow: it is listed without what that said."""


@define(slots=False)
class MLflowModelRegistry(ModelRegistry):
    """Registers stored models as versions of MLflow's registered models.

    MLflow counts its versions itself; the user's version, the URI, the digest and the idempotency
    key are tags of the version. Its source is a logged model that leads to the stored one.

    Attributes:
        tracking_uri: The server; None for that of the stack's MLflow tracker, else MLflow's own
            default.
        registry_uri: Where the registry is, if not at the tracking server.
        experiment_name: The experiment of the logged models; None for the tracker's.
    """

    libraries: ClassVar[Mapping[str, str]] = {"mlflow": "flowyml[mlflow]"}

    tracking_uri: str | None = field(
        default=None, repr=lambda uri: repr(uri and without_password(uri))
    )
    registry_uri: str | None = field(
        default=None, repr=lambda uri: repr(uri and without_password(uri))
    )
    experiment_name: str | None = None

    def beside(self, others: Sequence[Component]) -> Self:
        """Take server and experiment from the MLflow tracker, where there is one."""
        for other in others:
            if isinstance(other, MLflowTracker) and self.tracking_uri in (None, other.tracking_uri):
                return attrs.evolve(
                    self,
                    tracking_uri=other.tracking_uri,
                    experiment_name=self.experiment_name or other.experiment_name,
                )
        return self

    @property
    def _client(self) -> Any:
        return connect(self.tracking_uri, self.registry_uri)

    @property
    def _address(self) -> str:
        return self.registry_uri or str(self._client.tracking_uri)

    @hookimpl
    def register_model(self, registration: Registration, context: DeliveryContext) -> ModelVersion:
        """Register a version, unless this delivery or the very same model did so before."""
        if reason := unfit_for_models(registration.name):
            message = (
                f"MLflow's registry takes no model named {registration.name!r}: {reason}; give the "
                "Model another `name`, then run again"
            )
            raise DeliveryError(message)
        with answers(self._address, f"register the model {registration.name!r}"):
            self._make_name(registration.name)
            found = self._settled(registration, context.key)
            while found is None:
                made = self._create(registration, context)
                found = self._settled(registration, context.key, made)
            return unless_other(self._record(found), registration)

    def _make_name(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except Exception as error:  # MLflow's class, which is not imported before it is needed
            if not is_taken(error):
                raise

    def _settled(self, registration: Registration, key: str, *made: Any) -> Any:
        """Return the version that a registration has, or None where it has none.

        It is what this delivery made before, or what bears the user's version. MLflow sends a
        request again whose answer got lost, where its user has set that: of what it made so, one
        is kept.
        """
        found = (*made, *self._versions(registration.name))
        by_number = {_number(version): version for version in found}
        versions = [by_number[number] for number in sorted(by_number)]
        own = [version for version in versions if version.tags.get("flowyml.key") == key]
        wanted = _version_of(own[0]) if own else registration.version
        claims = [version for version in versions if _version_of(version) == wanted]
        if not claims:
            return None
        first = settle(claims, own, self._give_up)
        # Where MLflow counts, its number may be a version of a user's own: the next one, then.
        return first if registration.version or first in own else None

    def _give_up(self, version: Any) -> None:
        try:
            self._client.delete_model_version(version.name, version.version)
        except Exception as error:  # another process does the same delivery
            if not is_missing(error):
                raise

    def _create(self, registration: Registration, context: DeliveryContext) -> Any:
        runs = MLflowRuns(self.tracking_uri, self.experiment_name)
        experiment_id = runs.experiment_id(context.run)
        run = runs.find(context.run)
        run_id = run.run_id if run else None
        model_id = MLflowModels(self._client, experiment_id).log(registration.stored, run_id)
        return self._client.create_model_version(
            registration.name,
            source=f"models:/{model_id}",
            run_id=run_id,
            tags=_tags(registration, context),
            model_id=model_id,
        )

    def _versions(self, name: str | None) -> list[Any]:
        """Return the versions that FlowyML registered, the newest first."""
        if name is not None and unfit_for_models(name):
            return []
        return self._search(None if name is None else _is_called(name))

    def _search(self, wanted: str | None) -> list[Any]:
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(wanted, max_results=1000, page_token=token)
            found += [version for version in page if "flowyml.digest" in version.tags]
            token = page.token
            if not token:
                return sorted(found, key=_age, reverse=True)

    @hookimpl
    def get_model(self, name: str, version: str | None) -> ModelVersion | None:
        """Find a version by the user's version, by MLflow's number, or by an alias."""
        with answers(self._address, f"look for the model {name!r}"):
            found = self._find(name, version)
            return self._record(found) if found else None

    def _find(self, name: str, version: str | None) -> Any:
        versions = self._versions(name)
        if version is None:
            return versions[0] if versions else None
        return _first_of(versions, version) or self._aliased(name, version)

    def _aliased(self, name: str, alias: str) -> Any:
        try:
            found = self._client.get_model_version_by_alias(name, alias)
        except Exception as error:
            if is_missing(error) or getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
                return None
            raise
        return found if "flowyml.digest" in found.tags else None

    @hookimpl
    def list_models(self, name: str | None) -> Sequence[ModelVersion]:
        """List the versions that FlowyML registered, newest first."""
        with answers(self._address, "list its models"):
            versions = self._versions(name)
            aliases = {n: self._aliases(n) for n in {version.name for version in versions}}
            return [_listed(v, aliases[v.name].get(str(v.version), ())) for v in versions]

    @hookimpl
    def set_approval(
        self, name: str, version: str, approval: ApprovalStatus, comment: str
    ) -> ModelVersion:
        """Write the decision and its reason as tags of the version."""
        with answers(self._address, f"keep the approval of {name}@{version}"):
            found = self._known(name, version)
            tags = {"flowyml.approval": approval, "flowyml.approval_comment": comment}
            for tag, value in tags.items():
                self._client.set_model_version_tag(name, found.version, tag, value)
            return self._record(self._client.get_model_version(name, found.version))

    @hookimpl
    def set_alias(self, name: str, version: str, alias: str) -> ModelVersion:
        """Point MLflow's alias at the version."""
        with answers(self._address, f"point {alias!r} at {name}@{version}"):
            found = self._known(name, version)
            self._client.set_registered_model_alias(name, alias, found.version)
            return self._record(found)

    def _known(self, name: str, version: str) -> Any:
        versions = self._versions(name)
        if known := _first_of(versions, version):
            return known
        names = ", ".join(_version_of(known) for known in versions)
        hint = f"its versions: {names}" if names else "`flowyml model list` shows what it has"
        message = f"MLflow has no model {name!r} with a version {version!r}; {hint}"
        raise NotFoundError(message)

    def _record(self, version: Any) -> ModelVersion:
        return _record(version, self._aliases(version.name).get(str(version.version), ()))

    def _aliases(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return the aliases of each version, by MLflow's number."""
        aliases: dict[str, tuple[str, ...]] = {}
        pairs = self._client.get_registered_model(name).aliases
        for alias, number in sorted(pairs.items()):
            aliases[str(number)] = (*aliases.get(str(number), ()), alias)
        return aliases

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Take MLflow's own word for it, where it is one of its errors."""
        return is_passing(error)

    def diagnose(self) -> Sequence[Check]:
        """Tell whether the registry answers."""
        try:
            with answers(self._address, "list its models"):
                self._client.search_registered_models(max_results=1)
        except FlowyMLError as error:
            fix = "start the server, or set `tracking_uri` of the model registry"
            return (Check("mlflow", ok=False, message=str(error), fix=fix),)
        address = without_password(self._address)
        return (Check("mlflow", ok=True, message=f"the registry at {address} answers"),)


def _is_called(name: str) -> str:
    """Return the filter for one name; MLflow has no escape for a quote, and takes either kind."""
    quote = '"' if "'" in name else "'"
    return f"name = {quote}{name}{quote}"


def _tags(registration: Registration, context: DeliveryContext) -> dict[str, str]:
    """Return all that makes a version ours, written in one request with it."""
    facts = json.dumps(encode({name: getattr(registration, name) for name in FACTS}))
    if len(facts) > LONGEST_FACTS:
        message = (
            f"the metadata and schemas of the model {registration.name!r} take {len(facts)} "
            f"characters, and MLflow keeps {LONGEST_FACTS}; store what is large as a Dataset"
        )
        raise DeliveryError(message)
    tags = {
        "flowyml.key": context.key,
        "flowyml.uri": registration.stored.uri,
        "flowyml.digest": registration.stored.digest,
        "flowyml.version": registration.version,
        "flowyml.framework": registration.framework,
        "flowyml.run_id": context.run.run_id,
        "flowyml.pipeline": context.run.pipeline,
        "flowyml.facts": facts,
    }
    return {name: value for name, value in tags.items() if value}


def _first_of(versions: Sequence[Any], wanted: str) -> Any:
    """Return what bears a version, the first one of those that compete for it."""
    return min((one for one in versions if _version_of(one) == wanted), key=_number, default=None)


def _version_of(version: Any) -> str:
    return str(version.tags.get("flowyml.version") or version.version)


def _number(version: Any) -> int:
    """Return MLflow's own count of a version."""
    return int(version.version)


def _age(version: Any) -> tuple[int, int]:
    return int(version.creation_timestamp), _number(version)


def _listed(version: Any, aliases: tuple[str, ...]) -> ModelVersion:
    """Return a version for a list, which no spoilt tag keeps from showing it and all others.

    Its digest is there, by which the collection of artifacts keeps the model.
    """
    try:
        return _record(version, aliases)
    except DeliveryError as error:
        warnings.warn(str(error), SpoiltVersionWarning, stacklevel=2)
        approval = _approval(version.tags) or "none"
        return _made(version, {**version.tags, "flowyml.approval": approval}, aliases, {})


def _record(version: Any, aliases: tuple[str, ...]) -> ModelVersion:
    """Return a version as it was registered.

    Raises:
        DeliveryError: Somebody changed a tag of it in MLflow, so that it cannot be read any more.
    """
    tags = version.tags
    if "flowyml.uri" not in tags:
        raise _spoilt(version, "flowyml.uri", "it is gone")
    if _approval(tags) is None:
        raise _spoilt(version, "flowyml.approval", f"it is {tags['flowyml.approval']!r}")
    try:
        facts = decode(json.loads(tags["flowyml.facts"]))
        return _made(version, tags, aliases, {name: facts[name] for name in FACTS})
    except (LookupError, TypeError, ValueError, FlowyMLError) as cause:
        reason = "it is no JSON of FlowyML's" if "flowyml.facts" in tags else "it is gone"
        raise _spoilt(version, "flowyml.facts", reason) from cause


def _approval(tags: Mapping[str, str]) -> str | None:
    said = tags.get("flowyml.approval", "none")
    return said if said in get_args(ApprovalStatus) else None


def _spoilt(version: Any, tag: str, reason: str) -> DeliveryError:
    message = (
        f"the tag {tag!r} of version {version.version} of the model {version.name!r} was changed "
        f"in MLflow: {reason}; put back there what it was, or delete this version in MLflow and "
        "register the model anew"
    )
    return DeliveryError(message)


def _made(
    version: Any, tags: Mapping[str, Any], aliases: tuple[str, ...], facts: Mapping[str, Any]
) -> ModelVersion:
    return ModelVersion(
        name=version.name,
        version=_version_of(version),
        uri=tags.get("flowyml.uri", ""),
        digest=tags["flowyml.digest"],
        registry="mlflow",
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        registry_id=f"models:/{version.name}/{version.version}",
        key=tags.get("flowyml.key"),
        framework=tags.get("flowyml.framework"),
        run_id=tags.get("flowyml.run_id"),
        approval=tags.get("flowyml.approval", "none"),
        aliases=aliases,
        **facts,
    )
