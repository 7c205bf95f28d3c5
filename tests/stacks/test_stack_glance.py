"""The glance at a file answers as the parser does, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowyml.errors import ConfigurationError
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.document import parse_mapping
from flowyml.stacks.glance import glance
from flowyml.stacks.nodes import ScalarNode
from flowyml.stacks.project import Project
from flowyml.stacks.sections import stack_nodes

KEYS = st.sampled_from(["stacks", "plugins", "active_stack", "a", "b-1", "local", "type", "null"])
# fmt: off
SCALARS = st.sampled_from([
    "a", "local", "x y", "1.0", "${A}", "${A:-b}", '"q"', "'it''s'", '"#"', "a#b", "a: b", "#c",
    "", "~", "null", "{", "}", "[", "*a", "&a x", "!t x", "|", "- x", "a:b", "http://h:1/p", "{}",
])
# fmt: on
FLOWS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key}: {value}" for key, value in pairs) + " }"
        ),
        st.lists(inner, max_size=2).map(lambda items: "[" + ", ".join(items) + "]"),
        st.tuples(SCALARS, inner).map("".join),
    ),
    max_leaves=5,
)
LINES = st.one_of(
    st.tuples(
        st.integers(0, 5), KEYS, st.one_of(st.just(""), FLOWS), st.sampled_from(["", " # c"])
    ).map(lambda parts: f"{' ' * parts[0]}{parts[1]}: {parts[2]}{parts[3]}".rstrip()),
    st.sampled_from(
        ["", "  ", "# c", "   # c", "---", "- a", "\tx: 1", "'", "  - b", "\u2028", "..."]
    ),
)
FILES = st.lists(LINES, max_size=7).map(lambda lines: "\n".join(["stacks:", *lines]))


def parsed(text: str) -> tuple[tuple[str, ...], str | None]:
    """Return what the parser finds."""
    root = parse_mapping(text, "f")
    active = root.get("active_stack")
    return tuple(stack_nodes(root)), active.text if isinstance(active, ScalarNode) else None


@settings(deadline=None)
@given(FILES)
@example("stacks:\n  a: foo{b: c}\n")
@example("stacks:\n  a: {b: c, b: d}\n")
@example("stacks:\n  a: {b: 'x, b: y'}\nactive_stack: a # local\n")
@example("stacks:\n  a:\n    b: 1\n   c: 2\n")
@example("stacks:\n  a:\n    b: 'x\n  c: y'\n")
@example("stacks:\n  a:\n    b: {\n  c: d }\n")
@example("stacks:\n  a:\n    b: |\n      c:\n  d:\n")
def test_what_is_glanced_is_what_is_parsed(text: str) -> None:
    """Whatever the text, an answer is the parser's answer."""
    seen = glance(text)
    if seen is not None:
        assert parsed(text) == (seen.stack_names, seen.active_stack)


def test_the_documented_layout_needs_no_parser() -> None:
    """Comments, blank lines, braces and variables are plain enough."""
    text = (
        "# where\nstacks:\n  local:\n    orchestrator: { type: local } # here → there\n\n"
        "  gcp-prod:\n    experiment_tracker: { type: mlflow, tracking_uri: ${MLFLOW_URI} }\n"
        '    artifact_routing:\n      Dataset:\n        path: "{run_id}/{step_name}"\n'
        "active_stack: local\n"
    )
    seen = glance(text)
    assert seen is not None
    assert seen.stack_names == ("local", "gcp-prod")


@pytest.mark.parametrize(
    "text",
    [
        "stacks:\n  a:\nactive_stack: b\n",
        "stacks:\n  a:\nplugins:\n  b: {}\n",
        "stacks: {}\n",
        "stacks:\n  a: text\n",
        "stacks:\n  a: [1\n",
        "stacks:\n  a:\n  null:\n",
        "stcks:\n  a:\n",
    ],
)
def test_a_wrong_file_is_left_to_the_parser(text: str, tmp_path: Path) -> None:
    """A mistake is never glanced over."""
    assert glance(text) is None
    config = tmp_path / "flowyml.yaml"
    config.write_text(text)
    with pytest.raises(ConfigurationError):
        _ = Configuration.read(Project(tmp_path, config)).active_stack


def test_listing_the_stacks_imports_no_heavy_library(tmp_path: Path) -> None:
    """The names and the active one come without ruamel, cattrs, fsspec, pluggy or a component."""
    (tmp_path / "flowyml.yaml").write_text("stacks:\n  a:\n  b:\nactive_stack: b\n")
    code = (
        "import sys\n"
        "from flowyml.stacks.active import configuration, stack_name\n"
        "print(configuration().stack_names, stack_name())\n"
        "heavy = {'ruamel', 'cattrs', 'fsspec', 'pluggy', 'flowyml_local'}\n"
        "print(heavy.intersection(name.split('.')[0] for name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["('a', 'b') b", "set()"]
