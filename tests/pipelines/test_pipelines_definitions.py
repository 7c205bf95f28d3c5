"""What a class is, as its file says or, where a call made it, as it stands in memory."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator

import pytest
from tests.pipelines.conftest import Digest, WriteFile

from flowyml.pipelines import BEGUN
from flowyml.pipelines.definitions import UnknownSourceError
from flowyml.pipelines.sources import code_digest

CONFIG = """
    from attrs import define

    @define
    class Config:
        rate: int = 1

    @step
    def work(): return Config().rate
"""

MADE = """
    from collections import namedtuple
    from dataclasses import field, make_dataclass
    from enum import Enum

    def many(): return [1]

    Row = namedtuple("Row", ["left", "right"], defaults=[2])
    Colour = Enum("Colour", {"RED": 3})
    Config = make_dataclass(
        "Config", [("rate", int, 4), ("layers", list, field(default_factory=many))]
    )
    Trainer = type("Trainer", (), {"train": lambda self: 5, "ways": {"a": many}})

    @step
    def work(): return Row(1), Colour.RED, Config(), Trainer().train()
"""


def test_a_class_whose_file_was_saved_since_is_not_compared(
    digest: Digest, write_file: WriteFile
) -> None:
    """Its fields are those that were loaded, and the file has others by now."""
    digest(CONFIG)
    saved = write_file("flow.py", CONFIG.replace("= 1", "= 2"))
    os.utime(saved, (BEGUN + 3600, BEGUN + 3600))
    with pytest.raises(UnknownSourceError, match=r"flow\.py was saved while this process ran"):
        code_digest(sys.modules["flow"].work)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('"right"]', '"other"]', id="field of a named tuple"),
        pytest.param("[2]", "[20]", id="default of a named tuple"),
        pytest.param('"RED": 3', '"RED": 30', id="value of an enum"),
        pytest.param("int, 4", "int, 40", id="default of a data class"),
        pytest.param("return [1]", "return [10]", id="factory of a data class, or a function"),
        pytest.param("self: 5", "self: 50", id="method"),
    ],
)
def test_a_class_that_a_call_made_counts_with_all_it_has(
    old: str, new: str, digest: Digest
) -> None:
    """No file says what is in it."""
    assert old in MADE
    before = digest(MADE)
    assert digest(MADE.replace(old, new)) != before
    assert digest(MADE) == before


def test_a_file_is_read_once_for_all_its_classes(
    digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many classes are twice the work, not four times."""
    children, visited = ast.iter_child_nodes, 0

    def counted(node: ast.AST) -> Iterator[ast.AST]:
        nonlocal visited
        visited += 1
        return children(node)

    def visits(count: int) -> int:
        nonlocal visited
        classes = "".join(
            f"class C{n}:\n    rate: int = {n}\n    def next(self): return C{n + 1}()\n"
            for n in range(count)
        )
        last = f"class C{count}: pass\n"
        visited = 0
        digest(f"{classes}{last}@step\ndef work(): return C0()\n")
        return visited

    monkeypatch.setattr(ast, "iter_child_nodes", counted)
    assert visits(40) < 3 * visits(20)
