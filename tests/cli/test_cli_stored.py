"""``flowyml artifact get``, ``verify`` and ``gc`` on what real runs stored."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import Ask, Install

from flowyml import load
from flowyml.errors import IntegrityError

REPLACES = """\
stacks:
  keeps:
    artifact_store: { type: local, path: kept }
    artifact_routing:
      default: { path: "{output_name}", overwrite: true }
  elsewhere:
    artifact_store: { type: local, path: elsewhere }
    artifact_routing:
      default: { path: "{output_name}" }
active_stack: keeps
"""


@pytest.fixture
def run_id(flowyml: Ask, project: Path) -> str:
    """Run a pipeline and give the id of the run."""
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    (run,) = flowyml("run", "pipeline.py", "-o", "json").objects
    return str(run["run_id"])


def stored(project: Path, run_id: str, output: str) -> Path:
    """Return the one data file of an output in the store."""
    folder = project / ".flowyml" / "artifacts" / run_id / output
    (file,) = [path for path in folder.iterdir() if path.name != "artifact.json"]
    return file


@pytest.mark.parametrize(
    "reference",
    [
        "{run}/model",
        "run:{run}/model",
        "model:mean@1.0.0",
        "mean",
        "train.model",
        "{run}/train.model",
        "{run}:train.model",
    ],
)
def test_an_artifact_is_fetched(flowyml: Ask, project: Path, run_id: str, reference: str) -> None:
    """Its files are what the store has; the command tells where they are now."""
    answer = flowyml("artifact", "get", reference.format(run=run_id), "--to", "here")

    source = stored(project, run_id, "model")
    copy = project / "here" / source.name
    assert answer.code == 0
    assert answer.out == f"here/{source.name}\n"
    assert copy.read_bytes() == source.read_bytes()
    assert list(copy.parent.iterdir()) == [copy]


def test_what_a_run_tells_names_an_artifact(flowyml: Ask, project: Path) -> None:
    """``show``, ``lineage`` and ``get`` find each ``step.output``, that of the last run."""
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    flowyml("run", "pipeline.py")
    told = flowyml("run", "pipeline.py").out
    places = re.findall(r"^(\w+\.\w+)  ", told, re.MULTILINE)
    run_id = re.findall(r"^run (\S+):", told, re.MULTILINE)[0]

    assert places == ["load_data.data", "train.model", "evaluate.metrics", "report.report"]
    for place in places:
        for command in ("show", "lineage"):
            found = flowyml("artifact", command, place, "-o", "json").objects
            named = {f"{item['step']}.{item['output']}": item["run_id"] for item in found}
            assert named[place] == run_id
        assert flowyml("artifact", "get", place, "--to", f"got/{place}").code == 0


def test_an_artifact_is_fetched_into_a_folder_of_its_name(
    flowyml: Ask, project: Path, run_id: str
) -> None:
    """JSON tells name, path, size and SHA-256 of each file."""
    (file,) = flowyml("artifact", "get", f"{run_id}/model", "-o", "json").objects

    content = (project / file["path"]).read_bytes()
    assert Path(file["path"]).parent == Path("mean")
    assert file["size"] == len(content)
    assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_nothing_is_overwritten(flowyml: Ask, project: Path, run_id: str) -> None:
    """A file that is there already stays, and is named."""
    flowyml("artifact", "get", f"{run_id}/model", "--to", "here")
    copy = next((project / "here").iterdir())
    copy.write_text("mine now")

    answer = flowyml("artifact", "get", f"{run_id}/model", "--to", "here")

    assert answer.code == 2
    assert f"{copy.relative_to(project)} exists already" in answer.err
    assert copy.read_text() == "mine now"


def test_a_folder_that_cannot_be_is_told(flowyml: Ask, run_id: str) -> None:
    """Such as one whose name is longer than the system has it."""
    answer = flowyml("artifact", "get", f"{run_id}/model", "--to", 300 * "x")

    assert answer.code == 2
    assert re.search(r"cannot be copied into x+: .*name too long.*another with --to", answer.err)


def test_what_was_changed_is_not_fetched(flowyml: Ask, project: Path, run_id: str) -> None:
    """One flipped bit: exit code 1, and no file, not even a part of it."""
    flip_a_bit(stored(project, run_id, "model"))

    answer = flowyml("artifact", "get", f"{run_id}/model", "--to", "here")

    assert answer.code == 1
    assert answer.err.startswith("Error: ")
    assert list(project.glob("here/*")) == []


def flip_a_bit(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_what_is_whole_is_verified(flowyml: Ask, run_id: str) -> None:
    """Every artifact, or one."""
    everything = flowyml("artifact", "verify", "--all", "-o", "json")
    one = flowyml("artifact", "verify", f"{run_id}/model", "-o", "json")

    assert (everything.code, one.code) == (0, 0)
    assert [item["status"] for item in everything.objects] == ["ok"] * 4
    assert [item["name"] for item in one.objects] == ["mean"]


def forge(manifest: Path) -> None:
    """Give the manifest's only file the digest of what lies there, after changing it."""
    facts: dict[str, Any] = json.loads(manifest.read_text())
    name = facts["files"][0]["name"]
    (manifest.parent / name).write_bytes(b"{}")
    facts["files"][0] |= {"size": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    manifest.write_text(json.dumps(facts))


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "unmanifest", "forge"])
def test_what_is_not_what_was_written_is_found(
    flowyml: Ask, project: Path, run_id: str, damage: str
) -> None:
    """Whatever happened to the files of one artifact; the others are still whole."""
    file = stored(project, run_id, "model")
    damages: dict[str, Callable[[], object]] = {
        "flip": lambda: flip_a_bit(file),
        "truncate": lambda: file.write_bytes(file.read_bytes()[:-1]),
        "delete": file.unlink,
        "unmanifest": (file.parent / "artifact.json").unlink,
        "forge": lambda: forge(file.parent / "artifact.json"),
    }
    damages[damage]()

    answer = flowyml("artifact", "verify", "--all", "-o", "json")

    assert answer.code == 1
    failed = {item["name"]: item["error"] for item in answer.objects if item["status"] == "failed"}
    assert list(failed) == ["mean"]
    assert failed["mean"]


