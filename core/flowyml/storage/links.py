"""Links on a local disk: a symbolic one is refused, a hard one gives a finished file its name."""

from __future__ import annotations

import errno
import os
import stat

from flowyml.errors import DeliveryError
from flowyml.storage.locks import locked

__all__ = ["give_name", "refuse_links"]

_UNSUPPORTED = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def refuse_links(root: str, name: str) -> None:
    """Refuse a name below a root that leads through a symbolic link.

    Raises:
        DeliveryError: It does; the link may lead anywhere.
    """
    place = root
    for segment in name.split("/"):
        place = f"{place}/{segment}"
        try:
            mode = os.lstat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISLNK(mode):
            message = f"{place} is a symbolic link, which may lead out of the store; remove it"
            raise DeliveryError(message)


def give_name(source: str, target: str) -> None:
    """Give a finished file its name, unless that is taken; then it has two, and loses the first."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        # No hard links here (exFAT, some network drives).
        with locked(os.path.dirname(target)):  # noqa: PTH120
            if os.path.lexists(target):
                raise FileExistsError(*error.args) from error
            os.rename(source, target)  # noqa: PTH104
