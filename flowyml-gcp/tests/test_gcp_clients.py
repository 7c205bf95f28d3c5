"""What loading a client of Vertex AI costs, and that it harms nobody."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.servers.vertex import VertexServer

LIGHT = """
from flowyml_gcp.clients import make_client
client = make_client("model", location="us-central1", endpoint_url={url!r})
assert list(client.list_models(request={{"parent": "projects/p/locations/l"}})) == []
import sys
"""


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.stdout


def test_importing_the_package_imports_no_sdk() -> None:
    """Nor does importing its components."""
    loaded = run(
        "import sys, flowyml_gcp, flowyml_gcp.registry, flowyml_gcp.deployer\n"
        "print('\\n'.join(sys.modules))"
    ).split()
    assert [
        name for name in loaded if name.startswith(("google.a", "google.cloud.", "grpc", "gcsfs"))
    ] == []


def test_a_client_loads_its_own_service_and_no_other(vertex: VertexServer) -> None:
    """The SDK has some fifty services; one is loaded."""
    loaded = run(
        LIGHT.format(url=vertex.url)
        + "print('\\n'.join(n for n in sys.modules if 'aiplatform_v1.services.' in n))"
    ).split()
    assert {name.split(".")[4] for name in loaded} == {"model_service"}


def test_a_users_own_import_of_the_sdk_still_works(vertex: VertexServer) -> None:
    """The empty packages are gone when the client is there."""
    said = run(
        LIGHT.format(url=vertex.url)
        + "from google.cloud import aiplatform_v1\n"
        + "print(aiplatform_v1.JobServiceClient.__name__, aiplatform_v1.types.Model.__name__)"
    )
    assert said.split() == ["JobServiceClient", "Model"]
