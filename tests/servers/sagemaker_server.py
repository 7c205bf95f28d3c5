"""SageMaker on top of moto: what moto leaves out or does at once, as AWS documents it.

* Endpoints pass through ``Creating`` and ``Updating``, one state for each time they are described,
  and fail when a test says so: a creation ends in ``Failed``, an update returns to ``InService``
  with the configuration that served before.
* Names that are taken, endpoints that are busy and things that are not there are refused in the
  words of AWS. Metadata and tags are held to the limits of the API reference.
* ``invoke_endpoint`` really serves: it fetches the ``model.tar.gz`` of the configuration in service
  and runs the ``code/inference.py`` in it.
* Processing jobs really run, see `sagemaker_jobs`.

``python -m tests.servers.sagemaker_server PORT`` runs it. It is S3 as well, as moto is; models may
also lie in another S3 server, which ``AWS_ENDPOINT_URL_S3`` names.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import sys
import tarfile
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import attrs
from attrs import define, field
from tests.servers import sagemaker_jobs
from tests.servers.sagemaker import CONTROL


@define
class Script:
    """What a test told the server to do.

    Attributes:
        polls: How often an endpoint is described as in progress before its state changes.
        failures: Reasons for which the next creations and updates fail, in order; "" for a failure
            that SageMaker gives no reason for, None for one that goes well.
        broken: State that a failed update ends in; SageMaker nearly always goes back to
            ``InService``.
        throttle: How many of the next calls are refused as too many.
        hold: Operation that is held back from now on, so that a test can kill whoever asked.
        when: Whether it is held back ``before`` or ``after`` it was carried out.
        calls: The operations so far.
        held: Whether an operation is held back right now.
    """

    polls: int = 1
    failures: list[str | None] = field(factory=list)
    broken: str = "InService"
    throttle: int = 0
    hold: str | None = None
    when: str = "after"
    calls: list[str] = field(factory=list)
    held: bool = False
    _changed: threading.Condition = field(factory=threading.Condition)
    _resets: int = 0

    def update(self, changes: dict[str, Any]) -> None:
        with self._changed:
            for name, value in changes.items():
                setattr(self, name, value)
            self.held = False
            self._changed.notify_all()

    def reset(self) -> None:
        """Begin anew; what is held back is never carried out."""
        with self._changed:
            self._resets += 1
        self.update(attrs.asdict(Script(), filter=lambda field, _: not field.name.startswith("_")))

    def passes(self, operation: str, when: str) -> bool:
        """Hold an operation back for as long as the test wants; tell whether it may go on."""
        with self._changed:
            resets = self._resets
            if self.hold == operation and self.when == when:
                self.held = True
                self._changed.wait_for(lambda: self.hold != operation, 300)
            return resets == self._resets

    def next_failure(self) -> str | None:
        return self.failures.pop(0) if self.failures else None


@define
class Change:
    """What SageMaker is about to do with an endpoint."""

    polls: int
    config: str
    failure: str | None


SCRIPT = Script()
ONE_BY_ONE = threading.RLock()
"""Moto looks and then changes, as if nobody else did; SageMaker decides between two that ask."""

CHANGES: dict[str, Change] = {}
ORIGINAL: dict[str, Any] = {}
BACKEND: dict[str, Callable[..., Any]] = {}
OPERATIONS: dict[str, Callable[[Any, Any], dict[str, Any]]] = {}


def backend_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Put a function in the place of the backend's method of the same name."""
    BACKEND[function.__name__] = function
    return function


def operation(function: Callable[[Any, Any], dict[str, Any]]) -> Callable[..., Any]:
    """Answer an operation that moto does not know, given the backend and its parameters."""
    OPERATIONS[function.__name__] = function
    return function


def install() -> None:
    """Teach moto's SageMaker what it does not know."""
    backend = import_module("moto.sagemaker.models").SageMakerModelBackend
    response = import_module("moto.sagemaker.responses").SageMakerResponse
    result = import_module("moto.core.responses").ActionResult
    for name, function in BACKEND.items():
        ORIGINAL[name] = getattr(backend, name)
        setattr(backend, name, function)
    for name, answer in (OPERATIONS | sagemaker_jobs.OPERATIONS).items():

        def handle(self: Any, answer: Callable[[Any, Any], dict[str, Any]] = answer) -> Any:
            return result(answer(self.sagemaker_backend, self._get_param))

        setattr(response, name, handle)
    import_module("moto.iam.responses").IamResponse.simulate_principal_policy = allow


