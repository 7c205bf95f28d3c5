"""The local endpoints: real processes that answer over real HTTP."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import signal
import socket
import threading
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from tests.local import served_models
from tests.local.conftest import Register, eventually, make_register, servers_of
from tests.local.local_samples import a_context, a_registration, a_stored

from flowyml.errors import DeliveryError, NotFoundError
from flowyml.records import Deployment
from flowyml_local.deployer import LocalModelDeployer
from flowyml_local.endpoints import EndpointFiles
from flowyml_local.processes import Process
from flowyml_local.registry import LocalModelRegistry

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
datasets = pytest.importorskip("sklearn.datasets")
linear_model = pytest.importorskip("sklearn.linear_model")


@pytest.fixture
def deployer(tmp_path: Path) -> LocalModelDeployer:
    """Give a deployer whose folder does not exist yet."""
    return LocalModelDeployer(path=tmp_path / "endpoints")


def _ask(
    deployment: Deployment,
    path: str,
    body: str | bytes | None = None,
    method: str = "POST",
    **headers: str,
) -> tuple[int, Any]:
    url = urlsplit(deployment.url or "")
    assert url.hostname
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(connection):
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def _process_of(deployer: LocalModelDeployer, endpoint: str) -> Process:
    record = EndpointFiles.of(deployer.path, endpoint).read()
    assert record
    return record.process


def test_a_registered_model_answers_at_an_address(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """A model of scikit-learn predicts over HTTP what it predicts here."""
    features, labels = datasets.load_iris(return_X_y=True)
    classifier = linear_model.LogisticRegression(max_iter=500).fit(features, labels)
    model = register(classifier, "1.0.0")

    deployment = deployer.deploy_model(model, endpoint, a_context())

    assert (deployment.endpoint, deployment.model, deployment.version) == (
        endpoint,
        "fraud_detector",
        "1.0.0",
    )
    assert (deployment.digest, deployment.deployer) == (model.digest, "local")
    assert (deployment.status, deployment.key) == ("serving", "key-1")
    rows = features[::50].tolist()
    status, said = _ask(deployment, "/predict", json.dumps({"instances": rows}))
    assert (status, said) == (200, {"predictions": classifier.predict(rows).tolist()})
    assert deployer.predict(endpoint, features[::50]) == classifier.predict(rows).tolist()


def test_a_model_of_named_columns_takes_them_by_name(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """Rows may be lists or mappings in any order; a missing column is an error, not a gap."""
    table = pd.DataFrame({"amount": [1.0, 2.0, 30.0, 40.0], "hour": [1.0, 2.0, 3.0, 4.0]})
    model = register(linear_model.LogisticRegression().fit(table, [0, 0, 1, 1]))
    deployment = deployer.deploy_model(model, endpoint, a_context())

    by_name = deployer.predict(endpoint, [{"hour": 1, "amount": 35}, {"amount": 1, "hour": 4}])
    assert by_name == deployer.predict(endpoint, [[35, 1], [1, 4]]) == [1, 0]
    body = json.dumps({"instances": [{"amount": 3, "hour": 1}, {"amount": 3, "houre": 1}]})
    status, said = _ask(deployment, "/predict", body)
    assert status == 400
    assert "instance 1 lacks the features ['hour'] and has ['houre']" in said["error"]


def test_the_address_is_of_this_machine_alone(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """By default the server listens at the loopback address, and says what it serves."""
    model = register(served_models.doubled)
    deployment = deployer.deploy_model(model, endpoint, a_context())

    assert deployment.url
    assert deployment.url.startswith("http://127.0.0.1:")
    status, said = _ask(deployment, "/health", method="GET")
    assert status == 200
    assert (said["status"], said["endpoint"], said["version"]) == ("serving", endpoint, "1")
    assert said["digest"] == model.digest
    # Every address of 127/8 is this machine, and only the one is listened at.
    port = urlsplit(deployment.url).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port or 0), timeout=5)


def test_the_same_delivery_starts_one_server(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """A delivery that comes again finds the server that it started."""
    model = register(served_models.doubled)
    first = deployer.deploy_model(model, endpoint, a_context())
    (server,) = servers_of(endpoint)

    again = LocalModelDeployer(path=deployer.path).deploy_model(model, endpoint, a_context())

    assert again == first
    assert servers_of(endpoint) == [server]


def test_a_server_that_died_is_started_again(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """The list says that it is stopped; the same delivery brings it back, at its address."""
    model = register(served_models.doubled)
    first = deployer.deploy_model(model, endpoint, a_context())
    process = _process_of(deployer, endpoint)
    os.kill(process.pid, signal.SIGKILL)
    assert eventually(lambda: not process.is_running)

    (stopped,) = deployer.list_deployments()
    assert stopped.status == "stopped"
    with pytest.raises(DeliveryError, match=r"does not answer.*flowyml model deploy fraud_det"):
        deployer.predict(endpoint, [1])

    again = deployer.deploy_model(model, endpoint, a_context())
    assert (again.status, again.url) == ("serving", first.url)
    assert deployer.predict(endpoint, [1]) == [2]
    assert len(servers_of(endpoint)) == 1


def test_a_hung_server_is_seen_and_replaced(
    deployer: LocalModelDeployer,
    register: Register,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is there but does not answer counts as failed, and is ended by force."""
    monkeypatch.setattr("flowyml_local.client.HEALTH_PATIENCE", 0.2)
    monkeypatch.setattr("flowyml_local.deployer.ENDING", 0.2)
    model = register(served_models.doubled)
    deployer.deploy_model(model, endpoint, a_context())
    hung = _process_of(deployer, endpoint)
    os.kill(hung.pid, signal.SIGSTOP)

    assert [deployment.status for deployment in deployer.list_deployments()] == ["failed"]
    deployer.deploy_model(model, endpoint, a_context())

    assert not hung.is_running
    assert deployer.predict(endpoint, [4]) == [8]
    assert len(servers_of(endpoint)) == 1


