"""What ``flowyml stack validate`` finds: of the file, and of each of its stacks."""

from __future__ import annotations

from typing import Any

from flowyml.errors import ConfigurationError, FlowyMLError, Problem
from flowyml.stacks.active import configuration
from flowyml.stacks.configuration import Configuration

__all__ = ["checked_stacks", "explained"]


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
    return [*whole, *(_check(each, _built(found, each)) for each in names)]


def explained(check: dict[str, Any]) -> str:
    """Return what is wrong with a stack, or with the file, for people."""
    of_stack = f"the stack {check['name']!r}: " if check["name"] is not None else ""
    return f"{of_stack}{check['error']}"


def _built(found: Configuration, name: str) -> FlowyMLError | None:
    try:
        found.build(name)
    except FlowyMLError as error:
        return error
    return None


def _check(name: str | None, error: FlowyMLError | None) -> dict[str, Any]:
    return {
        "name": name,
        "status": "failed" if error else "ok",
        "error": str(error) if error else None,
        "problems": [_problem(problem) for problem in _problems(error)],
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
