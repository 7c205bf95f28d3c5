"""Elements of an output whose name is taken get another one, so that none of them is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import attrs

from flowyml.routing.containers import Leaf, Shape

__all__ = ["apart_from"]


def apart_from(is_taken: Callable[[str], bool], leaves: Sequence[Leaf]) -> Sequence[Leaf]:
    """Return what is routed of an output, with a number at each name that is taken.

    Args:
        is_taken: Whether the step has delivered something else under a name.
        leaves: What `splitting.take_apart` returned.
    """
    names = [leaf.output for leaf in leaves]
    changed: dict[str, str] = {}
    for taken in filter(is_taken, names):
        numbered = (f"{taken}-{number}" for number in count(2))
        held = [f"{name}." for name in (*names, *changed.values())]  # also by a container inside
        changed[taken] = next(
            name
            for name in numbered
            if not (is_taken(name) or any(each.startswith(f"{name}.") for each in held))
        )
    return [_renamed(leaf, changed) for leaf in leaves] if changed else leaves


def _renamed(leaf: Leaf, changed: Mapping[str, str]) -> Leaf:
    shape = leaf.shape and _reshaped(leaf.shape, changed)
    return attrs.evolve(leaf, output=changed.get(leaf.output, leaf.output), shape=shape)


def _reshaped(shape: Shape, changed: Mapping[str, str]) -> Shape:
    items = tuple(_reshaped(item, changed) for item in shape.items)
    output = shape.output and changed.get(shape.output, shape.output)
    return attrs.evolve(shape, output=output, items=items)
