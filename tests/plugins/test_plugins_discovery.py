"""Plugins of real distributions on disk: what is broken is named, and only when it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.plugins.fake_distributions import Site

COMPONENT = """
from attrs import define
from flowyml.plugins import ArtifactStore, ExperimentTracker, ModelRegistry, hookimpl

@define(slots=False)
class Good(ModelRegistry):
    url: str = "x"
"""

BUILD = """
import json, sys
from pathlib import Path
from flowyml.errors import FlowyMLError
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project

Path("flowyml.yaml").write_text("plugins:\\n  model_registry: { type: TYPE }\\n")
said = {"error": None, "kind": None, "cause": None}
try:
    Configuration.read(Project(Path.cwd(), Path("flowyml.yaml"))).build("default")
except FlowyMLError as error:
    said = {
        "error": str(error), "kind": type(error).__name__, "cause": type(error.__cause__).__name__,
    }
print(json.dumps({**said, "imported": sorted(m for m in sys.modules if m.startswith("acme"))}))
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An empty folder on the path."""
    return Site(tmp_path)


def registry(site: Site, source: str, place: str = "acme_registry:Registry") -> None:
    """Install a distribution that offers one registry."""
    entry_points = f"[flowyml.model_registry]\nacme = {place}\n"
    site.install("acme-registry", entry_points, {"acme_registry": COMPONENT + source})


def use(site: Site, type_: str, **variables: str) -> Any:
    """Build a stack that names a registry."""
    return site.run(BUILD.replace("TYPE", type_), **variables)


REGISTRY = "@define(slots=False)\nclass Registry(ModelRegistry):\n"

BROKEN = {
    "missing module": ("", "acme_gone:Registry", "ModuleNotFoundError: No module named"),
    "missing attribute": ("", "acme_registry:Registry", "AttributeError"),
    "import error": ("import acme_library", "acme_registry:Registry", "No module named 'acme_lib"),
    "syntax error": ("def broken(:", "acme_registry:Registry", "SyntaxError: invalid syntax"),
    "exit": ("raise SystemExit(7)", "acme_registry:Registry", "SystemExit: 7"),
    "no class": ("Registry = 7", "acme_registry:Registry", "is not a component"),
    "other class": ("class Registry: ...", "acme_registry:Registry", "is not a component"),
    "other role": (
        "@define(slots=False)\nclass Registry(ExperimentTracker): ...",
        "acme_registry:Registry",
        "is a component of the role 'experiment_tracker'",
    ),
    "no attrs class": (
        "class Registry(ModelRegistry):\n    url: str = ''",
        "acme_registry:Registry",
        "not decorated with @attrs.define",
    ),
    "unknown hook": (
        f"{REGISTRY}    @hookimpl\n    def regster_model(self): ...",
        "acme_registry:Registry",
        "implements the hook 'regster_model'",
    ),
    "wrong arguments": (
        f"{REGISTRY}    @hookimpl\n    def get_model(self, naem): ...",
        "acme_registry:Registry",
        "has a hook that does not fit",
    ),
    "newer contract": (
        f"{REGISTRY}    flowyml_api = '>=2,<3'",
        "acme_registry:Registry",
        "built for the hook contract >=2,<3, and this flowyml has 1.0",
    ),
    "no range": (
        f"{REGISTRY}    flowyml_api = 'two'",
        "acme_registry:Registry",
        "has a wrong flowyml_api",
    ),
}


@pytest.mark.parametrize(("source", "place", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_in_use_is_named_with_its_cause(
    site: Site, source: str, place: str, said: str
) -> None:
    """Role, type, distribution, version and what went wrong are in one message."""
    registry(site, source, place)
    seen = use(site, "acme")
    assert seen["kind"] == "PluginError"
    assert f"the model_registry 'acme' of acme-registry 1.2 ({place})" in seen["error"]
    assert said in seen["error"]


def test_broken_plugins_that_are_not_in_use_break_nothing(site: Site) -> None:
    """None of them is even imported."""
    for number, (source, place, _) in enumerate(BROKEN.values()):
        module = f"acme{number}"
        offer = f"[flowyml.model_registry]\n{module} = {place.replace('acme_registry', module)}\n"
        site.install(f"acme-{number}", offer, {module: COMPONENT + source})
    assert use(site, "local") == {"error": None, "kind": None, "cause": None, "imported": []}


def test_a_distribution_for_another_flowyml_is_refused(site: Site) -> None:
    """Whoever installed it without looking at what it requires."""
    source = COMPONENT + "class Registry(Good): ..."
    offer = "[flowyml.model_registry]\nacme = acme_registry:Registry\n"
    site.install("acme", offer, {"acme_registry": source}, requires="flowyml>=2,<3")
    assert "requires flowyml >=2,<3, and this is 3." in use(site, "acme")["error"]


WARNED = """
import contextlib, io, json, sys
from pathlib import Path
from flowyml.cli import main

Path("flowyml.yaml").write_text("plugins: { model_registry: { type: local } }")
said = []
for arguments in ("stack", "validate"), ("stack", "show"), ("stack", "doctor"), ("plugin", "list"):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        main(arguments)
    said.append([line for line in out.getvalue().splitlines() if "Warning" in line])
