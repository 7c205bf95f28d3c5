"""The Vertex AI Model Registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from attrs import define, evolve

from flowyml.errors import DeliveryError, NotFoundError
from flowyml.plugins import ModelRegistry, hookimpl
from flowyml.plugins.versions import settle, unless_other
from flowyml.records import ApprovalStatus, DeliveryContext, ModelVersion, Registration
from flowyml_gcp.containers import container_spec
from flowyml_gcp.names import (
    MODEL_PREFIX,
    digest_label,
    is_alias,
    label_value,
    resource_id,
    version_alias,
)
from flowyml_gcp.versions import (
    description,
    folder,
    is_ours,
    labels_of,
    model_version,
    predict_schemata,
)
from flowyml_gcp.vertex import VertexComponent

__all__ = ["VertexModelRegistry"]

LONGEST_NAME: Final = 128

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
        given = registration
        for _ in range(MOST_TRIES):
            self.wait_for_others(self.models, name, doing)
            if found := self._registered(registration, context):
                return found
            try:
                operation = self.models.upload_model(request=self._upload(given, context))
            except Conflict:  # another process was faster with this name or version
                continue
            done = self.wait(operation, doing)
            made = f"{name}@{done.model_version_id}"
            if found := self._settled(registration, context, made):
                return found
            given = evolve(registration, version=self._next(name))
        message = f"others keep registering versions of {registration.name!r} in Vertex AI"
        raise DeliveryError(message, transient=True)

    def _settled(
        self, registration: Registration, context: DeliveryContext, resource: str
    ) -> ModelVersion | None:
        """Return the version that a registration has; of what it made, a later one is deleted.

        Vertex AI refuses no version of the user's while another one of it is being uploaded, and
        whoever waits for the others sees all of them. None where nobody gave a version, and what
        it was counted as is a version of somebody's own.

        Raises:
            DeliveryError: Another process was faster, with another model.
        """
        name, what = self._name(registration.name), f"register {registration.name!r}"
        self.wait_for_others(self.models, name, what)
        if registration.version is None:
            same = self._versions(name, f'labels.flowyml-key="{digest_label(context.key)}"')
            resource = self._first(sorted(same, key=_count), resource)
        version = self._get(resource).version
        first = self._first(self._of_version(name, version), resource)
        if first == resource:
            self._name_version(first, version)
        elif registration.version is None:
            return None
        return unless_other(self._get(first), registration)

    def _first(self, claims: Sequence[ModelVersion], own: str) -> str:
        """Return the resource that was there first; our own is deleted where it was not."""
        return settle([str(one.registry_id) for one in claims] or [own], [own], self._give_up)

    def _of_version(self, name: str, version: str) -> list[ModelVersion]:
        """List what bears a version, the first one first; it is one unless two compete."""
        found = list(self._versions(name, f'labels.flowyml-version="{label_value(version)}"'))
        counted = self._looked_up(f"{name}@{version}") if version.isdecimal() else None
        if counted and counted.version == version and counted not in found:
            found.append(counted)
        return sorted(found, key=_count)

    def _name_version(self, resource: str, version: str) -> None:
        """Give a version its alias back, which a later one had meanwhile."""
        model = self.models.get_model(request={"name": resource})
        alias = version_alias(version)
        if "flowyml-version" in model.labels and alias not in model.version_aliases:
            self.models.merge_version_aliases(
                request={"name": resource, "version_aliases": [alias]}
            )

    def _next(self, name: str) -> str:
        """Return the number after all that are versions of a model already."""
        versions = [one.version for one in self._versions(name)]
        numbers = [int(one) for one in versions if one.isascii() and one.isdecimal()]
        return str(max(numbers, default=0) + 1)

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
        same = self._of_version(self._name(registration.name), registration.version)
        return unless_other(same[0], registration) if same else None

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
                "artifact_uri": folder(registration),
                "container_spec": container_spec(registration, self.region),
                "predict_schemata": predict_schemata(registration),
                "version_description": description(registration),
                "version_aliases": [version_alias(registration.version)]
                if registration.version
                else [],
                "labels": labels_of(registration, context),
            },
        }

    @hookimpl
    def get_model(self, name: str, version: str | None) -> ModelVersion | None:
        """Look for the user's version, then for an alias, then for Vertex AI's own number."""
        resource = self._name(name)
        if version is None:
            return max(self._versions(resource), key=lambda found: found.created_at, default=None)
        own = self._looked_up(f"{resource}@{version_alias(version)}")
        if own and own.version == version:
            return own
        # Somebody may have moved the alias of the user's version, and not its label.
        if of_version := self._of_version(resource, version):
            return of_version[0]
        return self._looked_up(f"{resource}@{version}") if is_alias(version) else None

    @hookimpl
    def list_models(self, name: str | None) -> Sequence[ModelVersion]:
        """List the versions of one model, or of every model that FlowyML registered."""
        if name is not None:
            names = [self._name(name)]
        else:
            # Not by label: a version that others uploaded may be the one that is listed.
            found_names = self.models.list_models(request={"parent": self.parent})
            names = [
                model.name.partition("@")[0]
                for model in found_names
                if model.name.rpartition("/")[2].startswith(MODEL_PREFIX)
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
        from google.api_core.exceptions import NotFound

        try:
            self.models.get_model(request={"name": resource})
        except NotFound:
            return False
        return True

    def _looked_up(self, resource: str) -> ModelVersion | None:
        """Return a version that FlowyML registered; None where there is none, or another's."""
        from google.api_core.exceptions import NotFound

        try:
            model = self.models.get_model(request={"name": resource})
        except NotFound:
            return None
        return model_version(model) if is_ours(model) else None

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
            yield from (model_version(model) for model in pages if is_ours(model))
        except NotFound:
            return


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
