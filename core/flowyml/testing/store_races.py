"""Several at once in one store: writers of one path, and readers in between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from flowyml.errors import DeliveryError
from flowyml.testing.artifacts import FILES, contents
from flowyml.testing.components import ComponentContract
from flowyml.testing.store_backends import NewStore, Put

__all__ = ["StoreRaces"]


class StoreRaces(ComponentContract):
    """The tests of a store that take several threads.

    Attributes:
        rounds: How often writers race each other for a path.
    """

    rounds: ClassVar[int] = 5

    def test_writers_of_one_digest_all_succeed(self, put: Put, new_store: NewStore) -> None:
        """And it is there once."""
        start = threading.Barrier(4)

        def store(number: int) -> str:
            start.wait(30)
            return put(key=f"writer {number}").digest

        with ThreadPoolExecutor(4) as threads:
            (digest,) = set(threads.map(store, range(4)))
        (listed,) = new_store().list_artifacts(prefix="")
        assert listed.digest == digest
        assert contents(new_store().load_artifact(uri=listed.uri)) == FILES

    def test_of_writers_of_different_digests_one_wins(self, put: Put, new_store: NewStore) -> None:
        """The others are told, and what is there is the winner's, whole."""
        for round_ in range(self.rounds):
            start = threading.Barrier(4)

            def store(number: int, path: str, start: threading.Barrier) -> str | None:
                files = {"a": bytes([number]) * 1000, "b": bytes([number])}
                start.wait(30)
                try:
                    return put(path, files, key=f"writer {number}").digest
                except DeliveryError as error:
                    assert path in str(error)  # noqa: PT017  # one of four is not raised
                    return None

            path = f"race/{round_}"
            with ThreadPoolExecutor(4) as threads:
                found = list(threads.map(store, range(4), [path] * 4, [start] * 4))
            (winner,) = [number for number, digest in enumerate(found) if digest]
            (listed,) = new_store().list_artifacts(prefix=path)
            assert listed.digest == found[winner]
            expected = {"a": bytes([winner]) * 1000, "b": bytes([winner])}
            assert contents(new_store().load_artifact(uri=listed.uri)) == expected

    def test_a_reader_meets_a_whole_artifact(self, put: Put, new_store: NewStore) -> None:
        """While others replace it, one after the other."""
        uri = put().uri
        done = threading.Event()

        def replace() -> None:
            try:
                for turn in range(2 * self.rounds):
                    files = {"model.pkl": bytes([turn]) * 5000, "b": bytes([turn])}
                    put(files=files, key=f"turn {turn}", overwrite=True)
            finally:
                done.set()

        with ThreadPoolExecutor(1) as thread:
            replacing = thread.submit(replace)
            whole = 0
            while whole == 0 or not done.is_set():
                found = contents(new_store().load_artifact(uri=uri))
                assert found == FILES or set(found["model.pkl"]) == set(found["b"])
                whole += 1
            replacing.result()
