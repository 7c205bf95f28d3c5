"""The lease on a run or a model: while one process works on it, no other does."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from attrs import define, field

from flowyml.errors import FlowyMLError, PipelineError
from flowyml.metadata.owners import is_dead, new_owner
from flowyml.metadata.store import MetadataStore

__all__ = ["Lease"]

SECONDS: Final = 30.0
"""How long a run stays taken after the machine of its process died, or was cut off."""


@define(eq=False)
class Lease:
    """Holds a run for as long as the block lasts, and renews the lease meanwhile.

    Attributes:
        metadata: Where the lease is.
        name: Id of the run, or another name for what only one process may work on.
        seconds: How long it lasts unless it is renewed.
        refusal: What to raise in place of the error about a run.
        owner: Names this holder, and no other ever.

    Raises:
        PipelineError: Another process works on the run.
    """

    metadata: MetadataStore
    name: str
    seconds: float = SECONDS
    refusal: FlowyMLError | None = field(default=None, kw_only=True)
    owner: str = field(factory=new_owner)
    _over: threading.Event = field(factory=threading.Event, init=False)
    _lost: threading.Event = field(factory=threading.Event, init=False)

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the run, so that this one must let go of it."""
        return self._lost.is_set()

    @property
    def is_taken(self) -> bool:
        """Whether a process holds the run that is not known to have died; nothing is taken here."""
        holder = self.metadata.lease_owner(self.name)
        return holder is not None and not is_dead(holder)

    def __enter__(self) -> Self:
        if not (self._acquire() or (self._release_dead() and self._acquire())):
            if self.refusal is not None:
                raise self.refusal
            message = (
                f"another process works on the run {self.name}; wait for it to end. If it died, "
                f"its hold on the run ends within {self.seconds:.0f} s"
            )
            raise PipelineError(message)
        threading.Thread(target=self._renew, name="flowyml-lease", daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self.metadata.release_lease(self.name, self.owner)

    def _acquire(self) -> bool:
        return self.metadata.acquire_lease(self.name, self.owner, self.seconds)

    def _release_dead(self) -> bool:
        """Give the run back for a holder that was killed; nobody has to wait for its lease then."""
        holder = self.metadata.lease_owner(self.name)
        return bool(holder and is_dead(holder) and self.metadata.release_lease(self.name, holder))

    def _renew(self) -> None:
        while not self._over.wait(self.seconds / 3):
            try:
                kept = self.metadata.renew_lease(self.name, self.owner, self.seconds)
            except FlowyMLError:
                if self._over.is_set():
                    return
                continue  # the disk is full or the file is busy: the next try may go through
            if not kept:
                self._lost.set()
                return
