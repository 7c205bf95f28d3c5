"""A prompt registry in a folder: one file of JSON for each version of a prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from attrs import define

from flowyml.plugins import Component, hookimpl
from flowyml.records import DeliveryContext, Receipt, StoredArtifact
from flowyml_prompts.prompts import Prompt

__all__ = ["FolderPromptRegistry"]


@define(slots=False)
class FolderPromptRegistry(Component):
    """Keeps prompts where people read them.

    Attributes:
        folder: Where the versions lie; made with the first one.
    """

    role: ClassVar[str] = "prompt_registry"
    flowyml_api: ClassVar[str] = ">=1,<2"

    folder: Path

    @hookimpl
    def publish_prompt(
        self, artifact: Prompt, stored: StoredArtifact, context: DeliveryContext
    ) -> Receipt:
        """Write the next version, unless this delivery wrote one before."""
        name = artifact.name or stored.manifest.name
        while True:
            known = list(self.versions(name))
            for version in known:
                if version["key"] == context.key:
                    return _receipt(version)
            version = {
                "name": name,
                "version": len(known) + 1,
                "text": artifact.data.text,
                "variables": list(artifact.data.variables),
                "uri": stored.uri,
                "digest": stored.digest,
                "key": context.key,
            }
            if self._written(version):
                return _receipt(version)

    def versions(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the versions of a prompt, the oldest first."""
        number = 1
        while (file := self._file(name, number)).exists():
            yield json.loads(file.read_text(encoding="utf-8"))
            number += 1

    def _written(self, version: dict[str, Any]) -> bool:
        """Write a version whole; False where somebody else was faster."""
        file = self._file(version["name"], version["version"])
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{version['key']}")
        draft.write_text(json.dumps(version, indent=2), encoding="utf-8")
        try:
            file.hardlink_to(draft)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _file(self, name: str, number: int) -> Path:
        """Return the file of a version: whatever a name is, it stays in the folder."""
        return self.folder / hashlib.sha256(name.encode()).hexdigest()[:16] / f"{number}.json"


def _receipt(version: dict[str, Any]) -> Receipt:
    return Receipt(f"{version['name']}@{version['version']}", {"digest": version["digest"]})
