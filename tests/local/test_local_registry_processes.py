"""Several processes, and processes that are killed, leave one registry that is whole."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from tests.local.conftest import StartWriters

from flowyml_local.registry import LocalModelRegistry


def _finish(writers: list[subprocess.Popen[str]]) -> list[str]:
    """Wait for the processes; return all the lines they said."""
    said = []
    for writer in writers:
        out, errors = writer.communicate()
        assert writer.returncode == 0, errors
        said += out.split()
    return said


def test_processes_count_together(tmp_path: Path, start_writers: StartWriters) -> None:
    """Four processes that let one registry count get every number once."""
    said = _finish(start_writers("count_up", tmp_path, "a", "b", "c", "d", count=25))

    assert sorted(map(int, said)) == list(range(1, 101))
    models = LocalModelRegistry(path=tmp_path).list_models("fraud_detector")
    assert [model.version for model in models] == [str(number) for number in range(100, 0, -1)]
    assert len({model.digest for model in models}) == 100


def test_processes_that_deliver_the_same_register_it_once(
    tmp_path: Path, start_writers: StartWriters
) -> None:
    """Three processes with the same idempotency keys agree on the versions."""
    said = _finish(start_writers("same_delivery", tmp_path, "a", "b", "c", count=20))

    assert sorted(said, key=int) == [str(number) for number in range(1, 21) for _ in range(3)]
    assert len(LocalModelRegistry(path=tmp_path).list_models(None)) == 20


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_process_leaves_whole_versions(
    tmp_path: Path, start_writers: StartWriters, seed: int
) -> None:
    """After SIGKILL all that was told is there, the alias is at one version, and work goes on."""
    chance = random.Random(seed)
    told: list[str] = []
    for attempt in range(3):
        (writer,) = start_writers("for_ever", tmp_path, f"killed-{attempt}")
        assert writer.stdout
        told += [writer.stdout.readline().strip() for _ in range(chance.randrange(1, 30))]
        writer.kill()
        writer.wait()
        told += [line.strip() for line in writer.stdout if line.endswith("\n")]

    models = LocalModelRegistry(path=tmp_path).list_models(None)
    assert {model.version for model in models} >= set(told)
    assert len(models) <= len(told) + 3
    assert all(model.key == model.version for model in models)
    assert sum("champion" in model.aliases for model in models) <= 1
