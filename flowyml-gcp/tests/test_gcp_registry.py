"""The Vertex AI Model Registry, on a server that speaks Vertex AI's own messages."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import grpc
import pytest
from tests.servers.gcs import put_gcs_object
from tests.servers.processes import ServerProcess
from tests.servers.vertex import VertexServer
from tests.servers.vertex_state import Fault

from flowyml.errors import ConfigurationError, DeliveryError
from flowyml.records import DeliveryContext, Registration
from flowyml_gcp.deployer import VertexEndpoint
from flowyml_gcp.registry import VertexModelRegistry

Registrations = Callable[..., Registration]
Deliveries = Callable[[str], DeliveryContext]


def test_a_registered_model_is_found_by_the_users_version(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """With its digest, run, metadata and key, though Vertex AI counts versions by itself."""
    made = registry.register_model(registration("1.0.0"), delivery("one"))
    assert made.reference == "fraud_detector@1.0.0"
    found = registry.get_model("fraud_detector", "1.0.0")
    assert found == made
    assert found is not None
    assert found.digest == registration("1.0.0").stored.digest
    assert found.key == delivery("one").key
    assert found.run_id == "run-1"
    assert found.metadata == {"metrics": {"accuracy": 0.97}}
    assert found.registry_id == (
        "projects/test-project/locations/us-central1/models/m_fraud_5fdetector@1"
    )


def test_a_further_version_belongs_to_the_same_model(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """Newest first, and the newest is what is got without a version."""
    registry.register_model(registration("1.0.0"), delivery("one"))
    registry.register_model(registration("2.0.0", answer=7.0), delivery("two"))
    assert [found.version for found in registry.list_models("fraud_detector")] == ["2.0.0", "1.0.0"]
    newest = registry.get_model("fraud_detector", None)
    assert newest is not None
    assert newest.version == "2.0.0"
    assert registry.get_model("fraud_detector", "3.0.0") is None
    assert registry.get_model("nobody", None) is None


def test_a_model_that_is_made_meanwhile_gets_a_further_version(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """Vertex AI makes no model twice, so the one that comes later adds to it."""
    other = attrs.evolve(registry)
    vertex.state.meanwhile["UploadModel"] = lambda: other.register_model(
        registration("1.0.0"), delivery("one")
    )
    made = registry.register_model(registration("2.0.0", answer=7.0), delivery("two"))
    assert made.version == "2.0.0"
    assert [found.version for found in registry.list_models("fraud_detector")] == ["2.0.0", "1.0.0"]


def test_a_version_that_is_taken_meanwhile_is_refused(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """With both digests, as where it was taken long before."""
    other = attrs.evolve(registry)
    vertex.state.meanwhile["UploadModel"] = lambda: other.register_model(
        registration("1.0.0"), delivery("one")
    )
    with pytest.raises(DeliveryError, match="is another model already") as refused:
        registry.register_model(registration("1.0.0", answer=7.0), delivery("two"))
    assert not refused.value.transient


def test_the_registry_counts_where_the_user_does_not(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """Its own number is the version then."""
    assert registry.register_model(registration(None), delivery("one")).version == "1"
    assert registry.register_model(registration(None), delivery("two")).version == "2"
    found = registry.get_model("fraud_detector", "2")
    assert found is not None
    assert found.key == delivery("two").key


def test_what_others_uploaded_to_a_model_is_none_of_its_versions(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """It is no newest version, and no alias of others renames one of ours."""
    ours = registry.register_model(registration("1.0.0"), delivery("one"))
    model = str(ours.registry_id).partition("@")[0]
    by_hand = {"display_name": "mine", "container_spec": {"image_uri": "mine"}}
    request = {"parent": registry.parent, "parent_model": model, "model": by_hand}
    registry.models.upload_model(request=request).result()
    registry.models.merge_version_aliases(
        request={"name": ours.registry_id, "version_aliases": ["v-best"]}
    )
    registry.models.merge_version_aliases(
        request={"name": f"{model}@2", "version_aliases": ["default", "v-1-2e0-2e0"]}
    )

    assert registry.get_model("fraud_detector", None) == ours
    assert registry.get_model("fraud_detector", "1.0.0") == ours
    assert registry.get_model("fraud_detector", "2") is None
    assert registry.list_models(None) == [ours]


@pytest.mark.parametrize("label", ["flowyml-digest", "flowyml-key", "flowyml-approval"])
def test_a_label_that_somebody_changed_is_named(
    label: str,
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """With the version that it belongs to, and what to do."""
    registry.register_model(registration("1.0.0"), delivery("one"))
    ((version,),) = vertex.state.models.values()
    version.labels[label] = "odd"
    with pytest.raises(DeliveryError, match=f"the label '{label}' of version 1.*it is 'odd'"):
        registry.list_models(None)


def test_framework_and_variables_of_a_container_arrive(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """Neither is written in the letters of a label, and the container gets its environment."""
    serving = {"image": "mine", "environment": {"PORT": 8080, "RULES": "x" * 900}}
    own = attrs.evolve(registration(), framework="My Trees", serving_config=serving)
    found = registry.register_model(own, delivery("one"))
    assert (found.framework, found.serving_config) == ("My Trees", serving)
    ((version,),) = vertex.state.models.values()
    variables = {one.name: one.value for one in version.container_spec.env}
    assert variables == {"PORT": "8080", "RULES": "x" * 900}
    odd = attrs.evolve(own, serving_config={"image": "mine", "environment": ["PORT"]}, version="2")
    with pytest.raises(DeliveryError, match=r"serving_config\['environment'\] maps names"):
        registry.register_model(odd, delivery("two"))


def test_the_same_delivery_registers_once(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """Also where the user gave no version, and where another delivery brings the same content."""
    first = registry.register_model(registration(None), delivery("one"))
    assert registry.register_model(registration(None), delivery("one")) == first
    named = registry.register_model(registration("1.0.0"), delivery("two"))
    assert registry.register_model(registration("1.0.0"), delivery("three")) == named
    assert vertex.state.calls.count("UploadModel") == 2


def test_a_lost_answer_does_not_register_twice(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """The upload went through although the client never heard of it: the next attempt waits."""
    vertex.state.faults.append(Fault("UploadModel", grpc.StatusCode.UNAVAILABLE, after=True))
    with pytest.raises(Exception, match="told to fail") as lost:
        registry.register_model(registration(None), delivery("one"))
    assert registry.is_transient(lost.value) is True
    again = registry.register_model(registration(None), delivery("one"))
    assert again.version == "1"
    assert vertex.state.calls.count("UploadModel") == 1


def test_a_taken_version_with_other_content_is_refused(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """Both digests are named, and nothing is replaced."""
    registry.register_model(registration("1.0.0"), delivery("one"))
    with pytest.raises(DeliveryError, match=r"is another model already.*that one is sha256:"):
        registry.register_model(registration("1.0.0", answer=7.0), delivery("two"))


def test_a_failed_operation_says_why(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """In Vertex AI's own words, and not to be tried again."""
    fault = Fault(
        "UploadModel", grpc.StatusCode.FAILED_PRECONDITION, "image not found", in_operation=True
    )
    vertex.state.faults.append(fault)
    with pytest.raises(DeliveryError, match=r"did not finish to register.*image not found") as said:
        registry.register_model(registration(), delivery("one"))
    assert not said.value.transient


