"""Write a long history into the metadata store of this folder: all that runs leave there.

``fill_history.py RUNS ARTIFACTS`` writes one run through the store, and copies its rows in SQL: a
million artifacts would take minutes one by one.
"""

import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

from flowyml.metadata.rows import ArtifactRecord, DeliveryRecord, RunRecord
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, Manifest, Producer, RunStatus, StepStatus, StoredFile
from flowyml.routing.ledger import delivery_key
from flowyml.storage.manifests import manifest_to_json

RUN = "run-000000"
AT = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = ("data", "features", "model", "metrics", "report", "a", "b", "c", "d", "e")
FILE = Path(".flowyml/metadata.db")

MINUTE = 60_000_000
"""Microseconds; the runs follow each other at this distance."""


def manifest(output, number):
    """Return the manifest of a small dict."""
    return Manifest(
        type="dict",
        python_type="builtins:dict",
        artifact_class=None,
        serializer="json",
        serializer_version=1,
        files=(StoredFile("data.json", 100, f"{number:064x}"),),
        name=output,
        created_at=AT,
        producer=Producer("bench", RUN, f"make_{output}", output),
        key=delivery_key(RUN, f"make_{output}", output, "store_artifact", "artifact_store"),
    )


def add_output(store, output, number, before):
    """Add a step that is done, what it stored, and the delivery to the store."""
    step, uri = f"make_{output}", f"file:///artifacts/{RUN}/{output}"
    stored = manifest(output, number)
    delivery = DeliveryRecord(
        key=stored.key,
        run_id=RUN,
        step=step,
        output=output,
        hook="store_artifact",
        component="artifact_store",
        component_type="local",
        status=DeliveryStatus.DONE,
        created_at=AT,
        updated_at=AT,
        attempts=1,
        reference=uri,
        result={"digest": stored.digest, "size": 100, "store": "artifact_store"},
    )
    store.add_deliveries([delivery])
    artifact = ArtifactRecord(
        run_id=RUN,
        pipeline="bench",
        step=step,
        output=output,
        type="dict",
        name=output,
        version=None,
        store="artifact_store",
        uri=uri,
        digest=stored.digest,
        size=100,
        manifest=manifest_to_json(stored),
        created_at=AT,
    )
    store.set_step_status(RUN, step, StepStatus.DONE)
    return store.add_artifact(artifact, before)


def copied(table, columns, each):
    """Return the statement that gives each further run its rows of one table."""
    ways = {
        "id": f"id + n * {each}",
        "child": f"child + n * {each}",
        "parent": f"parent + n * {each}",
        "key": "lower(hex(randomblob(32)))",
        "digest": "'sha256:' || lower(hex(randomblob(32)))",
        **{name: f"{name} + n * {MINUTE}" for name in columns if name.endswith("_at")},
    }
    if table == "runs":
        ways["id"] = "id + n"
    values = ", ".join(
        ways.get(
            name,
            f"CASE typeof({name}) WHEN 'text' THEN replace({name}, '{RUN}', "
            f"printf('run-%06d', n)) ELSE {name} END",
        )
        for name in columns
    )
    return f"""
        WITH RECURSIVE counted (n) AS (
            SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?
        )
        INSERT INTO {table} ({", ".join(columns)})
        SELECT {values} FROM counted CROSS JOIN (SELECT * FROM {table})
    """  # noqa: S608  # names of tables and columns are no parameters


runs, artifacts = int(sys.argv[1]), int(sys.argv[2])
outputs = OUTPUTS[: artifacts // runs]

with MetadataStore.open(FILE) as store, store.transaction():
    store.add_run(RunRecord(RUN, "bench", "local", RunStatus.DONE, AT))
    store.add_steps(RUN, [f"make_{output}" for output in outputs])
    before = []
    for number, output in enumerate(outputs):
        before = [add_output(store, output, number, before)]

if runs > 1:
    connection = sqlite3.connect(FILE, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -1000000")
    connection.execute("BEGIN")
    for table in ("runs", "steps", "artifacts", "lineage", "deliveries"):
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
        connection.execute(copied(table, columns, len(outputs)), (runs - 1,))
    connection.execute("COMMIT")
    connection.close()
