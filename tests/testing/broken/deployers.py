"""Deployers with one mistake each, and the test of the suite that finds it."""

# mypy: ignore-errors

from __future__ import annotations

import json
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from attrs import define
from tests.testing.broken.table import suites

from flowyml.errors import DeliveryError, IntegrityError, NotFoundError
from flowyml.plugins import ModelDeployer, hookimpl
from flowyml.records import Deployment
from flowyml.serialization import unpack
from flowyml.storage.local_folders import LocalFolders
from flowyml.testing import ComponentContract, DeployerContract
from flowyml.testing.deployers import folder_models

LOCK = threading.RLock()


@define(slots=False)
class Sound(ModelDeployer):
    """Writes down what serves, and serves it in the process that asks.

    Attributes:
        path: Where.
    """

    reads_schemes = frozenset({"file"})

    path: Path

    @hookimpl
    def deploy_model(self, model, endpoint, context):
        self.look(model)
        with LOCK:
            served = self.served()
            if (found := served.get(endpoint)) and found["key"] == context.key:
                return self.deployment(found)
            served[endpoint] = {
                "endpoint": endpoint,
                "model": model.name,
                "version": model.version,
                "digest": model.digest,
                "created_at": datetime.now(UTC).isoformat(),
                "url": f"paper://{uuid.uuid4().hex}",
                "key": context.key,
                "uri": model.uri,
            }
            self.write(served)
            return self.deployment(served[endpoint])

    def look(self, model):
        if not model.uri.startswith("file://"):
            message = f"{model.uri} lies in a store that this deployer does not read"
            raise DeliveryError(message)
        found = LocalFolders.at(self.path.parent / "artifacts").load(model.uri).manifest.digest
        if found != model.digest:
            message = f"{model.reference} was registered with {model.digest}, and is {found}"
            raise IntegrityError(message)

    @hookimpl
    def undeploy_model(self, endpoint):
        with LOCK:
            served = self.served()
            found = served.pop(endpoint, None)
            self.write(served)
            return found is not None

    @hookimpl
    def list_deployments(self):
        return [self.deployment(found) for found in reversed(self.served().values())]

    @hookimpl
    def predict(self, endpoint, instances):
        found = self.served().get(endpoint)
        if found is None:
            message = f"nothing serves at {endpoint!r}"
            raise NotFoundError(message)
        source = LocalFolders.at(self.path.parent / "artifacts").load(found["uri"])
        model = unpack(source, trusted=True)
        return getattr(model, "data", model).predict(instances)

    def served(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def write(self, served):
        self.path.write_text(json.dumps(served))

    def deployment(self, found):
        facts = {name: value for name, value in found.items() if name != "uri"}
        facts["created_at"] = datetime.fromisoformat(found["created_at"])
        return Deployment(**facts, deployer="paper")


class Forgetful(Sound):
    def write(self, served):
        pass


class Tired(Sound):
    def predict(self, endpoint, instances):
        return super().predict(endpoint, instances)[:1]


class Repeating(Sound):
    def deploy_model(self, model, endpoint, context):
        super().deploy_model(model, endpoint, attrs.evolve(context, key=uuid.uuid4().hex))
        found = {**self.served()[endpoint], "key": context.key}
        return self.deployment(found)


class Loyal(Sound):
    def deploy_model(self, model, endpoint, context):
        if endpoint in self.served():
            return self.deployment(self.served()[endpoint])
        return super().deploy_model(model, endpoint, context)


class Trusting(Sound):
    def look(self, model):
        pass


class Agreeable(Sound):
    def undeploy_model(self, endpoint):
        super().undeploy_model(endpoint)
        return True


class Inventive(Sound):
    def predict(self, endpoint, instances):
        return [0.0 for _ in instances]


class Taming(Sound):
    def deploy_model(self, model, endpoint, context):
        tamed = endpoint if endpoint.startswith("fraud") else "tamed"
        return super().deploy_model(model, tamed, context)


class Unpicklable(Sound):
    def deployment(self, found):
        return attrs.evolve(super().deployment(found), url=threading.Lock())


class Base(DeployerContract):
    @pytest.fixture
    def new_deployer(self, tmp_path):
        return lambda: self.make(tmp_path / "served.json")

    @pytest.fixture
    def new_model(self, tmp_path):
        return folder_models(tmp_path / "artifacts")


SHARED = {name for name in vars(ComponentContract) if name.startswith("test_")}

BROKEN = {
    "test_a_deployed_model_serves": Forgetful,
    "test_a_deployed_model_predicts": Tired,
    "test_the_same_delivery_deploys_once": Repeating,
    "test_a_new_version_takes_over": Loyal,
    "test_what_cannot_serve_replaces_nothing": Trusting,
    "test_undeploying_ends_the_endpoint": Agreeable,
    "test_nothing_is_asked_where_nothing_serves": Inventive,
    "test_an_odd_endpoint_is_only_a_name": Taming,
    "test_a_store_that_it_cannot_read_is_named": Trusting,
    "test_the_same_delivery_twice_at_once_deploys_once": Repeating,
    "test_what_comes_back_goes_to_another_process": Unpicklable,
}

globals().update(suites(Base, BROKEN, Sound))
