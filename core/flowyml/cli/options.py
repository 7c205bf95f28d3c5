"""The options that commands share, and the class of the commands that work in a project."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import click
from click.core import ParameterSource

from flowyml.cli.answer import kept_apart

__all__ = [
    "Count",
    "Output",
    "ProjectCommand",
    "configured",
    "limited",
    "output_format",
    "parametrised",
    "stacked",
]

F = TypeVar("F", bound=Callable[..., Any])

Output = Literal["table", "json"]


class Count(click.IntRange):
    """How many; one that is larger than whatever can be counted means all there are."""

    name = "number"
    most: Final = 2**31 - 1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        return min(int(super().convert(value, param, ctx)), self.most)


class ProjectCommand(click.Command):
    """A command that runs in the project of ``--config`` and on the stack of ``--stack``.

    With ``-o json`` the standard output is kept for its answer.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, and refuse what is empty.

        A script writes ``--stack "$STACK"``; where that is not set, the active stack is not meant.
        Nothing else than empty is meant where that is the default, as of a comment.
        """
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            name = str(parameter.name)
            given = ctx.params.get(name)
            was_given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
            is_empty = given == "" or (isinstance(given, tuple) and "" in given)
            if was_given and is_empty and given != parameter.default:
                message = "it is empty; say what is meant, or leave it out"
                raise click.BadParameter(message, ctx=ctx, param=parameter)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; it does not see the two options of the project."""
        with ExitStack() as block:
            if ctx.params.get("output") == "json":
                block.enter_context(kept_apart())
            if "config" in ctx.params:
                from flowyml.stacks.active import command_line, from_here

                config, stack = ctx.params.pop("config"), ctx.params.pop("stack", None)
                block.enter_context(command_line(stack, Path(config) if config else None))
                block.enter_context(from_here())
            return super().invoke(ctx)


def output_format(command: F) -> F:
    """Add ``-o``; the command gets it as ``output``."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        help="json prints a list of objects for scripts, the newest first, and nothing else.",
    )
    return option(command)


def limited(command: F) -> F:
    """Add ``-n``; the command gets it as ``limit``, None for all."""
    option = click.option(
        "-n",
        "--limit",
        type=Count(min=0),
        default=50,
        show_default=True,
        callback=_none_for_all,
        help="How many to show at most; 0 for all.",
    )
    return option(command)


def parametrised(command: F) -> F:
    """Add ``--param``; the command gets all of them as ``given``."""
    option = click.option(
        "--param",
        "-p",
        "given",
        metavar="KEY=VALUE",
        multiple=True,
        help="A context value, over the pipeline's own; read as YAML. May be repeated.",
    )
    return option(command)


def configured(command: F) -> F:
    """Add ``--config`` to a `ProjectCommand`."""
    option = click.option(
        "--config",
        metavar="FILE",
        help="The flowyml.yaml to use, in place of the one found upward from here.",
    )
    return option(command)


def stacked(command: F) -> F:
    """Add ``--config`` and ``--stack`` to a `ProjectCommand`."""
    option = click.option(
        "--stack", metavar="NAME", help="The stack to use, in place of the active one."
    )
    return option(configured(command))


def _none_for_all(_context: click.Context, _option: click.Parameter, limit: int) -> int | None:
    return limit or None
