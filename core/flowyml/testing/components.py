"""What every component has to do, whatever its role."""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, ClassVar, Final

import attrs
import pytest

from flowyml.plugins import Component
from flowyml.plugins.api import API_VERSION, fits
from flowyml.plugins.descriptions import exposed_fields, unexplained_fields
from flowyml.plugins.discovery import installed
from flowyml.plugins.markers import PROJECT
from flowyml.records import Check
from flowyml.testing.contract import Contract
from flowyml.testing.seats import hooks_of

__all__ = ["ComponentContract", "secrets_of"]

IMPORTED: Final = """\
import json, sys
import flowyml.plugins.components, flowyml.storage.folders, flowyml.storage.filesystems
import flowyml.artifacts, flowyml.serialization
before = set(sys.modules)
import {module}
roots = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(roots - set(sys.stdlib_module_names))))
"""


class ComponentContract(Contract):
    """Tests of any component; the suites of the roles have them as well.

    Attributes:
        imports: Packages that the component's module may import at its top, besides its own
            and those of FlowyML. Each costs time in every command that uses the stack.
    """

    imports: ClassVar[frozenset[str]] = frozenset()

    @pytest.fixture
    def new_component(self) -> Callable[[], Any]:
        """Return a function that makes a component of the backend, as another process would."""
        raise NotImplementedError

    def test_it_is_a_component(self, new_component: Callable[[], Component]) -> None:
        """An attrs class, so that its fields are its configuration, for a role that is known."""
        component = new_component()
        assert isinstance(component, Component)
        assert "__attrs_attrs__" in vars(type(component)), "decorate the class with @attrs.define"
        assert component.role in {*installed().roles(), "extension"}

    def test_it_is_built_for_this_contract(self, new_component: Callable[[], Component]) -> None:
        """The range of versions that it states has this one in it."""
        assert fits(API_VERSION, new_component().flowyml_api)

    def test_its_hooks_are_in_the_contract(self, new_component: Callable[[], Component]) -> None:
        """A misspelt hook, or a parameter that no hook has, would never be called."""
        component = new_component()
        hooks_of({"component": component})
        marked = [name for name in dir(type(component)) if _is_hook(type(component), name)]
        assert marked, "no method is marked @hookimpl"

    def test_its_fields_are_explained(self, new_component: Callable[[], Component]) -> None:
        """In the section Attributes of the docstring, where `flowyml plugin show` reads them."""
        assert unexplained_fields(type(new_component())) == []

    def test_its_secrets_are_not_shown(self, new_component: Callable[[], Component]) -> None:
        """A field that holds one has ``repr=False``, and no text of the component has it."""
        component = new_component()
        assert exposed_fields(type(component)) == [], "a secret's field is made with repr=False"
        for text in (repr(component), str(component)):
            assert not [secret for secret in secrets_of(component) if secret in text]

    def test_importing_it_costs_little(self, new_component: Callable[[], Component]) -> None:
        """A library that is slow to import is imported by the function that needs it."""
        module = type(new_component()).__module__
        code = f"import sys; sys.path[:] = {sys.path!r}\n" + IMPORTED.format(module=module)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        allowed = {module.partition(".")[0], "flowyml", *self.imports}
        found = {name for name in json.loads(done.stdout) if not name.startswith("_")}
        assert found - allowed == set()

    def test_it_is_made_again_elsewhere(self, new_component: Callable[[], Component]) -> None:
        """Another process makes the same one from its class and its configuration, which pickle."""
        component = new_component()
        sent = pickle.dumps((type(component), _configuration(component)))
        cls, configuration = pickle.loads(sent)  # noqa: S301  # our own
        assert _configuration(cls(**configuration)) == _configuration(component)

    def test_it_is_ready(self, new_component: Callable[[], Component]) -> None:
        """Before a run it finds its backend in order."""
        new_component().preflight()

    def test_the_doctor_finds_it_well(self, new_component: Callable[[], Component]) -> None:
        """What it looks at is in order, and has a name and a message."""
        checks = list(new_component().diagnose())
        for check in checks:
            assert isinstance(check, Check)
            assert check.name
            assert check.message
        assert [check.message for check in checks if not check.ok] == []

    def test_it_judges_any_error(self, new_component: Callable[[], Component]) -> None:
        """It says whether an error may pass, or that it does not know; it never raises itself."""
        component = new_component()
        judge = getattr(component, "is_transient", None)
        for error in (ValueError("x"), OSError(), KeyError(1), RuntimeError("a", 2)):
            assert judge is None or judge(error=error) in {True, False, None}


def secrets_of(component: Component) -> list[str]:
    """Return the values of the fields that are never shown."""
    fields = (a for a in attrs.fields(type(component)) if a.init and not a.repr)
    values = (getattr(component, a.name) for a in fields)
    return [value for value in values if isinstance(value, str) and value]


def _configuration(component: Component) -> dict[str, Any]:
    fields = attrs.fields(type(component))
    return {a.alias: getattr(component, a.name) for a in fields if a.init}


def _is_hook(cls: type, name: str) -> bool:
    return hasattr(inspect.getattr_static(cls, name), f"{PROJECT}_impl")