def allow(self: Any) -> Any:
    """Answer for IAM, which in moto cannot simulate: the caller may do all that is asked about."""
    asked = self._get_param("ActionNames")
    found = [{"EvalActionName": name, "EvalDecision": "allowed"} for name in asked]
    return import_module("moto.core.responses").ActionResult({"EvaluationResults": found})


def refuse(message: str, kind: str = "ValidationError") -> NoReturn:
    """Answer with an error of AWS; nearly all of SageMaker's have one code."""
    raise getattr(import_module("moto.sagemaker.exceptions"), kind)(message)


def arn(backend: Any, kind: str, name: str) -> str:
    """Return the ARN of a thing."""
    return f"arn:aws:sagemaker:{backend.region_name}:{backend.account_id}:{kind}/{name}"


# ─── limits and names that are taken ────────────────────────────────────────────────────────────


def fits(text: str) -> bool:
    """Whether a text keeps to the characters that the API reference allows in metadata and tags."""
    return all(
        unicodedata.category(character)[0] in "LZN" or character in "_.:/=+-@" for character in text
    )


def check_tags(tags: list[dict[str, str]] | None) -> None:
    """Refuse tags that the API reference does not allow."""
    for tag in tags or []:
        if not (0 < len(tag["Key"]) <= 128 and len(tag["Value"]) <= 256):
            refuse(f"1 validation error detected: the tag {tag} is too long")
        if not (fits(tag["Key"]) and fits(tag["Value"])):
            refuse(f"1 validation error detected: the tag {tag} has other characters")


def check_free(backend: Any, things: str, kind: str, name: str, words: str) -> None:
    """Refuse a name that is taken."""
    if name in getattr(backend, things):
        refuse(f'{words} "{arn(backend, kind, name)}".')


@backend_method
def create_model_package_group(backend: Any, **fields: Any) -> Any:
    """Refuse a second group of one name."""
    name = fields["model_package_group_name"]
    words = "Model Package Group already exists:"
    check_free(backend, "model_package_groups", "model-package-group", name, words)
    check_tags(fields.get("tags"))
    return ORIGINAL["create_model_package_group"](backend, **fields)


@backend_method
def create_model(backend: Any, **fields: Any) -> Any:
    """Refuse a second model of one name."""
    name = fields["model_name"]
    check_free(backend, "_models", "model", name, "Cannot create already existing model")
    check_tags(fields.get("tags"))
    return ORIGINAL["create_model"](backend, **fields)


@backend_method
def create_endpoint_config(backend: Any, **fields: Any) -> Any:
    """Refuse a second configuration of one name."""
    name = fields["endpoint_config_name"]
    words = "Cannot create already existing endpoint configuration"
    check_free(backend, "endpoint_configs", "endpoint-config", name, words)
    check_tags(fields.get("tags"))
    return ORIGINAL["create_endpoint_config"](backend, **fields)


@backend_method
def add_tags(backend: Any, arn: str, tags: list[dict[str, str]]) -> list[dict[str, str]]:
    """Replace the value of a key that is there; moto has it twice."""
    check_tags(tags)
    resource = backend._get_resource_from_arn(arn)
    kept = {tag["Key"]: tag["Value"] for tag in [*(resource.tags or []), *tags]}
    resource.tags = [{"Key": key, "Value": value} for key, value in kept.items()]
    return list(resource.tags)


# ─── model packages ─────────────────────────────────────────────────────────────────────────────


@backend_method
def create_model_package(backend: Any, **fields: Any) -> str:
    """Keep the limits, and give the same package for the same token."""
    for package in backend.model_packages.values():
        if fields["client_token"] and package.client_token == fields["client_token"]:
            return str(package.arn)
    properties = fields.get("customer_metadata_properties") or {}
    if len(properties) > 50:
        refuse("CustomerMetadataProperties: at most 50 entries")
    for key, value in properties.items():
        if not (0 < len(key) <= 128 and 0 < len(value) <= 256 and fits(key) and fits(value)):
            refuse(f"CustomerMetadataProperties: {key!r}: {value!r}")
    if len(fields.get("model_package_description") or "") > 1024:
        refuse("ModelPackageDescription: at most 1024 characters")
    return str(ORIGINAL["create_model_package"](backend, **fields))


@backend_method
def update_model_package(backend: Any, **fields: Any) -> str:
    """Keep the metadata that the call does not name; moto drops it."""
    package = backend.describe_model_package(fields["model_package_arn"])
    kept = dict(package.customer_metadata_properties or {})
    changed = str(ORIGINAL["update_model_package"](backend, **fields))
    package.customer_metadata_properties = kept | (fields["customer_metadata_properties"] or {})
    return changed


