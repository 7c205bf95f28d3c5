"""The registry against SageMaker's own rules."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers.aws import a_context, a_model, a_registration
from tests.servers.proxy import Fault, Proxy, refusal
from tests.servers.sagemaker import SageMakerServer

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.records import ModelVersion
from flowyml_aws.bundles import bundle_uri
from flowyml_aws.names import quote, resource_name, unique_name, unquote
from flowyml_aws.packages import model_version
from flowyml_aws.properties import LONGEST, MOST, read_properties, write_properties
from flowyml_aws.registry import SageMakerModelRegistry
from flowyml_aws.storage import S3ArtifactStore

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def packages(registry: SageMakerModelRegistry) -> list[Any]:
    """List all packages that SageMaker has."""
    found: list[Any] = registry.client.list_model_packages(ModelPackageType="Versioned")[
        "ModelPackageSummaryList"
    ]
    return found


class TestRegistering:
    """A stored model becomes a version."""

    def test_a_version_has_what_was_registered(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """Everything that the user gave comes back, the version as the user counts it."""
        model = a_model(
            metadata={"metrics": {"accuracy": 0.95, "loss": 1}, "team": "fraud & risk"},
            input_schema=[{"name": "amount", "type": "float"}],
            serving_config={"instance_type": "ml.m5.large"},
        )
        registration = a_registration(store, model)
        registered = registry.register_model(registration, a_context())

        assert registry.get_model("fraud_detector", "1.0.0") == registered
        assert registry.get_model("fraud_detector", None) == registered
        assert registered == ModelVersion(
            name="fraud_detector",
            version="1.0.0",
            uri=registration.stored.uri,
            digest=registration.stored.digest,
            registry="sagemaker_model_registry",
            created_at=registered.created_at,
            registry_id=registered.registry_id,
            key="key-1",
            framework="sklearn",
            run_id="run-1",
            approval="pending",
            metadata=model.metadata,
            input_schema=model.input_schema,
            serving_config=model.serving_config,
        )

    def test_a_package_can_be_deployed_by_sagemaker(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """It names AWS's image for the framework in the region, and the bundle in S3."""
        registration = a_registration(store)
        registered = registry.register_model(registration, a_context())
        package = registry.client.describe_model_package(ModelPackageName=registered.registry_id)

        (container,) = package["InferenceSpecification"]["Containers"]
        assert container["ModelDataUrl"] == bundle_uri(
            registration.stored.uri, registration.stored.digest
        )
        assert container["Image"].startswith(
            "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:"
        )
        assert container["Environment"]["SAGEMAKER_PROGRAM"] == "inference.py"

    def test_a_package_whose_metadata_somebody_took_away_is_named(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """With the properties that are gone, and what to do."""
        registered = registry.register_model(a_registration(store), a_context())
        described = registry.client.describe_model_package(ModelPackageName=registered.registry_id)
        del described["CustomerMetadataProperties"]["flowyml.digest"]
        said = r"^flowyml\.digest is gone from the metadata of arn:.*/1; put back"
        with pytest.raises(DeliveryError, match=said):
            model_version(described, {})

    @pytest.mark.parametrize("kind", ["refuse", "shorten"])
    @pytest.mark.parametrize(
        ("asked", "call"),
        {
            b"ListModelPackages": lambda registry: registry.list_models("fraud_detector"),
            b"ListModelPackageGroups": lambda registry: registry.list_models(None),
            b"UpdateModelPackage": lambda registry: registry.set_approval(
                "fraud_detector", "1.0.0", "approved", "good"
            ),
            b"AddTags": lambda registry: registry.set_alias("fraud_detector", "1.0.0", "best"),
        }.items(),
    )
    def test_what_is_no_whole_answer_of_sagemaker_counts_for_nothing(
        self,
        registry: SageMakerModelRegistry,
        store: S3ArtifactStore,
        sagemaker: SageMakerServer,
        asked: bytes,
        call: Callable[[SageMakerModelRegistry], object],
        kind: Any,
    ) -> None:
        """A page of a proxy, or half an answer, is no empty list and no change that was made."""
        registry.register_model(a_registration(store), a_context())
        page = refusal("200 OK", "<html>Sign in</html>", Content_Type="text/html")
        with Proxy(sagemaker.url).serving() as proxy:
            behind = SageMakerModelRegistry(endpoint_url=proxy.url).beside([store])
            proxy.faults = [Fault(kind, matching=b"SageMaker." + asked + b"\r\n", answer=page)]
            with pytest.raises(DeliveryError, match="answer is none that the service") as refused:
                call(behind)
        assert refused.value.transient

    def test_one_kind_of_content_is_one(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """A text names one kind, not as many as it has letters."""
        model = a_model(serving_config={"content_types": "text/csv"})
        registered = registry.register_model(a_registration(store, model), a_context())
        package = registry.client.describe_model_package(ModelPackageName=registered.registry_id)
        assert package["InferenceSpecification"]["SupportedContentTypes"] == ["text/csv"]

    def test_an_image_of_one_s_own_goes_first(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """Also for a framework that AWS has no image for."""
        model = a_model(framework="own", serving_config={"image": "own/image:1"})
        registered = registry.register_model(a_registration(store, model), a_context())
        package = registry.client.describe_model_package(ModelPackageName=registered.registry_id)

        assert package["InferenceSpecification"]["Containers"][0]["Image"] == "own/image:1"

    def test_a_framework_without_image_is_refused(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """The error says how to give one."""
        with pytest.raises(DeliveryError, match="serving_config"):
            registry.register_model(a_registration(store, a_model(framework=None)), a_context())

    def test_a_second_attempt_finds_the_first(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """One delivery makes one package, however often it is tried."""
        registration = a_registration(store)
        first = registry.register_model(registration, a_context())

        assert registry.register_model(registration, a_context()) == first
        assert len(packages(registry)) == 1

    def test_another_run_of_the_same_model_finds_it_too(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """Version and digest are the same: nothing new is there to register."""
        first = registry.register_model(a_registration(store), a_context())
        again = registry.register_model(a_registration(store), a_context("key-2"))

        assert again == first

    def test_a_version_never_changes_its_digest(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """Another model under a version that is there is an error, and changes nothing."""
        registry.register_model(a_registration(store), a_context())
        other = a_registration(store, a_model(3.0), "run-2/model")

        with pytest.raises(DeliveryError, match="is another model already"):
            registry.register_model(other, a_context("key-2"))
        assert len(packages(registry)) == 1

    def test_of_two_at_once_the_first_has_the_version(
        self,
        registry: SageMakerModelRegistry,
        store: S3ArtifactStore,
        sagemaker: SageMakerServer,
    ) -> None:
        """Both have seen that it is free; the one that comes later takes its package away."""
        sagemaker.steer(hold="CreateModelPackage", when="before")
        both = [a_registration(store), a_registration(store, a_model(3.0), "run-2/model")]

        def register(number: int) -> str | DeliveryError:
            context = a_context(f"key-{number}")
            try:
                return registry.register_model(both[number], context).digest
            except DeliveryError as error:
                return error

        with ThreadPoolExecutor(2) as threads:
            ending = [threads.submit(register, number) for number in range(2)]
            while sagemaker.calls().count("CreateModelPackage") < 2:
                time.sleep(0.02)
            sagemaker.steer(hold=None)
            ended = [future.result() for future in ending]
        (winner,) = [found for found in ended if isinstance(found, str)]
        (refused,) = [found for found in ended if isinstance(found, DeliveryError)]
        assert "is another model already" in str(refused)
        assert not refused.transient
        assert [found.digest for found in registry.list_models("fraud_detector")] == [winner]

    def test_sagemaker_counts_where_the_user_does_not(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """The count is a version as any other."""
        for number in (1, 2):
            model = a_model(float(number), version=None)
            registration = a_registration(store, model, f"run-{number}/model")
            registered = registry.register_model(registration, a_context(f"key-{number}"))
            assert registered.version == str(number)
        found = registry.get_model("fraud_detector", "1")
        assert found is not None
        assert found.key == "key-1"

    def test_a_replaced_artifact_is_not_registered(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """What is registered is the digest that was delivered."""
        registration = a_registration(store)
        store.delete_artifact(registration.stored.uri)
        a_registration(store, a_model(3.0))

        with pytest.raises(IntegrityError, match="was replaced after it was stored"):
            registry.register_model(registration, a_context())

    def test_long_and_many_facts_stay_within_the_limits(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """The server refuses what SageMaker would; metrics and identity are never lost."""
        metadata = {
            **{f"fact {number}": "x" * 300 for number in range(80)},
            "metrics": {"accuracy": 0.5},
        }
        model = a_model(metadata=metadata, name="detector of fraud: ü", version="1.0 (ß)" * 20)
        registered = registry.register_model(a_registration(store, model), a_context())

        assert (registered.name, registered.version) == (model.name, model.version)
        assert registered.metadata["metrics"] == {"accuracy": 0.5}
        assert registered.metadata["fact 0"].endswith("xxx...")
        assert registry.get_model(str(model.name), model.version) == registered

    def test_throttling_is_sat_out(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore, sagemaker: SageMakerServer
    ) -> None:
        """A call that was refused as one too many is made again."""
        sagemaker.steer(throttle=2)
        assert registry.register_model(a_registration(store), a_context()).version == "1.0.0"

    def test_too_much_throttling_may_pass(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore, sagemaker: SageMakerServer
    ) -> None:
        """It is an error that is worth another attempt later."""
        registration = a_registration(store)
        sagemaker.steer(throttle=1000)
        with pytest.raises(DeliveryError, match="ThrottlingException") as caught:
            registry.register_model(registration, a_context())
        assert registry.is_transient(caught.value)


class TestVersions:
    """Finding, approving, naming."""

    @pytest.fixture
    def two(self, registry: SageMakerModelRegistry, store: S3ArtifactStore) -> list[ModelVersion]:
        """Two versions, the newest first."""
        made = []
        for number in (1, 2):
            model = a_model(float(number), version=f"{number}.0.0")
            registration = a_registration(store, model, f"run-{number}/model")
            made.append(registry.register_model(registration, a_context(f"key-{number}")))
        return made[::-1]

    def test_versions_are_listed_newest_first(
        self, registry: SageMakerModelRegistry, two: list[ModelVersion]
    ) -> None:
        """Of one model, or of all."""
        assert registry.list_models("fraud_detector") == two
        assert registry.list_models(None) == two
        assert registry.list_models("other") == []

    def test_what_others_made_is_left_alone(
        self, registry: SageMakerModelRegistry, two: list[ModelVersion]
    ) -> None:
        """A group without our tag, and a package without our mark, are nobody's business here."""
        registry.client.create_model_package_group(ModelPackageGroupName="theirs")
        container = {"Image": "x", "ModelDataUrl": "s3://x/y"}
        for group in ("theirs", resource_name("fraud_detector")):
            registry.client.create_model_package(
                ModelPackageGroupName=group, InferenceSpecification={"Containers": [container]}
            )
        assert registry.list_models(None) == two

    def test_nothing_is_found_where_nothing_is(self, registry: SageMakerModelRegistry) -> None:
        """No model, no version, no alias: None, and no error."""
        assert registry.get_model("nobody", None) is None
        assert registry.get_model("nobody", "1.0.0") is None

    @pytest.mark.parametrize("approval", ["approved", "rejected", "pending"])
    def test_a_decision_reaches_sagemaker(
        self, registry: SageMakerModelRegistry, two: list[ModelVersion], approval: Any
    ) -> None:
        """Its comment goes with it."""
        changed = registry.set_approval("fraud_detector", "1.0.0", approval, "looks " * 300)
        package = registry.client.describe_model_package(ModelPackageName=two[1].registry_id)

        assert changed == attrs.evolve(two[1], approval=approval)
        assert package["ApprovalDescription"].startswith("looks looks")

    def test_a_decision_in_sagemaker_reaches_us(
        self, registry: SageMakerModelRegistry, two: list[ModelVersion]
    ) -> None:
        """Whoever approves in the console has approved."""
        registry.client.update_model_package(
            ModelPackageArn=two[0].registry_id, ModelApprovalStatus="Approved"
        )
        found = registry.get_model("fraud_detector", "2.0.0")
        assert found is not None
        assert found.approval == "approved"

    def test_an_alias_points_at_one_version(
        self, registry: SageMakerModelRegistry, two: list[ModelVersion]
    ) -> None:
        """Setting it again moves it."""
        assert registry.set_alias("fraud_detector", "1.0.0", "champion").aliases == ("champion",)
        assert registry.set_alias("fraud_detector", "2.0.0", "champion").aliases == ("champion",)

        found = registry.get_model("fraud_detector", "champion")
        assert found is not None
        assert found.version == "2.0.0"
        assert [model.aliases for model in registry.list_models(None)] == [("champion",), ()]

    def test_a_version_that_is_not_there_cannot_be_approved(
        self, registry: SageMakerModelRegistry, two: list[ModelVersion]
    ) -> None:
        """The error names model and version."""
        with pytest.raises(NotFoundError, match=r"version '3\.0\.0' of the model 'fraud_detector'"):
            registry.set_approval("fraud_detector", "3.0.0", "approved", "")


def test_the_doctor_looks_at_the_registry(registry: SageMakerModelRegistry) -> None:
    """It can be read."""
    (check,) = registry.diagnose()
    assert check.ok


class TestBeside:
    """What the registry takes over from its stack."""

    def test_region_and_profile_come_from_the_store(self) -> None:
        """Where the registry does not say them itself."""
        store = S3ArtifactStore("bucket", region="eu-west-1", profile="work")
        beside = SageMakerModelRegistry().beside([store])
        own = SageMakerModelRegistry(region="us-west-2").beside([store])

        assert (beside.region, beside.profile, beside.store) == ("eu-west-1", "work", store)
        assert own.region == "us-west-2"

    def test_alone_it_asks_the_environment(self) -> None:
        """Nothing is taken over from nobody."""
        assert SageMakerModelRegistry().beside([]).account.region_name == "us-east-1"


@given(st.text())
def test_a_quoted_text_comes_back(text: str) -> None:
    """Whatever the characters."""
    encodable = text.encode("utf-8", "ignore").decode()
    assert unquote(quote(encodable)) == encodable


@given(
    st.dictionaries(
        st.sampled_from(["a", "b.c", "d e", "=", "ü"]),
        st.recursive(
            SCALARS, lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, min_size=1)
        ),
        max_size=4,
    )
)
def test_facts_come_back_where_they_fit(facts: dict[str, Any]) -> None:
    """In value and type, nested as they were."""
    properties = write_properties(facts)
    if "flowyml.cut" not in properties and "flowyml.left-out" not in properties:
        assert read_properties(properties) == facts
    assert len(properties) <= MOST
    assert all(0 < len(value) <= LONGEST for value in properties.values())


def test_lists_come_back() -> None:
    """As lists."""
    facts = {"schema": [{"name": "a"}, {"name": "b"}], "tags": ["x", 1, None]}
    assert read_properties(write_properties(facts)) == facts


@pytest.mark.parametrize("name", ["fraud_detector", "a--b", "-x", "ü", "x" * 64, "a.b", ""])
def test_a_name_becomes_one_that_sagemaker_takes(name: str) -> None:
    """And stays different from the names of others."""
    made = resource_name(name)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", made)
    assert made != resource_name(name + "_")
    assert resource_name("fraud-detector") == "fraud-detector"
    assert unique_name("x" * 100, "1") != unique_name("x" * 100, "2")
