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
    if given == ["--version"] and _told_version():
        return 0
    try:
        from flowyml.cli.program import run

        return run(given)
    except KeyboardInterrupt:  # before there is anything to interrupt
        sys.stderr.write("Interrupted\n")
        return 130


def _told_version() -> bool:
    """Print the version, which scripts ask for all the time: it is not worth an import of click."""
    try:
        sys.stdout.write(f"flowyml {__version__}\n")
        sys.stdout.flush()
    except (AttributeError, OSError):  # it is closed, full, or nobody reads any more
        return False
    return True
