"""The artifact store ``azure``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property

from attrs import define, field

from flowyml.errors import ConfigurationError, Problem
from flowyml.plugins import BucketStore, hookimpl
from flowyml.plugins.bucket_store import check_bucket_name, check_prefix
from flowyml.plugins.limits import positive
from flowyml_azure.containers import AzureContainer
from flowyml_azure.faults import explained, is_transient

__all__ = ["AzureArtifactStore"]


@define(slots=False)
class AzureArtifactStore(BucketStore):
    """Keeps artifacts in a container of Azure Blob Storage.

    Attributes:
        container: Name of the container.
        prefix: Prefix of everything in it.
        account_name: The storage account, reached with the default Azure credential: environment,
            managed identity, ``az login``.
        connection_string: Address and key in one, in place of ``account_name``; a secret.
        timeout: Seconds without an answer after which a call is tried again.
    """

    container: str
    prefix: str = ""
    account_name: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    timeout: int = field(default=60, validator=positive)

    def __attrs_post_init__(self) -> None:
        """Refuse what is most often pasted by mistake, and a store that nobody could find."""
        check_bucket_name("container", self.container)
        check_prefix(self.prefix)
        if not self.account_name and not self.connection_string:
            message = f"the container {self.container!r} is in no storage account"
            hint = "say `account_name:`, or `connection_string: ${AZURE_STORAGE_CONNECTION_STRING}`"
            raise ConfigurationError(Problem(message, hint=hint))

    @cached_property
    def objects(self) -> AzureContainer:
        """The blobs of this store."""
        return AzureContainer(
            name=self.container,
            prefix=self.prefix.strip("/"),
            account_name=self.account_name,
            connection_string=self.connection_string,
            timeout=self.timeout,
        )

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Say what Azure's refusals mean."""
        return explained(doing)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Tell what passes by itself: throttling, lost connections, errors of the server."""
        return is_transient(error)