TORN = """\
from attrs import define, frozen

from flowyml.plugins import hookimpl
from flowyml_local.storage import LocalArtifactStore


@frozen
class Source:
    manifest: object

    def open(self, name):
        raise KeyError("ETag")


@define(slots=False)
class Torn(LocalArtifactStore):
    \"\"\"Stumbles over what its server answers about one artifact.\"\"\"

    @hookimpl
    def load_artifact(self, uri):
        source = super().load_artifact(uri)
        return Source(source.manifest) if source.manifest.name == "mean" else source
"""


def test_a_store_that_stumbles_is_one_failure_of_many(
    flowyml: Ask, project: Path, install: Install
) -> None:
    """Whatever its client raises, the other artifacts are read, and what to do is said."""
    install("torn", {"torn": TORN}, "[flowyml.artifact_store]\ntorn = torn:Torn\n")
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    (project / "flowyml.yaml").write_text("plugins: { artifact_store: { type: torn } }\n")
    assert flowyml("run", "pipeline.py").code == 0

    answer = flowyml("artifact", "verify", "--all", "-o", "json")

    assert answer.code == 1
    assert [item["status"] for item in answer.objects] == ["ok", "ok", "failed", "ok"]
    error = answer.objects[2]["error"]
    assert error.startswith("file://")
    assert "/model cannot be read: KeyError: 'ETag'; see that its store answers" in error


@pytest.fixture
def replaced(flowyml: Ask, project: Path) -> tuple[str, str]:
    """Let a second run replace what the first one stored; give the ids of both."""
    (project / "pipeline.py").write_text(cli_pipelines.MAIN)
    (project / "flowyml.yaml").write_text(REPLACES)
    ran = [flowyml("run", "pipeline.py", "-p", f"rows={n}", "-o", "json") for n in (3, 5)]
    assert [answer.code for answer in ran] == [0, 0]
    return (ran[0].objects[0]["run_id"], ran[1].objects[0]["run_id"])


def test_what_a_later_run_replaced_is_no_failure(flowyml: Ask, replaced: tuple[str, str]) -> None:
    """The run that replaced it is named, also to whoever wants to fetch or load the old one."""
    first, second = replaced

    checked = flowyml("artifact", "verify", "--all", "-o", "json")
    table = flowyml("artifact", "verify", f"{first}/model")
    fetched = flowyml("artifact", "get", f"{first}/model")
    newest = flowyml("artifact", "get", f"{second}/model", "--to", "here")

    assert checked.code == table.code == newest.code == 0
    told = [(item["run_id"], item["status"], item["replaced_by"]) for item in checked.objects]
    names = ("report", "metrics", "model", "data")
    assert told == [(second, "ok", None)] * 4 + [
        (first, "replaced", f"{second}/{name}") for name in names
    ]
    assert table.out.endswith(f"  replaced by {second}/model\n")
    assert fetched.code == 1
    assert f"{second}/model replaced it" in fetched.err
    with pytest.raises(IntegrityError, match=f"{second}/model replaced it"):
        load(f"run:{first}/model")