print(json.dumps([*said, "acme_registry" in sys.modules]))
"""


def test_one_for_another_flowyml_that_is_not_in_use_is_warned_of(site: Site) -> None:
    """Once for each command that builds a stack, from its metadata; all else works."""
    offer = "[flowyml.model_registry]\nacme = acme_registry:Registry\n"
    offer += "[flowyml.artifact_store]\nacme = acme_registry:Store\n"
    site.install("acme", offer, {"acme_registry": "raise SystemExit"}, requires="flowyml>=2,<3")
    validated, shown, examined, listed, imported = site.run(WARNED)
    (warning,) = validated
    assert "acme 1.2, which the stack does not use, requires flowyml >=2,<3, and this" in warning
    assert "FLOWYML_PLUGINS_DISABLE=acme" in warning
    assert shown == [warning]
    assert examined == []  # the stack that was shown is kept
    assert (listed, imported) == ([], False)
    assert site.run(WARNED, FLOWYML_PLUGINS_DISABLE="acme")[:3] == [[], [], []]


def test_the_cause_is_chained(site: Site) -> None:
    """Whoever debugs the plugin finds the traceback below."""
    registry(site, "import acme_library")
    assert use(site, "acme")["cause"] == "ModuleNotFoundError"


def test_a_slow_plugin_that_is_not_in_use_costs_nothing(site: Site) -> None:
    """What would never end its import is never imported, neither by listing nor by building."""
    registry(site, "while True: pass")
    assert use(site, "local")["imported"] == []
    listed = site.run(
        "import json, sys\nfrom flowyml.plugins.discovery import installed\n"
        "known = 'acme' in installed().types('model_registry')\n"
        "print(json.dumps([known, 'acme_registry' in sys.modules]))"
    )
    assert listed == [True, False]


def test_two_providers_of_one_type_are_both_named(site: Site) -> None:
    """Neither is taken silently; other types work on."""
    registry(site, "class Registry(ModelRegistry): ...")
    site.install(
        "acme-fork", "[flowyml.model_registry]\nacme = acme_registry:Registry\n", version="9"
    )
    seen = use(site, "acme")
    assert seen["kind"] == "PluginError"
    assert "provided twice, by acme-fork 9 (" in seen["error"]
    assert "and acme-registry 1.2 (" in seen["error"]
    assert use(site, "local")["error"] is None


@pytest.mark.parametrize("named", ["*", "acme", "acme-registry", "other, Acme_Registry"])
def test_a_third_party_is_switched_off(site: Site, named: str) -> None:
    """By type, by distribution, or all of them; the built-in components stay."""
    registry(site, "raise SystemExit")
    seen = use(site, "acme", FLOWYML_PLUGINS_DISABLE=named)
    assert seen["imported"] == []
    assert "acme-registry 1.2 (acme_registry:Registry) is disabled by FLOWYML" in seen["error"]
    assert use(site, "local", FLOWYML_PLUGINS_DISABLE=named)["error"] is None


def test_flowyml_itself_cannot_be_switched_off(site: Site) -> None:
    """Its components answer whatever the variable says."""
    assert use(site, "local", FLOWYML_PLUGINS_DISABLE="local,flowyml")["error"] is None


def test_a_third_partys_role_is_a_key_of_the_stack(site: Site) -> None:
    """The role comes by an entry point of its own, and its components by the role's group."""
    source = """
from typing import ClassVar
from attrs import define
from flowyml.plugins import Component, DeliveryHook, Role, hookimpl, hookspec

class Spec:
    @hookspec(firstresult=True)
    def publish(self, artifact, stored, context): ...

ROLE = Role("acme_registry", Spec, hooks=(DeliveryHook("publish", "acme_registry"),))

@define(slots=False)
class Shelf(Component):
    role: ClassVar[str] = "acme_registry"
    url: str

    @hookimpl
    def publish(self, artifact): return None
"""
    site.install(
        "acme",
        "[flowyml.role]\nacme_registry = acme:ROLE\n[flowyml.acme_registry]\nshelf = acme:Shelf\n",
        {"acme": source},
    )
    code = BUILD.replace("model_registry: { type: TYPE }", "acme_registry: { type: shelf, url: u }")
    assert site.run(code)["error"] is None
    code = BUILD.replace("model_registry: { type: TYPE }", "acme_registry: { type: shelf }")
    assert "the key 'url' is missing" in site.run(code)["error"]


def test_the_range_of_versions_is_read_without_an_import(site: Site) -> None:
    """What the distribution requires of flowyml stands in its metadata."""
    site.install(
        "acme",
        "[flowyml.model_registry]\nacme = acme:X\n",
        requires="flowyml-x>=1\nRequires-Dist: flowyml (>=2,<3) ; python_version > '3'",
    )
    ranges = site.run(
        "import json\nfrom flowyml.plugins.discovery import installed\n"
        "print(json.dumps([p.requires for p in installed().providers if p.type == 'acme']))"
    )
    assert ranges == [">=2,<3"]
