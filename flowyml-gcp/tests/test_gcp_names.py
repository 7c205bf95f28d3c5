"""Names in the forms that Google Cloud allows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowyml.errors import DeliveryError
from flowyml_gcp import names

ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
ENDPOINT_ID = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]")

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
short = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(short)
def test_a_version_is_read_back_from_its_alias(version: str) -> None:
    """And every alias is one that Vertex AI takes."""
    alias = names.version_alias(version)
    assert ALIAS.fullmatch(alias)
    assert names.version_of(alias) == version


@pytest.mark.parametrize("version", ["1.0.0", "2024-05-01", "1.0.0-RC", "A", "ü", "-"])
def test_usual_versions_have_aliases(version: str) -> None:
    """Dashes and capitals among them."""
    assert ALIAS.fullmatch(names.version_alias(version))
    assert names.version_of(names.version_alias(version)) == version


@given(texts)
def test_ids_and_labels_are_always_legal(text: str) -> None:
    """However long and strange the name is."""
    assert MODEL_ID.fullmatch(names.resource_id(text))
    assert ENDPOINT_ID.fullmatch(names.endpoint_id(text))
    assert LABEL.fullmatch(names.label_value(text))


@given(short)
def test_a_text_is_read_back_from_its_label(text: str) -> None:
    """Where it was not cut."""
    assert names.label_text(names.label_value(text)) == text


@given(texts, texts)
def test_different_names_never_meet(one: str, other: str) -> None:
    """Two models with similar names are two models."""
    assert (names.resource_id(one) == names.resource_id(other)) == (one == other)
    assert (names.endpoint_id(one) == names.endpoint_id(other)) == (one == other)


def test_a_digest_fits_into_a_label_and_comes_back() -> None:
    """In base 32 it has 52 characters, in hexadecimal one too many."""
    digest = "0123456789abcdef" * 4
    label = names.digest_label(f"sha256:{digest}")
    assert LABEL.fullmatch(label)
    assert names.digest_of(label) == digest


def test_a_version_too_long_for_a_label_is_refused() -> None:
    """It would not be found again, so it is not cut."""
    with pytest.raises(DeliveryError, match=r"takes 64 characters as a label.*use a shorter one"):
        names.version_alias("x" * 64)


def test_an_alias_of_ours_is_not_for_users() -> None:
    """Nobody takes a version away by naming an alias like it."""
    assert names.is_alias("champion")
    assert not names.is_alias("v-1")
    assert not names.is_alias("Champion")
    assert not names.is_alias("a")
