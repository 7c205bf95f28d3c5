"""Stores with one mistake each, and the test of the suite that finds it."""

# mypy: ignore-errors

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from pathlib import Path

import attrs
import pytest
from attrs import define, field, frozen
from tests.testing.broken.sound_store import Sound
from tests.testing.broken.table import suites

from flowyml.errors import DeliveryError
from flowyml.plugins import ArtifactStore, hookimpl
from flowyml.records import Check
from flowyml.storage.manifests import manifest_from_json
from flowyml.testing import FolderBackend, StoreContract


class Forgetful(Sound):
    def store_artifact(self, request, context):
        return self.keep(request, context, manifest=attrs.evolve(request.manifest, metadata={}))


class Elsewhere(Sound):
    def store_artifact(self, request, context):
        return self.keep(request, context, path=f"data/{request.path}")


class OnlyOwn(Sound):
    def list_artifacts(self, prefix):
        return []


@frozen
class Unverified:
    folder: Path

    @property
    def manifest(self):
        import json

        return manifest_from_json(json.loads((self.folder / "artifact.json").read_bytes()))

    def path(self, name):
        return self.folder / name

    def open(self, name):
        return self.path(name).open("rb")


class Trusting(Sound):
    def load_artifact(self, uri):
        return Unverified(Path(uri.removeprefix("file://")))


class NeverEmpty(Sound):
    def store_artifact(self, request, context):
        stored = self.keep(request, context)
        if not stored.manifest.size:
            message = "there is nothing to store"
            raise DeliveryError(message)
        return stored


class Short(Sound):
    def load_artifact(self, uri):
        import io

        source = super().load_artifact(uri)
        return type("Source", (), {"open": lambda _, name: io.BytesIO(source.open(name).read(9))})()


@frozen
class Sink:
    inner: object
    names: object = staticmethod(lambda name: name)

    def open(self, name):
        return self.inner.open(self.names(name))

    def put(self, name, content):
        return self.inner.put(self.names(name), content)


class OnlyStreams(Sound):
    def store_artifact(self, request, context):
        return self.keep(request, context, write=lambda sink: request.write(Sink(sink)))


class Unfiltered(Sound):
    def store_artifact(self, request, context):
        return self.keep(request, context, filters=[])


class SelfNamed(Sound):
    def store_artifact(self, request, context):
        return attrs.evolve(self.keep(request, context), store="lab")


class Unpicklable(Sound):
    def store_artifact(self, request, context):
        stored = self.keep(request, context)
        manifest = attrs.evolve(stored.manifest, metadata={"handle": threading.Lock()})
        return attrs.evolve(stored, manifest=manifest)


class Rewriting(Sound):
    def store_artifact(self, request, context):
        self.delete_artifact(f"{self.root_uri()}/{request.path}")
        return self.keep(request, context)


class Overwriting(Sound):
    def store_artifact(self, request, context):
        return self.keep(request, context, overwrite=True)


class Stubborn(Sound):
    def store_artifact(self, request, context):
        context = attrs.evolve(context, key=uuid.uuid4().hex)
        return self.keep(request, context, overwrite=False)


class Impatient(Sound):
    def store_artifact(self, request, context):
        if request.overwrite:
            self.delete_artifact(f"{self.root_uri()}/{request.path}")
            time.sleep(0.02)
        return self.keep(request, context)


class Early(Sound):
    def store_artifact(self, request, context):
        self.keep(request, context, write=lambda _sink: None)
        return self.keep(request, context)


def tamed(name):
    return re.sub(r"[^a-z0-9/]|/(?=/|$)|^/", "_", name)[:99] or "_"


class Taming(Sound):
    def store_artifact(self, request, context):
        def write(sink):
            request.write(Sink(sink, tamed))

        return self.keep(request, context, path=tamed(request.path), write=write)


class Silent(Sound):
    def load_artifact(self, uri):
        try:
            return super().load_artifact(uri)
        except Exception:
            return None


class Backwards(Sound):
    def list_artifacts(self, prefix):
        return reversed(list(super().list_artifacts(prefix)))


class Unprepared(Sound):
    def list_artifacts(self, prefix):
        os.listdir(self.path)
        return super().list_artifacts(prefix)


