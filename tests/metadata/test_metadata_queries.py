"""No list and no look-up reads more than it shows, however long the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.metadata.metadata_samples import a_delivery, a_run, an_artifact, digest_of

from flowyml.errors import NotFoundError
from flowyml.metadata.store import MetadataStore
from flowyml.records import DeliveryStatus, RunStatus

RUNS = 2000
OUTPUTS = 10
TABLES = {"runs", "steps", "artifacts", "lineage", "deliveries"}

INSTRUCTIONS = 10_000
"""Of SQLite's machine, for any of the queries below; reading 20,000 rows takes at least 60,000."""

QUERIES: dict[str, Callable[[MetadataStore], object]] = {
    "a run": lambda store: store.run("run-00500"),
    "a run by prefix": lambda store: store.run("run-0050"),
    "no run": lambda store: store.run("nothing"),
    "runs": lambda store: store.runs(limit=20),
    "runs of a pipeline": lambda store: store.runs(pipeline="pipeline-1", limit=20),
    "runs of no pipeline": lambda store: store.runs(pipeline="nothing", limit=20),
    "runs of a status": lambda store: store.runs(status=RunStatus.FAILED, limit=20),
    "runs of a pipeline and a status": lambda store: store.runs(
        pipeline="pipeline-1", status=RunStatus.RUNNING, limit=20
    ),
    "the steps of a run": lambda store: store.steps("run-00500"),
    "an artifact": lambda store: store.artifact(500),
    "artifacts": lambda store: store.artifacts(limit=20),
    "artifacts of a run": lambda store: store.artifacts(run_id="run-00500"),
    "artifacts of a step of a run": lambda store: store.artifacts(run_id="run-00500", step="s1"),
    "artifacts of a name of a run": lambda store: store.artifacts(run_id="run-00500", name="all"),
    "artifacts of a step": lambda store: store.artifacts(step="s1", limit=20),
    "artifacts of no step": lambda store: store.artifacts(step="nothing", limit=20),
    "artifacts of a name": lambda store: store.artifacts(name="all", limit=20),
    "artifacts of a type": lambda store: store.artifacts(type="Model", limit=20),
    "artifacts of a name and a type": lambda store: store.artifacts(
        name="all", type="Model", limit=20
    ),
    "artifacts of a step, a name and a type": lambda store: store.artifacts(
        step="s1", name="all", type="Model", limit=20
    ),
    "a reference that is a whole digest": lambda store: store.find_artifact(digest_of("common")),
    "a known digest": lambda store: store.knows_digest(digest_of("common")),
    "an unknown digest": lambda store: store.knows_digest(digest_of("nothing")),
    "a reference that is an id": lambda store: store.find_artifact("500"),
    "a reference that is a URI": lambda store: store.find_artifact(
        "file:///artifacts/run-00500/o1"
    ),
    "a reference that is an output": lambda store: store.find_artifact("run-0050/o1"),
    "a reference that is a name": lambda store: store.find_artifact("all"),
    "a reference that is a digest": lambda store: store.find_artifact(digest_of("common")[:12]),
    "a reference that is a step and its output": lambda store: store.find_artifact("s1.o1"),
    "a reference to no output of a step": lambda store: store.find_artifact("s1.nothing"),
    "a reference to nothing": lambda store: store.find_artifact("nothing"),
    "lineage": lambda store: store.lineage(5005),
    "near lineage": lambda store: store.lineage(5005, depth=2),
    "deliveries": lambda store: store.deliveries("run-00500"),
    "a delivery": lambda store: store.delivery(digest_of("nothing")),
    "the debts of a run": lambda store: store.debts("run-00500"),
    "all debts": lambda store: store.debts(),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetadataStore]:
    """Give a store with 20,000 artifacts, most of them of one name, one type and one digest."""
    path: Path = tmp_path_factory.mktemp("history") / "metadata.db"
    with MetadataStore.open(path) as store:
        with store.transaction():
            for number in range(RUNS):
                _add_run(store, number)
        yield store


def _add_run(store: MetadataStore, number: int) -> None:
    run_id = f"run-{number:05}"
    status = RunStatus.FAILED if number == RUNS // 2 else RunStatus.RUNNING
    store.add_run(a_run(run_id, pipeline=f"pipeline-{number % 2}", status=status))
    store.add_steps(run_id, ["s0", "s1"])
    parents: list[int] = []
    for output in range(OUTPUTS):
        digest = digest_of("common" if output else run_id)
        artifact = an_artifact(
            f"o{output}", run_id=run_id, step=f"s{output % 2}", name="all", digest=digest
        )
        parents = [store.add_artifact(artifact, parents)]
    owed = DeliveryStatus.FAILED if number == RUNS // 2 else DeliveryStatus.DONE
    store.add_deliveries(
        [a_delivery(run_id=run_id, output=f"o{output}", status=owed) for output in range(OUTPUTS)]
    )


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_scans_a_table(store: MetadataStore, query: str) -> None:
    """SQLite's plan for every statement searches an index; only the newest are read in order."""
    statements: list[str] = []
    store._database._connection.set_trace_callback(statements.append)
    with suppress(NotFoundError):
        QUERIES[query](store)
    store._database._connection.set_trace_callback(None)

    assert statements
    for statement in statements:
        plan = [row[3] for row in store._database.rows(f"EXPLAIN QUERY PLAN {statement}")]
        scans = [line for line in plan if "SCAN" in line and line.split()[1] in TABLES]
        # This index holds nothing but debts.
        scans = [line for line in scans if not line.endswith("USING INDEX debts_by_run")]
        # A list without conditions walks the table from its newest row to its limit.
        unconditional = "WHERE" not in statement and "ORDER BY id DESC LIMIT" in statement
        assert not scans or (unconditional and len(plan) == 1), (statement, plan)


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_works_more_than_its_answer_asks_for(store: MetadataStore, query: str) -> None:
    """The work is counted in instructions of SQLite's machine, which no busy computer changes."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 100
        return 0

    store._database._connection.set_progress_handler(count, 100)
    with suppress(NotFoundError):
        QUERIES[query](store)
    store._database._connection.set_progress_handler(None, 0)

    assert counted < INSTRUCTIONS
