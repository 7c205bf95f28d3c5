"""What every model deployer has to do.

Subclass `DeployerContract` and give its two fixtures::

    class TestLabDeployer(DeployerContract):
        @pytest.fixture
        def new_deployer(self, tmp_path):
            return lambda: LabDeployer(folder=tmp_path)

        @pytest.fixture
        def new_model(self, tmp_path):
            return folder_models(tmp_path)

`new_model` returns a function that lays a model where the deployer finds it and gives the version
that a registry would give. The model answers every row with the same number.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from flowyml.errors import FlowyMLError
from flowyml.plugins import Component
from flowyml.records import DeliveryContext, ModelVersion
from flowyml.testing.components import ComponentContract, secrets_of
from flowyml.testing.deliveries import Deliveries

__all__ = ["ConstantModel", "DeployerContract", "folder_models"]

NewDeployer = Callable[[], Any]
NewModel = Callable[[str, float], ModelVersion]

ROWS = [[1.0], [2.0]]


class DeployerContract(ComponentContract):
    """Tests of a deployer; a subclass may add its own beside them.

    Attributes:
        predicts: Whether it answers the hook ``predict``.
        verifies: Whether it compares the digest of what it serves before it serves it.
        odd_endpoints: Names of endpoints that it takes or refuses, but never takes for another.
    """

    predicts: ClassVar[bool] = True
    verifies: ClassVar[bool] = True
    odd_endpoints: ClassVar[Sequence[str]] = ("../up", "modèle 模型", "a/b")

    @pytest.fixture
    def new_deployer(self) -> NewDeployer:
        """Return a function that makes a deployer of the backend, as another process would."""
        raise NotImplementedError

    @pytest.fixture
    def new_model(self) -> NewModel:
        """Return a function of a version and the number that the model answers every row with."""
        raise NotImplementedError

    @pytest.fixture
    def new_component(self, new_deployer: NewDeployer) -> Callable[[], Component]:
        """Let the tests of any component have a deployer."""
        return new_deployer

    @pytest.fixture
    def deliveries(self) -> Deliveries:
        """Return a run."""
        return Deliveries.of("run-1", Path())

    @pytest.fixture
    def context(self, deliveries: Deliveries) -> DeliveryContext:
        """Return a delivery."""
        return deliveries.context()

    @pytest.fixture
    def endpoint(self, new_deployer: NewDeployer) -> Iterator[str]:
        """Give the name of an endpoint that nobody else has; it ends with the test."""
        name = f"fraud-{uuid.uuid4().hex[:12]}"
        yield name
        new_deployer().undeploy_model(endpoint=name)

    def test_a_deployed_model_serves(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str,
        context: DeliveryContext,
    ) -> None:  # fmt: skip
        """The deployment says what serves where, and another process finds it."""
        model = new_model("1", 42.0)
        made = new_deployer().deploy_model(model=model, endpoint=endpoint, context=context)
        assert (made.endpoint, made.model, made.version) == (endpoint, model.name, "1")
        assert (made.digest, made.key) == (model.digest, context.key)
        (found,) = _at(new_deployer(), endpoint)
        assert (found.status, found.digest, found.version) == ("serving", model.digest, "1")
        assert found.url == made.url

    def test_a_deployed_model_predicts(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str,
        context: DeliveryContext,
    ) -> None:  # fmt: skip
        """One answer for each row, the model's own."""
        if not self.predicts:
            pytest.skip("this deployer answers no predictions")
        new_deployer().deploy_model(model=new_model("1", 42.0), endpoint=endpoint, context=context)
        assert _asked(new_deployer(), endpoint) == [42.0, 42.0]

    def test_the_same_delivery_deploys_once(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str,
        context: DeliveryContext,
    ) -> None:  # fmt: skip
        """One that comes again, as after a crash, finds what serves."""
        model = new_model("1", 42.0)
        first = new_deployer().deploy_model(model=model, endpoint=endpoint, context=context)
        again = new_deployer().deploy_model(model=model, endpoint=endpoint, context=context)
        assert (again.url, again.key, again.created_at) == (first.url, first.key, first.created_at)
        assert len(_at(new_deployer(), endpoint)) == 1

    def test_a_new_version_takes_over(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str, deliveries: Deliveries
    ) -> None:
        """At the same endpoint, which is one in the list."""
        for version, answer in (("1", 1.0), ("2", 2.0)):
            model, context = new_model(version, answer), deliveries.context()
            new_deployer().deploy_model(model=model, endpoint=endpoint, context=context)
        (found,) = _at(new_deployer(), endpoint)
        assert (found.version, found.digest) == ("2", model.digest)
        if self.predicts:
            assert _asked(new_deployer(), endpoint) == [2.0, 2.0]

    def test_what_cannot_serve_replaces_nothing(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str, deliveries: Deliveries
    ) -> None:
        """A model of another digest than was registered is refused; the old one goes on."""
        if not self.verifies:
            pytest.skip("this deployer serves what its backend has verified")
        good, bad = new_model("1", 1.0), new_model("2", 2.0)
        wrong = attrs.evolve(bad, digest="sha256:" + "0" * 64)
        deployer = new_deployer()
        deployer.deploy_model(model=good, endpoint=endpoint, context=deliveries.context())
        with pytest.raises(FlowyMLError) as caught:
            deployer.deploy_model(model=wrong, endpoint=endpoint, context=deliveries.context())
        assert wrong.digest in str(caught.value)
        assert not [secret for secret in secrets_of(deployer) if secret in str(caught.value)]
        (found,) = _at(new_deployer(), endpoint)
        assert (found.version, found.status) == ("1", "serving")
        if self.predicts:
            assert _asked(new_deployer(), endpoint) == [1.0, 1.0]

    def test_undeploying_ends_the_endpoint(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str,
        context: DeliveryContext,
    ) -> None:  # fmt: skip
        """And says whether there was one."""
        new_deployer().deploy_model(model=new_model("1", 1.0), endpoint=endpoint, context=context)
        assert new_deployer().undeploy_model(endpoint=endpoint) is True
        assert new_deployer().undeploy_model(endpoint=endpoint) is False
        assert _at(new_deployer(), endpoint) == []

    def test_nothing_is_asked_where_nothing_serves(
        self, new_deployer: NewDeployer, endpoint: str
    ) -> None:
        """The error names the endpoint."""
        if not self.predicts:
            pytest.skip("this deployer answers no predictions")
        with pytest.raises(FlowyMLError, match=endpoint):
            new_deployer().predict(endpoint=endpoint, instances=ROWS)

    def test_an_odd_endpoint_is_only_a_name(
        self, new_deployer: NewDeployer, new_model: NewModel, deliveries: Deliveries
    ) -> None:
        """It serves under this very name, or is refused with an error of ours."""
        model = new_model("1", 1.0)
        for name in self.odd_endpoints:
            context = deliveries.context()
            try:
                made = new_deployer().deploy_model(model=model, endpoint=name, context=context)
            except FlowyMLError as error:
                assert name in str(error)  # noqa: PT017  # it may as well be taken
                continue
            assert made.endpoint == name
            assert len(_at(new_deployer(), name)) == 1
            assert new_deployer().undeploy_model(endpoint=name) is True

    def test_a_store_that_it_cannot_read_is_named(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str,
        context: DeliveryContext,
    ) -> None:  # fmt: skip
        """One whose scheme is none of ``reads_schemes``."""
        deployer = new_deployer()
        if deployer.reads_schemes is None:
            pytest.skip("this deployer reads every store")
        model = attrs.evolve(new_model("1", 1.0), uri="nobody-reads://bucket/model")
        with pytest.raises(FlowyMLError, match="nobody-reads"):
            deployer.deploy_model(model=model, endpoint=endpoint, context=context)
        assert _at(new_deployer(), endpoint) == []

    def test_the_same_delivery_twice_at_once_deploys_once(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str,
        context: DeliveryContext,
    ) -> None:  # fmt: skip
        """Two processes that resume one run end with one endpoint."""
        model = new_model("1", 3.0)

        def deploy(_number: int) -> str | None:
            made = new_deployer().deploy_model(model=model, endpoint=endpoint, context=context)
            url: str | None = made.url
            return url

        with ThreadPoolExecutor(2) as threads:
            urls = set(threads.map(deploy, range(2)))
        assert len(urls) == 1
        assert len(_at(new_deployer(), endpoint)) == 1

    def test_what_comes_back_goes_to_another_process(
        self, new_deployer: NewDeployer, new_model: NewModel, endpoint: str,
        context: DeliveryContext,
    ) -> None:  # fmt: skip
        """It pickles."""
        made = new_deployer().deploy_model(
            model=new_model("1", 1.0), endpoint=endpoint, context=context
        )
        assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301  # our own


class ConstantModel:
    """A model that answers every row with one number."""

    def __init__(self, answer: float) -> None:
        """Take the answer."""
        self.answer = answer

    def predict(self, rows: Sequence[Any]) -> list[float]:
        """Answer each row."""
        return [self.answer for _ in rows]


def folder_models(folder: Path) -> NewModel:
    """Return a function that stores models in a folder, for a deployer that reads ``file://``."""
    deliveries = Deliveries.of("run-1", folder)

    def make(version: str, answer: float) -> ModelVersion:
        model, output = ConstantModel(answer), f"model-{version}"
        stored = deliveries.stored(model, "Model", "train", output, format="pickle")
        return ModelVersion(
            name="fraud",
            version=version,
            uri=stored.uri,
            digest=stored.digest,
            registry="local",
            created_at=datetime.now(UTC),
        )

    return make


def _at(deployer: Any, endpoint: str) -> list[Any]:
    return [found for found in deployer.list_deployments() if found.endpoint == endpoint]


def _asked(deployer: Any, endpoint: str) -> list[float]:
    return [float(answer) for answer in deployer.predict(endpoint=endpoint, instances=ROWS)]
