"""``flowyml stack`` shows, chooses and checks the stacks of the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cli import cli_pipelines
from tests.cli.conftest import Ask, Install

SECRETIVE = '''\
from attrs import define, field
from flowyml.plugins import ExperimentTracker, hookimpl
from flowyml.records import Check


@define(slots=False)
class Tracker(ExperimentTracker):
    """Shows numbers.

    Attributes:
        address: Where it
            listens.
        token: Lets us in.
    """

    address: str
    token: str | None = field(default=None, repr=False)
    colours: list[str] = field(factory=list)

    def diagnose(self):
        if self.address == "broken":
            raise RuntimeError("it broke")
        well = self.address == "here"
        return [Check("reachable", well, f"{self.address} answers", None if well else "start it")]


@define(eq=False)
class Unequipped(Tracker):
    libraries = {"no_such_library": "flowyml-shown[client]"}
'''


@pytest.fixture
def file(project: Path) -> Path:
    """Give a file with two stacks."""
    path = project / "flowyml.yaml"
    path.write_text(cli_pipelines.STACKS)
    return path


@pytest.fixture
def tracker(install: Install) -> None:
    """Install a distribution with a tracker that has a secret."""
    install(
        "shown",
        {"shown_tracker": SECRETIVE},
        "[flowyml.experiment_tracker]\nshown = shown_tracker:Tracker\nbroken = no_such:Thing\n"
        "unequipped = shown_tracker:Unequipped\n",
    )


@pytest.mark.usefixtures("file")
def test_the_active_stack_is_marked(flowyml: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the file's, until a variable says otherwise."""
    assert flowyml("stack", "list").out == "ACTIVE  STACK\n*       first\n        second\n"
    monkeypatch.setenv("FLOWYML_STACK", "second")
    listed = flowyml("stack", "list", "-o", "json").objects
    assert [(stack["name"], stack["active"]) for stack in listed] == [
        ("first", False),
        ("second", True),
    ]


def test_without_a_file_there_is_the_built_in_stack(flowyml: Ask) -> None:
    """It stores on this disk."""
    (shown,) = flowyml("stack", "show", "-o", "json").objects

    assert (shown["name"], shown["config"]) == ("local", None)
    assert {each["component"] for each in shown["components"]} == {
        "artifact_store",
        "model_registry",
        "model_deployer",
        "orchestrator",
    }


def test_a_file_without_stacks_has_the_built_in_one(flowyml: Ask, project: Path) -> None:
    """One that only gives pipelines names is as good as none; it is listed, checked and set."""
    file = project / "flowyml.yaml"
    file.write_text("pipelines: {fraud: pipeline.py}\n")

    (listed,) = flowyml("stack", "list", "-o", "json").objects
    assert (listed["name"], listed["active"]) == ("local", True)
    assert flowyml("stack", "validate").out.split() == ["STACK", "STATUS", "local", "ok"]
    assert "known stacks: local" in flowyml("stack", "set", "staging").err
    assert flowyml("stack", "set", "local").code == 0


@pytest.mark.usefixtures("file")
def test_a_stack_is_shown(flowyml: Ask, project: Path) -> None:
    """The active one, or the one that is named: components, their configuration, the rules."""
    assert "stack   first (active)" in flowyml("stack", "show").out
    shown = flowyml("stack", "show", "second").out

    assert f"path={project / 'second'}" in shown
    assert "Model  register=True" in shown
    (json,) = flowyml("stack", "show", "second", "-o", "json").objects
    assert json["artifact_routing"] == {"Model": {"register": True}}
    assert json["active"] is False


def test_the_active_stack_is_set(flowyml: Ask, file: Path) -> None:
    """Everything else in the file stays, comments as well."""
    before = file.read_text()

    answer = flowyml("stack", "set", "second")

    assert answer.code == 0
    assert file.read_text() == before.replace("active_stack: first", "active_stack: second")
    assert flowyml("stack", "list", "-o", "json").objects[1]["active"]


def test_only_a_known_stack_is_set(flowyml: Ask, file: Path) -> None:
    """A typing error leaves the file as it is."""
    before = file.read_text()

    answer = flowyml("stack", "set", "secnod")

    assert answer.code == 2
    assert "did you mean 'second'?" in answer.err
    assert file.read_text() == before


@pytest.mark.usefixtures("file")
def test_stacks_that_are_right_are_valid(flowyml: Ask, project: Path) -> None:
    """Each is built, and nothing is made by it."""
    answer = flowyml("stack", "validate")

    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "STACK   STATUS\nfirst   ok\nsecond  ok\n"
    assert [path.name for path in project.iterdir()] == ["flowyml.yaml"]


