"""One process of this machine at a time."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from flowyml.errors import DeliveryError
from flowyml.storage.locks import locked
from flowyml_tracking.origin import user

__all__ = ["alone"]


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep every other process of this user out that asks for the same name.

    Now and then also one that asks for another name: there are 256 locks, used again for ever, so
    that the machine's temporary folder does not fill with those of old runs.

    Raises:
        DeliveryError: The folder of the locks cannot be used.
    """
    folder = Path(tempfile.gettempdir(), f"flowyml-turns-{_owner()}")
    with ExitStack() as held:
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            _check(folder)
            turn = folder / _digest(name)[:2]
            turn.mkdir(exist_ok=True)
            held.enter_context(locked(str(turn)))
        except OSError as cause:
            message = (
                f"the folder {folder}, in which processes wait for each other, cannot be used: "
                f"{cause}; remove it, or set TMPDIR to a folder that is yours"
            )
            raise DeliveryError(message) from cause
        yield


def _owner() -> str:
    """Return what tells this user from the others; a name may be said to be another one's."""
    number = getattr(os, "geteuid", None)
    return str(number()) if number else _digest(user())[:12]


def _check(folder: Path) -> None:
    """Refuse what somebody else may have put there, to make this user wait or write elsewhere."""
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        message = "it is not a folder"
        raise NotADirectoryError(message)
    if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
        message = f"it belongs to the user with the number {facts.st_uid}"
        raise PermissionError(message)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
