"""The command ``flowyml``."""

from __future__ import annotations

import sys

from flowyml._version import __version__

TYPE_CHECKING = False  # as in `flowyml._lazy`
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: What follows ``flowyml``; None for what this process was given.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["--version"]:  # asked by scripts all the time: not worth an import of click
        sys.stdout.write(f"flowyml {__version__}\n")
        return 0
    try:
        from flowyml.cli.program import run

        return run(given)
    except KeyboardInterrupt:  # before there is anything to interrupt
        sys.stderr.write("Interrupted\n")
        return 130
