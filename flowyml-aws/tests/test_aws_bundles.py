"""What goes into ``model.tar.gz``, and what the program in it does where FlowyML is not."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from tests.servers.aws import BUCKET, a_model, stored

from flowyml.core import Model
from flowyml.errors import DeliveryError, IntegrityError
from flowyml_aws.bundles import Bundle, make_bundle, verify_bundle
from flowyml_aws.images import FRAMEWORKS, image_for
from flowyml_aws.storage import S3ArtifactStore

SERVE = """
import sys, json
sys.path.insert(0, sys.argv[1] + "/code")
import inference
model = inference.model_fn(sys.argv[1])
rows = inference.input_fn(sys.stdin.buffer.read(), "application/json")
body, kind = inference.output_fn(inference.predict_fn(rows, model), "*/*")
assert kind == "application/json"
assert "flowyml" not in sys.modules
print(body)
"""


def content(store: S3ArtifactStore, bundle: Bundle) -> bytes:
    """Get a bundle."""
    client = boto3.client("s3", endpoint_url=store.endpoint_url)
    key = bundle.uri.removeprefix(f"s3://{BUCKET}/")
    found: bytes = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return found


def answers(store: S3ArtifactStore, bundle: Bundle, folder: Path, rows: Any) -> Any:
    """Serve a bundle in a process of its own, as a container does."""
    with tarfile.open(fileobj=io.BytesIO(content(store, bundle))) as archive:
        archive.extractall(folder, filter="data")
    command = [sys.executable, "-P", "-c", SERVE, str(folder)]
    asked = json.dumps({"instances": rows}).encode()
    done = subprocess.run(command, input=asked, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)["predictions"]


def bundled(store: S3ArtifactStore, model: Model) -> Bundle:
    """Store a model and make its bundle."""
    artifact = stored(store, model)
    return make_bundle(store, artifact.uri, artifact.digest, framework=model.framework)


def test_a_bundle_serves_without_flowyml(store: S3ArtifactStore, tmp_path: Path) -> None:
    """All that is needed is inside."""
    assert answers(store, bundled(store, a_model()), tmp_path, [[1.0], [3.0]]) == [2.0, 6.0]


def test_a_model_that_knows_its_columns_gets_them(store: S3ArtifactStore, tmp_path: Path) -> None:
    """Rows may be lists, or objects in any order."""
    frame = pd.DataFrame({"a": [0.0, 1.0, 0.0], "b": [0.0, 0.0, 1.0]})
    fitted = LinearRegression().fit(frame, [0.0, 1.0, 10.0])
    bundle = bundled(store, Model(fitted, name="columns"))

    assert answers(store, bundle, tmp_path / "1", [[1.0, 2.0]]) == pytest.approx([21.0])
    assert answers(store, bundle, tmp_path / "2", [{"b": 2.0, "a": 1.0}]) == pytest.approx([21.0])


def test_a_booster_serves(store: S3ArtifactStore, tmp_path: Path) -> None:
    """With scikit-learn's interface or without."""
    xgboost = pytest.importorskip("xgboost")
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0] * 10})
    model = xgboost.XGBRegressor(n_estimators=50).fit(frame, frame["a"] * 2)

    bundle = bundled(store, Model(model, name="trees"))
    assert answers(store, bundle, tmp_path, [[2.0]]) == pytest.approx([4.0], abs=0.1)


def test_a_bundle_names_the_versions_it_was_made_with(store: S3ArtifactStore) -> None:
    """The container installs those, or could not read the pickle."""
    bundle = bundled(store, a_model())
    with tarfile.open(fileobj=io.BytesIO(content(store, bundle))) as archive:
        file = archive.extractfile("code/requirements.txt")
        assert file is not None
        lines = file.read().decode().splitlines()
    assert f"scikit-learn=={version('scikit-learn')}" in lines


def test_a_bundle_has_a_digest_of_its_own(store: S3ArtifactStore) -> None:
    """It is that of the bytes, and the same whenever it is made."""
    bundle = bundled(store, a_model())
    client = boto3.client("s3", endpoint_url=store.endpoint_url)
    assert bundle.sha256 == hashlib.sha256(content(store, bundle)).hexdigest()

    client.delete_object(Bucket=BUCKET, Key=bundle.uri.removeprefix(f"s3://{BUCKET}/"))
    assert bundled(store, a_model()) == bundle


def test_a_bundle_does_not_disturb_the_store(store: S3ArtifactStore) -> None:
    """It is no artifact, and not among the files of one."""
    bundle = bundled(store, a_model())
    (listed,) = store.list_artifacts("")

    assert [file.name for file in listed.manifest.files] == ["model.pkl"]
    assert store.delete_artifact(listed.uri)
    assert content(store, bundle)


def test_a_bundle_of_another_digest_is_noticed(store: S3ArtifactStore) -> None:
    """Be it the registered one or the one kept with it."""
    bundle = bundled(store, a_model())
    verify_bundle(store, bundle, expected=bundle.sha256)

    with pytest.raises(IntegrityError, match="it is not deployed"):
        verify_bundle(store, bundle, expected="0" * 64)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("us-east-1", "us-east-1.amazonaws.com"),
        ("eu-central-1", "eu-central-1.amazonaws.com"),
        ("cn-north-1", "cn-north-1.amazonaws.com.cn"),
    ],
)
def test_an_image_is_in_the_region(framework: str, region: str, domain: str) -> None:
    """SageMaker pulls images from its own region only."""
    image = image_for(framework, region=region, instance_type=None, name="x")
    assert f".dkr.ecr.{domain}/" in image
    assert "{" not in image


def test_a_gpu_has_another_image() -> None:
    """Where the framework has two."""
    found = {
        kind: image_for("pytorch", region="us-east-1", instance_type=kind, name="x")
        for kind in ("ml.g5.xlarge", "ml.p3.2xlarge", "ml.m5.large")
    }
    assert ["gpu" in image for image in found.values()] == [True, True, False]


def test_a_region_without_image_is_told() -> None:
    """With what to do."""
    with pytest.raises(DeliveryError, match=r"does not offer .* in mars-1"):
        image_for("sklearn", region="mars-1", instance_type=None, name="x")
