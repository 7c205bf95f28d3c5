"""What a step's code is, for the cache: everything of the project that its result depends on."""

from __future__ import annotations

import sys

import pytest
from tests.pipelines.conftest import Digest, WriteFile, digest_of_process

from flowyml import Model
from flowyml.pipelines.definitions import UnknownSourceError
from flowyml.pipelines.outside import used_by
from flowyml.pipelines.sources import code_digest

BASE = """
    class Base:
        def size(self): return 1

    class Scaler(Base):
        pass

    @step
    def work(): return Scaler().size()
"""

DECORATED = """
    import functools

    def more(count):
        def decorate(function):
            @functools.wraps(function)
            def wrapper(): return function() + count * 1
            return wrapper
        return decorate

    FACTOR = 7

    @step
    @more(5)
    def work(): return FACTOR
"""

METHOD = """
    from attrs import define

    @define
    class Trainer:
        rate: float

        def train(self): return self.rate * 2

    work = step(Trainer(1).train)
"""

PARTIAL = """
    from functools import partial

    def scaled(by): return by + 2

    work = step(name="work")(partial(scaled, by=1))
"""

CACHED = """
    import functools

    @functools.lru_cache
    def known(): return 1

    @step
    def work(): return known()
"""

INSTANCE = """
    from dataclasses import dataclass

    @dataclass
    class Config:
        rate: float = 1

        def doubled(self): return self.rate * 2

    CONFIG = Config()

    @step
    def work(): return CONFIG.doubled()
"""

PROPERTY = """
    class Config:
        @property
        def rate(self): return 1

    @step
    def work(): return Config().rate
"""

RENAMED = """
    import math as m
    from json import dumps as write
    from math import sin as curve

    pick = {1: 2}.get

    @step
    def work(value={"at": 0}): return m.e, write(""), curve(1), pick(1), value
"""

HELD = """
    import abc
    import enum
    import re

    def made(): return 1

    class Meta(type):
        def size(cls): return 2

    class Outer(metaclass=Meta):
        rate = made()
        pattern = re.compile("a+")

        class Inner:
            depth = 3

            def __call__(self): return 4

    class Colour(enum.Enum):
        RED = 5

    class Shape(abc.ABC):
        @abc.abstractmethod
        def draw(self): return 6

    @step
    def work(value=None): return Outer.size(), Outer.Inner()(), Colour.RED, Shape, value
"""

CALLED = """
    from collections import Counter

    class Trainer:
        def __init__(self, rate): self.rate = rate
        def __call__(self): return self.rate + 2

    def first(): return 3

    WAYS = {"first": first, "both": [lambda: 4]}
    SEEN = Counter(a=5)

    work = step(name="work")(Trainer(1))

    @step
    def other(): return WAYS, SEEN
"""

FIELDS = """
    import attrs
    import functools

    RATE = 1

    def positive(_instance, _attribute, value): assert value > 2

    def made(): return 3

    @attrs.define
    class Config:
        rate: float = attrs.field(default=RATE, validator=positive)
        depth: int = attrs.field(factory=made)

        @functools.cache
        def size(self): return helped()

    def helped(): return 4

    @functools.singledispatch
    def shown(value): return 5

    @shown.register
    def _(value: int): return 6

    @step
    def work(): return Config().size(), shown(1), [Config()]
"""

NESTED = """
    def outer():
        def inner(): return 1 in {"a", "b", "c"}
        return inner

    HELPER = outer()

    @step
    def work(): return [HELPER() for _ in range(2)]
"""


@pytest.mark.parametrize(
    ("flow", "old", "new"),
    [
        pytest.param(BASE, "return 1", "return 2", id="base class"),
        pytest.param(DECORATED, "* 1", "* 2", id="decorator"),
        pytest.param(DECORATED, "more(5)", "more(6)", id="argument of a decorator"),
        pytest.param(DECORATED, "FACTOR = 7", "FACTOR = 8", id="constant below a decorator"),
        pytest.param(METHOD, "Trainer(1)", "Trainer(2)", id="instance of a method"),
        pytest.param(METHOD, "* 2", "* 3", id="method"),
        pytest.param(PARTIAL, "by=1", "by=2", id="argument of a partial"),
        pytest.param(PARTIAL, "by + 2", "by + 3", id="function of a partial"),
        pytest.param(CACHED, "return 1", "return 2", id="cached function"),
        pytest.param(INSTANCE, "float = 1", "float = 2", id="default of a class"),
        pytest.param(INSTANCE, "* 2", "* 3", id="method of an instance"),
        pytest.param(PROPERTY, "return 1", "return 2", id="property"),
        pytest.param(HELD, "return 1", "return 10", id="value of a class that was computed"),
        pytest.param(HELD, "return 2", "return 20", id="metaclass"),
        pytest.param(HELD, "depth = 3", "depth = 30", id="value of a nested class"),
        pytest.param(HELD, "return 4", "return 40", id="method of a nested class"),
        pytest.param(HELD, "RED = 5", "RED = 50", id="enum"),
        pytest.param(HELD, "return 6", "return 60", id="abstract class"),
        pytest.param(HELD, '"a+"', '"b+"', id="pattern"),
        pytest.param(CALLED, "Trainer(1)", "Trainer(10)", id="state of a callable object"),
        pytest.param(CALLED, "+ 2", "+ 20", id="method of a callable object"),
        pytest.param(FIELDS, "RATE = 1", "RATE = 10", id="constant as a field's default"),
        pytest.param(FIELDS, "> 2", "> 20", id="validator"),
        pytest.param(FIELDS, "return 3", "return 30", id="factory of a field"),
        pytest.param(FIELDS, "return 4", "return 40", id="what a cached method calls"),
        pytest.param(FIELDS, "return 5", "return 50", id="generic function"),
        pytest.param(FIELDS, "return 6", "return 60", id="its implementation"),
        pytest.param(RENAMED, "import math", "import cmath", id="installed module"),
        pytest.param(RENAMED, "dumps", "dump", id="installed function"),
        pytest.param(RENAMED, "import sin", "import cos", id="builtin function"),
        pytest.param(RENAMED, "{1: 2}", "{1: 3}", id="owner of a builtin method"),
        pytest.param(RENAMED, '"at": 0', '"at": 1', id="default"),
        pytest.param(NESTED, "return 1", "return 2", id="closure"),
        pytest.param(NESTED, '"c"', '"d"', id="set"),
    ],
)
def test_what_a_result_depends_on_counts(flow: str, old: str, new: str, digest: Digest) -> None:
    """Nothing of the project can change without the step being run again."""
    assert old in flow
    before = digest(flow)
    assert digest(flow.replace(old, new)) != before
    assert digest(flow) == before


