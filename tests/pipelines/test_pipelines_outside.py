"""What code uses of the project's modules, by whatever way it has got hold of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.pipelines.conftest import Digest

RATE = "def rate(): return 1\n"

CLOSURE = """
    def made():
        import helper
        def call(): return helper.rate()
        return call

    call = made()

    @step
    def work(): return call()
"""

REGISTRY = """
    def helped(): return 1

    def plugins(): return helped(), plugins.limit

    plugins.registry = {}
    plugins.limit = 2

    @step
    def work(): return plugins()
"""

FOLDER: Mapping[str, str] = {"shelf/inner.py": RATE}

LAZY: Mapping[str, str] = {
    "shelf/__init__.py": """
        from importlib import import_module

        def __getattr__(name):
            if name == "rate":
                return import_module("shelf.inner").rate
            raise KeyError(name)
    """,
    "shelf/inner.py": RATE,
}


@pytest.mark.parametrize(
    ("flow", "others"),
    [
        pytest.param(
            "import helper\ndef call(lib=helper): return lib.rate()\n"
            "@step\ndef work(): return call()\n",
            {"helper.py": RATE},
            id="default",
        ),
        pytest.param(CLOSURE, {"helper.py": RATE}, id="closure"),
        pytest.param(
            "@step\ndef work():\n    import shelf.inner\n    return shelf.rate()\n",
            {"shelf/__init__.py": RATE, "shelf/inner.py": ""},
            id="package of an import inside",
        ),
        pytest.param(
            "import shelf.inner\n@step\ndef work(): return shelf.inner.rate()\n",
            FOLDER,
            id="folder without __init__",
        ),
        pytest.param(
            "@step\ndef work():\n    import shelf.inner\n    return shelf.inner.rate()\n",
            FOLDER,
            id="folder without __init__, inside",
        ),
        pytest.param(
            "import shelf\n@step\ndef work(): return shelf.rate(), shelf.__name__.upper()\n",
            LAZY,
            id="package that loads what it is asked for",
        ),
        pytest.param(REGISTRY, {}, id="function with a registry of its own"),
    ],
)
def test_what_is_called_counts(flow: str, others: Mapping[str, str], digest: Digest) -> None:
    """Whether the module is a global, an argument, or is made when it is asked for."""
    before = digest(flow, others)
    changed = {name: text.replace("return 1", "return 2") for name, text in others.items()}
    assert digest(flow.replace("return 1", "return 2"), changed) != before
    assert digest(flow, others) == before


def test_an_attribute_of_a_function_counts(digest: Digest) -> None:
    """It is a constant like any other."""
    assert digest(REGISTRY.replace("limit = 2", "limit = 3")) != digest(REGISTRY)
