"""Every mistake in the file is found where it stands, and all of them at once."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stacks.conftest import Build
from tests.stacks.stack_samples import CATALOG

from flowyml.errors import ConfigurationError, PluginError
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.project import Project

MODEL_TO_S3 = "  artifact_routing: { Model: { store: s3 } } }"

TEXTS = {
    "invalid": ("plugins:\n  a: [1\n  b: 2\n", "3:4", "this is not valid YAML"),
    "tab": ("plugins:\n\tcache: true\n", "2:1", "indent with spaces"),
    "tab below": ("plugins:\n  trust: pickle\n\tcache: true\n", "3:1", "indent with spaces"),
    "empty": ("", None, "the file is empty"),
    "comments": ("# nothing\n", None, "the file is empty"),
    "null": ("~\n", None, "the file is empty"),
    "list": ("- a\n", "1:1", "has to be a mapping with `stacks:` or `plugins:`"),
    "text": ("hello\n", "1:1", "has to be a mapping"),
    "twice": ("plugins:\n  cache: true\n  cache: false\n", "3:3", "'cache' stands here a second"),
    "two documents": ("plugins: {}\n---\nplugins: {}\n", "2:1", "more than one document"),
    "odd character": ("plugins:\n  a: \x07\n", "2:6", "the character '\\x07' is not allowed"),
    "code": ("plugins: !!python/object/apply:os.abort []\n", "1:10", "means nothing here"),
    "own tag": ("plugins: !env X\n", "1:10", "the tag '!env' means nothing here"),
    "unknown alias": ("plugins: { trust: *x }\n", "1:19", "no anchor &x"),
    "list as key": ("plugins: { ? [a] : b }\n", "1:14", "a key has to be text"),
    "merged text": ("plugins: { <<: a }\n", "1:16", "`<<` merges a mapping"),
    "both shapes": ("plugins: {}\nstacks: { a: {} }\n", "1:1", "both `stacks:` and `plugins:`"),
    "top key": ("stack: {}\n", "1:1", "did you mean 'stacks'"),
    "no stacks": ("stacks: {}\n", "1:9", "has at least one"),
    "list of stacks": ("stacks: [a]\n", "1:9", "`stacks` is a mapping"),
    "text for a stack": ("stacks:\n  default: gcs\n", "2:12", "'default' is a mapping"),
    "role": ("plugins:\n  artifact_stor: {}\n", "2:3", "did you mean 'artifact_store'"),
    "no type": ("plugins:\n  artifact_store: {}\n", "2:19", "this artifact_store has no `type`"),
    "null role": ("plugins:\n  model_registry:\n", "2:3", "this model_registry is not a mapping"),
    "text for a role": ("plugins:\n  artifact_store: gcs\n", "2:19", "write { type: gcs }"),
    "list for a role": ("plugins:\n  orchestrator: []\n", "2:17", "a stack has one orchestrator"),
    "type": ("plugins: { artifact_store: { type: gsc } }", "1:36", "did you mean 'gcs'"),
    "type in capitals": ("plugins: { artifact_store: { type: S3 } }", "1:36", "mean 's3'"),
    "role in capitals": ("plugins:\n  ARTIFACT_STORE: {}\n", "2:3", "mean 'artifact_store'"),
    "known type": (
        "plugins: { experiment_tracker: { type: tensorboard } }",
        "1:40",
        "pip install 'flowyml[tensorboard]'",
    ),
    "type of another role": (
        "plugins: { artifact_store: { type: mlflow } }",
        "1:36",
        "which is a type of experiment_tracker and model_registry (installed: ",
    ),
    "type of a type": ("plugins: { artifact_store: { type: 7 } }", "1:36", "expected text"),
    "field": (
        "plugins: { artifact_store: { type: local, pth: x } }",
        "1:43",
        "did you mean 'path'",
    ),
    "empty path": (
        "plugins: { artifact_store: { type: local, path: '${FLOWYML_UNSET:-}' } }",
        "1:49",
        "expected a path, found an empty text\n  hint: write . where the folder of this file",
    ),
    "missing": ("plugins: { artifact_store: { type: gcs } }", "1:28", "'bucket' is missing"),
    "format": (
        "plugins:\n  artifact_routing:\n    dict:\n      format: yaml\n",
        "4:15",
        "the rule for dict: there is no format 'yaml'",
    ),
    "formats": (
        "plugins: { artifact_routing: { dict: { format: jsonn } } }",
        "1:48",
        "did you mean 'json'? (known formats: arrow, arrow-generator, ",
    ),
    "own check": (
        "plugins: { artifact_store: { type: gcs, bucket: B1 } }",
        "1:28",
        "'bucket' must match regex",
    ),
    "fault of its own": (
        "plugins: { model_registry: { type: faulty } }",
        "1:28",
        "'faulty': it could not be made: KeyError: 'home'\n  hint: `flowyml plugin show TYPE`",
    ),
    "switch": (
        "plugins: { artifact_routing: { Model: { register: 'false' } } }",
        "1:51",
        "write true or false, without quotes",
    ),
    "yes": (
        "plugins: { artifact_routing: { Model: { register: yes } } }",
        "1:51",
        "write true or false, without quotes",
    ),
    "rule": (
        "plugins: { artifact_routing: { Model: { regster: true } } }",
        "1:41",
        "did you mean 'register'",
    ),
    "null rule": ("plugins:\n  artifact_routing:\n    Model:\n", "3:5", "expected a mapping"),
    "rules": ("plugins: { artifact_routing: [] }", "1:30", "a mapping from types to rules"),
    "placeholder": (
        "plugins: { artifact_routing: { default: { path: '{run}' } } }",
        "1:49",
        "did you mean 'run_id'",
    ),
    "way out": (
        "plugins: { artifact_routing: { default: { path: '../x' } } }",
        "1:49",
        "leads out of the store",
    ),
    "condition": (
        "plugins: { artifact_routing: { Model: { deploy_condition: atuo } } }",
        "1:59",
        "did you mean 'auto'",
    ),
    "threshold": (
        "plugins: { artifact_routing: { Model: { deploy_min_metrics: { f1: .nan } } } }",
        "1:67",
        "not a finite number",
    ),
    "threshold text": (
        "plugins: { artifact_routing: { Model: { deploy_min_metrics: { f1: '0.9' } } } }",
        "1:67",
        "write it without quotes",
    ),
    "hook": (
        "plugins: { artifact_routing: { Model: { hooks: { publish_promt: true } } } }",
        "1:65",
        "did you mean 'publish_prompt'",
    ),
    "store": (
        "plugins:\n  artifact_routing:\n    Model:\n      store: gcs\n",
        "4:14",
        "the stack 'default' has no store 'gcs' (its stores: default, local)",
    ),
    "store of a stack": (
        "plugins: { artifact_stores: { s3a: { type: memory } },\n" + MODEL_TO_S3,
        "2:39",
        "did you mean 's3a'",
    ),
    "rule for a store of an unknown type": (
        "plugins: { artifact_store: { type: gsc },\n artifact_routing: { Model: { store: gsc } } }",
        "1:36",
        "unknown artifact_store type 'gsc'",
    ),
    "rule for a store without a type": (
        "plugins: { artifact_stores: { hot: {} },\n  artifact_routing: { Model: { store: hot } } }",
        "1:36",
        "this artifact_store has no `type`",
    ),
    "rule for a store that is no mapping": (
        "plugins: { artifact_store: gcs,\n  artifact_routing: { Model: { store: gcs } } }",
        "1:28",
        "is not a mapping",
    ),
    "stores": ("plugins: { artifact_stores: [] }", "1:29", "a mapping from names to stores"),
    "name of a store": (
        "plugins: { artifact_stores: { local: { type: memory } } }",
        "1:31",
        "already answers to the name 'local'",
    ),
    "extensions": ("plugins: { extensions: audit }", "1:24", "extensions is a list"),
    "extension": ("plugins: { extensions: [audti] }", "1:25", "did you mean 'audit'"),
    "trust": ("plugins: { trust: [pickel] }", "1:20", "did you mean 'pickle'"),
    "cache": ("plugins: { cache: 'no' }", "1:19", "cache: expected true or false"),
    "nested": ("plugins: " + "[" * 60 + "]" * 60, "1:60", "nested more than 50 deep"),
    "laughs": (
        "x-a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(
            f"x-{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
            for before, after in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "5:14",
        "more than 20000 values",
    ),
}


@pytest.mark.parametrize(("text", "place", "said"), TEXTS.values(), ids=TEXTS.keys())
def test_a_mistake_is_told_where_it_stands(
    build: Build, text: str, place: str | None, said: str
) -> None:
    """File, line and column first, then what is wrong and what to write instead."""
    with pytest.raises(ConfigurationError) as caught:
        build(text)
    place = f"flowyml.yaml:{place}: " if place else "flowyml.yaml: "
    assert str(caught.value).startswith(place)
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1


def test_all_problems_of_a_stack_are_told_at_once(build: Build) -> None:
    """In the order of the file."""
    with pytest.raises(ConfigurationError) as caught:
        build(
            "plugins:\n"
            "  modl_registry: { type: local }\n"
            "  artifact_store: { type: gcs, parts: many, tier: warm, retries: { wait: x, n: 1 } }\n"
            "  experiment_tracker: [{ type: mlfow }, { type: mlflow, uri: ${UNSET_HERE} }]\n"
            "  artifact_routing:\n"
            "    Model: { register: 1, stor: gcs }\n"
            "    Dataset: { store: nowhere }\n"
        )
    places = [str(problem.location) for problem in caught.value.problems]
    expected = "2:3 3:19 3:39 3:51 3:74 3:77 4:32 4:62 6:24 6:27 7:23"
    assert places == [f"flowyml.yaml:{place}" for place in expected.split()]


def test_all_mistakes_of_the_top_level_are_told_at_once(project: Project) -> None:
    """Keys, names of stacks, what stands there twice, the active stack and the pipelines."""
    assert project.config
    project.config.write_text(
        "stackss: {}\n"
        "stacks:\n"
        "  a: [1]\n"
        '  "a b/..": {}\n'
        "  b: { cache: true, cache: false }\n"
        "  b: {}\n"
        "active_stack: c\n"
        "pipelines: [x]\n"
        "other: 1\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        Configuration.read(project)
    places = [str(problem.location) for problem in caught.value.problems]
    expected = "1:1 3:6 4:3 5:21 6:3 7:15 8:12 9:1"
    assert places == [f"flowyml.yaml:{place}" for place in expected.split()]


@pytest.mark.parametrize(
    "name",
    ['"a b/.."', "1", "null", "true", '".."', '""', '"-a"', '" a"', '"a  b"', '"a\\n"', "a,b"],
)
def test_a_name_that_is_no_stacks_is_refused(project: Project, name: str) -> None:
    """What could be taken for a path, for an option or for another value of YAML."""
    assert project.config
    project.config.write_text(f"stacks:\n  good: {{}}\n  {name}: {{}}\n")
    with pytest.raises(ConfigurationError, match=r"^flowyml\.yaml:3:3: .* cannot name a stack\n"):
        Configuration.read(project)


def test_types_that_are_not_installed_are_brought_by_one_command(build: Build) -> None:
    """Each is told at its line; the command is told once."""
    with pytest.raises(ConfigurationError) as caught:
        build(
            "plugins:\n"
            "  artifact_store: { type: azure }\n"
            "  artifact_stores: { second: { type: azure } }\n"
            "  experiment_tracker: { type: tensorboard }\n"
        )
    assert [problem.message for problem in caught.value.problems] == [
        (
            "unknown artifact_store type 'azure': install it with "
            "`pip install 'flowyml[azure,tensorboard]'`"
        ),
        "unknown artifact_store type 'azure': install it with the same command",
        "unknown experiment_tracker type 'tensorboard': install it with the same command",
    ]


def test_only_the_stack_that_is_built_is_looked_into(build: Build) -> None:
    """Mistakes in another stack wait until it is used."""
    text = "stacks:\n  good: {}\n  bad: { artifact_store: { type: gsc, token: ${UNSET_HERE} } }\n"
    assert build(text, "good").name == "good"
    with pytest.raises(ConfigurationError, match="unknown artifact_store type 'gsc'"):
        build(text, "bad")


def test_an_unknown_stack_lists_the_known_ones(build: Build) -> None:
    """By argument and by active_stack, the latter at its line."""
    with pytest.raises(ConfigurationError, match="no stack 'prd' in flowyml") as caught:
        build("stacks:\n  prod:\n  dev:\n", "prd")
    assert caught.value.problems[0].hint == "did you mean 'prod'?"


def test_an_active_stack_that_is_unknown_is_told_at_its_line(project: Project) -> None:
    """It is found by whoever asks for the active one."""
    assert project.config
    project.config.write_text("stacks: { prod: {} }\nactive_stack: prd\n")
    found = Configuration.read(project)
    with pytest.raises(ConfigurationError, match=r"^flowyml\.yaml:2:15: there is no stack 'prd'"):
        _ = found.active_stack


def read(project: Project) -> None:
    """Read the file, expecting that it cannot be."""
    Configuration.read(project)


def test_bytes_that_are_no_utf8_are_told_by_line(project: Project) -> None:
    """The file is not guessed at."""
    assert project.config
    project.config.write_bytes(b"plugins:\n  # caf\xe9\n")
    with pytest.raises(ConfigurationError, match=r"^flowyml\.yaml:2: the file is not UTF-8: .*xe9"):
        read(project)


def test_a_folder_is_no_file(project: Project) -> None:
    """A folder of that name is not passed over either."""
    assert project.config
    project.config.mkdir()
    with pytest.raises(ConfigurationError, match="this is a folder"):
        read(project)


def test_a_file_that_goes_nowhere_is_told(project: Project) -> None:
    """A dangling link is found by the search and cannot be read."""
    assert project.config
    project.config.symlink_to("gone.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read(project)


@pytest.fixture
def _nobody() -> Iterator[None]:
    """Root may read every file, so the test is nobody for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_file_without_rights_is_told(project: Project, request: pytest.FixtureRequest) -> None:
    """The reason is that of the system."""
    assert project.config
    project.config.touch(mode=0)
    request.getfixturevalue("_nobody")
    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        read(project)


