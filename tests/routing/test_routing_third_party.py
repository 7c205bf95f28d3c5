"""A third party's own type goes its own way: role, hook and backend are of its distribution."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.plugins.fake_distributions import Site

ENTRY_POINTS = """
[flowyml.role]
prompt_hub = prompt_hub:ROLE
[flowyml.prompt_hub]
folder = prompt_hub:FolderHub
"""

HUB = '''
import json
from pathlib import Path

from attrs import define, frozen

from flowyml.artifacts import Artifact
from flowyml.plugins import Component, DeliveryHook, Role, hookimpl, hookspec
from flowyml.records import Receipt


class PromptHubSpec:
    @hookspec(firstresult=True)
    def publish_prompt(self, artifact, stored, context):
        """Publish a prompt; return a receipt."""


ROLE = Role("prompt_hub", PromptHubSpec, hooks=(DeliveryHook("publish_prompt", "prompt_hub"),))


@frozen(eq=False)
class Prompt(Artifact):
    hooks = ("store_artifact", "publish_prompt")


@define(slots=False)
class FolderHub(Component):
    role = "prompt_hub"
    path: Path

    @hookimpl
    def publish_prompt(self, artifact, stored, context):
        if Path("closed").exists():
            raise RuntimeError("the hub is closed")
        self.path.mkdir(exist_ok=True)
        kept = {"text": artifact.data, "digest": stored.digest}
        (self.path / f"{context.key}.json").write_text(json.dumps(kept))
        return Receipt(f"hub:{artifact.name}", {"version": 7})
'''

FLOW = """
import sys

from flowyml import Pipeline, step
from prompt_hub import Prompt


@step
def greet() -> list[Prompt]:
    return [Prompt("Hello {name}", name="greeting")]


pipeline = Pipeline("prompts").add_step(greet)
"""

CONFIG = """
stacks:
  hub:
    prompt_hub: { type: folder, path: hub }
    artifact_routing:
      Prompt: { path: "{run_id}/prompts/{name}" }
  none: {}
"""

LOOK = """
import json
from pathlib import Path

from flowyml.pipelines.finding import find_pipeline
from flowyml.pipelines.resume import resume
from flowyml.stacks.active import current_project, use_stack

pipeline = find_pipeline("flow.py", current_project())
with use_stack("hub"):
    planned = pipeline.plan()
    Path("closed").touch()
    owing = pipeline.run()
    Path("closed").unlink()
    paid = resume(owing.run_id)
without = pipeline.run(stack="none")


def line(d):
    return [d.output, d.hook, d.component, d.component_type, d.status.value, d.reference]


print(json.dumps({
    "planned": [
        [o.output, o.type, d.hook, d.component] for o in planned.outputs for d in o.deliveries
    ],
    "owing": owing.status.value,
    "paid": paid.status.value,
    "delivery": [line(d) for d in paid.deliveries if d.hook == "publish_prompt"],
    "uri": [a.uri.rpartition(a.run_id)[2] for a in paid.artifacts],
    "digest": [a.digest for a in paid.artifacts],
    "hub": [json.loads(path.read_text()) for path in Path("hub").iterdir()],
    "back": [type(p).__name__ + ": " + p.data for p in paid.outputs["greet"]],
    "without": [without.status.value]
    + [d.reason for d in without.deliveries if d.hook == "publish_prompt"],
}))
"""


@pytest.mark.timeout(120)
def test_a_type_of_another_distribution_is_delivered_by_its_own_hook(tmp_path: Path) -> None:
    """Planned, owed while the backend is closed, paid by resume, skipped where there is none."""
    site = Site(tmp_path)
    site.install("prompt-hub", ENTRY_POINTS, {"prompt_hub": HUB})
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "flowyml.yaml").write_text(CONFIG)

    seen = site.run(LOOK, PYTHONPATH=os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))

    assert seen["planned"] == [
        ["greet", "list", "store_artifact", "artifact_store"],
        ["greet.*", "Prompt", "store_artifact", "artifact_store"],
        ["greet.*", "Prompt", "publish_prompt", "prompt_hub"],
    ]
    assert (seen["owing"], seen["paid"]) == ("incomplete", "done")
    assert seen["delivery"] == [
        ["greet.0", "publish_prompt", "prompt_hub", "folder", "done", "hub:greeting"]
    ]
    assert "/prompts/greeting" in seen["uri"]
    (published,) = seen["hub"]
    assert published["text"] == "Hello {name}"
    assert published["digest"] in seen["digest"]
    assert seen["back"] == ["Prompt: Hello {name}"]
    assert seen["without"] == ["done", "the stack 'none' has no prompt_hub"]
