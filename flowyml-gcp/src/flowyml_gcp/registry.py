"""The Vertex AI Model Registry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from attrs import define

from flowyml.errors import DeliveryError, NotFoundError
from flowyml.plugins import ModelRegistry, hookimpl
from flowyml.plugins.versions import settle, unless_other
from flowyml.records import ApprovalStatus, DeliveryContext, ModelVersion, Registration
from flowyml_gcp.containers import serving_image
from flowyml_gcp.names import (
    digest_label,
    digest_of,
    is_alias,
    label_value,
    resource_id,
    version_alias,
    version_of,
)
from flowyml_gcp.vertex import MANAGED, VertexComponent

__all__ = ["VertexModelRegistry", "model_version"]

TYPE: Final = "vertex_model_registry"

LONGEST_NAME: Final = 128
LONGEST_DESCRIPTION: Final = 4000

MOST_TRIES: Final = 8
"""How often a registration looks again at what another process made meanwhile."""


@define(slots=False)
class VertexModelRegistry(VertexComponent, ModelRegistry):
    """Registers models as versions in Vertex AI, where they lie in Cloud Storage.

    The first registration of a name makes the model, under an id that follows from the name; every
    further one is a version of it. The user's version is an alias and a label of it, run, step,
    digest and idempotency key are labels.
    """

    reads_schemes: ClassVar[frozenset[str] | None] = frozenset({"gs"})

    @hookimpl
    def register_model(self, registration: Registration, context: DeliveryContext) -> ModelVersion:
        """Find what this delivery made before, else upload a version."""
        from google.api_core.exceptions import Conflict

        _check_name(registration.name)
        name, doing = self._name(registration.name), f"register {registration.name!r}"
        for _ in range(MOST_TRIES):
            self.wait_for_others(self.models, name, doing)
            if found := self._registered(registration, context):
                return found
            try:
                operation = self.models.upload_model(request=self._upload(registration, context))
            except Conflict:  # another process was faster with this name or version
                continue
            done = self.wait(operation, doing)
            return self._settled(registration, context, f"{name}@{done.model_version_id}")
        message = f"others keep registering versions of {registration.name!r} in Vertex AI"
        raise DeliveryError(message, transient=True)

    def _settled(
        self, registration: Registration, context: DeliveryContext, resource: str
    ) -> ModelVersion:
        """Return the version that a registration has; of what it made, a later one is deleted.

        Vertex AI refuses no version of the user's while another one of it is being uploaded, and
        whoever waits for the others sees all of them.

        Raises:
            DeliveryError: Another process was faster, with another model.
        """
        name, what = self._name(registration.name), f"register {registration.name!r}"
        self.wait_for_others(self.models, name, what)
        labels = _labels(registration, context)
        label = "flowyml-version" if registration.version else "flowyml-key"
        found = self._versions(name, f'labels.{label}="{labels[label]}"')
        claims = {str(one.registry_id): one for one in sorted(found, key=_count)}
        first = claims[settle(list(claims), [resource], self._give_up)]
        if registration.version and first.version != registration.version:  # the later one had it
            alias = version_alias(registration.version)
            self.models.merge_version_aliases(
                request={"name": first.registry_id, "version_aliases": [alias]}
            )
            first = self._get(str(first.registry_id))
        return unless_other(first, registration)

    def _give_up(self, resource: str) -> None:
        from google.api_core.exceptions import NotFound

        with suppress(NotFound):  # another process does the same delivery
            operation = self.models.delete_model_version(request={"name": resource})
            self.wait(operation, f"give up {resource}")

    def _registered(
        self, registration: Registration, context: DeliveryContext
    ) -> ModelVersion | None:
        """Return the version that this delivery, or the same content, has already."""
        clause = f'labels.flowyml-key="{digest_label(context.key)}"'
        by_key = next(self._versions(self._name(registration.name), clause), None)
        if by_key:
            return self._settled(registration, context, str(by_key.registry_id))
        if registration.version is None:
            return None
        same = self.get_model(registration.name, registration.version)
        return same and unless_other(same, registration)

    def _upload(self, registration: Registration, context: DeliveryContext) -> Mapping[str, Any]:
        name = self._name(registration.name)
        identity = (
            {"parent_model": name} if self._exists(name) else {"model_id": name.rpartition("/")[2]}
        )
        return {
            "parent": self.parent,
            **identity,
            "model": {
                "display_name": registration.name,
                "artifact_uri": _folder(registration),
                "container_spec": self._container(registration),
                "predict_schemata": _schemata(registration),
                "version_description": _description(registration),
                "version_aliases": [version_alias(registration.version)]
                if registration.version
                else [],
                "labels": _labels(registration, context),
            },
        }

    def _container(self, registration: Registration) -> Mapping[str, Any]:
        chosen = {"image_uri": serving_image(registration, self.region)}
        for field in ("command", "args", "predict_route", "health_route"):
            if field in registration.serving_config:
                chosen[field] = registration.serving_config[field]
        return chosen

    @hookimpl
    def get_model(self, name: str, version: str | None) -> ModelVersion | None:
        """Look for the user's version, then for an alias, then for Vertex AI's own number."""
        resource = self._name(name)
        if version is None:
            return max(self._versions(resource), key=lambda found: found.created_at, default=None)
        forms = [version_alias(version), *([version] if is_alias(version) else [])]
        for form in forms:
            if found := self._looked_up(f"{resource}@{form}"):
                return found
        # Vertex AI's own number counts only where the user gave that version no other name.
        counted = self._looked_up(f"{resource}@{version}") if version.isdecimal() else None
        return counted if counted and counted.version == version else None

    @hookimpl
    def list_models(self, name: str | None) -> Sequence[ModelVersion]:
        """List the versions of one model, or of every model that FlowyML registered."""
        if name is not None:
            names = [self._name(name)]
        else:
            managed = f'labels.managed-by="{MANAGED["managed-by"]}"'
            request = {"parent": self.parent, "filter": managed}
            names = [
                model.name.partition("@")[0] for model in self.models.list_models(request=request)
            ]
        found = [version for one in names for version in self._versions(one)]
        return sorted(found, key=lambda version: version.created_at, reverse=True)

    @hookimpl
    def set_approval(
        self, name: str, version: str, approval: ApprovalStatus, comment: str
    ) -> ModelVersion:
        """Keep the decision in a label; Vertex AI has no approval of its own."""
        del comment
        model = self._raw(name, version)
        labels = {**dict(model.labels), "flowyml-approval": approval}
        resource = f"{model.name.partition('@')[0]}@{model.version_id}"
        self.models.update_model(
            request={
                "model": {"name": resource, "labels": labels},
                "update_mask": {"paths": ["labels"]},
            }
        )
        return self._get(resource)

    @hookimpl
    def set_alias(self, name: str, version: str, alias: str) -> ModelVersion:
        """Point an alias of Vertex AI at a version."""
        if not is_alias(alias):
            message = (
                f"Vertex AI does not take the alias {alias!r}: it begins with a small letter, has "
                "letters, digits and dashes, ends in a small letter or a digit, and does not begin "
                "with 'v-'"
            )
            raise DeliveryError(message)
        model = self._raw(name, version)
        resource = f"{model.name.partition('@')[0]}@{model.version_id}"
        self.models.merge_version_aliases(request={"name": resource, "version_aliases": [alias]})
        return self._get(resource)

    def _name(self, name: str) -> str:
        return f"{self.parent}/models/{resource_id(name)}"

    def _exists(self, resource: str) -> bool:
        return self._looked_up(resource) is not None

    def _looked_up(self, resource: str) -> ModelVersion | None:
        try:
            return self._get(resource)
        except NotFoundError:
            return None

    def _raw(self, name: str, version: str) -> Any:
        found = self.get_model(name, version)
        if found is None or found.registry_id is None:
            message = f"Vertex AI has no model {name}@{version} in {self.parent}"
            raise NotFoundError(message)
        return self.models.get_model(request={"name": found.registry_id})

    def _get(self, resource: str) -> ModelVersion:
        from google.api_core.exceptions import NotFound

        try:
            return model_version(self.models.get_model(request={"name": resource}))
        except NotFound as cause:
            message = f"Vertex AI has no {resource}"
            raise NotFoundError(message) from cause

    def _versions(self, resource: str, clause: str = "") -> Iterator[ModelVersion]:
        from google.api_core.exceptions import NotFound

        try:
            pages = self.models.list_model_versions(request={"name": resource, "filter": clause})
            yield from (model_version(model) for model in pages)
        except NotFound:
            return


def model_version(model: Any) -> ModelVersion:
    """Return the record of one version as Vertex AI describes it."""
    labels = dict(model.labels)
    facts = _facts(model.version_description)
    own = [version_of(alias) for alias in model.version_aliases]
    aliases = (alias for alias in model.version_aliases if version_of(alias) is None)
    resource = model.name.partition("@")[0]
    return ModelVersion(
        name=model.display_name,
        version=next((version for version in own if version), model.version_id),
        uri=facts.get("uri") or model.artifact_uri,
        digest=f"sha256:{digest_of(labels['flowyml-digest'])}"
        if "flowyml-digest" in labels
        else "",
        registry=TYPE,
        created_at=model.version_create_time or model.create_time,
        registry_id=f"{resource}@{model.version_id}",
        key=digest_of(labels["flowyml-key"]) if "flowyml-key" in labels else None,
        framework=labels.get("flowyml-framework"),
        run_id=facts.get("run_id"),
        approval=labels.get("flowyml-approval", "none"),
        aliases=tuple(alias for alias in aliases if alias != "default"),
        metadata=facts.get("metadata", {}),
        input_schema=facts.get("input_schema"),
        output_schema=facts.get("output_schema"),
        serving_config=facts.get("serving_config", {}),
    )


def _count(model: ModelVersion) -> int:
    """Return Vertex AI's own number of a version."""
    return int(str(model.registry_id).rpartition("@")[2])


