"""Reading the file: text to `nodes`, with every fault of the text at its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NoReturn

import attrs
from attrs import define, field
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from flowyml.errors import ConfigurationError, Location, Problem
from flowyml.stacks.interpolation import Veil
from flowyml.stacks.nodes import Entry, ListNode, MappingNode, Node, ScalarNode

__all__ = ["parse", "parse_mapping"]

DEEPEST: Final = 50
HEAVIEST: Final = 20_000

_CORE = "tag:yaml.org,2002:"
_TAGS = {
    None,
    "!",
    *(_CORE + name for name in ("str", "map", "seq", "int", "float", "bool", "null")),
}


def parse_mapping(text: str, shown: str, repeated: list[Problem] | None = None) -> MappingNode:
    """Return the tree of a text that has to be a mapping.

    Args:
        text: The text.
        shown: The file as errors name it.
        repeated: Gets a problem for each key that stands there again, the first of them is taken;
            without it such a key is an error.

    Raises:
        ConfigurationError: The text is not YAML, is empty, or is anything but a mapping.
    """
    root = parse(text, shown, repeated)
    if root is None or root.says_nothing:
        message = "the file is empty"
        hint = "`flowyml init` writes one; without a file the built-in stack is used"
        raise ConfigurationError(Problem(message, Location(shown), hint))
    if not isinstance(root, MappingNode):
        message = "the file has to be a mapping with `stacks:` or `plugins:` in it"
        raise ConfigurationError(Problem(message, root.location))
    return root


def parse(text: str, shown: str, repeated: list[Problem] | None = None) -> Node | None:
    """Return the tree of a text; None where there is nothing but comments.

    Args:
        text: The text.
        shown: The file as errors name it.
        repeated: As for `parse_mapping`.

    Raises:
        ConfigurationError: The text is not YAML, or not the plain kind that we take.
    """
    veil = Veil.over(text)
    reader = YAML(typ="safe", pure=True)
    reading = _Reader(shown, veil, iter(reader.parse(veil.hide(text))))
    try:
        root = reading.document()
    except YAMLError as cause:
        problem = _syntax_problem(cause, shown, veil, text)
    else:
        if reading.repeated and repeated is None:
            raise ConfigurationError(*reading.repeated)
        if repeated is not None:
            repeated += reading.repeated
        return root
    raise ConfigurationError(problem)


def _syntax_problem(error: YAMLError, shown: str, veil: Veil, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Location(shown, mark.line + 1, mark.column + 1) if mark else Location(shown)
    if isinstance(error, MarkedYAMLError):
        said = ", ".join(part for part in (error.context, error.problem) if part)
    elif isinstance(error, ReaderError):
        before = text[: error.position].split("\n")
        place = Location(shown, len(before), len(before[-1]) + 1)
        said = f"the character {chr(error.character)!r} is not allowed"
    else:
        said = str(error).splitlines()[0]
    lines = text.split("\n")
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    tabbed = "\t" in line[: len(line) - len(line.lstrip())]
    hint = "indent with spaces: YAML allows no tabs there" if tabbed else None
    return Problem(f"this is not valid YAML: {veil.show(said)}", place, hint)


@define
class _Reader:
    shown: str
    veil: Veil
    events: Iterator[Any]
    anchors: dict[str, Node] = field(factory=dict)
    repeated: list[Problem] = field(factory=list)

    def document(self) -> Node | None:
        """Read the only document."""
        event = self._after_document_start()
        if event is None:
            return None
        node = self._node(event, 0)
        next(self.events)  # the document's end
        if isinstance(another := next(self.events), DocumentStartEvent):
            self._refuse("the file has more than one document; remove this `---`", another)
        return node

    def _after_document_start(self) -> Any:
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                first = next(self.events)
                empty = isinstance(first, ScalarEvent) and not first.value and not first.style
                return None if empty else first
            if isinstance(event, StreamEndEvent):
                break
        return None

    def _node(self, event: Any, depth: int) -> Node:
        if depth > DEEPEST:
            self._refuse(f"this is nested more than {DEEPEST} deep", event)
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if event.tag is not None and str(event.tag) not in _TAGS:
            self._refuse(f"the tag {str(event.tag)!r} means nothing here; remove it", event)
        node = self._content(event, depth)
        if node.weight > HEAVIEST:
            self._refuse(f"this holds more than {HEAVIEST} values", event)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self.anchors:
            self._refuse(f"no anchor &{event.anchor} stands before this alias", event)
        return self.anchors[event.anchor]

    def _content(self, event: Any, depth: int) -> Node:
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, depth)
        if isinstance(event, SequenceStartEvent):
            return self._list(event, depth)
        return ScalarNode(
            self.veil.show(event.value),
            quoted=bool(event.style) or event.tag == _CORE + "str" or event.tag == "!",
            location=self._place(event),
            span=(event.start_mark.index, event.end_mark.index),
        )

    def _list(self, start: Any, depth: int) -> ListNode:
        items: list[Node] = []
        weight = 1
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self._node(event, depth + 1))
            weight = self._weigh(weight, items[-1], event)
        span = (start.start_mark.index, event.end_mark.index)
        return ListNode(tuple(items), self._place(start), span, weight)

    def _mapping(self, start: Any, depth: int) -> MappingNode:
        entries: dict[str, Entry] = {}
        merged: list[Entry] = []
        weight = 1
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, ScalarNode):
                self._refuse("a key has to be text", event)
            value = self._node(next(self.events), depth + 1)
            if isinstance(value, ScalarNode) and not value.text and not value.quoted:
                value = attrs.evolve(value, location=key.location)  # nothing has no place
            weight = self._weigh(weight, value, event)
            if key.text == "<<" and not key.quoted:
                merged += self._merged(value)
            elif key.text in entries:
                first = entries[key.text].key.location
                message = (
                    f"the key {key.text!r} stands here a second time (first: line {first.line})"
                )
                self.repeated.append(Problem(message, key.location))
            else:
                entries[key.text] = Entry(key, value)
        for entry in merged:
            entries.setdefault(entry.key.text, entry)
        span = (start.start_mark.index, event.end_mark.index)
        flow = bool(start.flow_style)
        return MappingNode(tuple(entries.values()), self._place(start), span, weight, flow)

    def _merged(self, value: Node) -> list[Entry]:
        parts = value.items if isinstance(value, ListNode) else (value,)
        entries: list[Entry] = []
        for part in parts:
            if not isinstance(part, MappingNode):
                message = "`<<` merges a mapping, or a list of mappings"
                raise ConfigurationError(Problem(message, value.location))
            entries += part.entries
        return entries

    def _weigh(self, weight: int, node: Node, event: Any) -> int:
        """Count what an alias stands for, so that a small file cannot become a huge tree."""
        if weight + node.weight > HEAVIEST:
            self._refuse(f"this holds more than {HEAVIEST} values", event)
        return weight + node.weight

    def _place(self, event: Any) -> Location:
        mark = event.start_mark
        return Location(self.shown, mark.line + 1, mark.column + 1)

    def _refuse(self, message: str, event: Any) -> NoReturn:
        raise ConfigurationError(Problem(message, self._place(event)))
