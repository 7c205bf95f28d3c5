"""Variables: where they may stand, what they become, and what they can never become."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stacks.conftest import Build
from tests.stacks.stack_samples import BucketStore

from flowyml.errors import ConfigurationError
from flowyml.stacks.document import parse_mapping
from flowyml.stacks.interpolation import Veil
from flowyml.stacks.nodes import MappingNode, ScalarNode

STORE = "plugins:\n  artifact_store: {{ type: gcs, bucket: b, {} }}\n"


def made(build: Build, fields: str) -> BucketStore:
    """Build a store with some fields."""
    store = build(STORE.format(fields)).components["artifact_store"]
    assert isinstance(store, BucketStore)
    return store


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WORD": "word",
        "EMPTY": "",
        "SEVEN": "7",
        "HALF": "0.5",
        "NO": "false",
        "EVIL": "x, bucket: evil, parts: 9 } # \n  model_registry: { type: local",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSET", raising=False)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${WORD}", "word"),
        ("a-${WORD}-${SEVEN}", "a-word-7"),
        ('"${WORD}"', "word"),
        ("'${WORD}'", "word"),
        ("${UNSET:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${WORD:-default}", "word"),
        ("${EMPTY}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET:-http://h:1/p?q=[1, 2]#x}", "http://h:1/p?q=[1, 2]#x"),
        ("$${WORD}", "${WORD}"),
        ("$WORD", "$WORD"),
        ("${SEVEN}", "7"),
        ("${NO}", "false"),
        ("${UNSET:-null}", "null"),
        ('"tab\\t${UNSET:-\\t\\u00e9}"', "tab\t\té"),
        ("'it''s ${UNSET:-''}'", "it's '"),
    ],
)
def test_in_a_text(build: Build, written: str, value: str) -> None:
    """Plain or quoted, alone or in the middle, and always text where text belongs."""
    assert made(build, f"prefix: {written}").prefix == value


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_in_a_field_of_another_type(build: Build, quote: str) -> None:
    """A number or a switch is read from the text, however it is quoted."""
    fields = "parts: Q${SEVEN}Q, timeout: Q${HALF}Q, verify: Q${NO}Q, project: Q${WORD}Q"
    store = made(build, fields.replace("Q", quote))
    assert (store.parts, store.timeout, store.verify, store.project) == (7, 0.5, False, "word")


def test_in_a_field_of_any_type(build: Build) -> None:
    """Without quotes it is what it looks like, in quotes it is text."""
    store = made(build, "options: { a: ${SEVEN}, b: '${SEVEN}', c: [${NO}], d: ${WORD} }")
    assert store.options == {"a": 7, "b": "7", "c": [False], "d": "word"}


def test_a_value_never_becomes_structure(build: Build) -> None:
    """Whatever is in a variable, it stays inside its scalar."""
    store = made(build, "prefix: ${EVIL}")
    assert store.prefix.startswith("x, bucket: evil")
    assert (store.bucket, store.parts) == ("b", 4)


def test_a_value_that_names_a_variable_is_not_resolved_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sets one variable cannot read another."""
    monkeypatch.setenv("WORD", "${SEVEN}")
    assert made(build, "prefix: ${WORD}").prefix == "${SEVEN}"


def test_comments_may_hold_anything(build: Build) -> None:
    """An unset variable in a comment is no variable."""
    stack = build("plugins:  # ${UNSET} ${ {\n  cache: true # ${UNSET:-'}\n")
    assert stack.cache


def test_the_type_may_come_from_a_variable(build: Build) -> None:
    """A stack can choose its store by the environment."""
    assert build("plugins: { artifact_store: { type: '${UNSET:-memory}' } }").types[
        "artifact_store"
    ] == ("memory")


@pytest.mark.parametrize(
    ("fields", "place", "said"),
    [
        ("prefix: ${UNSET}", "2:51", "the environment variable 'UNSET' is not set"),
        ("prefix: a${WORD}b${UNSET}", "2:60", "the environment variable 'UNSET' is not set"),
        ("prefix: '${UNSET}'", "2:51", "the environment variable 'UNSET' is not set"),
        ("prefix: '${UNSET-x}'", "2:51", "this is no variable"),
        ("prefix: '${1X}'", "2:51", "this is no variable"),
        ("prefix: '${WORD'", "2:51", "this is no variable"),
        ("prefix: '${A:-${WORD}}'", "2:51", "the default of 'A' is another variable"),
        ("parts: ${WORD}", "2:50", "parts: expected a whole number, found text"),
        ("parts: ${HALF}", "2:50", "parts: expected a whole number, found text"),
        ("verify: ${SEVEN}", "2:51", "verify: expected true or false, found text"),
        ("tier: ${WORD}", "2:49", "tier: expected one of hot, cold"),
        ("prefix: ${WORD}, parts: x", "2:67", "parts: expected a whole number"),
    ],
)
def test_errors_are_where_the_variable_stands(
    build: Build, fields: str, place: str, said: str
) -> None:
    """Lines and columns are those of the file, also behind a variable."""
    with pytest.raises(ConfigurationError) as caught:
        made(build, fields)
    assert str(caught.value).startswith(f"flowyml.yaml:{place}: ")
    assert said in str(caught.value)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_the_veil_gives_back_every_text(text: str) -> None:
    """Whatever is in the file, private characters included, nothing is lost or moved."""
    veil = Veil.over(text)
    hidden = veil.hide(f"{text}${{X:-{{a}}}}")
    assert len(hidden) == len(text) + 9
    assert veil.show(hidden) == f"{text}${{X:-{{a}}}}"


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="}\\\"'")))
def test_any_default_can_stand_in_braces(default: str) -> None:
    """Signs that mean something to YAML mean nothing inside a variable."""
    root = parse_mapping(f"a: {{ b: ${{X:-{default}}}, c: 1 }}", "f")
    inner = root.get("a")
    assert isinstance(inner, MappingNode)
    value, after = inner.entries[0].value, inner.entries[1]
    assert isinstance(value, ScalarNode)
    assert value.text == f"${{X:-{default}}}"
    assert after.key.location.column == len(default) + 17
