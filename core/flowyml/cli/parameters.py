"""``--param key=value``: the value as YAML 1.2 reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from flowyml.stacks.nodes import plain_value

__all__ = ["parse_parameters", "parse_value"]


def parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``--param`` options, by key.

    Raises:
        click.BadParameter: One is not ``key=value``, is given twice, or has a broken value.
    """
    parsed: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip().isidentifier():
            _refuse(f"{text!r} is not key=value, where the key is the name of a context value")
        if key.strip() in parsed:
            _refuse(f"{key.strip()!r} is given twice")
        parsed[key.strip()] = parse_value(value, key.strip())
    return parsed


def parse_value(text: str, key: str) -> Any:
    """Return what a text means: a YAML scalar, or a list or mapping in brackets.

    ``5`` is a number, ``true`` a bool, ``null`` None, ``[1, 2]`` a list, ``{a: 1}`` a mapping; text
    in quotes is text, and so is everything else, also a date.

    Args:
        text: What stands behind ``key=``.
        key: The key, for the message.

    Raises:
        click.BadParameter: It begins as a list, a mapping or a quoted text and is none.
    """
    bare = text.strip()
    if bare[:1] in {"[", "{", '"', "'"}:
        return _bracketed(bare, key)
    value = plain_value(bare)
    is_text = not bare or isinstance(value, str)  # nothing behind the `=` is a text, too
    return text if is_text else value


def _bracketed(text: str, key: str) -> Any:
    try:
        return json.loads(text)  # most often it is, and then nothing has to be imported
    except ValueError:
        pass
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        parsed = YAML(typ="safe", pure=True).load(text)
    except YAMLError as cause:
        problem = str(getattr(cause, "problem", None) or cause).partition("\n")[0]
        message = f"the value of {key!r} is neither YAML nor JSON: {problem}; quote it for text"
        raise click.BadParameter(message, param_hint="--param") from cause
    return parsed


def _refuse(message: str) -> None:
    raise click.BadParameter(message, param_hint="--param")
