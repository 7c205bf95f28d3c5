"""Which container serves which framework: AWS's own images, by region.

The accounts and tags are those that AWS publishes with its SageMaker SDK (image_uri_config). An
image of one's own goes into ``Model(serving_config={"image": ...})`` or the ``images:`` of the
component.
"""

from __future__ import annotations

from attrs import field, frozen

from flowyml.errors import ConfigurationError, DeliveryError, Problem

__all__ = ["FRAMEWORKS", "Container", "container_for", "image_for", "job_image"]

SCIKIT_ACCOUNTS = {
    "af-south-1": "510948584623",
    "ap-east-1": "651117190479",
    "ap-northeast-1": "354813040037",
    "ap-northeast-2": "366743142698",
    "ap-northeast-3": "867004704886",
    "ap-south-1": "720646828776",
    "ap-south-2": "628508329040",
    "ap-southeast-1": "121021644041",
    "ap-southeast-2": "783357654285",
    "ap-southeast-3": "951798379941",
    "ap-southeast-4": "106583098589",
    "ca-central-1": "341280168497",
    "ca-west-1": "190319476487",
    "cn-north-1": "450853457545",
    "cn-northwest-1": "451049120500",
    "eu-central-1": "492215442770",
    "eu-central-2": "680994064768",
    "eu-north-1": "662702820516",
    "eu-south-1": "978288397137",
    "eu-south-2": "104374241257",
    "eu-west-1": "141502667606",
    "eu-west-2": "764974769150",
    "eu-west-3": "659782779980",
    "il-central-1": "898809789911",
    "me-central-1": "272398656194",
    "me-south-1": "801668240914",
    "sa-east-1": "737474898029",
    "us-east-1": "683313688378",
    "us-east-2": "257758044811",
    "us-gov-east-1": "237065988967",
    "us-gov-west-1": "414596584902",
    "us-west-1": "746614075791",
    "us-west-2": "246618743249",
}

DEEP_LEARNING_ACCOUNT = "763104351884"
DEEP_LEARNING_ACCOUNTS = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}

GPU_FAMILIES = ("g", "p")


@frozen
class Container:
    """How models of one framework are served.

    Attributes:
        repository: Name of the image's repository.
        tag: Its tag; ``{device}`` stands for ``cpu`` or ``gpu``.
        accounts: Account of the repository by region.
        account: Account in all regions that ``accounts`` does not name; None where there is none.
        packages: Distributions that are installed in the container in the version they have here.
        runtime: Distributions that only the container needs.
    """

    repository: str
    tag: str
    accounts: dict[str, str] = field(repr=False)
    account: str | None = None
    packages: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()

    def image(self, region: str, device: str) -> str | None:
        """Return the image's address in a region; None where AWS does not offer it there."""
        account = self.accounts.get(region, self.account)
        if account is None:
            return None
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        tag = self.tag.format(device=device)
        return f"{account}.dkr.ecr.{region}.{domain}/{self.repository}:{tag}"


def _scikit(*packages: str, runtime: tuple[str, ...] = ()) -> Container:
    return Container(
        "sagemaker-scikit-learn",
        "1.4-2-py312-cpu-py3",
        SCIKIT_ACCOUNTS,
        packages=("numpy", *packages),
        runtime=runtime,
    )


FRAMEWORKS = {
    "catboost": _scikit("catboost", "pandas"),
    "lightgbm": _scikit("lightgbm", "pandas"),
    "onnx": _scikit(runtime=("onnxruntime",)),
    "pytorch": Container(
        "pytorch-inference",
        "2.6.0-{device}-py312",
        DEEP_LEARNING_ACCOUNTS,
        account=DEEP_LEARNING_ACCOUNT,
    ),
    "sklearn": _scikit("scikit-learn", "pandas", "cloudpickle", "skops"),
    "xgboost": Container("sagemaker-xgboost", "3.2-0", SCIKIT_ACCOUNTS),
}
"""By the name that `Model.framework` has."""


JOBS = {
    (3, 11): Container(
        "pytorch-training",
        "2.5.1-cpu-py311-ubuntu22.04-sagemaker",
        DEEP_LEARNING_ACCOUNTS,
        account=DEEP_LEARNING_ACCOUNT,
    ),
    (3, 12): Container("sagemaker-scikit-learn", "1.4-2-py312-cpu-py3", SCIKIT_ACCOUNTS),
}
"""The smallest of AWS's own images with a Python, by its version; a job installs the rest."""


def job_image(python: tuple[int, int], *, region: str) -> str:
    """Return the address of an image that has a Python.

    Raises:
        ConfigurationError: AWS has none, or none in this region.
    """
    container = JOBS.get(python)
    image = container.image(region, "cpu") if container else None
    if image is None:
        version = ".".join(map(str, python))
        message = f"AWS has no image with Python {version} in {region} for processing jobs"
        hint = "say `image: ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG` of the orchestrator"
        raise ConfigurationError(Problem(message, hint=hint))
    return image


def container_for(framework: str | None, *, name: str) -> Container:
    """Return how models of a framework are served.

    Args:
        framework: `Model.framework`.
        name: Name of the model, for the error.

    Raises:
        DeliveryError: AWS has no container that could serve it as it is stored.
    """
    found = FRAMEWORKS.get(framework or "")
    if found is None:
        message = (
            f"SageMaker has no image for the model {name!r} of framework {framework!r} (there is "
            f"one for {', '.join(sorted(FRAMEWORKS))}); name your own with "
            'Model(serving_config={"image": "ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG"})'
        )
        raise DeliveryError(message)
    return found


def image_for(framework: str | None, *, region: str, instance_type: str | None, name: str) -> str:
    """Return the address of the image that serves models of a framework.

    Args:
        framework: `Model.framework`.
        region: Region in which it will run; images are pulled from the same one.
        instance_type: What it will run on, for a GPU needs another image; None for a CPU.
        name: Name of the model, for the error.

    Raises:
        DeliveryError: There is no such image, or none in this region.
    """
    container = container_for(framework, name=name)
    image = container.image(region, _device(instance_type))
    if image is None:
        message = (
            f"AWS does not offer {container.repository} in {region}, so the model {name!r} needs "
            'an image of its own: Model(serving_config={"image": ...})'
        )
        raise DeliveryError(message)
    return image


def _device(instance_type: str | None) -> str:
    family = (instance_type or "").removeprefix("ml.")
    return "gpu" if family.startswith(GPU_FAMILIES) else "cpu"