@pytest.mark.parametrize(
    ("old", "new"), [("return 3", "return 30"), ("lambda: 4", "lambda: 40"), ("a=5", "a=50")]
)
def test_functions_and_values_in_a_collection_count(old: str, new: str, digest: Digest) -> None:
    """Such as a table of handlers."""
    flow = f"{CALLED}\n    work = other\n"
    assert digest(flow.replace(old, new)) != digest(flow)


def test_the_classes_of_arguments_count(digest: Digest) -> None:
    """A step may call their methods, also where they lie in a list in an artifact."""
    digest(CALLED)
    flow = sys.modules["flow"]
    given = [Model({"a": [flow.Trainer(1)]})]
    before = code_digest(flow.other, given)
    assert before != code_digest(flow.other)
    digest(CALLED.replace("+ 2", "+ 20"))
    flow = sys.modules["flow"]
    assert code_digest(flow.other, [Model({"a": [flow.Trainer(1)]})]) != before


@pytest.mark.parametrize(
    "line",
    [
        "import helper; return helper.rate()",
        "import helper as h; return h.rate()",
        "from helper import rate; return rate()",
        "from helper import rate as r; return r()",
        "import shelf.inner; return shelf.inner.rate()",
        "from shelf import inner; return inner.rate()",
    ],
)
def test_what_is_imported_when_it_is_called_counts(
    line: str, digest: Digest, write_file: WriteFile
) -> None:
    """An import inside of a function is one of the project's as well."""
    flow = f"""
    @step
    def work(): {line}
    """

    def write(rate: int) -> None:
        for name in ("helper.py", "shelf/inner.py"):
            write_file(name, f"def rate(): return {rate}\n")
        write_file("shelf/__init__.py", "")

    write(1)
    before = digest(flow)
    assert digest(flow) == before
    write(20)
    assert digest(flow) != before


def test_every_process_finds_the_same(digest: Digest) -> None:
    """Sets and names are in another order in each of them."""
    digest(NESTED)
    assert {digest_of_process(seed) for seed in ("1", "2")} == {digest(NESTED)}


@pytest.mark.parametrize("line", ["raise RuntimeError('no')", "raise SystemExit('no')"])
def test_an_import_that_fails_is_told(line: str, digest: Digest, write_file: WriteFile) -> None:
    """What cannot be imported cannot be compared."""
    write_file("helper.py", f"{line}\n")
    with pytest.raises(UnknownSourceError, match="imports 'helper', which cannot be imported"):
        digest("@step\ndef work():\n    import helper\n    return helper\n")


def test_what_is_not_there_or_installed_is_let_be(digest: Digest) -> None:
    """A step may try an optional library; nothing is imported that is not the project's."""
    sys.modules.pop("colorsys", None)
    assert digest("@step\ndef work():\n    import colorsys, no_such_library\n    return colorsys\n")
    assert "colorsys" not in sys.modules


def test_a_file_that_changed_does_not_stand_for_what_runs(
    digest: Digest, write_file: WriteFile
) -> None:
    """A notebook goes on with the module that it has loaded."""
    before = digest(NESTED)
    write_file("flow.py", "")
    assert code_digest(sys.modules["flow"].work) == before


def test_what_has_no_content_is_told(digest: Digest) -> None:
    """It is named, and the step always runs."""
    flow = """
    import threading

    LOCK = threading.Lock()

    @step
    def work(): return LOCK
    """
    with pytest.raises(UnknownSourceError, match="'LOCK', a lock whose content is not known"):
        digest(flow)


def test_modules_that_import_each_other_are_read_once(
    digest: Digest, write_file: WriteFile
) -> None:
    """Not once for each way from one to another, of which there are a million."""
    names = [f"ring_{letter}" for letter in "abcdefghij"]
    for name in names:
        others = ", ".join(other for other in names if other != name)
        write_file(f"{name}.py", f"import {others}\ndef rate(): return 1\n")
    digest(f"import {names[0]}\n@step\ndef work(): return {'.'.join(names)}.rate()\n")
    used = [name for name, _ in used_by(sys.modules["flow"].work.function)]
    assert sorted(name for name in used if name.endswith(".rate")) == [f"{n}.rate" for n in names]


def test_a_long_chain_of_calls_is_followed(digest: Digest) -> None:
    """However deep it is: what is found waits in line."""
    chain = "".join(f"def f{n}(): return f{n + 1}()\n" for n in range(2000))
    flow = f"@step\ndef work(): return f0()\n{chain}def f2000(): return 1\n"
    assert digest(flow) != digest(flow.replace("return 1\n", "return 2\n"))
