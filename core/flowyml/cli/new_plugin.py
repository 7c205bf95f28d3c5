"""``flowyml plugin new``: a package that passes its tests as written, to begin with."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Final

from attrs import frozen

from flowyml.errors import ConfigurationError
from flowyml.plugins.discovery import installed
from flowyml.stacks.nodes import plain_value

__all__ = ["KINDS", "NewPlugin"]

COMPONENT: Final = (
    "the component: its fields are its configuration, its methods marked\n`@hookimpl` are its work"
)


@frozen
class Kind:
    """What the packages of one role have of their own, besides component and tests.

    Attributes:
        noun: What is written, as in "An artifact store for FlowyML".
        ending: What the name of its class ends with.
        usage: How it is used, in the README.
        key: What the name of its entry point is.
        entry: That name.
        about: What the module has in it.
    """

    noun: str
    ending: str
    usage: str
    key: str = "the `type:` in flowyml.yaml"
    entry: str = "$type"
    about: str = COMPONENT


def _in_yaml(entry: str) -> str:
    return f"```yaml\n# flowyml.yaml\nplugins:\n  {entry}\n```"


def _of_role(noun: str, ending: str, role: str, settings: str = "") -> Kind:
    further = f", {settings}" if settings else ""
    return Kind(noun, ending, _in_yaml(f"{role}: {{ type: $type{further} }}"))


KINDS: Final = {
    "artifact_store": _of_role("artifact store", "Store", "artifact_store", "folder: artifacts"),
    "experiment_tracker": _of_role(
        "experiment tracker", "Tracker", "experiment_tracker", "folder: tracked"
    ),
    "model_registry": _of_role("model registry", "Registry", "model_registry", "file: models.db"),
    "model_deployer": _of_role("model deployer", "Deployer", "model_deployer", "file: served.db"),
    "orchestrator": _of_role("orchestrator", "Orchestrator", "orchestrator", "at_once: 4"),
    "serializer": Kind(
        noun="serializer",
        ending="Format",
        usage="A step may then return a `$value`; whoever loads it gets it back in value and type.",
        key="the class that it is for",
        entry="$module.component.$value",
        about="the class of values and its format",
    ),
    "extension": Kind(
        noun="extension",
        ending="Extension",
        usage=_in_yaml("extensions: [$type]"),
        key="the name in `extensions:` of flowyml.yaml",
    ),
}
"""By role, what `flowyml plugin new` can write."""

REQUIRES: Final = ">=3.0,<4"

OURS: Final = frozenset({"aws", "azure", "gcp", "local", "tracking"})
"""The names below ``flowyml-`` and ``flowyml_`` that are taken, installed or not."""

WORD: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


@frozen
class NewPlugin:
    """A package that is about to be written.

    Attributes:
        type: What its ``type:`` will be.
        role: The role of its component.
    """

    type: str
    role: str

    @classmethod
    def named(cls, name: str, role: str) -> NewPlugin:
        """Return the package for a name, which may be that of a distribution.

        Raises:
            ConfigurationError: It cannot be a type, or there is such a one.
        """
        if not WORD.fullmatch(name):
            message = (
                f"{name!r} cannot name a plugin; take small letters, digits and hyphens, "
                "as in `flowyml plugin new lab-store`"
            )
            raise ConfigurationError(message)
        made = cls(re.sub("-", "_", name.removeprefix("flowyml-").removeprefix("flowyml_")), role)
        if made.type in (catalog := installed()).types(role):
            message = (
                f"the {role} {made.type!r} is installed, from "
                f"{catalog.find(role, made.type)}; choose another name"
            )
            raise ConfigurationError(message)
        if made.type in OURS or not isinstance(plain_value(made.type), str):
            why = "is no text in YAML"
            why = f"would make {made.distribution}, which is ours" if made.type in OURS else why
            message = f"{name!r} cannot name a plugin: it {why}; choose another name"
            raise ConfigurationError(message)
        return made

    @property
    def distribution(self) -> str:
        """Name of the distribution, and of its folder."""
        return f"flowyml-{self.type.replace('_', '-')}"

    @property
    def module(self) -> str:
        """Name of the package that is imported."""
        return f"flowyml_{self.type}"

    def write(self, above: Path) -> Path:
        """Write the package below a folder; return its own.

        Raises:
            ConfigurationError: There is such a folder, which is left as it is, or none can be made.
        """
        folder = above / self.distribution
        if folder.exists():
            message = f"{folder} is there already; move it away, or choose another name"
            raise ConfigurationError(message)
        try:
            self._write_files(folder)
        except OSError as cause:
            shutil.rmtree(folder, ignore_errors=True)
            message = f"{folder} cannot be written: {cause}; none of it was left there"
            raise ConfigurationError(message) from cause
        return folder

    def _write_files(self, folder: Path) -> None:
        values = self._values()
        for name, template in self._templates():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            path.write_text(text, encoding="utf-8")

    def _templates(self) -> Iterator[tuple[str, Traversable]]:
        shared = files("flowyml.cli") / "plugin_template"
        own = shared / self.role
        yield "pyproject.toml", shared / "pyproject.toml.txt"
        yield "README.md", shared / "README.md.txt"
        yield ".gitignore", shared / "gitignore.txt"
        yield ".github/workflows/tests.yml", shared / "ci.yml.txt"
        yield f"src/{self.module}/__init__.py", shared / "init.py.txt"
        yield f"src/{self.module}/component.py", own / "component.py.txt"
        yield "tests/test_component.py", own / "test_component.py.txt"

    def _values(self) -> dict[str, str]:
        kind = KINDS[self.role]
        words = "".join(word.capitalize() for word in self.type.split("_"))
        value = words.removesuffix(kind.ending) or words
        values = {
            "distribution": self.distribution,
            "module": self.module,
            "type": self.type,
            "role": self.role,
            "value": value,
            "cls": value + kind.ending,
            "summary": f"{_article(kind.noun)} {kind.noun} for FlowyML.",
            "requires": REQUIRES,
            "key": kind.key,
            "about": kind.about,
        }
        own = {
            name: Template(getattr(kind, name)).substitute(values) for name in ("usage", "entry")
        }
        return {**values, **own}


def _article(noun: str) -> str:
    return "An" if noun[0] in "aeiou" else "A"