def test_a_new_version_takes_over_without_a_gap(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """While versions change, a client that asks all the time is never turned away."""
    first = deployer.deploy_model(register(served_models.doubled, "1"), endpoint, a_context("k1"))
    answers: list[tuple[int, Any]] = []
    over = threading.Event()

    def ask_all_the_time() -> None:
        while not over.is_set():
            answers.append(_ask(first, "/predict", '{"instances": [1]}'))

    asking = threading.Thread(target=ask_all_the_time)
    asking.start()
    try:
        second = deployer.deploy_model(
            register(served_models.tripled, "2"), endpoint, a_context("k2")
        )
        count = len(answers)
        assert eventually(lambda: len(answers) > count + 20)
    finally:
        over.set()
        asking.join()

    assert (second.version, second.url) == ("2", first.url)
    assert {status for status, _ in answers} == {200}
    assert answers[0][1] == {"predictions": [2]}
    assert answers[-1][1] == {"predictions": [3]}
    assert len(servers_of(endpoint)) == 1


def test_what_served_before_serves_on_when_the_new_version_does_not_load(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """The error is the server's own; the old version, its record and its process stay."""
    first = deployer.deploy_model(register(served_models.doubled, "1"), endpoint, a_context("k1"))

    with pytest.raises(
        DeliveryError, match=r"'fraud_detector' version '2'.*its licence has run out"
    ):
        deployer.deploy_model(register(served_models.Unloadable(), "2"), endpoint, a_context("k2"))

    assert deployer.list_deployments() == [first]
    assert deployer.predict(endpoint, [1]) == [2]
    assert eventually(lambda: len(servers_of(endpoint)) == 1)


def test_a_model_that_was_changed_is_not_served(
    deployer: LocalModelDeployer, register: Register, endpoint: str, tmp_path: Path
) -> None:
    """A changed byte in the stored model is found before anything is unpickled."""
    model = register(served_models.doubled)
    (file,) = (tmp_path / "artifacts").rglob("*.pkl")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1] + b"X")

    with pytest.raises(DeliveryError, match="SHA-256"):
        deployer.deploy_model(model, endpoint, a_context())
    assert deployer.list_deployments() == []
    assert eventually(lambda: not servers_of(endpoint))