@operation
def delete_model_package(backend: Any, parameter: Any) -> dict[str, Any]:
    """Delete one version."""
    package = backend.describe_model_package(parameter("ModelPackageName"))
    del backend.model_packages[package.arn]
    return {}


@operation
def delete_model_package_group(backend: Any, parameter: Any) -> dict[str, Any]:
    """Delete a group that has no versions."""
    name = parameter("ModelPackageGroupName")
    backend.describe_model_package_group(name)
    if any(one.model_package_group_name == name for one in backend.model_packages.values()):
        message = "Model Package Group cannot be deleted because it still contains Model Packages."
        refuse(message, "ConflictException")
    del backend.model_package_groups[name]
    return {}


# ─── endpoints ──────────────────────────────────────────────────────────────────────────────────


@backend_method
def create_endpoint(backend: Any, **fields: Any) -> Any:
    """Begin to create."""
    name = fields["endpoint_name"]
    words = "Cannot create already existing endpoint"
    check_free(backend, "endpoints", "endpoint", name, words)
    check_tags(fields.get("tags"))
    endpoint = ORIGINAL["create_endpoint"](backend, **fields)
    endpoint.endpoint_status = "Creating"
    config = endpoint.endpoint_config_name
    CHANGES[name] = Change(SCRIPT.polls, config, SCRIPT.next_failure())
    return endpoint


@operation
def update_endpoint(backend: Any, parameter: Any) -> dict[str, Any]:
    """Begin to update, if nothing else goes on."""
    name, config = parameter("EndpointName"), parameter("EndpointConfigName")
    ORIGINAL["describe_endpoint"](backend, name)
    endpoint = backend.endpoints[name]
    check_idle(backend, name)
    if endpoint.endpoint_status == "Failed":
        refuse(f'Cannot update failed endpoint "{arn(backend, "endpoint", name)}".')
    if config not in backend.endpoint_configs:
        where = arn(backend, "endpoint-config", config)
        refuse(f'Could not find endpoint configuration "{where}".')
    endpoint.endpoint_status = "Updating"
    endpoint.failure_reason = None
    CHANGES[name] = Change(SCRIPT.polls, config, SCRIPT.next_failure())
    return {"EndpointArn": endpoint.arn}


@backend_method
def describe_endpoint(backend: Any, endpoint_name: str) -> Any:
    """Tell the state, which then may change."""
    ORIGINAL["describe_endpoint"](backend, endpoint_name)  # refuses where there is none
    settle(backend.endpoints[endpoint_name])
    return ORIGINAL["describe_endpoint"](backend, endpoint_name)


def settle(endpoint: Any) -> None:
    """Bring an endpoint one description further."""
    change = CHANGES.get(endpoint.endpoint_name)
    if change is None:
        return
    if change.polls > 0:
        change.polls -= 1
        return
    del CHANGES[endpoint.endpoint_name]
    created = endpoint.endpoint_status == "Creating"
    endpoint.failure_reason = change.failure or None
    if change.failure is None:
        endpoint.endpoint_config_name = change.config
        endpoint.endpoint_status = "InService"
    else:
        endpoint.endpoint_status = "Failed" if created else SCRIPT.broken


@backend_method
def delete_endpoint(backend: Any, endpoint_name: str) -> None:
    """Delete, if nothing else goes on."""
    if endpoint_name in backend.endpoints:
        check_idle(backend, endpoint_name)
    ORIGINAL["delete_endpoint"](backend, endpoint_name)


def check_idle(backend: Any, name: str) -> None:
    """Refuse what cannot be done while an endpoint changes."""
    if name in CHANGES:
        refuse(f'Cannot update in-progress endpoint "{arn(backend, "endpoint", name)}".')


# ─── predictions ────────────────────────────────────────────────────────────────────────────────


def predict(name: str, body: bytes) -> tuple[int, bytes]:
    """Answer as the container behind an endpoint would."""
    every = import_module("moto.sagemaker.models").sagemaker_backends
    found = [
        backend
        for regions in every.values()
        for backend in regions.values()
        if name in backend.endpoints
    ]
    if not found:
        return 400, fault(f"Endpoint {name} of account 123456789012 not found.")
    (backend,) = found
    endpoint = backend.endpoints[name]
    if endpoint.endpoint_status in {"Creating", "Failed"}:
        return 400, fault(f"Endpoint {name} of account 123456789012 is not in service.")
    config = backend.endpoint_configs[endpoint.endpoint_config_name]
    model = backend._models[config.production_variants[0]["ModelName"]]
    return run_container(model.primary_container, body)


