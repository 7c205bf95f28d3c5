"""The names in a file of the plainest layout, read without a YAML parser.

Listing the stacks must not cost the import of a YAML library, which takes longer than the rest of
the command. So a file is glanced at first: one mapping key a line, values on the same line, nothing
but plain and simply quoted texts, lists and mappings in braces. What is found in such a file is
what a parser finds; for any other file, and for any that could be wrong, there is no answer, and
the parser is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from attrs import define, field, frozen

__all__ = ["PLUGINS_STACK", "SECTIONS", "Glance", "glance"]

SECTIONS: Final = ("stacks", "plugins", "active_stack", "pipelines")
"""The keys of the file's top level."""

PLUGINS_STACK: Final = "default"
"""Name of the stack that stands below ``plugins``."""

_KEY = r"[A-Za-z_][A-Za-z0-9_.-]*"
_PLAIN = r"[A-Za-z0-9_./](?:[A-Za-z0-9_./@+=-]|:(?=[A-Za-z0-9_./@+=-]))*"
_SCALAR = rf"(?:{_PLAIN}|\"[^\"\\\t]*\"|'[^'\t]*')"
_PAIR = rf"{_KEY}: +{_SCALAR}"

_COMMENT: Final = re.compile(r" *(?:#[^\t]*)?")
_LINE: Final = re.compile(rf"(?P<indent> *)(?P<key>{_KEY}):(?: +(?P<value>[^# ].*?))??(?: +#.*| *)")
_VARIABLE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[A-Za-z0-9_./:@-]*)?\}")
_VALUE: Final = re.compile(_SCALAR)
_COLLECTION: Final = re.compile(
    rf"(?<![^ {{[])(?:\{{ *(?:{_PAIR}(?:, +{_PAIR})*)? *\}}|"
    rf"\[ *(?:{_SCALAR}(?:, +{_SCALAR})*)? *\])(?![^ ,}}\]])"
)
_FLOW_KEY: Final = re.compile(rf"(?<=[{{ ]){_KEY}(?=: )")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_NAME: Final = re.compile(_KEY)
_DEEPEST: Final = 4
_NO_TEXT: Final = frozenset({"null", "true", "false", "nan", "inf"})
_ODD: Final = re.compile("[^\\n -~\u00a1-\u1fff\u2010-\u2027\u2030-\ud7ff]")


@frozen
class Glance:
    """What a listing needs to know of a file."""

    stack_names: tuple[str, ...]
    active_stack: str | None


def glance(text: str) -> Glance | None:
    """Return the names in a text; None where a parser has to say what is in it."""
    if _ODD.search(text):
        return None
    levels = _Levels()
    for line in text.split("\n"):
        if not _COMMENT.fullmatch(line) and not levels.take(line):
            return None
    return _named(levels)


@define
class _Levels:
    """The block mappings that are open at a line, the outermost first."""

    indents: list[int] = field(factory=list)
    keys: list[dict[str, str | None]] = field(factory=list)
    root: dict[str, str | None] = field(factory=dict)
    stacks: dict[str, str | None] = field(factory=dict)
    opened: bool = True

    def take(self, line: str) -> bool:
        """Take a line; False where it is not plain enough."""
        found = _LINE.fullmatch(line)
        if found is None or not self._enter(len(found["indent"])):
            return False
        key, value = found["key"], found["value"]
        if key in self.keys[-1] or not (value is None or _is_plain(value)):
            return False
        self.keys[-1][key] = value
        self.opened = value is None
        return True

    def _enter(self, indent: int) -> bool:
        """Go to the mapping that a line belongs to: a new one below an open key, or one above."""
        if self.opened and (not self.indents or indent > self.indents[-1]):
            self._open(indent)
            return len(self.indents) > 1 or indent == 0
        while self.indents and self.indents[-1] > indent:
            self.indents.pop()
            self.keys.pop()
        return bool(self.indents) and self.indents[-1] == indent

    def _open(self, indent: int) -> None:
        below_stacks = len(self.keys) == 1 and next(reversed(self.root)) == "stacks"
        level = self.root if not self.keys else self.stacks if below_stacks else {}
        self.indents.append(indent)
        self.keys.append(level)


def _named(levels: _Levels) -> Glance | None:
    """Return what the levels say, if the top of the file is as it should be."""
    root = levels.root
    if not root.keys() <= set(SECTIONS) or ("stacks" in root) == ("plugins" in root):
        return None
    inline = root.get("stacks") or root.get("plugins")
    names: Iterable[str] = levels.stacks if "stacks" in root else (PLUGINS_STACK,)
    active = root.get("active_stack")
    bodies = [value for value in levels.stacks.values() if value and not value.startswith("{")]
    nameless = "active_stack" in root and not (active and _NAME.fullmatch(active))
    no_texts = _NO_TEXT.intersection(name.lower() for name in (active or "", *levels.stacks))
    if inline or bodies or nameless or no_texts:
        return None
    names = tuple(names)
    known = active is None or active == "local" or active in names
    return Glance(names, active) if names and known else None


def _is_plain(value: str) -> bool:
    """Whether a value is a plain one: the innermost collections become scalars, then the next."""
    value = _VARIABLE.sub("x", value)
    for _ in range(_DEEPEST):
        if _VALUE.fullmatch(value):
            return True
        value = _COLLECTION.sub(_reduced, value)
    return False


def _reduced(collection: re.Match[str]) -> str:
    """Return a scalar for a collection; for a mapping that has a key twice, nothing valid."""
    keys = _FLOW_KEY.findall(_QUOTED.sub("", collection[0]))
    return "x" if len(keys) == len(set(keys)) else "{"
