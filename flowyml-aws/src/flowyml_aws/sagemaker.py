"""What the components for SageMaker share: where it is, who asks, and the store beside them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

from attrs import define, evolve, field

from flowyml.plugins import Component, hookimpl
from flowyml.plugins.limits import positive
from flowyml_aws.answers import attend_sagemaker
from flowyml_aws.faults import is_transient
from flowyml_aws.neighbours import region_beside, store_beside
from flowyml_aws.sessions import Account
from flowyml_aws.storage import S3ArtifactStore

__all__ = ["SageMakerComponent"]


@define(slots=False)
class SageMakerComponent(Component):
    """A component that talks to SageMaker in one region, as one profile.

    Attributes:
        region: Its region; None for the one that the stack's other components name, else the one
            of the environment or the profile.
        profile: Profile of ``~/.aws/config``; None for the one of the stack's S3 store.
        endpoint_url: Address of the SageMaker API, where it is not AWS's own.
        timeout: Seconds without an answer after which a call is tried again.
    """

    region: str | None = field(default=None, kw_only=True)
    profile: str | None = field(default=None, kw_only=True)
    endpoint_url: str | None = field(default=None, kw_only=True)
    timeout: float = field(default=60.0, kw_only=True, validator=positive)
    _neighbour: S3ArtifactStore | None = field(default=None, init=False, repr=False)

    def beside(self, others: Sequence[Component]) -> Self:
        """Take over region and profile, and the store that artifacts lie in."""
        store = store_beside(others)
        profile = self.profile or (store.profile if store else None)
        region = self.region or region_beside(others)
        return evolve(self, region=region, profile=profile).reading(store)

    def reading(self, store: S3ArtifactStore | None) -> Self:
        """Read stored artifacts through this store from now on."""
        self._neighbour = store
        return self

    @cached_property
    def account(self) -> Account:
        """Where SageMaker is and who asks."""
        return Account(self.region, self.profile, self.endpoint_url, self.timeout)

    @cached_property
    def client(self) -> Any:
        """The client for SageMaker; making it asks nobody."""
        return attend_sagemaker(self.account.client("sagemaker"))

    @cached_property
    def store(self) -> S3ArtifactStore:
        """What reads stored models: the stack's S3 store, else one in the same account."""
        if self._neighbour is not None:
            return self._neighbour
        return S3ArtifactStore("unnamed", region=self.region, profile=self.profile)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Tell what passes by itself: throttling, lost connections, errors of the service."""
        return is_transient(error)
