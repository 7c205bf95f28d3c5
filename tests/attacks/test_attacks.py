"""Whatever lies in a store: loading it runs nothing, and it is refused by name."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import frozen
from tests.attacks.hostile_artifacts import ATTACKS, Attack

import flowyml
from flowyml import Pipeline, step
from flowyml.cli import main
from flowyml.errors import FlowyMLError, IntegrityError, NotFoundError

MOST_MEMORY = 64 * 2**20
"""Bytes that are allocated at most before an artifact is refused."""


@frozen
class Target:
    """A project that is attacked.

    Attributes:
        folder: The project.
        mark: Exists once hostile code has run.
        outside: A file that is no part of any artifact.
    """

    folder: Path
    mark: Path
    outside: Path

    def forged(self, attack: Attack) -> str:
        """Put a hostile artifact into the store where no run put any, and return its URI."""
        place = self.folder / ".flowyml" / "artifacts" / "forged" / "model"
        attack.make(self.mark, self.outside).put(place)
        return place.as_uri()


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Give a project without a configuration."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for variable in ("FLOWYML_STACK", "FLOWYML_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    outside = folder / ".flowyml" / "outside"
    outside.parent.mkdir()
    outside.write_text("a secret of the machine")
    return Target(folder, tmp_path / "hit", outside)


attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())


@attacks
def test_a_hostile_artifact_is_refused(attack: Attack, target: Target) -> None:
    """By its URI, where no run has stored it: nothing in it runs, and it is named."""
    uri = target.forged(attack)

    with pytest.raises(FlowyMLError) as refused:
        flowyml.load(uri)

    assert attack.refusal in str(refused.value)
    assert "/forged/model" in str(refused.value)
    assert "a secret of the machine" not in str(refused.value)
    assert not target.mark.exists()
    assert "antigravity" not in sys.modules


@attacks
def test_a_hostile_artifact_takes_no_memory(attack: Attack, target: Target) -> None:
    """A length that a file claims allocates nothing, and nothing is unpacked on trust."""
    uri = target.forged(attack)
    with pytest.raises(FlowyMLError):  # the libraries are imported by now
        flowyml.load(uri)

    tracemalloc.start()
    try:
        with pytest.raises(FlowyMLError):
            flowyml.load(uri)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < MOST_MEMORY


@step
def harmless() -> dict[str, int]:
    """Make what is replaced."""
    return {"answer": 42}


@attacks
def test_a_replaced_artifact_is_refused_before_it_is_read(
    attack: Attack, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    """By output, by URI and on the command line: what the run stored had another digest."""
    result = Pipeline("attacked").add_step(harmless).run()
    uri = result.artifacts[0].uri
    attack.make(target.mark, target.outside).put(Path(urlsplit(uri).path))

    for reference in (f"run:{result.run_id}/harmless", uri, f"{uri}/", "harmless"):
        with pytest.raises(IntegrityError, match=r"somebody replaced it|cannot be used"):
            flowyml.load(reference)
    assert main(["artifact", "get", "harmless", "--to", "got"]) == 1
    assert main(["artifact", "verify", "--all"]) == 1
    assert not Path("got").exists()
    assert uri in capsys.readouterr().err
    assert not target.mark.exists()


def test_what_no_run_stored_is_not_fetched(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line knows artifacts from the project's records alone."""
    uri = target.forged(ATTACKS["pickle"])
    Pipeline("attacked").add_step(harmless).run()

    assert main(["artifact", "get", uri]) == NotFoundError.exit_code
    assert "no artifact" in capsys.readouterr().err


def test_an_artifact_that_is_a_link_is_refused(target: Target) -> None:
    """Its folder lies outside of the store, whatever is in it."""
    elsewhere = target.folder / "elsewhere"
    ATTACKS["class to import"].make(target.mark, target.outside).put(elsewhere)
    store = target.folder / ".flowyml" / "artifacts"
    store.mkdir()
    (store / "linked").symlink_to(elsewhere)

    with pytest.raises(FlowyMLError, match="link"):
        flowyml.load((store / "linked").as_uri())


def test_the_word_of_the_stack_is_what_counts(target: Target) -> None:
    """`trust: pickle` is said in flowyml.yaml, by whoever owns the project."""
    uri = target.forged(ATTACKS["pickle"])
    (target.folder / "flowyml.yaml").write_text("stacks: { here: { trust: pickle } }\n")

    flowyml.load(uri)

    assert target.mark.exists()
