"""Clients of AWS services, made when they are first needed, with credentials by AWS's own chain."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from flowyml.errors import ConfigurationError, Problem

__all__ = ["Account"]

ATTEMPTS = 5
CONNECT_SECONDS = 10


@frozen(slots=False)
class Account:
    """Where to ask and as whom: what every component of this package can be told.

    Attributes:
        region: Region of AWS; None for the one of the environment or the profile.
        profile: Profile of ``~/.aws/config``; None for the standard chain.
        endpoint_url: Address of the service; None for AWS's own, or ``AWS_ENDPOINT_URL``.
        timeout: Seconds without an answer after which a call is tried again.
    """

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    timeout: float = 60

    @cached_property
    def session(self) -> Any:
        """The session behind all clients; making one reads files, and asks nobody."""
        import boto3
        from botocore.exceptions import ProfileNotFound

        try:
            return boto3.Session(profile_name=self.profile, region_name=self.region)
        except ProfileNotFound as cause:
            message = f"AWS has no profile {self.profile!r}"
            hint = "`aws configure list-profiles` lists them; `profile:` in flowyml.yaml names one"
            raise ConfigurationError(Problem(message, hint=hint)) from cause

    @property
    def region_name(self) -> str:
        """The region in effect.

        Raises:
            ConfigurationError: Neither the stack nor the environment names one.
        """
        found = self.region or self.session.region_name
        if found is None:
            message = "AWS does not know which region to ask"
            hint = "say `region:` in flowyml.yaml, or set AWS_DEFAULT_REGION"
            raise ConfigurationError(Problem(message, hint=hint))
        return str(found)

    def client(
        self,
        service: str,
        *,
        endpoint_url: str | None = None,
        s3: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make a client of a service; throttled calls and lost connections are tried again.

        Args:
            service: Its name for boto3.
            endpoint_url: Address of this service, where it is not the account's.
            s3: What only clients for S3 can be told.
        """
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self.timeout,
            max_pool_connections=32,
            user_agent_extra="flowyml",
            s3=s3,
        )
        return self.session.client(
            service,
            region_name=self.region_name,
            endpoint_url=endpoint_url or self.endpoint_url,
            config=config,
        )
