"""What a value holds is written the same by every process."""

from __future__ import annotations

import pytest
from tests.pipelines.conftest import Digest, digest_of_process

from flowyml.pipelines.definitions import UnknownSourceError

SETS = """
    class Words:
        def __init__(self):
            self.stop = {"a", "the", "of", "and", "or"}
            self.pairs = frozenset({("a", 1), ("b", 2), ("c", 3)})
            self.handlers = {first, second}

    def first(): return 1

    def second(): return 2

    WORDS = Words()

    @step
    def work(): return WORDS
"""

HELD = """
    import math
    from types import MappingProxyType

    class Library:
        def __init__(self):
            self.numbers = math
            self.rates = MappingProxyType({"a": 1})

    LIBRARY = Library()
    RATES = MappingProxyType({"a": [lambda: 2]})

    @step
    def work(): return LIBRARY, RATES
"""


def test_a_set_is_written_in_one_order_by_every_process(digest: Digest) -> None:
    """Its own goes by the seed that a process has for its hashes."""
    digest(SETS)
    assert {digest_of_process(seed) for seed in ("1", "2")} == {digest(SETS)}


@pytest.mark.parametrize(
    ("old", "new"), [('"of"', '"off"'), ("2)", "20)"), ("return 1", "return 10")]
)
def test_what_is_in_a_set_counts(old: str, new: str, digest: Digest) -> None:
    """Words, tuples and functions alike."""
    assert digest(SETS.replace(old, new)) != digest(SETS)


@pytest.mark.parametrize(
    ("old", "new"), [("numbers = math", "numbers = re"), ('"a": 1', '"a": 10'), (": 2", ": 20")]
)
def test_libraries_and_views_of_mappings_count(old: str, new: str, digest: Digest) -> None:
    """A library as its name, and a view as the mapping that it shows."""
    flow = f"    import re\n{HELD}"
    assert digest(flow.replace(old, new)) != digest(flow)


def test_a_module_of_the_project_in_a_value_is_told(digest: Digest) -> None:
    """What is called of it is not known from outside."""
    with pytest.raises(UnknownSourceError, match="'WAYS', a list whose content is not known"):
        digest(
            "import helper\nWAYS = [helper]\n@step\ndef work(): return WAYS[0].rate()\n",
            {"helper.py": "def rate(): return 1\n"},
        )
