"""What every model registry has to do.

Subclass `RegistryContract` and give its fixture::

    class TestLabRegistry(RegistryContract):
        @pytest.fixture
        def new_registry(self, tmp_path):
            return lambda: LabRegistry(folder=tmp_path)

A registry that looks at the files of a model overrides `new_stored` as well, and lays the model
where the registry finds it.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from attrs import frozen

from flowyml.errors import DeliveryError, FlowyMLError, NotFoundError
from flowyml.plugins import Component
from flowyml.records import ModelVersion, Registration, StoredArtifact, StoredFile
from flowyml.testing.artifacts import DRAFT
from flowyml.testing.components import ComponentContract, secrets_of
from flowyml.testing.deliveries import Deliveries

__all__ = ["RegistryContract"]

NewRegistry = Callable[[], Any]
NewStored = Callable[[str], StoredArtifact]

ODD_NAMES = [
    "../../etc/passwd", "/absolute", "a/b\\c", "modèle-模型-🔥", "CON", "%2e%2e%2f",
    "'; DROP TABLE versions; --", "*", "a b", "a:b@c", "x" * 60,
]  # fmt: skip

NO_NAMES = ["", "  ", "a\0b", "\ud800"]


class RegistryContract(ComponentContract):
    """Tests of a registry; a subclass may add its own beside them.

    Attributes:
        registry: What its versions say of it: its ``type`` in flowyml.yaml; None leaves it open.
        aliases: Whether it keeps aliases.
        approval: Whether it keeps decisions.
        facts: Facts of a model that it gives back as they were.
        odd_names: Names of models that it takes and gives back as they are.
    """

    registry: ClassVar[str | None] = None
    aliases: ClassVar[bool] = True
    approval: ClassVar[bool] = True
    facts: ClassVar[Mapping[str, Any]] = {
        "metadata": {"metrics": {"accuracy": 0.95}, "owner": "Zoë"},
        "input_schema": {"amount": "float"},
        "output_schema": ["fraud"],
        "serving_config": {"machine": "small"},
    }
    odd_names: ClassVar[Sequence[str]] = ODD_NAMES

    @pytest.fixture
    def new_registry(self) -> NewRegistry:
        """Return a function that makes a registry of the backend, as another process would."""
        raise NotImplementedError

    @pytest.fixture
    def new_stored(self) -> NewStored:
        """Return a function that stores a model, another one for each word."""
        return stored_model

    @pytest.fixture
    def new_component(self, new_registry: NewRegistry) -> Callable[[], Component]:
        """Let the tests of any component have a registry."""
        return new_registry

    @pytest.fixture
    def register(self, new_registry: NewRegistry, new_stored: NewStored) -> _Register:
        """Register models, each time as another process."""
        return _Register(new_registry, new_stored, Deliveries.of("run-1", Path()))

    def test_a_version_keeps_all_that_the_model_said(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """Version, digest, framework, facts and key come back as they were."""
        made = register("1.0.0", content="a", **self.facts)
        found = new_registry().get_model(name="fraud", version="1.0.0")
        assert found == made
        assert (found.name, found.version, found.framework) == ("fraud", "1.0.0", "sklearn")
        stored = register.new_stored("a")
        assert (found.uri, found.digest) == (stored.uri, stored.digest)
        assert (found.run_id, found.key) == ("run-1", register.key("a"))
        assert {name: getattr(found, name) for name in self.facts} == self.facts
        assert found.approval in {"none", "pending"}
        assert found.aliases == ()
        assert found.created_at.tzinfo is not None
        assert self.registry in {None, found.registry}

    def test_the_same_delivery_registers_once(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """One that comes again, as after a crash, finds the version that it made."""
        first = register(None, content="a")
        again = register(None, content="a")
        assert again == first
        assert [found.version for found in new_registry().list_models(name="fraud")] == [
            first.version
        ]

    def test_the_registry_counts_where_the_user_does_not(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """Each delivery makes a version of its own, which is found under what it was told."""
        versions = [register(None, content=word).version for word in ("a", "b", "c")]
        assert len(set(versions)) == len(versions)
        for version, word in zip(versions, ("a", "b", "c"), strict=True):
            found = new_registry().get_model(name="fraud", version=version)
            assert found.digest == register.new_stored(word).digest

    def test_a_count_is_no_version_of_a_user_s_own(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """A version that was given goes on meaning the model that it was given to."""
        given = [register(version, content=version).version for version in ("2", "3")]
        counted = [register(None, content=word).version for word in ("a", "b")]
        assert register(None, content="a").version == counted[0]
        assert len({*given, *counted}) == 4
        for version, word in zip((*given, *counted), ("2", "3", "a", "b"), strict=True):
            found = new_registry().get_model(name="fraud", version=version)
            assert found.digest == register.new_stored(word).digest

    def test_the_same_model_is_no_conflict(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """Another run that registers the same digest under the same version gets what is there."""
        first = register("1.0.0", content="a", key="first")
        assert register("1.0.0", content="a", key="second").digest == first.digest
        assert len(new_registry().list_models(name="fraud")) == 1

    def test_another_model_under_the_same_version_is_refused(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """The error names model, version and digests, and what is there stays as it is."""
        first = register("1.0.0", content="a")
        with pytest.raises(DeliveryError) as caught:
            register("1.0.0", content="b")
        other = register.new_stored("b")
        for part in ("fraud", "1.0.0", first.digest, other.digest):
            assert part in str(caught.value)
        assert not caught.value.transient
        assert not [secret for secret in secrets_of(new_registry()) if secret in str(caught.value)]
        (found,) = new_registry().list_models(name="fraud")
        assert found.digest == first.digest

    def test_a_model_is_found_by_version_and_as_the_newest(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """None is the newest; what is not there is None."""
        one, two = register("1", content="a"), register("2", content="b")
        registry = new_registry()
        assert registry.get_model(name="fraud", version=None).digest == two.digest
        assert registry.get_model(name="fraud", version="1").digest == one.digest
        assert registry.get_model(name="fraud", version="3") is None
        assert registry.get_model(name="unknown", version=None) is None

    def test_versions_are_listed_newest_first(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """Those of one model, or of all."""
        for version in ("2", "10", "1"):
            register(version, content=version)
        other = register("1", name="other", content="o")
        registry = new_registry()
        versions = [found.version for found in registry.list_models(name="fraud")]
        assert versions == ["1", "10", "2"]
        assert other.name in {found.name for found in registry.list_models(name=None)}
        assert len(registry.list_models(name=None)) == 4
        assert list(registry.list_models(name="unknown")) == []

    def test_an_alias_moves(self, register: _Register, new_registry: NewRegistry) -> None:
        """It points at one version at a time, beside the aliases that stay."""
        if not self.aliases:
            pytest.skip("this registry keeps no aliases")
        one, two = register("1", content="a"), register("2", content="b")
        new_registry().set_alias(name="fraud", version="1", alias="champion")
        new_registry().set_alias(name="fraud", version="1", alias="audited")
        moved = new_registry().set_alias(name="fraud", version="2", alias="champion")
        assert (moved.digest, moved.aliases) == (two.digest, ("champion",))
        registry = new_registry()
        assert registry.get_model(name="fraud", version="champion").digest == two.digest
        assert registry.get_model(name="fraud", version="audited").digest == one.digest
        assert registry.get_model(name="fraud", version="1").aliases == ("audited",)

    def test_approval_is_kept(self, register: _Register, new_registry: NewRegistry) -> None:
        """A decision is there for the next process that asks, and may be taken back."""
        if not self.approval:
            pytest.skip("this registry keeps no decisions")
        register("1.0.0", content="a")
        for decision in ("approved", "rejected"):
            decided = new_registry().set_approval(
                name="fraud", version="1.0.0", approval=decision, comment="looked at"
            )
            assert decided.approval == decision
            found = new_registry().get_model(name="fraud", version="1.0.0")
            assert found.approval == decision

    def test_deciding_on_nothing_is_an_error(self, new_registry: NewRegistry) -> None:
        """It names the model that is not there."""
        if not self.approval:
            pytest.skip("this registry keeps no decisions")
        with pytest.raises((NotFoundError, DeliveryError), match="ghost"):
            new_registry().set_approval(
                name="ghost", version="1", approval="approved", comment="why"
            )

    def test_odd_names_are_only_names(self, register: _Register, new_registry: NewRegistry) -> None:
        """They come back as they are, and stay apart."""
        digests = {name: register("1", name=name, content=name).digest for name in self.odd_names}
        registry = new_registry()
        for name, digest in digests.items():
            found = registry.get_model(name=name, version="1")
            assert (found.name, found.digest) == (name, digest)
            assert [one.digest for one in registry.list_models(name=name)] == [digest]

    @pytest.mark.parametrize("name", NO_NAMES)
    def test_what_cannot_be_a_name_is_refused(
        self, register: _Register, new_registry: NewRegistry, name: str
    ) -> None:
        """With an error of ours, and nothing is registered."""
        with pytest.raises(FlowyMLError):
            register("1", name=name, content="a")
        assert list(new_registry().list_models(name=None)) == []

    def test_deliveries_at_once_each_get_a_version(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """No number is given twice, and none is lost."""
        start = threading.Barrier(4)

        def one(number: int) -> str:
            start.wait(30)
            version: str = register(None, content=str(number)).version
            return version

        with ThreadPoolExecutor(4) as threads:
            versions = list(threads.map(one, range(4)))
        assert len(set(versions)) == 4
        found = {found.version for found in new_registry().list_models(name="fraud")}
        assert found == set(versions)

    def test_of_two_models_at_once_one_gets_the_version(
        self, register: _Register, new_registry: NewRegistry
    ) -> None:
        """The other is refused."""
        start = threading.Barrier(2)

        def one(word: str) -> str | None:
            start.wait(30)
            try:
                digest: str = register("1.0.0", content=word).digest
            except DeliveryError:
                return None
            return digest

        with ThreadPoolExecutor(2) as threads:
            digests = list(threads.map(one, ("a", "b")))
        (winner,) = [digest for digest in digests if digest]
        (found,) = new_registry().list_models(name="fraud")
        assert found.digest == winner

    def test_what_comes_back_goes_to_another_process(self, register: _Register) -> None:
        """It pickles."""
        made = register("1", content="a", **self.facts)
        assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301  # our own


@frozen
class _Register:
    """Registers models as a run does."""

    new_registry: NewRegistry
    new_stored: NewStored
    deliveries: Deliveries

    def __call__(
        self,
        version: str | None,
        *,
        content: str,
        name: str = "fraud",
        key: str | None = None,
        **facts: Any,
    ) -> ModelVersion:
        stored = self.new_stored(content)
        registration = Registration(name, version, stored, framework="sklearn", **facts)
        context = attrs.evolve(self.deliveries.context(), key=self.key(key or content))
        made: ModelVersion = self.new_registry().register_model(
            registration=registration, context=context
        )
        return made

    def key(self, word: str) -> str:
        return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()


def stored_model(content: str) -> StoredArtifact:
    """Return a stored model whose digest depends on the content; its files are nowhere."""
    sha256 = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    manifest = attrs.evolve(DRAFT, files=(StoredFile("model.pkl", len(content), sha256),))
    return StoredArtifact(f"file:///models/{sha256[:16]}", "artifact_store", manifest)
