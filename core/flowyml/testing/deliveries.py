"""What the core hands to a component, made without the core."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from attrs import define, field

from flowyml.records import DeliveryContext, Producer, RunInfo, StoredArtifact
from flowyml.serialization import pack
from flowyml.storage.files import StoreRequest
from flowyml.storage.local_folders import LocalFolders

__all__ = ["Deliveries"]


@define
class Deliveries:
    """Makes contexts and stored artifacts of one run.

    Attributes:
        run: The run.
        folder: Where its artifacts are stored.
    """

    run: RunInfo
    folder: Path
    _made: Iterator[int] = field(factory=itertools.count, init=False)

    @classmethod
    def of(cls, run_id: str, folder: Path) -> Deliveries:
        """Return the deliveries of a run with this id, which began on a day in 2026."""
        run = RunInfo(run_id, "fraud", "local", datetime(2026, 5, 1, 12, tzinfo=UTC))
        return cls(run, folder)

    def context(self, step: str = "train", output: str = "metrics", at: int = 0) -> DeliveryContext:
        """Return a context with a key of its own, made ``at`` milliseconds after the run began."""
        name = f"{self.run.run_id} {step} {output} {next(self._made)}"
        return DeliveryContext(
            key=hashlib.sha256(name.encode()).hexdigest(),
            run=self.run,
            producer=Producer(self.run.pipeline, self.run.run_id, step, output),
            made_at=self.run.started_at + timedelta(milliseconds=at),
        )

    def stored(
        self,
        value: Any,
        type_name: str,
        step: str = "train",
        output: str = "out",
        format: str | None = None,  # noqa: A002  # the word of rules
    ) -> StoredArtifact:
        """Store a value as the local store does, in a format by name where one is given."""
        context = self.context(step, output)
        packed = pack(
            value,
            type_name=type_name,
            name=output,
            producer=context.producer,
            key=context.key,
            format=format,
        )
        path = f"{self.run.run_id}/{step}/{output}"
        request = StoreRequest(path=path, manifest=packed.manifest, write=packed.write)
        stored = LocalFolders.at(self.folder).store(request, key=context.key)
        return attrs.evolve(stored, store="artifact_store")
