"""``flowyml plugin`` tells what is installed, from its metadata, and how it is configured."""

from __future__ import annotations

import sys

import pytest
from tests.cli.conftest import Ask, Install
from tests.cli.test_cli_stacks import SECRETIVE

from flowyml.plugins import discovery

GROUP = "[flowyml.experiment_tracker]\n"


@pytest.fixture
def tracker(install: Install) -> None:
    """Install a distribution with a tracker that has a secret."""
    install(
        "shown",
        {"shown_tracker": SECRETIVE},
        f"{GROUP}shown = shown_tracker:Tracker\nbroken = no_such:Thing\n",
    )


def statuses(ask: Ask) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Return status and problem of each third party's plugin, by distribution and type."""
    return {
        (item["distribution"], item["name"]): (item["status"], item["problem"])
        for item in ask("plugin", "list", "-o", "json").objects
        if not item["distribution"].startswith("flowyml")
    }


@pytest.mark.parametrize(
    ("reference", "module", "status", "says"),
    [
        ("well:Tracker", "", "ok", ""),
        ("well:Tracker", "raise SystemExit(1)", "ok", ""),
        ("well:Tracker", "def f(:", "broken", "invalid syntax"),
        ("nowhere:Tracker", "", "broken", "there is no module nowhere"),
        ("well.below:Tracker", "", "broken", "there is no module well.below"),
    ],
)
def test_a_broken_plugin_is_seen_without_being_imported(
    flowyml: Ask, install: Install, reference: str, module: str, status: str, says: str
) -> None:
    """A missing module and a syntax error show; what only happens at import does not."""
    install("one", {"well": module}, f"{GROUP}mine = {reference}\n")

    found, problem = statuses(flowyml)["one", "mine"]

    assert found == status
    assert says in (problem or "")
    assert "well" not in sys.modules


def test_two_that_have_one_type_are_named(flowyml: Ask, install: Install) -> None:
    """Each says who the other is."""
    install("one", {"first": ""}, f"{GROUP}mine = first:Tracker\n")
    install("other", {"second": ""}, f"{GROUP}mine = second:Tracker\n")

    found = statuses(flowyml)

    assert found["one", "mine"] == ("duplicate", "other 1.5 (second:Tracker) has it as well")
    assert found["other", "mine"] == ("duplicate", "one 1.5 (first:Tracker) has it as well")


def test_one_for_another_flowyml_is_incompatible(flowyml: Ask, install: Install) -> None:
    """Its metadata says which versions it requires."""
    site = install("one", {"first": ""}, f"{GROUP}mine = first:Tracker\n")
    with (site / "one-1.5.dist-info" / "METADATA").open("a") as metadata:
        metadata.write("Requires-Dist: flowyml>=99\n")
    discovery.installed.cache_clear()

    status, problem = statuses(flowyml)["one", "mine"]

    assert status == "incompatible"
    assert "requires flowyml >=99" in (problem or "")


def test_one_that_is_disabled_is_still_listed(
    flowyml: Ask, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable that does it."""
    monkeypatch.setenv("FLOWYML_PLUGINS_DISABLE", "one")
    install("one", {"first": ""}, f"{GROUP}mine = first:Tracker\n")

    assert statuses(flowyml)["one", "mine"] == ("disabled", "FLOWYML_PLUGINS_DISABLE names it")


@pytest.mark.usefixtures("tracker")
def test_plugins_are_listed_without_being_imported(flowyml: Ask) -> None:
    """Also one whose module does not exist."""
    listed = flowyml("plugin", "list", "-o", "json").objects

    mine = [item for item in listed if item["distribution"] == "shown"]
    assert [(item["role"], item["name"], item["version"]) for item in mine] == [
        ("experiment_tracker", "broken", "1.5"),
        ("experiment_tracker", "shown", "1.5"),
    ]
    assert "shown_tracker" not in sys.modules


@pytest.mark.parametrize("written", ["str | None", "'str | None'", '"str | None"'])
def test_postponed_annotations_are_shown_as_they_are_written(
    flowyml: Ask, install: Install, written: str
) -> None:
    """They are text already, and need no quotes, which some authors write as well."""
    module = f"from __future__ import annotations\n{SECRETIVE}".replace("str | None", written)
    install("late", {"late_tracker": module}, f"{GROUP}late = late_tracker:Tracker\n")

    (shown,) = flowyml("plugin", "show", "late", "-o", "json").objects

    assert [each["type"] for each in shown["fields"]][:2] == ["str", "str | None"]


@pytest.mark.usefixtures("tracker")
def test_a_plugin_is_shown_with_its_fields(flowyml: Ask) -> None:
    """Name, type, default, whether it is a secret, and what the docstring says."""
    (shown,) = flowyml("plugin", "show", "shown", "-o", "json").objects

    assert shown["distribution"] == "shown"
    assert shown["fields"] == [
        {
            "name": "address",
            "type": "str",
            "required": True,
            "default": None,
            "secret": False,
            "doc": "Where it listens.",
        },
        {
            "name": "token",
            "type": "str | None",
            "required": False,
            "default": None,
            "secret": True,
            "doc": "Lets us in.",
        },
        {
            "name": "colours",
            "type": "list[str]",
            "required": False,
            "default": "(computed)",
            "secret": False,
            "doc": None,
        },
    ]
    assert "address" in flowyml("plugin", "show", "shown").out


def test_a_type_of_several_roles_is_shown_for_each(flowyml: Ask) -> None:
    """``--role`` chooses one of them."""
    shown = flowyml("plugin", "show", "local", "-o", "json").objects
    one = flowyml("plugin", "show", "local", "--role", "model_registry", "-o", "json").objects

    assert {item["role"] for item in shown} >= {"artifact_store", "model_registry"}
    assert [item["role"] for item in one] == ["model_registry"]


@pytest.mark.usefixtures("tracker")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["shwon"], "did you mean 'shown'?"),
        (["no-such-plugin"], "`flowyml plugin list`"),
        (["broken"], "No module named 'no_such'"),
        (["shwon", "--role", "experiment_tracker"], "did you mean 'shown'?"),
    ],
)
def test_a_plugin_that_cannot_be_shown(flowyml: Ask, arguments: list[str], says: str) -> None:
    """The message says why, or what to install."""
    answer = flowyml("plugin", "show", *arguments)

    assert answer.code == 2
    assert says in answer.err
