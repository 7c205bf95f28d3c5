"""Whatever is in the file, what comes out is a stack or an error of ours, and soon."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.stacks.stack_samples import CATALOG

from flowyml.errors import ConfigurationError, FlowyMLError
from flowyml.stacks.configuration import Configuration
from flowyml.stacks.document import parse
from flowyml.stacks.project import Project

LONG = 200_000

# fmt: off
PIECES = st.sampled_from([
    "plugins", "stacks", "default", "active_stack", "artifact_store", "artifact_routing", "type",
    "gcs", "local", "Model", "path", "${X}", "${X:-", "}", "{", "[", "]", ", ", ": ", "\n", "\n  ",
    "\n    ", "- ", "? ", "&a ", "*a", "<<", "|", ">", "'", '"', "\\", "#", " #", "\t", "!",
    "!!str ", "%YAML 1.1\n", "---\n", "...\n", "~", ".nan", "1e999", "0x1F", "\r\n", "\u2028", "é",
])
# fmt: on
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=40).map("".join))


@settings(deadline=None)
@given(TEXTS)
@example("plugins: {artifact_store: {type: local, path: ''}}")
@example("plugins: {artifact_store: {type: gcs, bucket: b, parts: 1e999, timeout: 1e999}}")
@example("plugins: {artifact_store: {type: gcs, bucket: b, parts: " + "9" * 5000 + "}}")
@example("%YAML 9.9\n---\nplugins: {}\n")
@example("%TAG ! tag:x,2026:\n---\nplugins: !x {}\n")
@example("plugins: &a { artifact_stores: *a }\n")
def test_any_text_is_a_stack_or_an_error_of_ours(text: str) -> None:
    """No other exception comes out, whatever the libraries below think of the text."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "flowyml.yaml")
        config.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            found = Configuration.read(Project(Path(folder), config))
            _ = found.active_stack, found.pipelines
            for name in found.stack_names:
                found.build(name, CATALOG)
        except FlowyMLError as error:
            assert str(error)  # noqa: PT017  # either is right


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "${X:-" * (LONG // 5),
        "a: " + "[" * LONG,
        "a: {" * (LONG // 4),
        "? " * (LONG // 2),
        "- " * (LONG // 2),
        "a: [" + "&a 1, " * (LONG // 6) + "]",
        "a:\n" + "\t" * LONG,
        "a: '" + "'" * LONG,
    ],
    ids=["variables", "lists", "mappings", "keys", "items", "anchors", "tabs", "quotes"],
)
def test_no_text_takes_long(text: str) -> None:
    """The worst that fits into a file is refused, or read, in a few seconds."""
    try:
        parse(text, "f")
    except ConfigurationError as error:
        assert "f:" in str(error)  # noqa: PT017


def test_a_file_of_private_characters_is_refused() -> None:
    """There is nothing left to hide variables behind."""
    with pytest.raises(ConfigurationError, match="every private block"):
        parse("".join(map(chr, range(0xE000, 0xF800, 0x80))), "f")
