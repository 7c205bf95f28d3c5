"""Extensions with one mistake each, and the test of the suite that finds it."""

# mypy: ignore-errors

from __future__ import annotations

import gzip
import os
import threading
import time
from pathlib import Path

import attrs
import pytest
from attrs import define, field
from tests.testing.broken.stores import Unverified
from tests.testing.broken.table import suites

from flowyml.plugins import Extension, hookimpl
from flowyml.storage.files import StreamFilter
from flowyml.storage.filters import unfiltered
from flowyml.testing import ComponentContract, ExtensionContract


def pack(stream):
    return gzip.GzipFile(fileobj=stream, mode="wb", mtime=0)


def unpack(stream):
    return gzip.GzipFile(fileobj=stream)


@define(slots=False)
class Sound(Extension):
    encode = staticmethod(pack)

    @hookimpl(wrapper=True)
    def store_artifact(self, request):
        request.filters.append(StreamFilter("gzip", self.encode))
        return (yield)

    @hookimpl(wrapper=True)
    def load_artifact(self):
        return unfiltered((yield), "gzip", unpack)


class OneWay(Sound):
    load_artifact = None


class Renaming(Sound):
    @hookimpl(wrapper=True)
    def store_artifact(self, request):
        stored = yield
        return attrs.evolve(stored, uri=stored.uri + "#seen")


class Presuming(Sound):
    @hookimpl(wrapper=True)
    def load_artifact(self):
        source = yield
        remaining = ("gzip",) if not source.remaining else source.remaining
        inner = type(
            "Source",
            (),
            {
                "remaining": remaining,
                "manifest": source.manifest,
                "uri": source.uri,
                "encoded": lambda _, name: source.encoded(name),
            },
        )()
        return unfiltered(inner, "gzip", unpack)


class Dated(Sound):
    @staticmethod
    def encode(stream):
        return gzip.GzipFile(os.urandom(8).hex(), "wb", fileobj=stream)


class Swallowing(Sound):
    @hookimpl(wrapper=True)
    def store_artifact(self, request):
        try:
            return (yield)
        except Exception:
            return None


class Cut:
    def __init__(self, stream):
        self.stream = pack(stream)

    def write(self, content):
        return self.stream.write(bytes(content)[:100]) and len(content)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stream.close()

    def close(self):
        self.stream.close()


class Cutting(Sound):
    encode = Cut


class Trusting(Sound):
    @hookimpl(wrapper=True)
    def store_artifact(self):
        return (yield)

    @hookimpl(wrapper=True)
    def load_artifact(self, uri):
        yield
        return Unverified(Path(uri.removeprefix("file://")))


class Open(Sound):
    @hookimpl(wrapper=True)
    def store_artifact(self):
        return (yield)


@define(slots=False)
class Alone(Sound):
    lock: object = field(factory=threading.Lock, init=False)

    @hookimpl(wrapper=True)
    def store_artifact(self, request):
        assert self.lock.acquire(blocking=False), "somebody else is here"
        try:
            time.sleep(0.01)
            return (yield)
        finally:
            self.lock.release()


class Noisy(Sound):
    @hookimpl
    def run_started(self, run):
        message = "not this run"
        raise RuntimeError(message)


class Base(ExtensionContract):
    hides = True

    @pytest.fixture
    def new_extension(self):
        return lambda: self.make()


SHARED = {name for name in vars(ComponentContract) if name.startswith("test_")}

BROKEN = {
    "test_what_was_stored_is_read": OneWay,
    "test_what_is_told_is_what_lies_there": Renaming,
    "test_what_was_there_before_is_still_read": Presuming,
    "test_a_delivery_that_is_repeated_stores_once": Dated,
    "test_a_failure_of_the_store_comes_through": Swallowing,
    "test_a_large_file_is_whole": Cutting,
    "test_a_changed_byte_is_found": Trusting,
    "test_what_it_hides_is_hidden": Open,
    "test_steps_store_at_once": Alone,
    "test_a_run_passes_quietly": Noisy,
}

globals().update(suites(Base, BROKEN, Sound))
