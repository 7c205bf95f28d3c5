"""What the core hands to a tracker or a registry, made without the core."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import define, field

from flowyml.records import DeliveryContext, Producer, RunInfo, StoredArtifact
from flowyml.serialization import pack
from flowyml.storage.files import StoreRequest
from flowyml_local.storage import LocalArtifactStore

__all__ = ["Deliveries", "new_run"]

numbers = itertools.count(1)


@define
class Deliveries:
    """Makes what the core hands to a component in one run.

    Attributes:
        run: The run.
        store: Where its artifacts lie.
    """

    run: RunInfo
    store: LocalArtifactStore
    _made: Iterator[int] = field(factory=itertools.count, init=False)

    def context(self, step: str = "train", output: str = "metrics", at: int = 0) -> DeliveryContext:
        """Return a context with a key of its own, made ``at`` milliseconds after the run began."""
        name = f"{self.run.run_id} {step} {output} {next(self._made)}"
        made_at = datetime.fromtimestamp(self.run.started_at.timestamp() + at / 1000, UTC)
        return DeliveryContext(
            key=hashlib.sha256(name.encode()).hexdigest(),
            run=self.run,
            producer=Producer(self.run.pipeline, self.run.run_id, step, output),
            made_at=made_at,
        )

    def stored(
        self, value: Any, type_name: str, step: str = "train", output: str = "out"
    ) -> StoredArtifact:
        """Store a value in the local store."""
        context = self.context(step, output)
        packed = pack(
            value, type_name=type_name, name=output, producer=context.producer, key=context.key
        )
        path = f"{self.run.run_id}/{step}/{output}"
        request = StoreRequest(path=path, manifest=packed.manifest, write=packed.write)
        return self.store.store_artifact(request, context)


def new_run(folder: Path) -> Deliveries:
    """Return a run with an id that no test had before, and its store in a folder."""
    run_id = f"run-{next(numbers)}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    run = RunInfo(run_id, "fraud", "local", datetime(2026, 5, 1, 12, tzinfo=UTC))
    return Deliveries(run, LocalArtifactStore(path=folder / "artifacts"))
