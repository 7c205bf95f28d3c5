"""The artifact type ``Prompt``: what a step returns, and which hooks deliver it."""

from __future__ import annotations

import string
from typing import ClassVar

from attrs import field, frozen

from flowyml.core import Artifact

__all__ = ["Prompt", "Template"]


@frozen
class Template:
    """The text of a prompt, with ``{names}`` for what is filled in.

    Attributes:
        text: The text.
        model: Name of the language model that it was written for.
    """

    text: str
    model: str | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of what is filled in, each once, in the order of the text."""
        names = (name for _, name, _, _ in string.Formatter().parse(self.text) if name)
        return tuple(dict.fromkeys(names))

    def filled(self, **values: object) -> str:
        """Return the text with every name filled in."""
        return self.text.format(**values)


def _template(data: str | Template) -> Template:
    return Template(data) if isinstance(data, str) else data


@frozen(eq=False)
class Prompt(Artifact):
    """A prompt: stored like every artifact, and published where the stack has a prompt registry."""

    hooks: ClassVar[tuple[str, ...]] = ("store_artifact", "publish_prompt")

    data: Template = field(converter=_template)