def test_old_bytes_that_somebody_put_back_are_a_failure(
    flowyml: Ask, project: Path, replaced: tuple[str, str]
) -> None:
    """They are what an earlier run of the project stored, and nothing that came later."""
    first, second = replaced
    flowyml("run", "pipeline.py", "-p", "rows=3", "--stack", "elsewhere")
    here, elsewhere = (project / store / "model" for store in ("kept", "elsewhere"))
    shutil.rmtree(here)
    shutil.copytree(elsewhere, here)

    checked = flowyml("artifact", "verify", "--all", "-o", "json").objects

    found = {
        item["run_id"]: (item["status"], item["error"])
        for item in checked
        if item["name"] == "mean" and item["run_id"] in replaced
    }
    assert found[first] == ("ok", None)
    assert found[second][0] == "failed"
    assert "somebody replaced it" in found[second][1]


def test_what_is_wrong_with_a_stack_is_told_on_one_line(
    flowyml: Ask, project: Path, replaced: tuple[str, str]
) -> None:
    """Such as that flowyml.yaml has it no more; another one that has its store can be named."""
    text = (project / "flowyml.yaml").read_text()
    for old, new in (("keeps:", "keep:"), ("kept", "moved"), ("k: keeps", "k: elsewhere")):
        assert old in text
        text = text.replace(old, new)
    (project / "flowyml.yaml").write_text(text)

    answer = flowyml("artifact", "verify", f"{replaced[1]}/model")

    assert answer.code == 1
    assert len(answer.out.splitlines()) == 2
    assert "was stored on the stack 'keeps', which cannot be used" in answer.out
    assert "\\n" not in answer.out
    text = text.replace("path: moved", "path: kept")
    (project / "flowyml.yaml").write_text(text)
    assert flowyml("artifact", "verify", f"{replaced[1]}/model", "--stack", "keep").code == 0


@pytest.mark.usefixtures("run_id")
def test_by_default_nothing_new_is_collected(flowyml: Ask, project: Path) -> None:
    """A run of today keeps what it stored."""
    assert flowyml("artifact", "gc", "--dry-run").out == "Nothing to collect.\n"
    assert flowyml("artifact", "gc").out == "Nothing to collect.\n"
    assert flowyml("artifact", "verify", "--all").code == 0


def test_what_nothing_needs_is_collected(flowyml: Ask, project: Path, run_id: str) -> None:
    """A registered model stays, with the data it was made from; what was made from it goes."""
    options = ("artifact", "gc", "--keep-runs", "0", "--older-than", "0d")
    folder = project / ".flowyml" / "artifacts" / run_id

    said = flowyml(*options, "--dry-run", "-o", "json").objects
    before = sorted(path.name for path in folder.iterdir())
    done = flowyml(*options, "-o", "json").objects

    assert [item["output"] for item in said] == ["report", "metrics"]
    assert [item["output"] for item in done] == ["report", "metrics"]
    assert before == ["data", "metrics", "model", "report"]
    assert sorted(path.name for path in folder.iterdir()) == ["data", "model"]
    assert flowyml(*options).out == "Nothing to collect.\n"
    assert flowyml("artifact", "verify", "--all").code == 0


def test_what_was_collected_is_still_known(flowyml: Ask, run_id: str) -> None:
    """The list and the lineage say that it is gone; fetching it says so too."""
    flowyml("artifact", "gc", "--keep-runs", "0", "--older-than", "0d")

    listed = flowyml("artifact", "list", "-o", "json").objects
    related = flowyml("artifact", "lineage", f"{run_id}/model", "-o", "json").objects
    fetched = flowyml("artifact", "get", f"{run_id}/report")

    statuses = {item["output"]: item["status"] for item in listed}
    assert statuses == {
        "report": "collected",
        "metrics": "collected",
        "model": "stored",
        "data": "stored",
    }
    assert [item["output"] for item in related] == ["report", "metrics", "model", "data"]
    assert fetched.code == 2
    assert "was collected on" in fetched.err


def test_nothing_to_collect_where_nothing_ran(flowyml: Ask, project: Path) -> None:
    """And nothing is made by asking."""
    assert flowyml("artifact", "gc").out == "Nothing to collect.\n"
    assert flowyml("artifact", "verify", "--all").out == "No artifacts.\n"
    assert list(project.iterdir()) == []
