"""The way to W&B, and what its failures mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, Final

from flowyml.errors import DeliveryError, PluginError

__all__ = ["answers", "is_passing", "let_go", "sdk"]

SETTINGS: Final = MappingProxyType({"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"})
"""Settings of W&B's that it reads while it is imported; the user's own go first."""

SERVICE: Final = "WANDB_SERVICE"

PATIENCE: Final = 90.0
"""Seconds that W&B may take to open a run: its own limit. A busy machine needs half a minute."""

FINISH_PATIENCE: Final = 120.0
"""Seconds that W&B may take to upload what is left at the end of a run."""


def sdk() -> Any:
    """Import W&B, which takes more than a second.

    Raises:
        PluginError: It is not in this environment.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    _leave_parents_service()
    try:
        import wandb
    except ImportError as cause:
        message = f"W&B cannot be imported: {cause}; `pip install 'flowyml[wandb]'` brings it"
        raise PluginError(message) from cause
    return wandb


def _leave_parents_service() -> None:
    """Have W&B start a helper process of this process's own.

    A child process finds its parent's in the environment, and that one refuses a run that the
    parent has open.
    """
    _, _, rest = os.environ.get(SERVICE, "").partition("-")
    owner = rest.partition("-")[0]
    if owner and owner != str(os.getpid()):
        del os.environ[SERVICE]


@contextmanager
def answers(task: str) -> Iterator[None]:
    """Turn what W&B raises in a block into an error that names the task.

    Args:
        task: What the block asks for, as it stands after "could not".

    Raises:
        DeliveryError: W&B refused, or could not be reached.
    """
    wandb = sdk()
    try:
        yield
    except DeliveryError:
        raise
    except _lost() as cause:
        _forget_helper(wandb)
        message = f"W&B could not {task}: its helper process has ended"
        raise DeliveryError(message, transient=True) from cause
    except _refusals(wandb) as cause:
        reason = str(cause).partition("\n")[0] or type(cause).__name__
        message = f"W&B could not {task}: {reason}"
        raise DeliveryError(message, transient=bool(is_passing(cause))) from cause


def _lost() -> tuple[type[Exception], ...]:
    """Return what W&B raises where the helper process of this process is gone."""
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

    return (ConnectionError, HandleAbandonedError, MailboxClosedError)


def _refusals(wandb: Any) -> tuple[type[Exception], ...]:
    """Return what W&B raises itself, and where its helper refuses: a run that is open already."""
    from wandb.sdk.mailbox.mailbox_handle import ServerResponseError

    return (wandb.Error, ServerResponseError, OSError, TimeoutError)


def let_go(wandb: Any) -> None:
    """Let go of a run that could not be opened; its helper process would refuse it from then on.

    A helper that has other runs, which may be the user's own, is left alone.
    """
    from wandb.sdk import wandb_setup

    if wandb_setup.singleton().most_recent_active_run is None:
        _forget_helper(wandb)


def _forget_helper(wandb: Any) -> None:
    """Have W&B start another helper process for the next run; it keeps to a dead one for ever."""
    from wandb.sdk import wandb_setup

    # The system keeps a dead process until somebody asks how it ended, which W&B does not.
    with suppress(AttributeError):
        wandb_setup.singleton()._connection._proc._process.poll()  # noqa: SLF001  # no other way
    # W&B cannot say goodbye to a dead one, and ends Python with the exit code of one it waited for.
    with suppress(Exception, SystemExit):
        wandb.teardown()


def is_passing(error: BaseException) -> bool | None:
    """Say whether a call that raised this may go through later; None where W&B does not say."""
    errors = sys.modules.get("wandb.errors")
    if errors is None or not isinstance(error, errors.Error):
        return None
    if isinstance(error, errors.AuthenticationError | errors.UsageError):
        return False
    return isinstance(error, errors.CommError) or None