def test_another_model_at_the_same_place_is_not_served(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """What lies there has to be what was registered; the error names both digests."""
    model = register(served_models.doubled)
    registered = attrs.evolve(model, digest="sha256:" + "0" * 64)

    with pytest.raises(DeliveryError) as caught:
        deployer.deploy_model(registered, endpoint, a_context())
    assert model.digest in str(caught.value)
    assert registered.digest in str(caught.value)


def test_the_registry_remembers_where_a_model_imports_its_code(
    deployer: LocalModelDeployer,
    register: Register,
    endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A class beside a pipeline's file is found by a later command, which has never heard of it."""
    (tmp_path / "beside.py").write_text(
        "class Halver:\n    def predict(self, rows):\n        return [row / 2 for row in rows]\n"
    )
    registry = LocalModelRegistry(path=tmp_path / "registry")
    with monkeypatch.context() as while_it_runs:
        while_it_runs.syspath_prepend(tmp_path)
        halver = importlib.import_module("beside").Halver()
        model = register(halver)
        registration = attrs.evolve(
            a_registration(model.version), stored=attrs.evolve(a_stored(), uri=model.uri)
        )
        registry.register_model(registration, a_context())

    with pytest.raises(DeliveryError, match="No module named 'beside'"):
        deployer.deploy_model(model, endpoint, a_context())
    deployer.beside([registry, deployer]).deploy_model(model, endpoint, a_context())

    assert deployer.predict(endpoint, [8]) == [4]


def test_the_code_of_a_moved_project_is_that_of_its_new_place(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then comes the place where it lay, where something else may lie by now."""
    then, by_now = tmp_path / "then", tmp_path / "by now"
    then.mkdir()
    model = register(served_models.doubled)
    stored = attrs.evolve(a_stored(), uri=model.uri)
    with monkeypatch.context() as while_it_runs:
        while_it_runs.syspath_prepend(then)
        LocalModelRegistry(path=then / "registry").register_model(
            attrs.evolve(a_registration(model.version), stored=stored), a_context()
        )
    then.rename(by_now)

    moved = LocalModelRegistry(path=by_now / "registry")

    found = moved.code_of(model.name, model.version)
    assert found[:2] == (str(by_now), str(then))


def test_what_cannot_predict_is_refused(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """A dict is no model; the error says what would be."""
    with pytest.raises(DeliveryError, match=r"a builtins\.dict has no `predict`"):
        deployer.deploy_model(register({"weights": 1}), endpoint, a_context())


def test_a_model_in_a_bucket_is_refused_at_once(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """The deployer reads files of this machine only, says so, and starts nothing."""
    model = register(served_models.doubled, uri="gs://bucket/model")

    assert LocalModelDeployer.reads_schemes == frozenset({"file"})
    with pytest.raises(DeliveryError, match="gs://bucket/model"):
        deployer.deploy_model(model, endpoint, a_context())
    assert not deployer.path.exists()


def test_a_server_that_ends_while_it_starts_is_reported_with_its_log(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """What the process wrote before it ended is in the error."""
    with pytest.raises(DeliveryError, match=r"(?s)ended without a word.*the driver crashed"):
        deployer.deploy_model(register(served_models.Deadly()), endpoint, a_context())
    assert not servers_of(endpoint)


def test_a_model_that_loads_too_slowly_is_given_up(
    tmp_path: Path, register: Register, endpoint: str
) -> None:
    """The error names the setting; the server is gone."""
    deployer = LocalModelDeployer(path=tmp_path / "endpoints", start_timeout=0.01)

    with pytest.raises(DeliveryError, match=r"not ready after 0\.01 s.*start_timeout"):
        deployer.deploy_model(register(served_models.doubled), endpoint, a_context())
    assert not servers_of(endpoint)


def test_a_port_of_another_program_is_an_error(
    tmp_path: Path, register: Register, endpoint: str
) -> None:
    """A port that was asked for and is taken is named, and nothing serves elsewhere instead."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        deployer = LocalModelDeployer(path=tmp_path / "endpoints", port=port)

        with pytest.raises(DeliveryError, match=f"port {port}.*another `port`"):
            deployer.deploy_model(register(served_models.doubled), endpoint, a_context())
    assert deployer.list_deployments() == []


def test_two_endpoints_do_not_share_one_port(
    tmp_path: Path, register: Register, endpoint: str
) -> None:
    """The second endpoint of a deployer with one port is refused; a new version is not."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    deployer = LocalModelDeployer(path=tmp_path / "endpoints", port=port)
    deployer.deploy_model(register(served_models.doubled, "1"), endpoint, a_context("k1"))

    with pytest.raises(DeliveryError, match=f"port {port}"):
        deployer.deploy_model(register(served_models.doubled, "1"), f"{endpoint}2", a_context("k2"))

    new = deployer.deploy_model(register(served_models.tripled, "2"), endpoint, a_context("k3"))
    assert new.url == f"http://127.0.0.1:{port}"
    assert deployer.predict(endpoint, [1]) == [3]


def test_undeploying_ends_the_server_and_forgets_it(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """Afterwards there is no process, no deployment, and nothing to undeploy."""
    deployer.deploy_model(register(served_models.doubled), endpoint, a_context())

    assert deployer.undeploy_model(endpoint) is True

    assert not servers_of(endpoint)
    assert deployer.list_deployments() == []
    assert deployer.undeploy_model(endpoint) is False
    with pytest.raises(NotFoundError, match=endpoint):
        deployer.predict(endpoint, [1])


def test_a_number_that_was_given_out_again_is_never_killed(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """A record that names the number of a process that is not its server harms nobody."""
    deployer.deploy_model(register(served_models.doubled), endpoint, a_context())
    files = EndpointFiles.of(deployer.path, endpoint)
    record = files.read()
    assert record
    record.process.end(5)
    innocent = os.getpid()
    files.write(attrs.evolve(record, process=attrs.evolve(record.process, pid=innocent)))

    assert [deployment.status for deployment in deployer.list_deployments()] == ["stopped"]
    assert deployer.undeploy_model(endpoint) is True  # and this process is still there


def test_hostile_endpoint_names_stay_in_the_folder(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """Whatever the name, its files lie in the folder, and names that look alike stay apart."""
    model = register(served_models.doubled)
    names = [f"../../{endpoint}", f"{endpoint}/{'x' * 300}", f"{endpoint}/模型", f"{endpoint}/模形"]
    try:
        for number, name in enumerate(names):
            deployer.deploy_model(model, name, a_context(f"key-{number}"))
        assert [d.endpoint for d in deployer.list_deployments()] == names[::-1]
        assert deployer.predict(names[2], [21]) == [42]
        assert {path.parent for path in deployer.path.parent.rglob("*.json")} >= {deployer.path}
        assert len(list(deployer.path.glob("*.json"))) == 4
    finally:
        for name in names:
            deployer.undeploy_model(name)
    assert not any(servers_of(name) for name in names)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "words"),
    [
        ("GET", "/", None, {}, 404, "POST /predict"),
        ("POST", "/nothing", b"{}", {}, 404, "'/nothing'"),
        ("GET", "/predict", None, {}, 404, "POST /predict"),
        ("POST", "/predict", b"{not json", {}, 400, "not JSON"),
        ("POST", "/predict", b"[" * 100_000, {}, 400, "not JSON"),
        ("POST", "/predict", b"\xff\xfe", {}, 400, "not JSON"),
        ("POST", "/predict", b"[1, 2]", {}, 400, '"instances"'),
        ("POST", "/predict", b'{"instances": 3}', {}, 400, '"instances"'),
        ("POST", "/predict", b"", {"Content_Length": "x"}, 411, "Content-Length"),
        ("POST", "/predict", b"", {"Content_Length": "-1"}, 411, "Content-Length"),
        ("POST", "/predict", b" " * (33 * 2**20), {}, 413, "more than"),
        ("DELETE", "/predict", None, {}, 501, "DELETE"),
        ("POST", "/predict", b'{"instances": ["fail"]}', {}, 500, "RuntimeError"),
        ("POST", "/predict", b'{"instances": ["strange"]}', {}, 400, "KeyError"),
        ("POST", "/predict", b'{"instances": ["one too few"]}', {}, 500, "gave 0"),
        ("POST", "/predict", b'{"instances": ["no list"]}', {}, 500, "something else"),
        ("POST", "/predict", b'{"instances": ["not a number"]}', {}, 500, "nan"),
        ("POST", "/predict", b'{"instances": ["an object"]}', {}, 500, "no form in JSON"),
        ("POST", "/predict", b'{"instances": []}', {}, 200, None),
    ],
)
def test_bad_requests_get_an_answer_in_words(
    shared_deployment: Deployment,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    words: str | None,
) -> None:
    """Each has its status and a JSON error that says why, without a traceback or a secret."""
    got, said = _ask(shared_deployment, path, body, method, **headers)

    assert got == status
    if words is not None:
        assert words in said["error"]
        assert "Traceback" not in said["error"]
        assert "/etc/shadow" not in said["error"]
    assert _ask(shared_deployment, "/health", method="GET")[0] == 200


@pytest.fixture(scope="module")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Serve the odd model once for all bad requests."""
    folder = tmp_path_factory.mktemp("shared")
    model = make_register(folder)(served_models.odd)
    deployer = LocalModelDeployer(path=folder / "endpoints")
    name = f"odd-{uuid.uuid4().hex}"
    yield deployer.deploy_model(model, name, a_context())
    deployer.undeploy_model(name)


def test_numpy_answers_become_json(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """Arrays, also of several columns, come back as nested lists of plain numbers."""
    model = register(np.sqrt)

    deployer.deploy_model(model, endpoint, a_context())

    assert deployer.predict(endpoint, [[4, 9], [16, 25]]) == [[2.0, 3.0], [4.0, 5.0]]


def test_the_doctor_looks_at_every_endpoint(
    deployer: LocalModelDeployer, register: Register, endpoint: str
) -> None:
    """One that is down is named with the command that brings it back."""
    deployer.deploy_model(register(served_models.doubled), endpoint, a_context())
    assert [check.ok for check in deployer.diagnose()] == [True, True]

    _process_of(deployer, endpoint).end(5)

    _, check = deployer.diagnose()
    assert not check.ok
    assert check.name == f"endpoint {endpoint}"
    assert check.fix == "flowyml model deploy fraud_detector --version 1"


def test_a_folder_that_cannot_be_made_is_found_before_the_run(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_text("in the way")
    deployer = LocalModelDeployer(path=tmp_path / "file" / "endpoints")

    with pytest.raises(DeliveryError, match="cannot be made"):
        deployer.preflight()
    (check,) = deployer.diagnose()
    assert not check.ok


def test_a_damaged_record_is_named(deployer: LocalModelDeployer, endpoint: str) -> None:
    """Nothing is guessed about it."""
    files = EndpointFiles.of(deployer.path, endpoint)
    deployer.path.mkdir()
    files.record.write_text('{"name": "fraud"}')

    with pytest.raises(DeliveryError, match=r"the record .*\.json of an endpoint is damaged"):
        deployer.list_deployments()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """When the stack is read, not when the first model is deployed."""
    with pytest.raises(ValueError, match=f"port is a number up to 65535, not {port}"):
        LocalModelDeployer(port=port)
