"""The local registry: versions, aliases and approval, once each and for good."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest
from tests.local.local_samples import a_context, a_registration

from flowyml.errors import DeliveryError, NotFoundError
from flowyml_local.registry import LocalModelRegistry

HOSTILE = [
    "../../etc/passwd",
    "/absolute",
    "a/b\\c",
    "modèle-модель-模型-🔥",
    "x" * 300,
    "CON",
    "%2e%2e%2f",
    "'; DROP TABLE versions; --",
    "line\nbreak",
    ".",
    "*",
]


@pytest.fixture
def registry(tmp_path: Path) -> LocalModelRegistry:
    """Give a registry whose folder does not exist yet."""
    return LocalModelRegistry(path=tmp_path / "registry")


def test_a_version_keeps_all_that_the_model_said(registry: LocalModelRegistry) -> None:
    """Version, digest, framework, metrics, schemas and serving settings come back as they were."""
    registration = a_registration(
        metadata={"metrics": {"accuracy": 0.95, "loss": math.inf}, "when": (1, 2)},
        input_schema={"amount": "float"},
        output_schema=["fraud"],
        serving_config={"machine": "small"},
    )

    registered = registry.register_model(registration, a_context())

    found = registry.get_model("fraud_detector", "1.0.0")
    assert found == registered
    assert found is not None
    assert (found.name, found.version, found.registry) == ("fraud_detector", "1.0.0", "local")
    assert (found.uri, found.digest) == (registration.stored.uri, registration.stored.digest)
    assert (found.framework, found.run_id, found.key) == ("sklearn", "run-1", "key-1")
    assert found.metadata == registration.metadata
    assert found.input_schema == {"amount": "float"}
    assert found.output_schema == ["fraud"]
    assert found.serving_config == {"machine": "small"}
    assert (found.approval, found.aliases) == ("none", ())


def test_the_same_delivery_registers_once(registry: LocalModelRegistry) -> None:
    """A delivery that comes again, as after a crash, finds the version that it made."""
    first = registry.register_model(a_registration(None), a_context("key-1"))
    again = registry.register_model(a_registration(None), a_context("key-1"))

    assert again == first
    assert registry.list_models(None) == [first]


def test_the_registry_counts_where_the_user_does_not(registry: LocalModelRegistry) -> None:
    """Versions are counted for each model, on from the highest number that the user gave."""
    given = [None, None, "7", "2.0.0", None]
    for number, version in enumerate(given):
        registry.register_model(
            a_registration(version, content=str(number)), a_context(f"key-{number}")
        )
    other = registry.register_model(a_registration(None, name="other"), a_context("other"))

    versions = [model.version for model in registry.list_models("fraud_detector")]
    assert versions == ["8", "2.0.0", "7", "2", "1"]
    assert other.version == "1"


def test_the_same_model_under_the_same_version_is_no_conflict(registry: LocalModelRegistry) -> None:
    """Another run that registers the same digest under the same version gets what is there."""
    first = registry.register_model(a_registration(), a_context("key-1"))

    assert registry.register_model(a_registration(), a_context("key-2", "run-2")) == first
    assert len(registry.list_models(None)) == 1


def test_another_model_under_the_same_version_is_refused(registry: LocalModelRegistry) -> None:
    """The error names both digests, and what is there stays as it is."""
    first = registry.register_model(a_registration(), a_context("key-1"))
    other = a_registration(content="other weights")

    with pytest.raises(DeliveryError) as caught:
        registry.register_model(other, a_context("key-2"))

    message = str(caught.value)
    assert first.digest in message
    assert other.stored.digest in message
    assert "'1.0.0'" in message
    assert "another version" in message
    assert not caught.value.transient
    assert registry.list_models(None) == [first]


def test_a_model_is_found_by_version_by_alias_and_as_the_newest(
    registry: LocalModelRegistry,
) -> None:
    """Any other name finds nothing."""
    one = registry.register_model(a_registration("1", content="a"), a_context("a"))
    two = registry.register_model(a_registration("2", content="b"), a_context("b"))
    registry.set_alias("fraud_detector", "1", "champion")

    assert registry.get_model("fraud_detector", None) == two
    assert registry.get_model("fraud_detector", "2") == two
    by_alias = registry.get_model("fraud_detector", "champion")
    assert by_alias is not None
    assert (by_alias.version, by_alias.digest) == ("1", one.digest)
    assert registry.get_model("fraud_detector", "3") is None
    assert registry.get_model("unknown", None) is None


def test_an_alias_moves_away_from_any_other_version(registry: LocalModelRegistry) -> None:
    """It points at one version at a time, beside the aliases that stay."""
    for version in ("1", "2"):
        registry.register_model(a_registration(version, content=version), a_context(version))
    registry.set_alias("fraud_detector", "1", "champion")
    registry.set_alias("fraud_detector", "1", "audited")

    moved = registry.set_alias("fraud_detector", "2", "champion")

    assert moved.aliases == ("champion",)
    two, one = registry.list_models("fraud_detector")
    assert (one.aliases, two.aliases) == (("audited",), ("champion",))


def test_an_alias_never_hides_a_version(registry: LocalModelRegistry) -> None:
    """What is a version of the model cannot become an alias of another one."""
    for version in ("1", "2"):
        registry.register_model(a_registration(version, content=version), a_context(version))

    with pytest.raises(DeliveryError, match="'2' is a version of the model 'fraud_detector'"):
        registry.set_alias("fraud_detector", "1", "2")


def test_approval_is_kept(registry: LocalModelRegistry) -> None:
    """A decision is there for the next process that asks."""
    registry.register_model(a_registration(), a_context())

    decided = registry.set_approval("fraud_detector", "1.0.0", "approved", "looks good")

    assert decided.approval == "approved"
    found = LocalModelRegistry(path=registry.path).get_model("fraud_detector", "1.0.0")
    assert found == decided


def test_acting_on_an_unknown_version_says_which_there_are(registry: LocalModelRegistry) -> None:
    """The error lists the versions of the model."""
    registry.register_model(a_registration("1.0.0"), a_context())

    with pytest.raises(
        NotFoundError, match=r"no model 'fraud_detector' with a version '2'.*1\.0\.0"
    ):
        registry.set_alias("fraud_detector", "2", "champion")
    with pytest.raises(NotFoundError, match=r"no model 'ghost'.*flowyml model list"):
        registry.set_approval("ghost", "1", "approved", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_names(registry: LocalModelRegistry, name: str) -> None:
    """They come back as they are, as name, version and alias, and make no file of their own."""
    registry.register_model(a_registration(name, name=name), a_context())
    registry.register_model(a_registration("plain", name=name), a_context("key-2"))
    registry.set_alias(name, "plain", f"{name}!")

    found = registry.get_model(name, name)
    assert found is not None
    assert (found.name, found.version) == (name, name)
    aliased = registry.get_model(name, f"{name}!")
    assert aliased is not None
    assert aliased.version == "plain"
    assert [path.name for path in registry.path.parent.rglob("*")] == ["registry", "models.db"]


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "\ud800", "x" * 2000])
def test_what_cannot_be_a_name_is_refused(registry: LocalModelRegistry, name: str) -> None:
    """Nothing is registered under it."""
    with pytest.raises(DeliveryError):
        registry.register_model(a_registration(name=name), a_context())
    assert registry.list_models(None) == ()


def test_names_that_look_alike_stay_apart(registry: LocalModelRegistry) -> None:
    """Upper case, Unicode forms and trailing blanks make another model."""
    names = ["fraud", "Fraud", "fraud ", "fra\u0301ud", "fr\xe1ud"]
    for name in names:
        registry.register_model(a_registration(name=name), a_context(name))

    assert {model.name for model in registry.list_models(None)} == set(names)


def test_asking_makes_no_file(registry: LocalModelRegistry) -> None:
    """A registry that nothing was registered in is empty, and stays away from the disk."""
    assert registry.get_model("fraud_detector", None) is None
    assert list(registry.list_models(None)) == []
    assert not registry.path.exists()


def test_a_file_that_is_no_registry_is_named(registry: LocalModelRegistry) -> None:
    """The error names the file and says what to do; the file is not touched."""
    registry.path.mkdir()
    file = registry.path / "models.db"
    file.write_text("this is no database" * 100)

    for call in (lambda: registry.list_models(None), registry.preflight):
        with pytest.raises(DeliveryError, match=r"models\.db is damaged .* restore it"):
            call()
    assert file.read_text() == "this is no database" * 100
    (check,) = registry.diagnose()
    assert not check.ok
    assert check.fix


def test_a_registry_of_a_newer_version_is_left_alone(registry: LocalModelRegistry) -> None:
    """The error says that a newer FlowyML wrote it."""
    registry.register_model(a_registration(), a_context())
    connection = sqlite3.connect(registry.path / "models.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(DeliveryError, match=r"schema version 99.*upgrade"):
        registry.list_models(None)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way of the folder is an error before the run, and a finding of the doctor."""
    (tmp_path / "registry").write_text("in the way")
    registry = LocalModelRegistry(path=tmp_path / "registry" / "models")

    with pytest.raises(DeliveryError, match="cannot be read or written"):
        registry.preflight()
    (check,) = registry.diagnose()
    assert not check.ok


def test_a_healthy_registry_says_so(registry: LocalModelRegistry) -> None:
    """The doctor tells where it is and how much is in it."""
    registry.register_model(a_registration(), a_context())

    (check,) = registry.diagnose()

    assert check.ok
    assert "model versions in it: 1" in check.message


def test_metadata_of_a_class_that_is_gone_does_not_break_the_list(
    registry: LocalModelRegistry,
) -> None:
    """A list shows such a fact as the JSON that it is kept as."""
    registry.register_model(a_registration(metadata={"a": 1}), a_context())
    connection = sqlite3.connect(registry.path / "models.db", isolation_level=None)
    gone = '{"metadata": {"$type": "attrs", "class": "gone:Gone", "fields": {}}}'
    connection.execute("UPDATE versions SET facts = ?", (gone,))
    connection.close()

    (model,) = registry.list_models(None)

    assert model.metadata["class"] == "gone:Gone"