class Littering(Sound):
    def delete_artifact(self, uri):
        (Path(uri.removeprefix("file://")) / "artifact.json").unlink(missing_ok=True)
        return True


LOCK = threading.Lock()


class Alone(Sound):
    def store_artifact(self, request, context):
        if not LOCK.acquire(blocking=False):
            message = "somebody else is writing"
            raise DeliveryError(message)
        try:
            time.sleep(0.05)
            return self.keep(request, context)
        finally:
            LOCK.release()


class Plain(ArtifactStore):
    path: Path

    def __init__(self, path):
        self.path = path


class Outdated(Sound):
    flowyml_api = ">=9"


class Misspelt(Sound):
    @hookimpl
    def store_artefact(self, request, context): ...


@define(slots=False)
class Unexplained(ArtifactStore):
    path: Path


@define(slots=False)
class Talkative(Sound):
    token: str = "hunter2"


@define(slots=False)
class Telling(Sound):
    token: str = field(default="hunter2", repr=False)

    def __str__(self):
        return f"store with {self.token}"


@define(slots=False)
class Handmade(Sound):
    rule: object = field(factory=threading.Lock)


class Unready(Sound):
    def preflight(self):
        message = "not now"
        raise DeliveryError(message)


class Ill(Sound):
    def diagnose(self):
        return (Check("folder", ok=False, message="it is not well"),)


class Judging(Sound):
    @hookimpl
    def is_transient(self, error):
        return error.args[0] == "x"


def costly(path):
    from tests.testing.broken.costly import Costly

    return Costly(path)


class Base(StoreContract):
    rounds = 2
    large = 100_000

    @pytest.fixture
    def new_store(self, tmp_path):
        return lambda: self.make(tmp_path / "store")

    @pytest.fixture
    def backend(self, tmp_path):
        return FolderBackend(tmp_path / "store")


TRIED_ELSEWHERE = True

BROKEN = {
    "test_what_was_stored_is_read": Forgetful,
    "test_files_lie_beside_the_manifest": Elsewhere,
    "test_what_another_stored_is_read": OnlyOwn,
    "test_a_changed_byte_is_found": Trusting,
    "test_a_file_that_is_gone_is_named": Trusting,
    "test_without_a_manifest_there_is_nothing": Trusting,
    "test_a_damaged_manifest_is_no_artifact": Trusting,
    "test_an_artifact_may_be_empty": NeverEmpty,
    "test_a_large_file_is_whole": Short,
    "test_a_library_may_write_by_itself": OnlyStreams,
    "test_a_filter_is_applied_and_named": Unfiltered,
    "test_a_uri_tells_where_it_lies": SelfNamed,
    "test_what_comes_back_goes_to_another_process": Unpicklable,
    "test_the_same_digest_is_stored_once": Rewriting,
    "test_another_digest_is_refused": Overwriting,
    "test_another_digest_replaces": Stubborn,
    "test_the_old_one_is_readable_until_the_new_one_is_there": Impatient,
    "test_what_failed_is_not_there": Early,
    "test_a_path_stays_in_the_store": Taming,
    "test_a_file_name_stays_in_its_folder": Taming,
    "test_an_odd_path_is_only_a_path": Taming,
    "test_what_is_not_there_is_not_found": Silent,
    "test_a_listing_goes_by_path": Backwards,
    "test_an_empty_store_lists_nothing": Unprepared,
    "test_deleting_leaves_nothing": Littering,
    "test_writers_of_one_digest_all_succeed": Alone,
    "test_of_writers_of_different_digests_one_wins": Overwriting,
    "test_a_reader_meets_a_whole_artifact": Impatient,
    "test_it_is_a_component": Plain,
    "test_it_is_built_for_this_contract": Outdated,
    "test_its_hooks_are_in_the_contract": Misspelt,
    "test_its_fields_are_explained": Unexplained,
    "test_its_secrets_are_not_shown": Talkative,
    "test_importing_it_costs_little": costly,
    "test_it_is_made_again_elsewhere": Handmade,
    "test_it_is_ready": Unready,
    "test_the_doctor_finds_it_well": Ill,
    "test_it_judges_any_error": Judging,
}

globals().update(suites(Base, BROKEN, Sound))
