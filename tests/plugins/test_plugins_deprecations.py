"""What goes from a contract warns the plugins that use it, and works on meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plugins.fake_distributions import Site

ROLE = """
from typing import ClassVar
from attrs import define
from flowyml.plugins import Component, DeliveryHook, Role, hookimpl, hookspec
from flowyml.plugins.deprecations import going

class Spec:
    @hookspec(firstresult=True, warn_on_impl=going("2.0", "give publish"))
    def show(self, artifact, stored, context): ...

    @hookspec(firstresult=True, warn_on_impl_args={"stored": going("3.0", "go")})
    def publish(self, artifact, stored, context): ...

@define(slots=False)
class Shelf(Component):
    role: ClassVar[str] = "shelf"
    deprecated = {"folder": going("2.0", "override place"), "gone": going("2.0", "leave it out")}
    folder: ClassVar[str] = "x"

    def gone(self): ...

ROLE = Role("shelf", Spec, hooks=(DeliveryHook("publish", "shelf"),))
"""

USES = {
    "hook": (
        "    @hookimpl\n    def show(self, artifact): return 1",
        "implements the hook 'show', which goes with version 2.0 of the contract; give publish",
    ),
    "argument": (
        "    @hookimpl\n    def publish(self, artifact, stored): return 1",
        "takes 'stored' in the hook 'publish', which goes with version 3.0 of the contract; go",
    ),
    "attribute": (
        "    folder = 'y'",
        "has 'folder' of Shelf, which goes with version 2.0 of the contract; override place",
    ),
    "method": (
        "    def gone(self): ...",
        "has 'gone' of Shelf, which goes with version 2.0 of the contract; leave it out",
    ),
    "nothing": ("    @hookimpl\n    def publish(self, artifact, context): return 1", None),
}

BUILD = """
import json, warnings
from pathlib import Path
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project

Path("flowyml.yaml").write_text("plugins: { shelf: { type: mine } }")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("default")
    for _ in range(2):
        Configuration.read(Project(Path.cwd(), Path("flowyml.yaml"))).build("default")
print(json.dumps([[str(w.message), w.category.__name__, Path(w.filename).name] for w in told]))
"""


@pytest.mark.parametrize(("use", "said"), USES.values(), ids=USES.keys())
def test_a_plugin_that_uses_what_goes_is_warned_once(
    tmp_path: Path, use: str, said: str | None
) -> None:
    """Where it is used, and by plugin, distribution and version; with what to do instead."""
    site = Site(tmp_path)
    site.install("shelves", "[flowyml.role]\nshelf = shelves:ROLE\n", {"shelves": ROLE})
    source = f"from shelves import *\n\n@define(slots=False)\nclass Mine(Shelf):\n{use}\n"
    site.install("lab-mine", "[flowyml.shelf]\nmine = mine:Mine\n", {"mine": source})
    told = site.run(BUILD)
    whose = "the shelf 'mine' of lab-mine 1.2 (mine:Mine) "
    assert told == ([[whose + said, "DeprecationWarning", "mine.py"]] if said else [])
