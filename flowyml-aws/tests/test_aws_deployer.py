"""The deployer against a SageMaker whose endpoints take their time, and fail."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import boto3
import pytest
from tests.servers.aws import BUCKET, ROLE, a_context, a_model, a_registration
from tests.servers.sagemaker import SageMakerServer

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.records import ModelVersion
from flowyml_aws.bundles import STARTING, bundle_uri
from flowyml_aws.deployer import SageMakerEndpoint
from flowyml_aws.leftovers import tags_of
from flowyml_aws.names import resource_name
from flowyml_aws.registry import SageMakerModelRegistry
from flowyml_aws.sessions import Account
from flowyml_aws.storage import S3ArtifactStore
from flowyml_aws.variants import DataCapture, Serverless

ENDPOINT = "fraud_service"
ROWS = [[1.0], [2.0]]
TAGS = {"flowyml:endpoint": ENDPOINT, "flowyml:key": "key-2"}


def registered(
    registry: SageMakerModelRegistry, store: S3ArtifactStore, slope: float = 2.0, **fields: Any
) -> ModelVersion:
    """Store and register a model that multiplies by a number."""
    model = a_model(slope, **{"version": f"{slope}", **fields})
    registration = a_registration(store, model, f"run-{slope}/model")
    return registry.register_model(registration, a_context(f"register-{slope}"))


@pytest.fixture
def model(registry: SageMakerModelRegistry, store: S3ArtifactStore) -> ModelVersion:
    """A model that multiplies by two."""
    return registered(registry, store)


@pytest.fixture
def other(registry: SageMakerModelRegistry, store: S3ArtifactStore) -> ModelVersion:
    """A model that multiplies by three."""
    return registered(registry, store, 3.0)


def made(deployer: SageMakerEndpoint) -> tuple[int, int, int]:
    """Count models, configurations and endpoints."""
    client = deployer.client
    return (
        len(client.list_models()["Models"]),
        len(client.list_endpoint_configs()["EndpointConfigs"]),
        len(client.list_endpoints()["Endpoints"]),
    )


class TestDeploying:
    """A registered model serves."""

    def test_a_model_serves(
        self, deployer: SageMakerEndpoint, model: ModelVersion, sagemaker: SageMakerServer
    ) -> None:
        """It answers, and is listed as what it is."""
        sagemaker.steer(polls=2)
        deployment = deployer.deploy_model(model, ENDPOINT, a_context())

        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([2.0, 4.0])
        assert deployer.list_deployments() == [deployment]
        assert (deployment.endpoint, deployment.model) == (ENDPOINT, "fraud_detector")
        assert (deployment.version, deployment.digest) == (model.version, model.digest)
        assert (deployment.status, deployment.key) == ("serving", "key-1")
        assert str(deployment.url).endswith(f"/{resource_name(ENDPOINT)}/invocations")
        assert made(deployer) == (1, 1, 1)

    def test_the_container_has_every_variable_as_it_was_given(
        self, deployer: SageMakerEndpoint, registry: SageMakerModelRegistry, store: S3ArtifactStore
    ) -> None:
        """However many and long they are: the properties of a package would have cut them."""
        own = {"RULES": "x" * 900, "PORT": "8080", **{f"LIMIT_{n}": str(n) for n in range(60)}}
        model = registered(registry, store, serving_config={"environment": own})
        assert model.serving_config == {"environment": own}

        deployer.deploy_model(model, ENDPOINT, a_context())
        (served,) = deployer.client.list_models()["Models"]
        found = deployer.client.describe_model(ModelName=served["ModelName"])
        assert found["PrimaryContainer"]["Environment"] == {**STARTING, **own}

    @pytest.mark.parametrize("spoilt", [["RULES"], {"RULES": None}])
    def test_what_cannot_be_variables_is_refused_by_its_name(
        self, registry: SageMakerModelRegistry, store: S3ArtifactStore, spoilt: Any
    ) -> None:
        """And nothing is registered."""
        with pytest.raises(DeliveryError, match=r"serving_config\['environment'\] maps names"):
            registered(registry, store, serving_config={"environment": spoilt})
        assert list(registry.list_models(None)) == []

    def test_a_second_attempt_finds_the_first(
        self, deployer: SageMakerEndpoint, model: ModelVersion
    ) -> None:
        """Nothing is made twice."""
        first = deployer.deploy_model(model, ENDPOINT, a_context())

        assert deployer.deploy_model(model, ENDPOINT, a_context()) == first
        assert made(deployer) == (1, 1, 1)

    def test_a_new_version_takes_the_place_of_the_old_one(
        self, deployer: SageMakerEndpoint, model: ModelVersion, other: ModelVersion
    ) -> None:
        """In place, and nothing of the old one is left."""
        deployer.deploy_model(model, ENDPOINT, a_context())
        deployment = deployer.deploy_model(other, ENDPOINT, a_context("key-2"))

        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([3.0, 6.0])
        assert deployer.list_deployments() == [deployment]
        assert made(deployer) == (1, 1, 1)

    def test_an_old_version_can_come_back(
        self, deployer: SageMakerEndpoint, model: ModelVersion, other: ModelVersion
    ) -> None:
        """Rolling back is deploying what served before, be it by the same delivery."""
        deployer.deploy_model(model, ENDPOINT, a_context())
        deployer.deploy_model(other, ENDPOINT, a_context("key-2"))
        deployer.deploy_model(model, ENDPOINT, a_context())

        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([2.0, 4.0])
        assert made(deployer) == (1, 1, 1)

    def test_endpoints_do_not_disturb_each_other(
        self, deployer: SageMakerEndpoint, model: ModelVersion, other: ModelVersion
    ) -> None:
        """One whose name begins like another one's keeps what it has."""
        deployer.deploy_model(model, "fraud", a_context())
        deployer.deploy_model(other, "fraud-2", a_context("key-2"))
        deployer.deploy_model(other, "fraud", a_context("key-3"))

        assert made(deployer) == (2, 2, 2)
        assert deployer.undeploy_model("fraud")
        assert [one.endpoint for one in deployer.list_deployments()] == ["fraud-2"]
        assert made(deployer) == (1, 1, 1)

    def test_undeploying_leaves_nothing(
        self, deployer: SageMakerEndpoint, model: ModelVersion
    ) -> None:
        """Nothing that costs, and nothing that does not."""
        deployer.deploy_model(model, ENDPOINT, a_context())

        assert deployer.undeploy_model(ENDPOINT)
        assert not deployer.undeploy_model(ENDPOINT)
        assert made(deployer) == (0, 0, 0)

    def test_progress_is_told(
        self,
        deployer: SageMakerEndpoint,
        model: ModelVersion,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A wait of minutes is not silent."""
        caplog.set_level(logging.INFO, "flowyml_aws")
        deployer.deploy_model(model, ENDPOINT, a_context())

        told = [record.getMessage() for record in caplog.records]
        assert any("is Creating" in line for line in told)
        assert any("is InService" in line for line in told)

    def test_the_stack_s_settings_reach_sagemaker(
        self, deployer: SageMakerEndpoint, model: ModelVersion, store: S3ArtifactStore
    ) -> None:
        """Network, disks, capture, tags."""
        configured = attrs.evolve(
            deployer,
            instance_type="ml.c5.xlarge",
            initial_instance_count=2,
            data_capture=DataCapture("s3://artifacts/captured", sampling_percentage=10),
            subnets=["subnet-1"],
            security_group_ids=["sg-1"],
            tags={"team": "fraud"},
        ).reading(store)
        configured.deploy_model(model, ENDPOINT, a_context())
        (config,) = configured.client.list_endpoint_configs()["EndpointConfigs"]
        found = configured.client.describe_endpoint_config(
            EndpointConfigName=config["EndpointConfigName"]
        )
        (variant,) = found["ProductionVariants"]
        assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.c5.xlarge", 2)
        assert found["DataCaptureConfig"]["InitialSamplingPercentage"] == 10
        serving = configured.client.describe_model(ModelName=variant["ModelName"])
        assert serving["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
        assert serving["ExecutionRoleArn"] == ROLE
        assert tags_of(configured.client, config["EndpointConfigArn"])["team"] == "fraud"

    def test_an_endpoint_may_have_no_instances(
        self, deployer: SageMakerEndpoint, model: ModelVersion, store: S3ArtifactStore
    ) -> None:
        """Serverless, with memory and concurrency."""
        configured = attrs.evolve(deployer, serverless=Serverless(4096, 7)).reading(store)
        configured.deploy_model(model, ENDPOINT, a_context())
        (config,) = configured.client.list_endpoint_configs()["EndpointConfigs"]
        (variant,) = configured.client.describe_endpoint_config(
            EndpointConfigName=config["EndpointConfigName"]
        )["ProductionVariants"]

        assert variant["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 7}
        assert "InstanceType" not in variant

    def test_changed_settings_are_another_configuration(
        self, deployer: SageMakerEndpoint, model: ModelVersion, store: S3ArtifactStore
    ) -> None:
        """The same delivery with a larger machine is not taken for done."""
        deployer.deploy_model(model, ENDPOINT, a_context())
        larger = attrs.evolve(deployer, instance_type="ml.m5.4xlarge").reading(store)
        larger.deploy_model(model, ENDPOINT, a_context())

        (config,) = larger.client.list_endpoint_configs()["EndpointConfigs"]
        found = larger.client.describe_endpoint_config(
            EndpointConfigName=config["EndpointConfigName"]
        )
        assert found["ProductionVariants"][0]["InstanceType"] == "ml.m5.4xlarge"
        assert made(larger) == (1, 1, 1)


class TestTwoAtOnce:
    """Another process deploys there too, between the look at the endpoint and the change."""

    @staticmethod
    def overtake(deployer: SageMakerEndpoint, operation: str, deploy: Callable[[], object]) -> None:
        """Let another process deploy right before the next call of an operation."""
        event = f"before-call.sagemaker.{operation}"

        def first(**_: object) -> None:
            deployer.client.meta.events.unregister(event, first)
            deploy()

        deployer.client.meta.events.register(event, first)

    def test_the_endpoint_is_made_meanwhile(
        self, deployer: SageMakerEndpoint, model: ModelVersion
    ) -> None:
        """What is there is what was asked for."""
        twin = attrs.evolve(deployer).reading(deployer.store)
        self.overtake(
            deployer, "CreateEndpoint", lambda: twin.deploy_model(model, ENDPOINT, a_context())
        )

        deployment = deployer.deploy_model(model, ENDPOINT, a_context())
        assert twin.list_deployments() == [deployment]
        assert made(deployer) == (1, 1, 1)

    def test_the_endpoint_is_made_meanwhile_for_another_model(
        self, deployer: SageMakerEndpoint, model: ModelVersion, other: ModelVersion
    ) -> None:
        """Whoever came later serves."""
        twin = attrs.evolve(deployer)

        deployer.deploy_model(other, "elsewhere", a_context("key-2"))
        (config,) = deployer.client.list_endpoint_configs()["EndpointConfigs"]
        self.overtake(
            deployer,
            "CreateEndpoint",
            lambda: twin.client.create_endpoint(
                EndpointName=resource_name(ENDPOINT),
                EndpointConfigName=config["EndpointConfigName"],
            ),
        )

        deployer.deploy_model(model, ENDPOINT, a_context())
        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([2.0, 4.0])

    def test_the_endpoint_is_being_updated_meanwhile(
        self,
        deployer: SageMakerEndpoint,
        model: ModelVersion,
        other: ModelVersion,
        sagemaker: SageMakerServer,
    ) -> None:
        """SageMaker refuses a second change, and the first one is waited for."""
        deployer.deploy_model(model, ENDPOINT, a_context())
        sagemaker.steer(polls=2)
        twin = attrs.evolve(deployer)

        def update() -> None:
            endpoint = resource_name(ENDPOINT)
            serving = deployer.endpoints.find(endpoint)
            assert serving is not None
            configs = deployer.client.list_endpoint_configs()["EndpointConfigs"]
            (new,) = {one["EndpointConfigName"] for one in configs} - {serving.config}
            twin.client.update_endpoint(EndpointName=endpoint, EndpointConfigName=new)

        self.overtake(deployer, "UpdateEndpoint", update)

        deployment = deployer.deploy_model(other, ENDPOINT, a_context("key-2"))
        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([3.0, 6.0])
        assert deployer.list_deployments() == [deployment]
        assert made(deployer) == (1, 1, 1)

    def test_what_was_just_made_is_swept_meanwhile(
        self, deployer: SageMakerEndpoint, model: ModelVersion, other: ModelVersion
    ) -> None:
        """Another deployment takes away what does not serve yet, and it is made again."""
        deployer.deploy_model(model, ENDPOINT, a_context())
        twin = attrs.evolve(deployer).reading(deployer.store)
        self.overtake(
            deployer,
            "UpdateEndpoint",
            lambda: twin.deploy_model(model, ENDPOINT, a_context("key-3")),
        )

        deployment = deployer.deploy_model(other, ENDPOINT, a_context("key-2"))
        assert deployer.list_deployments() == [deployment]
        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([3.0, 6.0])
        assert made(deployer) == (1, 1, 1)

    def test_another_deployment_takes_the_endpoint_over(
        self,
        deployer: SageMakerEndpoint,
        model: ModelVersion,
        other: ModelVersion,
        sagemaker: SageMakerServer,
    ) -> None:
        """What it serves is left alone, and whoever waited in vain is told."""
        twin = attrs.evolve(deployer).reading(deployer.store)
        sagemaker.steer(hold="CreateEndpoint")
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(deployer.deploy_model, model, ENDPOINT, a_context())
            while not sagemaker.holds():
                assert not waiting.done()
            deployment = twin.deploy_model(other, ENDPOINT, a_context("key-2"))
            sagemaker.steer(hold=None)
            with pytest.raises(DeliveryError, match="another deployment took") as told:
                waiting.result()
        assert told.value.transient
        assert twin.list_deployments() == [deployment]
        assert twin.predict(ENDPOINT, ROWS) == pytest.approx([3.0, 6.0])
        assert made(twin) == (1, 1, 1)

    def test_nothing_is_swept_while_another_deployment_is_at_work(
        self, deployer: SageMakerEndpoint, model: ModelVersion, other: ModelVersion
    ) -> None:
        """What looks unused may be what the other one is about to serve."""
        deployer.deploy_model(model, ENDPOINT, a_context())
        twin = attrs.evolve(deployer).reading(deployer.store)
        config = twin._make_config(
            other, twin._make_model(other, twin._verified(other), ENDPOINT, TAGS), ENDPOINT, TAGS
        )
        self.overtake(
            deployer,
            "ListModels",
            lambda: twin.client.update_endpoint(
                EndpointName=resource_name(ENDPOINT), EndpointConfigName=config
            ),
        )

        deployer.deploy_model(model, ENDPOINT, a_context())
        assert made(deployer) == (2, 2, 1)
        twin.endpoints.settled(resource_name(ENDPOINT))
        assert twin.predict(ENDPOINT, ROWS) == pytest.approx([3.0, 6.0])


class TestFailing:
    """What does not come up leaves what served, and nothing else."""

    def test_a_failed_creation_leaves_nothing(
        self, deployer: SageMakerEndpoint, model: ModelVersion, sagemaker: SageMakerServer
    ) -> None:
        """The error has SageMaker's reason."""
        sagemaker.steer(failures=["The primary container did not pass the ping health check."])

        with pytest.raises(DeliveryError, match="did not pass the ping health check"):
            deployer.deploy_model(model, ENDPOINT, a_context())
        assert made(deployer) == (0, 0, 0)

    @pytest.mark.parametrize("broken", ["InService", "Failed", "UpdateRollbackFailed"])
    @pytest.mark.parametrize("reason", ["Insufficient capacity.", ""])
    def test_a_failed_update_leaves_what_served(
        self,
        deployer: SageMakerEndpoint,
        model: ModelVersion,
        other: ModelVersion,
        sagemaker: SageMakerServer,
        broken: str,
        reason: str,
    ) -> None:
        """Also where SageMaker goes back without a word, or does not go back by itself."""
        before = deployer.deploy_model(model, ENDPOINT, a_context())
        sagemaker.steer(failures=[reason], broken=broken)

        with pytest.raises(DeliveryError, match="what served before goes on") as caught:
            deployer.deploy_model(other, ENDPOINT, a_context("key-2"))
        assert (reason.rstrip(".") or "gives no reason") in str(caught.value)
        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([2.0, 4.0])
        assert deployer.list_deployments() == [before]
        assert made(deployer) == (1, 1, 1)

    def test_what_failed_can_be_tried_again(
        self, deployer: SageMakerEndpoint, model: ModelVersion, sagemaker: SageMakerServer
    ) -> None:
        """Nothing of the failure is in the way."""
        sagemaker.steer(failures=["Out of luck."])
        with pytest.raises(DeliveryError):
            deployer.deploy_model(model, ENDPOINT, a_context())

        assert deployer.deploy_model(model, ENDPOINT, a_context()).status == "serving"

    def test_a_failed_endpoint_of_somebody_is_replaced(
        self, deployer: SageMakerEndpoint, model: ModelVersion, sagemaker: SageMakerServer
    ) -> None:
        """SageMaker lets nothing be done with it but delete it."""
        deployer.deploy_model(model, ENDPOINT, a_context())
        deployer.endpoints.delete(resource_name(ENDPOINT))
        (config,) = deployer.client.list_endpoint_configs()["EndpointConfigs"]
        sagemaker.steer(failures=["Broken."])
        deployer.client.create_endpoint(
            EndpointName=resource_name(ENDPOINT), EndpointConfigName=config["EndpointConfigName"]
        )
        deployer.deploy_model(model, ENDPOINT, a_context())
        assert made(deployer) == (1, 1, 1)

    def test_patience_ends(
        self,
        deployer: SageMakerEndpoint,
        model: ModelVersion,
        store: S3ArtifactStore,
        sagemaker: SageMakerServer,
    ) -> None:
        """What SageMaker is still at work on is left to it, and found by the next attempt."""
        hasty = attrs.evolve(deployer, wait_minutes=1e-9).reading(store)
        sagemaker.steer(polls=10)
        with pytest.raises(DeliveryError, match="`flowyml resume` goes on waiting"):
            hasty.deploy_model(model, ENDPOINT, a_context())

        assert made(deployer) == (1, 1, 1)
        assert deployer.deploy_model(model, ENDPOINT, a_context()).status == "serving"
        assert sagemaker.calls().count("CreateEndpoint") == 1

    def test_a_changed_bundle_is_not_deployed(
        self, deployer: SageMakerEndpoint, model: ModelVersion, store: S3ArtifactStore
    ) -> None:
        """What serves is what was registered, read again before it serves."""
        key = bundle_uri(model.uri, model.digest).removeprefix(f"s3://{BUCKET}/")
        client = boto3.client("s3", endpoint_url=store.endpoint_url)
        client.put_object(Bucket=BUCKET, Key=key, Body=b"something else")

        with pytest.raises(IntegrityError, match="it is not deployed"):
            deployer.deploy_model(model, ENDPOINT, a_context())
        assert made(deployer) == (0, 0, 0)

    def test_a_rejected_model_is_not_deployed(
        self,
        deployer: SageMakerEndpoint,
        registry: SageMakerModelRegistry,
        model: ModelVersion,
    ) -> None:
        """Wherever it was rejected."""
        registry.set_approval(model.name, model.version, "rejected", "biased")

        with pytest.raises(DeliveryError, match="is rejected"):
            deployer.deploy_model(model, ENDPOINT, a_context())

    def test_another_registry_s_model_is_bundled_here(
        self, deployer: SageMakerEndpoint, model: ModelVersion, store: S3ArtifactStore
    ) -> None:
        """A model that SageMaker's registry does not know is deployed all the same."""
        key = bundle_uri(model.uri, model.digest).removeprefix(f"s3://{BUCKET}/")
        boto3.client("s3", endpoint_url=store.endpoint_url).delete_object(Bucket=BUCKET, Key=key)
        foreign = attrs.evolve(model, registry="mlflow", registry_id="7")
        deployer.deploy_model(foreign, ENDPOINT, a_context())

        assert deployer.predict(ENDPOINT, ROWS) == pytest.approx([2.0, 4.0])


class TestPredicting:
    """Answers, and none."""

    def test_there_is_no_endpoint(self, deployer: SageMakerEndpoint) -> None:
        """It is named as the user names it."""
        with pytest.raises(NotFoundError, match=f"no endpoint {ENDPOINT!r}"):
            deployer.predict(ENDPOINT, ROWS)

    def test_the_container_s_error_is_told(
        self, deployer: SageMakerEndpoint, model: ModelVersion
    ) -> None:
        """What the model cannot take is not retried for ever."""
        deployer.deploy_model(model, ENDPOINT, a_context())

        with pytest.raises(DeliveryError, match="ModelError"):
            deployer.predict(ENDPOINT, [["no number"]])


class TestDoctor:
    """What the doctor says about the role."""

    def make_role(self, account: Account, service: str) -> None:
        principal = {"Effect": "Allow", "Principal": {"Service": service}}
        account.client("iam").create_role(
            RoleName="serving",
            AssumeRolePolicyDocument=json.dumps({"Statement": [principal]}),
        )

    def test_there_is_no_role(self, deployer: SageMakerEndpoint) -> None:
        """It is named."""
        endpoints, role = deployer.diagnose()
        assert endpoints.ok
        assert not role.ok
        assert ROLE in role.message

    def test_sagemaker_may_not_take_it_on(
        self, deployer: SageMakerEndpoint, account: Account
    ) -> None:
        """What to allow is said."""
        self.make_role(account, "ec2.amazonaws.com")
        _, role = deployer.diagnose()
        assert "sts:AssumeRole" in str(role.fix)

    def test_it_is_no_role_at_all(self, deployer: SageMakerEndpoint) -> None:
        """A name is no ARN."""
        _, role = attrs.evolve(deployer, role_arn="serving").diagnose()
        assert not role.ok
        assert "no ARN" in role.message