@pytest.mark.parametrize(
    ("code", "transient"),
    [
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, True),
        (grpc.StatusCode.PERMISSION_DENIED, False),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
    ],
)
def test_errors_are_told_apart(
    code: grpc.StatusCode,
    transient: bool,
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
) -> None:
    """Only what may go through later is tried again."""
    vertex.state.faults.append(Fault("UploadModel", code))
    with pytest.raises(Exception, match="told to fail") as refused:
        registry.register_model(registration(), delivery("one"))
    assert registry.is_transient(refused.value) is transient


def test_other_errors_are_not_this_components_affair(registry: VertexModelRegistry) -> None:
    """The general rule speaks for them."""
    assert registry.is_transient(ValueError("x")) is None


def test_an_approval_is_kept_with_the_version(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """Vertex AI has none of its own, so it is a label; the others stay."""
    registry.register_model(registration("1.0.0"), delivery("one"))
    decided = registry.set_approval("fraud_detector", "1.0.0", "approved", "looks good")
    assert decided.approval == "approved"
    found = registry.get_model("fraud_detector", "1.0.0")
    assert found == decided
    assert found is not None
    assert found.key == delivery("one").key


def test_an_alias_moves_to_another_version(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """And names that Vertex AI would refuse are refused with the rule."""
    registry.register_model(registration("1.0.0"), delivery("one"))
    registry.register_model(registration("2.0.0", answer=7.0), delivery("two"))
    registry.set_alias("fraud_detector", "1.0.0", "champion")
    moved = registry.set_alias("fraud_detector", "2.0.0", "champion")
    assert moved.aliases == ("champion",)
    assert registry.get_model("fraud_detector", "champion") == moved
    with pytest.raises(DeliveryError, match="does not take the alias 'Champion!'"):
        registry.set_alias("fraud_detector", "1.0.0", "Champion!")


def test_a_model_without_a_container_says_what_to_give(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """Before anything is uploaded."""
    unknown = attrs.evolve(registration(), framework="catboost")
    with pytest.raises(DeliveryError, match=r"no container for catboost.*serving_config="):
        registry.register_model(unknown, delivery("one"))
    own = attrs.evolve(unknown, serving_config={"image": "europe-docker.pkg.dev/me/serve:1"})
    assert registry.register_model(own, delivery("one")).serving_config == {
        "image": "europe-docker.pkg.dev/me/serve:1"
    }


def test_a_file_that_the_container_does_not_look_for_is_refused(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """The prebuilt container would start and find nothing."""
    made = registration()
    file = attrs.evolve(made.stored.manifest.files[0], name="model.skops")
    manifest = attrs.evolve(made.stored.manifest, files=(file,))
    odd = attrs.evolve(made, stored=attrs.evolve(made.stored, manifest=manifest))
    with pytest.raises(DeliveryError, match=r"looks for model\.joblib or model\.pkl"):
        registry.register_model(odd, delivery("one"))


def test_files_that_replaced_others_are_served_from_their_folder(
    registry: VertexModelRegistry,
    registration: Registrations,
    delivery: Deliveries,
    vertex: VertexServer,
    gcs: ServerProcess,
) -> None:
    """Where the store keeps them, while the version goes on naming the artifact."""
    made = registration()
    digest = made.stored.manifest.files[0].sha256
    put_gcs_object(gcs.url, "models", f"{digest}/g-1/model.pkl", b"newer")
    manifest = attrs.evolve(made.stored.manifest, generation="g-1")
    newer = attrs.evolve(made, stored=attrs.evolve(made.stored, manifest=manifest))
    found = registry.register_model(newer, delivery("one"))
    assert found.uri == made.stored.uri
    (versions,) = vertex.state.models.values()
    assert versions[0].artifact_uri == f"{made.stored.uri}/g-1"


def test_long_metadata_is_left_out_and_said(
    registry: VertexModelRegistry, registration: Registrations, delivery: Deliveries
) -> None:
    """The whole of it lies in the stored artifact."""
    long = attrs.evolve(registration(), metadata={"notes": "x" * 5000})
    found = registry.register_model(long, delivery("one"))
    assert found.metadata == {}
    assert found.run_id == "run-1"


def test_project_and_location_come_from_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then from the environment, then there is an error that says so."""
    neighbour = VertexEndpoint(project="theirs", location="europe-west4")
    found = VertexModelRegistry().beside([neighbour])
    assert found.parent == "projects/theirs/locations/europe-west4"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-environment")
    found = VertexModelRegistry().beside([])
    assert found.parent == "projects/from-environment/locations/us-central1"
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    with pytest.raises(ConfigurationError, match="does not know its Google Cloud project"):
        _ = VertexModelRegistry().beside([]).parent


def test_the_doctor_says_what_to_do(registry: VertexModelRegistry, vertex: VertexServer) -> None:
    """A permission that is missing is named, with the role that gives it."""
    (check,) = registry.diagnose()
    assert check.ok
    vertex.state.faults.append(Fault("ListModels", grpc.StatusCode.PERMISSION_DENIED))
    (check,) = registry.diagnose()
    assert not check.ok
    assert "listing the models in projects/test-project/locations/us-central1" in check.message
    assert "roles/aiplatform.user" in (check.fix or "")


def test_the_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project, or credentials; a run without a project does not begin."""
    for name in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "FLOWYML_VERTEX_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent")
    alone = VertexModelRegistry().beside([])
    with pytest.raises(ConfigurationError, match="does not know its Google Cloud project"):
        alone.preflight()
    (check,) = alone.diagnose()
    assert "set GOOGLE_CLOUD_PROJECT" in (check.fix or "")
    (check,) = VertexModelRegistry(project="p").diagnose()
    assert "gcloud auth application-default login" in (check.fix or "")
