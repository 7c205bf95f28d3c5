"""What ``flowyml stack validate`` finds: of the file, and of each of its stacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flowyml.errors import ConfigurationError, FlowyMLError, Problem
from flowyml.routing.doubts import misspelt_rules
from flowyml.stacks.active import configuration
from flowyml.stacks.configuration import Configuration

__all__ = ["checked_stacks", "doubted", "explained"]


def checked_stacks(name: str | None) -> list[dict[str, Any]]:
    """Check the file, then build each of its stacks, or one.

    Returns:
        An object for each stack; before them one without a name where the file itself is wrong,
        and no other where its stacks cannot be told.
    """
    try:
        found = configuration()
    except FlowyMLError as error:
        return [_check(None, error)]
    problems = () if name else found.problems
    whole = [_check(None, ConfigurationError(*problems))] if problems else []
    names = [name] if name else found.stack_names
    return [*whole, *(_checked(found, each) for each in names)]


def explained(check: dict[str, Any]) -> str:
    """Return what is wrong with a stack, or with the file, for people."""
    of_stack = f"the stack {check['name']!r}: " if check["name"] is not None else ""
    return f"{of_stack}{check['error']}"


def doubted(check: dict[str, Any]) -> Iterator[str]:
    """Yield what is most likely not meant in a stack, for people."""
    for doubt in check["warnings"]:
        place = ":".join(str(doubt[key]) for key in ("file", "line", "column") if doubt[key])
        yield f"{place}: {doubt['message']}; {doubt['hint']}"


def _checked(found: Configuration, name: str) -> dict[str, Any]:
    try:
        built = found.build(name)
    except FlowyMLError as error:
        return _check(name, error)
    return _check(name, None, [problem for _, problem in misspelt_rules(built)])


def _check(
    name: str | None, error: FlowyMLError | None, doubts: Sequence[Problem] = ()
) -> dict[str, Any]:
    return {
        "name": name,
        "status": "failed" if error else "ok",
        "error": str(error) if error else None,
        "problems": [_problem(problem) for problem in _problems(error)],
        "warnings": [_problem(problem) for problem in doubts],
    }


def _problems(error: FlowyMLError | None) -> tuple[Problem, ...]:
    if isinstance(error, ConfigurationError):
        return error.problems
    return (Problem(str(error)),) if error else ()


def _problem(problem: Problem) -> dict[str, Any]:
    place = problem.location
    return {
        "file": place.file if place else None,
        "line": place.line or None if place else None,
        "column": place.column or None if place else None,
        "message": problem.message,
        "hint": problem.hint,
    }
