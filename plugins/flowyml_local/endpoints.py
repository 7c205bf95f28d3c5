"""What is written down about endpoints: a small file each, and a lock for whoever changes it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml_local.processes import Process

try:
    import fcntl
except ImportError:  # Windows: a stack loads that has this deployer, and nothing is deployed
    fcntl = None  # type: ignore[assignment]

__all__ = ["Endpoint", "EndpointFiles"]

UNSAFE: Final = re.compile(r"[^a-z0-9_-]+")

READABLE: Final = 40
"""Characters of a name that its files show; the rest of their name keeps them apart."""


@frozen
class Endpoint:
    """An endpoint and the server behind it.

    Attributes:
        name: Name of the endpoint, as the user gave it.
        launch: Names one start of a server, and no other ever.
        process: The server.
        retiring: Servers that this one has taken over from and that have not been ended yet.
    """

    name: str
    model: str
    version: str
    digest: str
    key: str
    created_at: datetime
    launch: str
    host: str
    port: int
    process: Process
    retiring: tuple[Process, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {**attrs.asdict(self), "created_at": self.created_at.isoformat()}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Endpoint:
        """Return the endpoint that a file holds."""
        return cls(
            **{
                **kept,
                "created_at": datetime.fromisoformat(kept["created_at"]),
                "process": Process(**kept["process"]),
                "retiring": tuple(Process(**process) for process in kept["retiring"]),
            }
        )


@frozen
class EndpointFiles:
    """The files of one endpoint: its record, its lock and the log of its servers.

    Attributes:
        record: The JSON file; a server that it does not name has no right to run.
    """

    record: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> EndpointFiles:
        """Return the files of an endpoint; no name leads out of the folder, no two names meet."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        readable = UNSAFE.sub("-", name.lower())[:READABLE].strip("-")
        return cls(folder / f"{readable}-{digest}.json")

    @classmethod
    def all(cls, folder: Path) -> list[EndpointFiles]:
        """Return the files of all endpoints of a folder."""
        return [cls(record) for record in sorted(folder.glob("*.json"))]

    @property
    def log(self) -> Path:
        """Where the servers of the endpoint write what goes wrong."""
        return self.record.with_suffix(".log")

    def read(self) -> Endpoint | None:
        """Return the endpoint, or None where there is none."""
        try:
            return Endpoint.from_json(json.loads(self.record.read_text()))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as cause:
            message = (
                f"the record {self.record} of an endpoint is damaged: {cause}; end the server that "
                "it names, delete the file and deploy again"
            )
            raise DeliveryError(message) from cause

    def write(self, endpoint: Endpoint) -> None:
        """Replace the record in one instant."""
        draft = self.record.with_suffix(".draft")
        with draft.open("w") as file:
            json.dump(endpoint.to_json(), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.record)

    def remove(self) -> None:
        """Forget the endpoint; the lock stays, because somebody may be waiting for it."""
        self.record.unlink(missing_ok=True)
        self.record.with_suffix(".draft").unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str, patience: float) -> Iterator[None]:
        """Keep others from changing the endpoint meanwhile; a killed process lets go by itself.

        Args:
            name: Name of the endpoint, for the message.
            patience: Seconds to wait for another process.
        """
        if fcntl is None:
            message = (
                "the local deployer starts servers only on Linux and macOS; choose another one"
            )
            raise DeliveryError(message)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.record.with_suffix(".lock").open("a") as file:
            deadline = time.monotonic() + patience
            while not _taken(file.fileno()):
                if time.monotonic() > deadline:
                    message = (
                        f"another process has been changing the endpoint {name!r} for more than "
                        f"{patience:g} s; wait for it, or end it"
                    )
                    raise DeliveryError(message, transient=True)
                time.sleep(0.02)
            try:
                yield
            finally:
                # Closing is not enough where a fork of this process holds the file open as well.
                fcntl.flock(file, fcntl.LOCK_UN)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