def fault(message: str) -> bytes:
    """Return the body of an error of the runtime."""
    return json.dumps({"Message": message}).encode()


def run_container(container: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    """Run the program of a bundle on one request."""
    address = urlsplit(container["ModelDataUrl"])
    client = import_module("boto3").client("s3")
    found = client.get_object(Bucket=address.netloc, Key=address.path.lstrip("/"))["Body"].read()
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(found)) as archive:
            archive.extractall(folder, filter="data")
        program = load(Path(folder, "code", container["Environment"]["SAGEMAKER_PROGRAM"]))
        try:
            model = program.model_fn(folder)
            rows = program.input_fn(body, "application/json")
            answer, _ = program.output_fn(program.predict_fn(rows, model), "application/json")
        except Exception as error:  # noqa: BLE001  # whatever a container dies of is a ModelError
            return 424, fault(f"Received server error (500) from primary: {error!r}")
    return 200, answer.encode()


def load(path: Path) -> Any:
    """Import a file."""
    spec = importlib.util.spec_from_file_location("inference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ─── in front of moto ───────────────────────────────────────────────────────────────────────────

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
JSON = [("Content-Type", "application/json")]
TARGET = re.compile(r"SageMaker\.(\w+)")


def steered(app: App) -> App:
    """Put the script and the endpoints' containers in front of moto."""

    def handle(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(CONTROL):
            return control(path.removeprefix(CONTROL), environ, start)
        asked = operation_of(environ)
        if asked is None:
            return app(environ, start)
        with ONE_BY_ONE:
            SCRIPT.calls.append(asked)
            throttled = SCRIPT.throttle > 0
            SCRIPT.throttle -= int(throttled)
        if throttled:
            start("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
            return [b'{"__type": "ThrottlingException", "message": "Rate exceeded"}']
        if not SCRIPT.passes(asked, "before"):
            start("503 Service Unavailable", JSON)
            return [b"{}"]
        if asked == "InvokeEndpoint":
            answer = invoke(environ, start)
        else:
            with ONE_BY_ONE:
                answer = list(app(environ, start))
        SCRIPT.passes(asked, "after")
        return answer

    return handle


def operation_of(environ: Environ) -> str | None:
    """Tell which operation is asked for; None for what is not SageMaker."""
    found = TARGET.fullmatch(environ.get("HTTP_X_AMZ_TARGET", ""))
    if found:
        return found.group(1)
    return "InvokeEndpoint" if environ["PATH_INFO"].endswith("/invocations") else None


def body_of(environ: Environ) -> bytes:
    """Read the body of a request."""
    found: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return found


def invoke(environ: Environ, start: Callable[..., Any]) -> list[bytes]:
    """Answer ``invoke_endpoint``."""
    status, answer = predict(environ["PATH_INFO"].split("/")[2], body_of(environ))
    code = {200: [], 400: [("x-amzn-ErrorType", "ValidationError")]}
    start(f"{status} Answer", JSON + code.get(status, [("x-amzn-ErrorType", "ModelError")]))
    return [answer]


def control(what: str, environ: Environ, start: Callable[..., Any]) -> list[bytes]:
    """Do what a test asks of the server itself."""
    asked = json.loads(body_of(environ) or b"{}")
    with ONE_BY_ONE:
        _control(what, asked)
        jobs = sagemaker_jobs.told()
        told = {"calls": SCRIPT.calls, "held": SCRIPT.held, "jobs": jobs}
        answer = json.dumps(told).encode()
    start("200 OK", JSON)
    return [answer]


def _control(what: str, asked: dict[str, Any]) -> None:
    if what == "reset":
        import_module("moto.core.model_instances").reset_model_data()
        for backends in (
            import_module("moto.sagemaker.models").sagemaker_backends,
            import_module("moto.s3.models").s3_backends,
            import_module("moto.iam.models").iam_backends,
        ):
            backends.reset()
        CHANGES.clear()
        sagemaker_jobs.forget()
        SCRIPT.reset()
    elif what == "steer":
        SCRIPT.update(asked)


def main(port: int) -> None:
    """Serve until killed."""
    os.environ.setdefault("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "testkey")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testsecret")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    os.environ["MOTO_PORT"] = str(port)
    install()
    moto = import_module("moto.moto_server.werkzeug_app")
    app = moto.DomainDispatcherApplication(moto.create_backend_app)
    serve = import_module("werkzeug.serving").run_simple
    serve("127.0.0.1", port, steered(app), threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
