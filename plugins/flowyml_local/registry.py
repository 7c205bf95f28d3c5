"""The model registry on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import attrs
from attrs import define, field

from flowyml.errors import DeliveryError, FlowyMLError, NotFoundError
from flowyml.plugins import ModelRegistry, hookimpl
from flowyml.plugins.versions import unless_other
from flowyml.records import (
    ApprovalStatus,
    Check,
    DeliveryContext,
    ModelVersion,
    Registration,
)
from flowyml_local.versions import REGISTRY, Versions, VersionTable

__all__ = ["LocalModelRegistry"]

LONGEST_NAME = 1000
"""Characters; more is most likely data that was taken for a name."""


@define(slots=False)
class LocalModelRegistry(ModelRegistry):
    """Keeps names and versions of stored models in an SQLite file.

    Any number of processes of one machine may use one registry.

    Attributes:
        path: Folder of the file ``models.db``.
    """

    stays_here: ClassVar[bool] = True

    path: Path = field(default=Path(".flowyml/registry"), converter=Path)

    @property
    def _table(self) -> VersionTable:
        return VersionTable(self.path / "models.db")

    @hookimpl
    def register_model(self, registration: Registration, context: DeliveryContext) -> ModelVersion:
        """Register a version, unless this delivery or the very same model did so before."""
        _check_name("model", registration.name)
        if registration.version is not None:
            _check_name("version", registration.version)
        with self._table.writing() as versions:
            existing = _existing(versions, registration, context.key)
            if existing is not None:
                return existing
            model = self._version(versions, registration, context)
            versions.add(model, self._own_folders())
        return model

    def _version(
        self, versions: Versions, registration: Registration, context: DeliveryContext
    ) -> ModelVersion:
        return ModelVersion(
            name=registration.name,
            version=registration.version or versions.next_number(registration.name),
            uri=registration.stored.uri,
            digest=registration.stored.digest,
            registry=REGISTRY,
            created_at=datetime.now(UTC),
            key=context.key,
            framework=registration.framework,
            run_id=context.run.run_id,
            metadata=registration.metadata,
            input_schema=registration.input_schema,
            output_schema=registration.output_schema,
            serving_config=registration.serving_config,
        )

    @hookimpl
    def get_model(self, name: str, version: str | None) -> ModelVersion | None:
        """Find a version by its number or by an alias; a version goes before an alias."""
        with self._table.reading() as versions:
            if versions is None:
                return None
            if version is None:
                return versions.newest(name)
            return versions.exact(name, version) or versions.aliased(name, version)

    @hookimpl
    def list_models(self, name: str | None) -> Sequence[ModelVersion]:
        """List versions in the order of their registration, the last one first."""
        with self._table.reading() as versions:
            return () if versions is None else versions.all(name)

    @hookimpl
    def set_approval(
        self, name: str, version: str, approval: ApprovalStatus, comment: str
    ) -> ModelVersion:
        """Write the decision beside the version."""
        with self._table.writing() as versions:
            model = _known(versions, name, version)
            versions.set_approval(name, version, approval, comment)
        return attrs.evolve(model, approval=approval)

    @hookimpl
    def set_alias(self, name: str, version: str, alias: str) -> ModelVersion:
        """Move the alias, in one transaction, so that it never points at two versions."""
        _check_name("alias", alias)
        with self._table.writing() as versions:
            _known(versions, name, version)
            if versions.exact(name, alias) is not None:
                message = f"{alias!r} is a version of the model {name!r}; choose another alias"
                raise DeliveryError(message)
            versions.set_alias(name, version, alias)
            return _known(versions, name, version)

    def code_of(self, name: str, version: str) -> Sequence[str]:
        """Return the folders that the classes of a model could be imported from when it was made.

        A pipeline's file is imported from where it lies. Whoever loads its models later, from
        another command, has to look there too; where the project was moved, at its new place first.
        """
        with self._table.reading() as versions:
            ways = () if versions is None else versions.code(name, version)
        return tuple(dict.fromkeys(map(os.path.abspath, (self.path / way for way in ways))))

    def _own_folders(self) -> list[str]:
        """Return where this process imports from besides its Python and what is installed in it.

        Each folder is named as seen from the registry, which moves with its project, and as it is.
        """
        installed = (sys.prefix, sys.base_prefix, sys.exec_prefix)
        folders = map(os.path.abspath, sys.path)
        own = (folder for folder in folders if not folder.startswith(installed))
        return [way for folder in own for way in (os.path.relpath(folder, self.path), folder)]

    def preflight(self) -> None:
        """Make sure that the file can be written."""
        with self._table.writing():
            pass

    def diagnose(self) -> Sequence[Check]:
        """Tell whether the registry can be written and how much is in it."""
        try:
            self.preflight()
            count = len(self.list_models(None))
        except FlowyMLError as error:
            fix = "set `path` of the model registry to a folder that may be written"
            return (Check("registry", ok=False, message=str(error), fix=fix),)
        found = f"{self.path} can be written; model versions in it: {count}"
        return (Check("registry", ok=True, message=found),)


def _existing(versions: Versions, registration: Registration, key: str) -> ModelVersion | None:
    """Return what was registered before under this key, or as this name and version."""
    model = versions.by_key(key)
    if model is None and registration.version is not None:
        model = versions.exact(registration.name, registration.version)
    return model and unless_other(model, registration)


def _known(versions: Versions, name: str, version: str) -> ModelVersion:
    model = versions.exact(name, version)
    if model is None:
        known = ", ".join(model.version for model in versions.all(name))
        hint = f"its versions: {known}" if known else "`flowyml model list` shows what there is"
        message = f"the local registry has no model {name!r} with a version {version!r}; {hint}"
        raise NotFoundError(message)
    return model


def _check_name(kind: str, name: str) -> None:
    """Refuse what no terminal shows and no SQLite file keeps; everything else is a name."""
    try:
        name.encode()
    except UnicodeEncodeError as cause:
        message = f"the {kind} {name!r} is not valid Unicode text; choose another {kind}"
        raise DeliveryError(message) from cause
    if not name.strip() or "\0" in name or len(name) > LONGEST_NAME:
        message = (
            f"{name[:60]!r} cannot be a {kind} in the local registry: it has to be text of 1 to "
            f"{LONGEST_NAME} characters without NUL"
        )
        raise DeliveryError(message)
