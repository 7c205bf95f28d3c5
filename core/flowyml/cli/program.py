"""The command group, and the border where errors become messages and exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from flowyml._version import __version__
from flowyml.cli.options import ProjectCommand
from flowyml.cli.screen import complain, silence, unwritable
from flowyml.errors import FlowyMLError
from flowyml.pipelines.notices import plain_warnings
from flowyml.spelling import meant
from flowyml.stacks.text import check_is_text

__all__ = ["COMMANDS", "Commands", "program", "run"]

COMMANDS: Final[Mapping[str, str]] = {
    "artifact": "flowyml.cli.artifacts:artifact",
    "init": "flowyml.cli.init:init",
    "model": "flowyml.cli.models:model",
    "plan": "flowyml.cli.plan:plan",
    "plugin": "flowyml.cli.plugins:plugin",
    "resume": "flowyml.cli.resume:resume",
    "run": "flowyml.cli.run:run",
    "runs": "flowyml.cli.runs:runs",
    "stack": "flowyml.cli.stacks:stack",
}
"""Where each command lives; its module is imported when the command is used."""

INTERRUPTED: Final = 130


class Commands(click.Group):
    """A group that knows what a mistyped command was meant to be."""

    command_class = ProjectCommand

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which ones come close."""
        known = self.list_commands(ctx)
        if not args[0].startswith("-") and args[0] not in known:
            advice = meant(args[0], known) or f"there are {', '.join(known)}"
            ctx.fail(f"no command {args[0]!r}; {advice}")
        return super().resolve_command(ctx, args)


class _LazyCommands(Commands):
    """The root, which imports a command only when it is used, or when the help lists all."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flowyml", message="%(prog)s %(version)s")
def program() -> None:
    """Run pipelines of typed steps: your code says what, flowyml.yaml says where.

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 incomplete, 130 interrupted.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command; what went wrong is on the standard error stream when it returns.

    An exception that is none of ours is a fault of the program or of a plugin and keeps its
    traceback.
    """
    _lead_closed_streams_into_nothing()
    _write_what_cannot_be_encoded_as_escapes()
    try:
        for argument in arguments:
            check_is_text(argument)
        with plain_warnings(complain), program.make_context("flowyml", list(arguments)) as context:
            code = context.command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        with contextlib.suppress(OSError):  # there is nowhere else to say it
            error.show()
        code = error.exit_code
    except FlowyMLError as error:
        complain(f"Error: {error}")
        code = error.exit_code
        _drop_what_cannot_be_written()
    except SystemExit as quit_:
        complain(f"Error: {_who_quit(quit_)}")
        code = 1
    except (KeyboardInterrupt, click.Abort):
        complain("Interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        silence()
        code = 0
    except OSError as cause:
        if not _comes_of_printing(cause):
            raise
        complain(f"Error: {unwritable(cause)}")
        code = 1
        _drop_what_cannot_be_written()
    return int(code or 0)


def _who_quit(end: SystemExit) -> str:
    """Say where somebody else's code ended the program, whose exit code would be a false one."""
    import traceback

    place = traceback.extract_tb(end.__traceback__)[-1]
    given = repr(end.code) if isinstance(end.code, int) else "..."  # a text may hold a secret
    return (
        f"{place.filename}:{place.lineno}: {place.name} called sys.exit({given}), and the command "
        "did not come to its end; a plugin says with an Exception what it cannot do"
    )


def _comes_of_printing(error: OSError) -> bool:
    """Whether it is the standard output that failed, and not a file of a plugin's."""
    import traceback

    place = traceback.extract_tb(error.__traceback__)[-1].filename
    return place in {__file__, click.utils.__file__}


def _drop_what_cannot_be_written() -> None:
    """Where the error is that nothing can be written, Python would say it again at its exit."""
    try:
        sys.stdout.flush()
    except OSError:
        silence()


def _lead_closed_streams_into_nothing() -> None:
    """A stream that the caller closed is none to Python; its number must not become a database's.

    What prints to it from outside of Python would write into whatever is opened next.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nothing = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # it stays open
            setattr(sys, name, nothing)


def _write_what_cannot_be_encoded_as_escapes() -> None:
    """A file name that is not valid text must not turn an answer into a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
