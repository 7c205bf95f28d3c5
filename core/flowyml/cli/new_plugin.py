"""``flowyml plugin new``: a package that passes its tests as written, to begin with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Final

from attrs import frozen

from flowyml.errors import ConfigurationError
from flowyml.plugins.discovery import installed

__all__ = ["NEW_ROLES", "NewPlugin"]

NEW_ROLES: Final = ("artifact_store", "experiment_tracker")

SUMMARIES: Final = {
    "artifact_store": "An artifact store for FlowyML.",
    "experiment_tracker": "An experiment tracker for FlowyML.",
}

ENDINGS: Final = {"artifact_store": "Store", "experiment_tracker": "Tracker"}

EXAMPLES: Final = {
    "artifact_store": "{{ type: {}, folder: artifacts }}",
    "experiment_tracker": "{{ type: {}, folder: tracked }}",
}

REQUIRES: Final = ">=3.0,<4"

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
            ConfigurationError: There is such a folder, which is left as it is.
        """
        folder = above / self.distribution
        if folder.exists():
            message = f"{folder} is there already; move it away, or choose another name"
            raise ConfigurationError(message)
        values = self._values()
        for name, template in self._templates():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            path.write_text(text, encoding="utf-8")
        return folder

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
        words = "".join(word.capitalize() for word in self.type.split("_"))
        return {
            "distribution": self.distribution,
            "module": self.module,
            "type": self.type,
            "role": self.role,
            "cls": words.removesuffix(ENDINGS[self.role]) + ENDINGS[self.role],
            "summary": SUMMARIES[self.role],
            "requires": REQUIRES,
            "example": EXAMPLES[self.role].format(self.type),
        }