def _check_name(name: str) -> None:
    """Refuse a name that Vertex AI would refuse, in words that name it."""
    if not name.strip() or not name.isprintable():
        message = f"Vertex AI takes no model named {name!r}; use letters that can be printed"
        raise DeliveryError(message)
    if len(name) > LONGEST_NAME:
        message = (
            f"the model name {name!r} has {len(name)} characters, and Vertex AI allows "
            f"{LONGEST_NAME}; use a shorter one"
        )
        raise DeliveryError(message)


def _folder(registration: Registration) -> str:
    """Return the folder that holds the data files: below the artifact's own where they are new."""
    stored = registration.stored
    return "/".join(part for part in (stored.uri.rstrip("/"), stored.manifest.generation) if part)


def _labels(registration: Registration, context: DeliveryContext) -> dict[str, str]:
    labels = {
        **MANAGED,
        "flowyml-digest": digest_label(registration.stored.digest),
        "flowyml-key": digest_label(context.key),
        "flowyml-run": label_value(context.run.run_id),
        "flowyml-pipeline": label_value(context.run.pipeline),
        "flowyml-step": label_value(context.producer.step),
    }
    if registration.framework:
        labels["flowyml-framework"] = label_value(registration.framework)
    if registration.version:
        labels["flowyml-version"] = label_value(registration.version, what="version")
    return labels


def _schemata(registration: Registration) -> dict[str, str]:
    """Pass on schemas that are files in Cloud Storage, the only form that Vertex AI takes."""
    schemas = {
        "instance_schema_uri": registration.input_schema,
        "prediction_schema_uri": registration.output_schema,
    }
    return {
        name: schema
        for name, schema in schemas.items()
        if isinstance(schema, str) and schema.startswith("gs://")
    }


def _description(registration: Registration) -> str:
    """Keep what has no field of its own as JSON; leave out the largest where it is too long."""
    producer = registration.stored.manifest.producer
    facts = {
        "uri": registration.stored.uri,
        "run_id": producer.run_id if producer else None,
        "metadata": registration.metadata,
        "serving_config": registration.serving_config,
        "input_schema": registration.input_schema,
        "output_schema": registration.output_schema,
    }
    text = json.dumps(facts, default=str)
    while len(text) > LONGEST_DESCRIPTION:
        largest = max(facts, key=lambda name: len(json.dumps(facts[name], default=str)))
        facts.pop(largest)
        text = json.dumps({**facts, "cut": f"{largest} is in artifact.json"}, default=str)
    return text


def _facts(description: str) -> dict[str, Any]:
    try:
        facts = json.loads(description or "{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