def test_each_stack_that_is_wrong_is_named(flowyml: Ask, file: Path) -> None:
    """All problems, with their lines; exit code 2."""
    file.write_text(file.read_text().replace("path: second", "pth: second, phat: x"))

    answer = flowyml("stack", "validate")

    assert answer.code == 2
    assert answer.out == "STACK  STATUS\nfirst  ok\n"
    assert answer.err.startswith("Error: the stack 'second': ")
    assert answer.err.count("flowyml.yaml:5:") == 2
    assert flowyml("stack", "validate", "first").code == 0
    assert flowyml("stack", "validate", "nope").out == ""
    listed = flowyml("stack", "validate", "-o", "json").objects
    assert [stack["status"] for stack in listed] == ["ok", "failed"]


def test_a_file_that_is_wrong_is_json_as_well(flowyml: Ask, file: Path) -> None:
    """Every problem of it with line and column, at once, and the exit code 2."""
    file.write_text("stack: {}\nstacks:\n  a: [1]\nactive_stack: b\n")

    answer = flowyml("stack", "validate", "-o", "json")

    assert answer.code == 2
    (check,) = answer.objects
    assert (check["name"], check["status"]) == (None, "failed")
    places = [(problem["line"], problem["column"]) for problem in check["problems"]]
    assert places == [(1, 1), (3, 6), (4, 15)]
    assert check["problems"][0] == {
        "file": "flowyml.yaml",
        "line": 1,
        "column": 1,
        "message": "unknown key 'stack'",
        "hint": "did you mean 'stacks'?",
    }
    assert flowyml("stack", "validate").err.count("flowyml.yaml:") == 3


def test_what_is_no_yaml_is_json_as_well(flowyml: Ask, file: Path) -> None:
    """With the place where it stops to be YAML."""
    file.write_text("stacks: [\n")

    answer = flowyml("stack", "validate", "-o", "json")

    assert answer.code == 2
    assert answer.objects[0]["problems"][0]["line"] == 2


def test_an_active_stack_that_is_not_there_is_found(flowyml: Ask, file: Path) -> None:
    """Also where every stack is well."""
    file.write_text(file.read_text().replace("active_stack: first", "active_stack: third"))

    answer = flowyml("stack", "validate", "-o", "json")

    assert answer.code == 2
    assert [check["name"] for check in answer.objects] == [None, "first", "second"]
    assert "there is no stack 'third'" in answer.objects[0]["error"]
    assert flowyml("stack", "validate").out == "STACK   STATUS\nfirst   ok\nsecond  ok\n"


MISSPELT = """\
stacks:
  first:
    artifact_routing:
      Modell: { register: false }
      FraudModel: { register: false }
"""


def test_a_type_that_is_misspelt_is_a_warning_at_its_line(flowyml: Ask, file: Path) -> None:
    """It could be a class of the user's, as `FraudModel` is; the plan says the same."""
    file.write_text(MISSPELT)
    (file.parent / "flow.py").write_text(
        "from flowyml import Model, Pipeline, step\n\n"
        "@step\ndef train() -> Model: ...\n\np = Pipeline('p').add_step(train)\n"
    )

    answer = flowyml("stack", "validate")
    (check,) = flowyml("stack", "validate", "-o", "json").objects
    plan = flowyml("plan", "flow.py")

    assert answer.code == plan.code == 0
    assert answer.err == (
        "Warning: flowyml.yaml:4:7: the rule for 'Modell' speaks for no type that FlowyML knows; "
        "did you mean 'Model'?\n"
    )
    (warning,) = check["warnings"]
    assert (warning["line"], warning["column"]) == (4, 7)
    assert "Warning: flowyml.yaml:4:7: the rule for 'Modell' speaks for no output" in plan.err
    assert "hint: did you mean 'Model'?" in plan.err


LAB = """
class Notes:
    name, version, runs_code = "notes", 1, False
    def writer(self, value): ...
    def read(self, source, *, trusted): ...
"""


def test_a_format_of_another_distribution_is_known(
    command: Ask, file: Path, install: Install
) -> None:
    """By its entry point; one that is broken is named where a format is not known."""
    points = "[flowyml.serializer]\nlab.Report = lab:Notes\n"
    site = install("lab", {"lab": LAB}, points)
    file.write_text("plugins: { artifact_routing: { Report: { format: notes } } }\n")

    known = command("stack", "validate", PYTHONPATH=str(site))
    unknown = command("stack", "validate")
    (site / "lab.py").write_text("import gone")
    broken = command("stack", "validate", PYTHONPATH=str(site))

    assert (known.code, unknown.code, broken.code) == (0, 2, 2)
    assert "flowyml.yaml:1:50: the rule for Report: there is no format 'notes'" in unknown.err
    assert "the serializer for lab.Report of lab 1.5 (lab:Notes) cannot be used" in broken.err


