"""The process behind an endpoint: ``python -m flowyml_local.server NAME``.

It reads its `Launch` from standard input, loads the model, serves it, and says on standard output
where it listens. `flowyml_local.launching` is the other end of both pipes. The name is there for
people who look at the list of processes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import traceback
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from attrs import define, field

from flowyml.errors import FlowyMLError, IntegrityError
from flowyml.serialization import unpack
from flowyml.storage.files import FileSource
from flowyml_local.answers import ModelServer, open_server
from flowyml_local.launching import STAY, Launch, is_wanted
from flowyml_local.serving import Predict, predictor
from flowyml_local.storage import LocalArtifactStore

__all__ = ["load", "main"]


@define(eq=False)
class Life:
    """How long this process goes on: until SIGTERM, or until the starter has gone unheard.

    Attributes:
        ended: Set when it is over.
    """

    ended: threading.Event = field(factory=threading.Event)
    _has_port: bool = False
    _port: threading.Lock = field(factory=threading.Lock)

    def open(self, launch: Launch, predict: Predict) -> ModelServer:
        """Open the port, from when on the process does not just vanish: clients may be in line."""
        with self._port:
            server = open_server(launch, predict)
            self._has_port = True
        return server

    def depend_on(self, orders: FileIO, launch: Launch) -> None:
        """End with the starter, unless it says that this server is to stay, or has written it."""
        select.select([orders], [], [], 2 * launch.patience)
        has_heard = bool(select.select([orders], [], [], 0)[0])
        if (has_heard and orders.readline() == STAY) or is_wanted(launch):
            return
        with self._port:
            if not self._has_port:  # nothing else would interrupt a model that is being loaded
                os._exit(1)
        self.ended.set()


def main() -> int:
    """Serve until SIGTERM; return the exit status."""
    life = Life()
    signal.signal(signal.SIGTERM, lambda *_: life.ended.set())
    orders, news = FileIO(0), _take_stdout()
    launch = Launch.from_json(orders.readline().decode())
    threading.Thread(target=life.depend_on, args=(orders, launch), daemon=True).start()
    try:
        server = life.open(launch, load(launch))
    except FlowyMLError as error:
        return _give_up(news, str(error))
    except Exception as error:  # noqa: BLE001  # a library raises anything about a model
        traceback.print_exc()
        return _give_up(news, f"the model does not load: {type(error).__name__}: {error}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _tell(news, {"port": server.server_port})
    life.ended.wait()
    server.finish()
    return 0


def load(launch: Launch) -> Predict:
    """Load the model, after making sure that it is what was registered.

    Raises:
        IntegrityError: Something else lies in its place.
    """
    source = _open(launch.uri)
    found = source.manifest.digest
    if found != launch.digest:
        message = (
            f"{launch.uri} has the digest {found}, and what was registered has {launch.digest}; "
            "register what lies there now, or restore what was registered"
        )
        raise IntegrityError(message)
    # Whoever registered it vouched for exactly these bytes.
    return predictor(unpack(source, trusted=True))


def _open(uri: str) -> FileSource:
    """Open a stored artifact wherever it lies; which store it is of does not matter here."""
    folder = Path(url2pathname(urlsplit(uri).path))
    store = LocalArtifactStore(path=folder.parent)
    return store.load_artifact(f"{store.root_uri()}/{quote(folder.name)}")


def _take_stdout() -> FileIO:
    """Keep what a model prints out of what the starter reads: it goes to the log."""
    news = FileIO(os.dup(1), "w")
    os.dup2(2, 1)
    return news


def _give_up(news: FileIO, why: str) -> int:
    _tell(news, {"error": why})
    return 1


def _tell(news: FileIO, said: dict[str, Any]) -> None:
    with news:
        news.write(json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    raise SystemExit(main())
