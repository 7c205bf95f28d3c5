"""Variables in the file: ``${VAR}`` and ``${VAR:-default}``.

They are put in after the file is parsed, and only into scalars, so that a value can never become
structure. Before, `Veil` makes them invisible to the parser, because ``{ uri: ${URI} }`` is not
YAML: every character of a variable that means something to YAML is replaced by one of the private
use area, which leaves every line and column where it was. Quotes and backslashes stay, because
they mean the same inside a variable as around it. ``$${`` is a literal ``${``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from flowyml.errors import ConfigurationError, Location, Problem
from flowyml.stacks.nodes import ListNode, MappingNode, Node, ScalarNode, plain_value

__all__ = ["Interpolated", "Veil", "resolve", "variables"]

_NAME = "[A-Za-z_][A-Za-z0-9_]{0,200}"
_LONGEST = 1000  # of a default: without a bound, a file of unclosed variables takes quadratic time
_HIDDEN = re.compile(
    rf"\$\$\{{[^}}\r\n]{{0,{_LONGEST}}}\}}|\$\{{{_NAME}(:-[^}}\r\n]{{0,{_LONGEST}}})?\}}"
)
_PIECE = re.compile(
    rf"(?P<literal>\$\$\{{)|"
    rf"\$\{{(?P<name>{_NAME})(:-(?P<default>[^}}]{{0,{_LONGEST}}}))?\}}|"
    r"(?P<broken>\$\{)"
)
_SIGNS = frozenset("${}[],:#&*!|>%@`?= \t")
_BLOCK = 0x7F
_BLOCKS = range(0xE000, 0xF800, _BLOCK + 1)


class Interpolated(str):
    """A text with a variable in it; it becomes whatever type its field has."""

    __slots__ = ("quoted",)

    quoted: bool


@frozen
class Veil:
    """Hides variables from the parser, without moving any other character.

    Attributes:
        base: First character of the block that stands for ASCII; the file has none of it.
    """

    base: int

    @classmethod
    def over(cls, text: str) -> Veil:
        """Return a veil whose characters do not occur in a text."""
        used = {ord(character) & ~_BLOCK for character in set(text)}
        free = next((block for block in _BLOCKS if block not in used), None)
        if free is None:
            message = "the file uses characters of every private block; remove some of them"
            raise ConfigurationError(message)
        return cls(free)

    def hide(self, text: str) -> str:
        """Replace in every variable what means something to YAML."""
        return _HIDDEN.sub(lambda found: "".join(map(self._hidden, found[0])), text)

    def show(self, text: str) -> str:
        """Return a text as it was before."""
        return "".join(
            chr(ord(character) - self.base) if ord(character) & ~_BLOCK == self.base else character
            for character in text
        )

    def _hidden(self, character: str) -> str:
        return chr(self.base + ord(character)) if character in _SIGNS else character


def resolve(node: Node, environ: Mapping[str, str], problems: list[Problem]) -> Any:
    """Return the plain value of a node, variables put in; what is wrong is added to `problems`."""
    if isinstance(node, MappingNode):
        return {entry.key.text: resolve(entry.value, environ, problems) for entry in node}
    if isinstance(node, ListNode):
        return [resolve(item, environ, problems) for item in node.items]
    if "${" in node.text:
        return _put_in(node, environ, problems)
    return node.text if node.quoted else plain_value(node.text)


def variables(node: Node | None) -> Iterator[str]:
    """Yield the names of the variables in a node."""
    if isinstance(node, MappingNode):
        for entry in node:
            yield from variables(entry.value)
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from variables(item)
    elif node is not None:
        yield from (found["name"] for found in _PIECE.finditer(node.text) if found["name"])


def _put_in(node: ScalarNode, environ: Mapping[str, str], problems: list[Problem]) -> str:
    def value_of(piece: re.Match[str]) -> str:
        place = _place(node, piece.start())
        if piece["literal"]:
            return "${"
        if piece["broken"]:
            message = "this is no variable: write ${NAME} or ${NAME:-default}"
            problems.append(Problem(message, place, "a literal ${ is written $${"))
            return ""
        if "${" in (piece["default"] or ""):
            message = (
                f"the default of {piece['name']!r} is another variable, and is taken literally"
            )
            problems.append(Problem(message, place, "give it a default that is text, or none"))
        value = environ.get(piece["name"])
        if piece["default"] is not None:
            return value or piece["default"]
        if value is None:
            message = f"the environment variable {piece['name']!r} is not set"
            hint = f"set it, or write ${{{piece['name']}:-default}}"
            problems.append(Problem(message, place, hint))
        return value or ""

    text = _PIECE.sub(value_of, node.text)
    interpolated = Interpolated(text)
    interpolated.quoted = node.quoted
    return interpolated


def _place(node: ScalarNode, offset: int) -> Location:
    """Return the place of a variable; behind quotes or line breaks, that of its scalar."""
    start = node.location
    if node.quoted or "\n" in node.text[:offset]:
        return start
    return Location(start.file, start.line, start.column + offset)