@pytest.mark.parametrize("other", ["above", "zone"])
def test_a_broken_distribution_hides_no_format_of_another_one(
    command: Ask, file: Path, install: Install, other: str
) -> None:
    """Whichever of the two is asked first."""
    sites = (
        install("lab", {"lab": LAB}, "[flowyml.serializer]\nlab.Report = lab:Notes\n"),
        install(other, {other: "import gone"}, f"[flowyml.serializer]\na.A = {other}:As\n"),
    )
    file.write_text("plugins: { artifact_routing: { Report: { format: notes } } }\n")

    answer = command("stack", "validate", PYTHONPATH=os.pathsep.join(map(str, sites)))

    assert answer.code == 0, answer.err


@pytest.mark.usefixtures("tracker")
def test_a_secret_is_never_shown(
    flowyml: Ask, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the value in the file nor the one from the environment, in any command."""
    monkeypatch.setenv("TRACKER_TOKEN", "hunter2")
    (project / "flowyml.yaml").write_text(
        "stacks:\n  one:\n    experiment_tracker:\n"
        "      { type: shown, address: here, token: '${TRACKER_TOKEN}' }\n"
    )
    for arguments in (
        ["stack", "show"],
        ["stack", "show", "-o", "json"],
        ["stack", "validate"],
        ["stack", "doctor", "-o", "json"],
    ):
        answer = flowyml(*arguments)
        assert answer.code == 0
        assert "hunter2" not in answer.out + answer.err
    assert "token=(hidden)" in flowyml("stack", "show").out


@pytest.mark.usefixtures("tracker")
@pytest.mark.parametrize(
    ("address", "code", "status", "message", "fix"),
    [
        ("here", 0, "ok", "here answers", None),
        ("there", 1, "failed", "there answers", "start it"),
        ("broken", 1, "failed", "RuntimeError: it broke", None),
    ],
)
def test_the_doctor_tells_what_each_component_found(
    flowyml: Ask, project: Path, address: str, code: int, status: str, message: str, fix: str | None
) -> None:
    """One that fails while it looks has found something as well."""
    (project / "flowyml.yaml").write_text(
        f"stacks:\n  one:\n    experiment_tracker: {{ type: shown, address: {address} }}\n"
    )

    answer = flowyml("stack", "doctor", "-o", "json")

    assert answer.code == code
    (found,) = [item for item in answer.objects if item["component"] == "experiment_tracker"]
    assert (found["status"], found["message"], found["fix"]) == (status, message, fix)
    assert {item["component"] for item in answer.objects} >= {"artifact_store", "orchestrator"}


@pytest.mark.usefixtures("tracker")
def test_the_doctor_says_how_to_install_a_missing_library(flowyml: Ask, project: Path) -> None:
    """And asks the component nothing more, which cannot work without it."""
    (project / "flowyml.yaml").write_text(
        "stacks:\n  one:\n    experiment_tracker: { type: unequipped, address: there }\n"
    )

    answer = flowyml("stack", "doctor", "-o", "json")

    assert answer.code == 1
    (found,) = [item for item in answer.objects if item["component"] == "experiment_tracker"]
    assert (found["name"], found["message"]) == ("no_such_library", "is not installed")
    assert found["fix"] == "pip install 'flowyml-shown[client]'"


@pytest.mark.usefixtures("tracker")
def test_the_doctor_tells_of_a_missing_library_once(flowyml: Ask, project: Path) -> None:
    """Whoever needs it, with one command."""
    unequipped = "{ type: unequipped, address: there }"
    (project / "flowyml.yaml").write_text(
        f"stacks:\n  one:\n    experiment_tracker: [{unequipped}, {unequipped}]\n"
    )

    answer = flowyml("stack", "doctor", "-o", "json")

    (found,) = [item for item in answer.objects if item["status"] == "failed"]
    assert found["component"] == "experiment_tracker.unequipped, experiment_tracker.unequipped-2"
    assert found["fix"] == "pip install 'flowyml-shown[client]'"


@pytest.mark.usefixtures("tracker")
def test_a_password_in_an_address_is_hidden(flowyml: Ask, project: Path) -> None:
    """Who wrote it there instead of into a secret still does not see it on a screen."""
    (project / "flowyml.yaml").write_text(
        "stacks:\n  one:\n    experiment_tracker:\n"
        "      { type: shown, address: 'http://ada:hunter2@host:5000/x' }\n"
    )

    shown = flowyml("stack", "show").out

    assert "address=http://(hidden)@host:5000/x" in shown
