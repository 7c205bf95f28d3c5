"""The product's first example, run twice: its model has a version that is taken by then."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Ask

FLOW = """
import uuid
from flowyml import Model, Pipeline, step

@step(outputs=["model"])
def train() -> Model:
    return Model({"w": uuid.uuid4().hex}, name="fraud_detector", version="1.0.0")

pipeline = Pipeline("production").add_step(train)
"""


def test_a_version_that_is_taken_says_plainly_what_to_do(flowyml: Ask, project: Path) -> None:
    """In `run` and in `runs show`: what is in the way, whose it is, and the two ways out."""
    (project / "flow.py").write_text(FLOW)
    flowyml("run", "flow.py")
    (first,) = flowyml("runs", "list", "-o", "json").objects

    ran = flowyml("run", "flow.py")

    run_id = flowyml("runs", "list", "-o", "json").objects[0]["run_id"]
    shown = flowyml("runs", "show", run_id)
    assert ran.code == 3
    for out in (ran.out, shown.out):
        assert (
            f"the version '1.0.0' of 'fraud_detector' is another model already, from the run "
            f"{first['run_id']}, and a version never changes. Leave `version` out of the Model, "
            "and the registry counts, or give it another version; then run again"
        ) in out
    assert "train.model owes register_model" in shown.out
    assert "owed, see below" in shown.out
    assert "what the errors name is to be put right first" in shown.out
    assert ran.out.count("a version never changes") == 2, "once when it fails, once at the end"


def test_a_version_is_counted_where_none_is_given(flowyml: Ask, project: Path) -> None:
    """What the message advises works."""
    (project / "flow.py").write_text(FLOW.replace(', version="1.0.0"', ""))

    codes = [flowyml("run", "flow.py").code for _ in range(2)]

    versions = flowyml("model", "list", "-o", "json").objects
    assert codes == [0, 0]
    assert [version["version"] for version in versions] == ["2", "1"]
