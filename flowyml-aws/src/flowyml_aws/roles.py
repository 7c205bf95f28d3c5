"""Whether SageMaker may take on a role, and whether this account may hand it over."""

from __future__ import annotations

import json
import re
from typing import Any

from flowyml.errors import DeliveryError
from flowyml_aws.faults import code_of, explained
from flowyml_aws.sessions import Account

__all__ = ["look_at_role"]

ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:.*/)?(?P<name>[\w+=,.@-]+)")
SERVICE = "sagemaker.amazonaws.com"
FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException"})


def look_at_role(account: Account, arn: str) -> str:
    """Say what is known about a role.

    Reading roles needs permissions of its own (``iam:GetRole``, ``iam:SimulatePrincipalPolicy``),
    which deploying does not: where they are missing, the role counts as right.

    Args:
        account: Who asks.
        arn: ARN of the role.

    Raises:
        DeliveryError: SageMaker cannot take it on, or these credentials may not hand it over.
    """
    found = ARN.fullmatch(arn)
    if found is None:
        message = (
            f"{arn!r} is no ARN of a role; it has the form arn:aws:iam::123456789012:role/NAME"
        )
        raise DeliveryError(message)
    client = account.client("iam")
    try:
        with explained(f"reading the role {arn}"):
            role = client.get_role(RoleName=found["name"])["Role"]
            _check_trust(arn, role["AssumeRolePolicyDocument"])
            return _check_pass(account, client, arn)
    except DeliveryError as error:
        if error.__cause__ is not None and code_of(error.__cause__) in FORBIDDEN:
            return (
                f"{arn} cannot be looked at with these credentials, which deploying does not need"
            )
        raise


def _check_trust(arn: str, policy: Any) -> None:
    if SERVICE not in json.dumps(policy):
        message = (
            f"SageMaker may not take on the role {arn}; allow sts:AssumeRole to the service "
            f"{SERVICE} in its trust policy"
        )
        raise DeliveryError(message)


def _check_pass(account: Account, client: Any, arn: str) -> str:
    caller = account.client("sts").get_caller_identity()["Arn"]
    if ":assumed-role/" in caller or caller.endswith(":root"):
        return f"SageMaker may take on {arn}"
    answer = client.simulate_principal_policy(
        PolicySourceArn=caller, ActionNames=["iam:PassRole"], ResourceArns=[arn]
    )
    if any(result["EvalDecision"] != "allowed" for result in answer["EvaluationResults"]):
        message = f"{caller} may not hand over the role {arn}; allow it iam:PassRole on the role"
        raise DeliveryError(message)
    return f"SageMaker may take on {arn}, and {caller} may hand it over"
