"""The model registry ``sagemaker_model_registry``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from attrs import define, evolve, field

from flowyml.errors import NotFoundError
from flowyml.plugins import ModelRegistry, hookimpl
from flowyml.plugins.versions import settle, unless_other
from flowyml.records import ApprovalStatus, Check, DeliveryContext, ModelVersion, Registration
from flowyml_aws.bundles import make_bundle
from flowyml_aws.checks import looked_at
from flowyml_aws.faults import code_of, explained, is_missing, message_of
from flowyml_aws.images import image_for
from flowyml_aws.names import quote, tag_list, tag_map
from flowyml_aws.packages import (
    ALIAS,
    APPROVALS,
    NAME,
    Summary,
    check_name,
    group_name,
    model_version,
    package_fields,
)
from flowyml_aws.sagemaker import SageMakerComponent
from flowyml_aws.storage import S3ArtifactStore

__all__ = ["SageMakerModelRegistry"]

LONGEST_COMMENT = 1024


@define(slots=False)
class SageMakerModelRegistry(SageMakerComponent, ModelRegistry):
    """Registers models in the SageMaker Model Registry: a package group a model.

    Attributes:
        images: Image by framework, in place of AWS's own images.
        tags: Tags of new package groups.
    """

    type: ClassVar[str] = "sagemaker_model_registry"
    reads_schemes: ClassVar[frozenset[str] | None] = frozenset({"s3"})

    images: dict[str, str] = field(factory=dict)
    tags: dict[str, str] = field(factory=dict)

    @hookimpl
    def register_model(self, registration: Registration, context: DeliveryContext) -> ModelVersion:
        """Make the bundle, then the package, unless this delivery or version is there already."""
        check_name(registration.name)
        doing = f"registering {registration.name!r} in SageMaker"
        with explained(doing):
            self._make_group(registration.name)
            if found := self._registered(registration, context.key):
                return found
            image = self._image(registration)
        stored = registration.stored
        with explained(f"making the model.tar.gz of {stored.uri}"):
            bundle = make_bundle(
                self._store_of(stored.uri),
                stored.uri,
                stored.digest,
                framework=registration.framework,
            )
        with explained(doing):
            given = registration
            while True:
                fields = package_fields(given, context, bundle, image)
                arn = self.client.create_model_package(**fields)["ModelPackageArn"]
                version = given.version or arn.rpartition("/")[2]
                if found := self._settled(registration, arn, version):
                    return found
                given = evolve(registration, version=self._next(registration.name))

    def _settled(self, registration: Registration, arn: str, version: str) -> ModelVersion | None:
        """Return the version that a registration has; of what it made, a later one is deleted.

        None where nobody gave one, and what it was counted as is a version of somebody's own.

        Raises:
            DeliveryError: Another process was faster, with another model.
        """
        same = [one.arn for one in self._of_version(registration.name, version)]
        first = settle(same or [arn], [arn], self._give_up)
        if registration.version is None and first != arn:
            return None
        found = self._describe(first, self._aliases(registration.name))
        return unless_other(found, registration)

    def _next(self, name: str) -> str:
        """Return the number after all that are versions of a model already."""
        versions = [one.version for one in self._summaries(name)]
        numbers = [int(one) for one in versions if one.isascii() and one.isdecimal()]
        return str(max(numbers, default=0) + 1)

    def _give_up(self, arn: str) -> None:
        try:
            self.client.delete_model_package(ModelPackageName=arn)
        except Exception as error:  # another process does the same delivery
            if not is_missing(error):
                raise

    def _store_of(self, uri: str) -> S3ArtifactStore:
        return self.store.covering(uri)

    def _image(self, registration: Registration) -> str:
        wanted = registration.serving_config.get("image") or self.images.get(
            registration.framework or ""
        )
        return wanted or image_for(
            registration.framework,
            region=self.account.region_name,
            instance_type=registration.serving_config.get("instance_type"),
            name=registration.name,
        )

    def _make_group(self, name: str) -> None:
        group = group_name(name)
        try:
            self.client.describe_model_package_group(ModelPackageGroupName=group)
        except Exception as error:
            if not is_missing(error):
                raise
        else:
            return
        try:
            self.client.create_model_package_group(
                ModelPackageGroupName=group,
                ModelPackageGroupDescription=f"FlowyML model {name}"[:1024],
                Tags=tag_list({**self.tags, NAME: name}),
            )
        except Exception as error:  # somebody else may have been faster
            if "already exists" not in message_of(error).lower():
                raise

    def _registered(self, registration: Registration, key: str) -> ModelVersion | None:
        """Find what this delivery made before, or the same version with the same digest."""
        for one in self._summaries(registration.name):
            if one.key == key:
                return self._settled(registration, one.arn, one.version)
        version = registration.version
        same = self._of_version(registration.name, version) if version is not None else ()
        if not same:
            return None
        found = self._describe(same[0].arn, self._aliases(registration.name))
        return unless_other(found, registration)

    def _of_version(self, name: str, version: str) -> list[Summary]:
        """List what bears a version, the first one first; it is one unless two compete."""
        found = self._summaries(name)
        return [one for one in reversed(list(found)) if one.version == version]

    @hookimpl
    def get_model(self, name: str, version: str | None) -> ModelVersion | None:
        """Find a version by the user's version or an alias, else the newest."""
        with explained(f"looking for {name!r} in SageMaker"):
            summaries = list(self._summaries(name))
            aliases = self._aliases(name) if summaries else {}
            wanted = [one for one in summaries if version in {None, one.version}]
            if not wanted and version in aliases:
                wanted = [one for one in summaries if one.version == aliases[version]]
            return self._describe(wanted[0].arn, aliases) if wanted else None

    @hookimpl
    def list_models(self, name: str | None) -> Sequence[ModelVersion]:
        """List the versions that FlowyML registered, newest first."""
        with explained("listing the models in SageMaker"):
            names = [name] if name is not None else list(self._names())
            found: list[ModelVersion] = []
            for one in names:
                aliases = self._aliases(one)
                found += [self._describe(it.arn, aliases) for it in self._summaries(one)]
            return sorted(found, key=lambda model: model.created_at, reverse=True)

    @hookimpl
    def set_approval(
        self, name: str, version: str, approval: ApprovalStatus, comment: str
    ) -> ModelVersion:
        """Set the approval status of the package."""
        with explained(f"setting the approval of {name}@{version} in SageMaker"):
            arn = self._arn(name, version)
            self.client.update_model_package(
                ModelPackageArn=arn,
                ModelApprovalStatus=APPROVALS[approval],
                ApprovalDescription=comment[:LONGEST_COMMENT],
            )
            return self._describe(arn, self._aliases(name))

    @hookimpl
    def set_alias(self, name: str, version: str, alias: str) -> ModelVersion:
        """Keep the alias as a tag of the group, which has one value at a time."""
        with explained(f"setting the alias {alias!r} of {name!r} in SageMaker"):
            arn = self._arn(name, version)
            group = self._group_arn(name)
            self.client.add_tags(ResourceArn=group, Tags=tag_list({ALIAS + quote(alias): version}))
            return self._describe(arn, self._aliases(name))

    def diagnose(self) -> Sequence[Check]:
        """Look whether the registry can be read."""
        return (looked_at("model registry", self._look),)

    def _look(self) -> str:
        with explained("reading the SageMaker Model Registry"):
            self.client.list_model_package_groups(MaxResults=1)
        return f"the SageMaker Model Registry answers in {self.account.region_name}"

    def _arn(self, name: str, version: str) -> str:
        for one in self._summaries(name):
            if one.version == version:
                return one.arn
        message = f"SageMaker has no version {version!r} of the model {name!r}"
        raise NotFoundError(message)

    def _describe(self, arn: str, aliases: dict[str, str]) -> ModelVersion:
        return model_version(self.client.describe_model_package(ModelPackageName=arn), aliases)

    def _summaries(self, name: str) -> Iterator[Summary]:
        """List the packages of a model, newest first; none where there is no such group."""
        entries = self._pages(
            self.client.list_model_packages,
            "ModelPackageSummaryList",
            ModelPackageGroupName=group_name(name),
        )
        found = [one for one in map(Summary.read, entries) if one is not None]
        yield from sorted(found, key=lambda one: one.number, reverse=True)

    def _names(self) -> Iterator[str]:
        groups = self._pages(self.client.list_model_package_groups, "ModelPackageGroupSummaryList")
        for group in groups:
            tags = self._tags(group["ModelPackageGroupArn"])
            if NAME in tags:
                yield tags[NAME]

    def _aliases(self, name: str) -> dict[str, str]:
        try:
            tags = self._tags(self._group_arn(name))
        except Exception as error:
            if is_missing(error):
                return {}
            raise
        return {
            key.removeprefix(ALIAS): value for key, value in tags.items() if key.startswith(ALIAS)
        }

    def _group_arn(self, name: str) -> str:
        found = self.client.describe_model_package_group(ModelPackageGroupName=group_name(name))
        return str(found["ModelPackageGroupArn"])

    def _tags(self, arn: str) -> dict[str, str]:
        return tag_map(list(self._pages(self.client.list_tags, "Tags", ResourceArn=arn)))

    def _pages(self, call: Callable[..., Any], entries: str, **asked: Any) -> Iterator[Any]:
        """Follow a listing to its end; a group that is not there has no entries."""
        following: dict[str, Any] = {}
        while True:
            try:
                page = call(**asked, **following)
            except Exception as error:
                if is_missing(error) or code_of(error) == "ResourceNotFound":
                    return
                raise
            yield from page.get(entries) or ()
            if not page.get("NextToken"):
                return
            following = {"NextToken": page["NextToken"]}