def test_a_huge_file_is_not_parsed(project: Project) -> None:
    """A configuration has 200 kB at most."""
    assert project.config
    project.config.write_bytes(b"#" * 200_001)
    with pytest.raises(ConfigurationError, match="at most 200000"):
        read(project)


SECRETS = {
    "its own check": "plugins: { model_registry: { type: picky, password: hunter2-abc } }",
    "wrong type": ("plugins: { artifact_store: { type: gcs, bucket: b, token: [hunter2-abc] } }"),
    "from a variable": (
        "plugins: { artifact_store: { type: gcs, bucket: b, parts: ${TOKEN}, tier: ${TOKEN} } }"
    ),
    "another field's check": (
        "plugins: { artifact_store: { type: gcs, bucket: ${TOKEN}, token: ${TOKEN} } }"
    ),
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_no_error_shows_a_secret(build: Build, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the message, not a hint, and not the exceptions behind it."""
    monkeypatch.setenv("TOKEN", "hunter2-abc")
    with pytest.raises(ConfigurationError) as caught:
        build(text)
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    told = [line for line in shown.splitlines() if not line.startswith("    ")]
    assert "hunter2" not in "\n".join(told)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_short_value_of_a_variable_leaves_the_message_legible(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no longer than three characters stands in any text; it is not looked for."""
    monkeypatch.setenv("LETTER", "e")
    with pytest.raises(ConfigurationError, match=r"gcs': tier: expected one of hot, cold"):
        build("plugins: { artifact_store: { type: gcs, bucket: b, tier: ${LETTER} } }")


def test_no_repr_shows_a_secret(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither that of the stack nor that of the component."""
    monkeypatch.setenv("TOKEN", "hunter2-abc")
    stack = build("plugins: { artifact_store: { type: gcs, bucket: b, token: ${TOKEN} } }")
    assert "hunter2" not in repr(stack) + repr(stack.components) + repr(stack.hooks)


def test_what_a_component_lacks_beside_the_others_is_told_at_its_place(project: Project) -> None:
    """A component that completes itself, and cannot, is located like any other mistake."""
    assert project.config
    project.config.write_text("plugins:\n  model_registry: { type: lonely }\n")
    with pytest.raises(ConfigurationError, match=r"^flowyml\.yaml:2:19: no store names a project"):
        Configuration.read(project).build("default", CATALOG)


def test_a_broken_plugin_keeps_its_own_class(project: Project) -> None:
    """It is no mistake of the file's."""
    assert project.config
    project.config.write_text("plugins:\n  model_registry: { type: gone }\n")
    with pytest.raises(PluginError, match=r"^flowyml\.yaml:2:19: .*cannot be imported: Mod"):
        Configuration.read(project).build("default", CATALOG)


def test_the_file_is_named_as_short_as_it_is_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the working directory where it is below it, else in full."""
    config = tmp_path / "a" / "flowyml.yaml"
    (tmp_path / "b").mkdir()
    config.parent.mkdir()
    config.write_text("- x\n")
    for here, shown in ((tmp_path, "a/flowyml.yaml"), (tmp_path / "b", str(config))):
        monkeypatch.chdir(here)
        with pytest.raises(ConfigurationError, match=f"^{shown}:1:1: "):
            read(Project(config.parent, config))
