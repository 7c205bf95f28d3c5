"""The example of a third party, installed where nothing else is, and used by a pipeline."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from tests.testing.environments import ROOT, Environment, build_wheel

PROMPTS = ROOT / "examples" / "flowyml-prompts"
KEY = base64.b64encode(bytes(range(32))).decode()
TEXT = b"and nothing else"


@pytest.mark.installs
@pytest.mark.timeout(400)
def test_prompts_are_stored_encrypted_and_published(tmp_path: Path, flowyml_wheel: Path) -> None:
    """Type, role, registry, format and extension work from wheels; its own tests pass there."""
    wheel = build_wheel(PROMPTS, tmp_path / "wheels")
    environment = Environment.make(tmp_path / "environment")
    environment.install("flowyml-prompts[test]", wheels=[flowyml_wheel, wheel])
    project = tmp_path / "project"
    project.mkdir()
    for name in ("flow.py", "flowyml.yaml"):
        shutil.copy(PROMPTS / name, project)

    ran = environment.run("flowyml", "run", "flow.py", folder=project, PROMPTS_KEY=KEY)

    assert KEY not in ran.stdout + ran.stderr
    files = [path for path in (project / ".flowyml").rglob("*") if path.is_file()]
    assert {"prompt.txt", "prompt.json"} <= {path.name for path in files}
    for file in files:
        assert TEXT not in file.read_bytes(), file
        assert KEY.encode() not in file.read_bytes(), file
    (published,) = (project / "prompts").rglob("*.json")
    version = json.loads(published.read_bytes())
    assert (version["version"], version["variables"]) == (1, ["word", "name"])

    read = "import flowyml; print(flowyml.load('greeting').data.filled(word='a', name='b'))"
    said = environment.run("python", "-c", read, folder=project, PROMPTS_KEY=KEY)
    assert said.stdout == "Say a to b, and nothing else.\n"
    other = base64.b64encode(b"o" * 32).decode()
    refused = environment.run("python", "-c", read, folder=project, code=1, PROMPTS_KEY=other)
    assert "IntegrityError" in refused.stderr

    quietly = ("-q", "-p", "no:cacheprovider")
    environment.run("pytest", *quietly, folder=PROMPTS, PYTHONDONTWRITEBYTECODE="1")
    environment.run("flowyml", "plugin", "check", "flowyml-prompts", folder=project)
