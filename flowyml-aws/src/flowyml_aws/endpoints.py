"""SageMaker endpoints: their states, waiting for them, and changing what serves."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from attrs import frozen

from flowyml.errors import DeliveryError
from flowyml_aws.faults import is_missing, is_overtaken

__all__ = ["Endpoint", "Endpoints", "status_of"]

LOG = logging.getLogger(__name__)

MOVING: Final = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
STATUSES: Mapping[str, Literal["serving", "starting", "stopped", "failed"]] = {
    "Creating": "starting",
    "Deleting": "stopped",
    "Failed": "failed",
    "OutOfService": "stopped",
}


@frozen
class Endpoint:
    """An endpoint as it was described.

    Attributes:
        name: SageMaker's name for it.
        status: ``InService``, ``Creating``, ``Failed`` and so on.
        config: Name of the configuration that serves, or is to serve at first.
        reason: Why the last change failed, where SageMaker says it.
        arn: Its ARN.
    """

    name: str
    status: str
    config: str
    reason: str
    arn: str

    @property
    def moving(self) -> bool:
        """Whether SageMaker is at work on it, so that it takes no other change."""
        return self.status in MOVING


def status_of(endpoint: Endpoint) -> Literal["serving", "starting", "stopped", "failed"]:
    """Return the state in FlowyML's words; one that is being updated goes on serving."""
    return STATUSES.get(endpoint.status, "serving")


@frozen
class Endpoints:
    """The endpoints of an account and region.

    Attributes:
        client: Client for SageMaker.
        poll: Most seconds between two looks at an endpoint that changes.
        patience: Seconds after which an endpoint that still changes is left to itself.
    """

    client: Any
    poll: float
    patience: float

    def find(self, name: str) -> Endpoint | None:
        """Describe an endpoint; None where there is none."""
        try:
            found = self.client.describe_endpoint(EndpointName=name)
        except Exception as error:
            if is_missing(error):
                return None
            raise
        return Endpoint(
            name=name,
            status=found["EndpointStatus"],
            config=found["EndpointConfigName"],
            reason=found.get("FailureReason") or "",
            arn=found["EndpointArn"],
        )

    def settled(self, name: str) -> Endpoint | None:
        """Wait until SageMaker is no longer at work on an endpoint; None where there is none.

        Raises:
            DeliveryError: It takes too long; the endpoint is left as it is.
        """
        begun = time.monotonic()
        pause = min(1.0, self.poll)
        last = None
        while (endpoint := self.find(name)) and endpoint.moving:
            waited = time.monotonic() - begun
            if endpoint.status != last:
                LOG.info("the endpoint %s is %s (after %d s)", name, endpoint.status, waited)
                last = endpoint.status
            if waited > self.patience:
                message = (
                    f"the endpoint {name!r} is still {endpoint.status} after {waited:.0f} s; "
                    "`flowyml resume` goes on waiting, and `wait_minutes:` waits longer"
                )
                raise DeliveryError(message)
            time.sleep(pause)
            pause = min(pause * 1.5, self.poll)
        if last is not None:
            now = endpoint.status if endpoint else "deleted"
            LOG.info("the endpoint %s is %s (after %d s)", name, now, time.monotonic() - begun)
        return endpoint

    def delete(self, name: str, *, only_failed: bool = False) -> bool:
        """Delete an endpoint and wait until it is gone.

        Args:
            name: SageMaker's name of the endpoint.
            only_failed: Whether to leave one alone that serves, as where another process made it.

        Returns:
            Whether there was one.
        """
        endpoint = self.settled(name)
        if endpoint is None or (only_failed and endpoint.status != "Failed"):
            return False
        try:
            self.client.delete_endpoint(EndpointName=name)
        except Exception as error:
            if is_overtaken(error):
                return self.delete(name, only_failed=only_failed)
            if not is_missing(error):
                raise
        self.settled(name)
        return True

    def serve(self, name: str, config: str, tags: list[dict[str, str]]) -> None:
        """Let a configuration serve at an endpoint, made where there is none.

        What served before goes on until the new configuration does, and where that fails.

        Args:
            name: SageMaker's name of the endpoint.
            config: Name of the configuration.
            tags: Tags of a new endpoint.

        Raises:
            DeliveryError: SageMaker could not; the message has its reason.
        """
        endpoint = self.settled(name)
        if endpoint is not None and endpoint.status == "Failed":
            self.delete(name, only_failed=True)  # nothing else can be done with it
            endpoint = self.settled(name)
        try:
            if endpoint is None:
                self.client.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=tags)
            elif endpoint.config != config or endpoint.status == "UpdateRollbackFailed":
                self.client.update_endpoint(EndpointName=name, EndpointConfigName=config)
            else:
                return
        except Exception as error:
            if not is_overtaken(error):
                raise
            # What another process made of the endpoint meanwhile says what is left to do.
            self.serve(name, config, tags)
            return
        if endpoint is None:
            self._expect_first(name, config)
        else:
            self._expect_next(name, config, endpoint, tags)

    def _expect_first(self, name: str, config: str) -> None:
        endpoint = self.settled(name)
        if endpoint and endpoint.status == "InService" and endpoint.config == config:
            return
        _check_not_overtaken(endpoint, {config})
        reason = _reason(endpoint)
        self.delete(name, only_failed=True)
        message = f"SageMaker could not create the endpoint {name!r}: {reason}"
        raise DeliveryError(message)

    def _expect_next(
        self, name: str, config: str, before: Endpoint, tags: list[dict[str, str]]
    ) -> None:
        endpoint = self.settled(name)
        # SageMaker may go back to what served without a word: only the configuration tells.
        if endpoint and endpoint.status == "InService" and endpoint.config == config:
            return
        _check_not_overtaken(endpoint, {config, before.config})
        reason = _reason(endpoint)
        if endpoint and endpoint.status == "UpdateRollbackFailed":
            self.client.update_endpoint(EndpointName=name, EndpointConfigName=before.config)
            endpoint = self.settled(name)
        if endpoint is None or endpoint.status == "Failed":
            self.delete(name, only_failed=True)
            self._bring_back(name, before.config, tags)
            endpoint = self.settled(name)
        serving = endpoint is not None and endpoint.status == "InService"
        now = "what served before goes on serving" if serving else "it does not serve"
        message = f"SageMaker could not update the endpoint {name!r}: {reason}; {now}"
        raise DeliveryError(message)

    def _bring_back(self, name: str, config: str, tags: list[dict[str, str]]) -> None:
        try:
            self.client.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=tags)
        except Exception as error:  # another process may have made one meanwhile
            if not is_overtaken(error):
                raise


def _check_not_overtaken(endpoint: Endpoint | None, known: set[str]) -> None:
    """Leave an endpoint alone that serves a configuration that nobody here asked for.

    Raises:
        DeliveryError: It does; the same deployment may be tried again.
    """
    if endpoint and endpoint.status == "InService" and endpoint.config not in known:
        message = (
            f"another deployment took the endpoint {endpoint.name!r} over while this one was "
            f"waited for; it serves {endpoint.config} now"
        )
        raise DeliveryError(message, transient=True)


def _reason(endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "somebody deleted it meanwhile"
    return endpoint.reason.rstrip(". ") or (
        f"it is {endpoint.status} and gives no reason; see the CloudWatch log group "
        f"/aws/sagemaker/Endpoints/{endpoint.name}"
    )
