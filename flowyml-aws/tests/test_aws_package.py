"""The package as it is installed and imported."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution

import flowyml_aws

LIGHT = """
import sys
import flowyml_aws.storage, flowyml_aws.registry, flowyml_aws.deployer
store = flowyml_aws.storage.S3ArtifactStore("bucket", region="us-east-1")
assert store.root_uri() == "s3://bucket"
registry = flowyml_aws.registry.SageMakerModelRegistry().beside([store])
deployer = flowyml_aws.deployer.SageMakerEndpoint("arn").beside([store])
print(sorted(sys.modules.keys() & {"boto3", "botocore", "s3fs", "fsspec", "sagemaker"}))
"""


def test_the_module_and_the_distribution_have_one_version() -> None:
    """What the module says is what was installed."""
    assert distribution("flowyml-aws").version == flowyml_aws.__version__


def test_every_entry_point_loads() -> None:
    """Whatever type the package registers, there is a class behind it."""
    registered = distribution("flowyml-aws").entry_points
    assert all(isinstance(entry_point.load(), type) for entry_point in registered)
    assert {entry_point.name for entry_point in registered} == {
        "s3",
        "sagemaker",
        "sagemaker_endpoint",
        "sagemaker_model_registry",
    }


def test_components_are_made_without_an_sdk() -> None:
    """Neither importing them nor building a stack of them costs what asking AWS costs."""
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
