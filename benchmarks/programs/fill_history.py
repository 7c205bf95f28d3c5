"""Write a long history into the metadata store of this folder."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flowyml.metadata.rows import ArtifactRecord, RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import RunStatus

runs, artifacts = int(sys.argv[1]), int(sys.argv[2])
each = artifacts // runs
begin = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = ("data", "features", "model", "metrics", "report", "a", "b", "c", "d", "e")

with MetadataStore.open(Path(".flowyml/metadata.db")) as store:
    for first in range(0, runs, 1000):
        with store.transaction():
            for number in range(first, min(first + 1000, runs)):
                run_id, at = f"run-{number:06}", begin + timedelta(minutes=number)
                store.add_run(RunRecord(run_id, "bench", "local", RunStatus.DONE, at))
                before: list[int] = []
                for output in OUTPUTS[:each]:
                    record = ArtifactRecord(
                        run_id=run_id,
                        pipeline="bench",
                        step=f"make_{output}",
                        output=output,
                        type="dict",
                        name=output,
                        version=None,
                        store="artifact_store",
                        uri=f"file:///artifacts/{run_id}/{output}",
                        digest=f"sha256:{number * 16 + len(before):064x}",
                        size=100,
                        manifest={"serializer": "json", "name": output, "files": []},
                        created_at=at,
                    )
                    before = [store.add_artifact(record, before[-1:])]
