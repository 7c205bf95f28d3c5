"""What every extension has to do.

Subclass `ExtensionContract` and give its fixture::

    class TestLabAudit(ExtensionContract):
        @pytest.fixture
        def new_extension(self, tmp_path):
            return lambda: LabAudit(log=tmp_path / "audit.log")
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
from attrs import define

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.plugins import ArtifactStore, Component
from flowyml.records import DeliveryContext, RunStatus, StepStatus
from flowyml.stacks.hooks import Hooks
from flowyml.storage.files import StoreRequest
from flowyml.storage.folders import ArtifactFolders
from flowyml.storage.local_folders import LocalFolders
from flowyml.testing.artifacts import DRAFT, FILES, OTHER, a_request, contents, writing
from flowyml.testing.components import ComponentContract, secrets_of
from flowyml.testing.deliveries import Deliveries
from flowyml.testing.seats import hooks_of

__all__ = ["ExtensionContract"]

STORE = "artifact_store"

NewHooks = Callable[..., Hooks]


@define(slots=False)
class FolderStore(ArtifactStore):
    """The store that extensions are tried around."""

    path: Path

    def folders(self) -> ArtifactFolders:
        """Return its engine."""
        return LocalFolders.at(self.path)


class ExtensionContract(ComponentContract):
    """Tests of an extension; a subclass may add its own beside them.

    Attributes:
        repeatable: Whether the same value lies in the store as the same bytes each time; an
            encryption with a fresh nonce is not.
        hides: Whether what lies in the store is not what was stored (an encryption).
    """

    repeatable: ClassVar[bool] = True
    hides: ClassVar[bool] = False

    @pytest.fixture
    def new_extension(self) -> Callable[[], Component]:
        """Return a function that makes the extension, as another process would."""
        raise NotImplementedError

    @pytest.fixture
    def new_component(self, new_extension: Callable[[], Component]) -> Callable[[], Component]:
        """Let the tests of any component have an extension."""
        return new_extension

    @pytest.fixture
    def store_path(self, tmp_path: Path) -> Path:
        """Return the folder of the store, which the tests look into past all hooks."""
        return tmp_path / "the store"

    @pytest.fixture
    def new_hooks(self, new_extension: Callable[[], Component], store_path: Path) -> NewHooks:
        """Return a function that makes the hooks of a stack with the extension, or without."""

        def make(*, extended: bool = True) -> Hooks:
            extension = {"extensions.tested": new_extension()} if extended else {}
            return hooks_of({**extension, STORE: FolderStore(store_path)})

        return make

    @pytest.fixture
    def context(self) -> DeliveryContext:
        """Return a delivery."""
        return Deliveries.of("run-1", Path()).context()

    def test_what_was_stored_is_read(self, new_hooks: NewHooks, context: DeliveryContext) -> None:
        """By another process that has the extension too."""
        stored = new_hooks().store_artifact(STORE, a_request(), context)
        assert contents(new_hooks().load_artifact(STORE, stored.uri)) == FILES

    def test_what_is_told_is_what_lies_there(
        self, new_hooks: NewHooks, context: DeliveryContext
    ) -> None:
        """The store's answer reaches the caller, as it stands in the store."""
        stored = new_hooks().store_artifact(STORE, a_request(), context)
        (listed,) = new_hooks(extended=False).list_artifacts(STORE)
        assert listed == stored
        assert stored.manifest.key == context.key

    def test_what_was_there_before_is_still_read(
        self, new_hooks: NewHooks, context: DeliveryContext
    ) -> None:
        """Artifacts that were stored without the extension."""
        stored = new_hooks(extended=False).store_artifact(STORE, a_request(), context)
        assert contents(new_hooks().load_artifact(STORE, stored.uri)) == FILES

    def test_a_delivery_that_is_repeated_stores_once(
        self, new_hooks: NewHooks, context: DeliveryContext
    ) -> None:
        """One artifact lies there in the end, and is read."""
        first = new_hooks().store_artifact(STORE, a_request(), context)
        again = new_hooks().store_artifact(STORE, a_request(), context)
        assert again.uri == first.uri
        (listed,) = new_hooks().list_artifacts(STORE)
        assert contents(new_hooks().load_artifact(STORE, listed.uri)) == FILES
        if self.repeatable:
            assert again == first

    def test_a_failure_of_the_store_comes_through(
        self, new_hooks: NewHooks, context: DeliveryContext
    ) -> None:
        """With its class and its message; nothing is swallowed, and nothing is stored."""
        hooks = new_hooks()
        hooks.store_artifact(STORE, a_request(), context)
        other = attrs.evolve(context, key="0" * 64)
        with pytest.raises(DeliveryError, match="overwrite: true"):
            hooks.store_artifact(STORE, a_request(files=OTHER), other)
        with pytest.raises(NotFoundError):
            hooks.load_artifact(STORE, FolderStore(Path("/nowhere")).root_uri())

        def broken(_sink: object) -> None:
            message = "the step broke"
            raise RuntimeError(message)

        with pytest.raises(RuntimeError, match="the step broke"):
            hooks.store_artifact(STORE, StoreRequest("broken", DRAFT, broken), context)
        assert len(list(hooks.list_artifacts(STORE))) == 1

    def test_a_large_file_is_whole(self, new_hooks: NewHooks, context: DeliveryContext) -> None:
        """And so is an empty one, and many at once."""
        files = {"big": bytes(range(256)) * 40_000, "none": b"", "one": b"1"}
        stored = new_hooks().store_artifact(STORE, a_request(files=files), context)
        found = contents(new_hooks().load_artifact(STORE, stored.uri))
        # Where `CI` is set, pytest would spend ten seconds on a line for each byte that differs.
        damaged = [name for name, content in files.items() if found.get(name) != content]
        assert not damaged
        assert found.keys() == files.keys()

    def test_a_changed_byte_is_found(
        self, new_hooks: NewHooks, context: DeliveryContext, store_path: Path
    ) -> None:
        """What the extension gives out has been verified as what the store gives out."""
        stored = new_hooks().store_artifact(STORE, a_request(), context)
        (file,) = store_path.rglob("model.pkl")
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(IntegrityError):
            contents(new_hooks().load_artifact(STORE, stored.uri))

    def test_what_it_hides_is_hidden(
        self,
        new_hooks: NewHooks,
        new_extension: Callable[[], Component],
        context: DeliveryContext,
        store_path: Path,
    ) -> None:
        """Nothing of the value lies in the store, and nothing is read without the extension."""
        if not self.hides:
            pytest.skip("this extension hides nothing")
        hooks = new_hooks()
        hooks.store_artifact(STORE, a_request(files={"a": b"a very private word" * 9}), context)
        for file in (path for path in store_path.rglob("*") if path.is_file()):
            content = file.read_bytes()
            assert b"very private" not in content
            secrets = secrets_of(new_extension())
            assert not [secret for secret in secrets if secret.encode() in content]
        (stored,) = hooks.list_artifacts(STORE)
        with pytest.raises(IntegrityError):
            contents(new_hooks(extended=False).load_artifact(STORE, stored.uri))

    def test_steps_store_at_once(self, new_hooks: NewHooks, context: DeliveryContext) -> None:
        """One stack serves all threads."""
        hooks = new_hooks()

        def store(number: int) -> str:
            request = StoreRequest(f"p/{number}", DRAFT, writing({"x": bytes([number]) * 50_000}))
            return hooks.store_artifact(STORE, request, context).uri

        with ThreadPoolExecutor(4) as threads:
            uris = list(threads.map(store, range(12)))
        for number, uri in enumerate(uris):
            assert contents(hooks.load_artifact(STORE, uri)) == {"x": bytes([number]) * 50_000}

    def test_a_run_passes_quietly(self, new_hooks: NewHooks, context: DeliveryContext) -> None:
        """What it raises while it is told of a run would become a warning."""
        hooks, run = new_hooks(), context.run
        stored = new_hooks(extended=False).store_artifact(STORE, a_request(), context)
        hooks.run_started(run)
        hooks.step_started(run, "train")
        hooks.artifact_stored(run, stored)
        hooks.step_finished(run, "train", StepStatus.DONE)
        hooks.run_finished(run, RunStatus.DONE)
