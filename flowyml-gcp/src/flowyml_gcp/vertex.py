"""What the components for Vertex AI share: project, location, clients, operations, errors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cached_property
from typing import Any, Final, Self

import attrs
from attrs import define, field

from flowyml.errors import ConfigurationError, DeliveryError
from flowyml.plugins import Component, hookimpl
from flowyml.plugins.limits import positive
from flowyml.records import Check
from flowyml_gcp.checks import looked_at
from flowyml_gcp.clients import make_client
from flowyml_gcp.faults import explained, is_transient

__all__ = ["ENABLE", "MANAGED", "VertexComponent"]

MANAGED: Final = {"managed-by": "flowyml"}
"""The label of everything that FlowyML makes."""

ENABLE: Final = (
    "enable aiplatform.googleapis.com in the project, and give the caller roles/aiplatform.user, "
    "or the permissions that the README of flowyml-gcp lists"
)
"""What to do where Vertex AI denies something."""

PROJECT_VARIABLES: Final = ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
LOCATION_VARIABLES: Final = ("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION", "CLOUD_ML_REGION")
DEFAULT_LOCATION: Final = "us-central1"


@define(slots=False)
class VertexComponent(Component):
    """A component that talks to Vertex AI in one project and location.

    Attributes:
        project: Google Cloud project; else that of the stack's other Google components, else
            ``GOOGLE_CLOUD_PROJECT``.
        location: Region; else that of the stack's other Google components, else
            ``GOOGLE_CLOUD_LOCATION``, else ``us-central1``.
        endpoint_url: Another address of the service; over plain ``http`` no credentials are sent.
        deadline: Seconds that a long-running operation is waited for; one that takes longer goes
            on, and the next attempt waits for it again.
    """

    project: str | None = field(default=None, kw_only=True)
    location: str | None = field(default=None, kw_only=True)
    endpoint_url: str | None = field(default=None, kw_only=True)
    deadline: float = field(default=1800.0, kw_only=True, validator=positive)

    def beside(self, others: Sequence[Component]) -> Self:
        """Take project and location from the other Google components, then the environment."""
        google = [other for other in others if type(other).__module__.startswith("flowyml_gcp.")]
        return attrs.evolve(
            self,
            project=self.project or _given("project", google, PROJECT_VARIABLES),
            location=self.location
            or _given("location", google, LOCATION_VARIABLES)
            or DEFAULT_LOCATION,
            endpoint_url=self.endpoint_url or os.environ.get("FLOWYML_VERTEX_ENDPOINT_URL"),
        )

    @property
    def parent(self) -> str:
        """Resource name of the location.

        Raises:
            ConfigurationError: Nobody says which project.
        """
        if not self.project:
            message = (
                f"the {self.role} does not know its Google Cloud project; "
                "give it `project:` in flowyml.yaml, or set GOOGLE_CLOUD_PROJECT"
            )
            raise ConfigurationError(message)
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def region(self) -> str:
        """The location, or the default one."""
        return self.location or DEFAULT_LOCATION

    @cached_property
    def models(self) -> Any:
        """Client of the service of models."""
        return make_client("model", location=self.region, endpoint_url=self.endpoint_url)

    def wait(self, operation: Any, what: str) -> Any:
        """Wait for a long-running operation and return what it gives.

        Raises:
            DeliveryError: It failed, with the service's reason, or it takes longer than the
                deadline, which is transient.
        """
        from google.api_core.exceptions import GoogleAPICallError
        from google.api_core.future.polling import DEFAULT_POLLING

        # The client's own rhythm begins with a second, which most operations do not need.
        polling = DEFAULT_POLLING.with_delay(initial=0.05, maximum=10.0, multiplier=1.6)
        try:
            return operation.result(timeout=self.deadline, polling=polling)
        except FutureTimeoutError as cause:
            raise self._late(what) from cause
        except GoogleAPICallError as cause:
            if self.is_transient(cause):
                raise
            message = f"Vertex AI did not finish to {what}: {cause.message}"
            raise DeliveryError(message) from cause

    def wait_for_others(self, client: Any, resource: str, what: str) -> None:
        """Wait for operations that an attempt before this one left running."""
        from google.api_core.exceptions import NotFound

        try:
            running = client.list_operations(request={"name": resource}).operations
        except NotFound:
            return
        for operation in running:
            if not operation.done:
                self._wait_by_name(client, operation.name, what)

    def _wait_by_name(self, client: Any, name: str, what: str) -> None:
        from google.api_core.retry import Retry

        def poll() -> None:
            if not client.get_operation(request={"name": name}).done:
                raise _NotYetError

        retry = Retry(
            predicate=lambda error: (
                isinstance(error, _NotYetError) or bool(self.is_transient(error))
            ),
            initial=0.1,
            maximum=10.0,
            timeout=self.deadline,
        )
        try:
            retry(poll)()
        except Exception as cause:
            if type(cause).__name__ == "RetryError":
                raise self._late(what) from cause
            raise

    def _late(self, what: str) -> DeliveryError:
        message = (
            f"Vertex AI needs longer than {self.deadline:g} s to {what} and goes on; "
            "`flowyml resume` waits for it"
        )
        return DeliveryError(message, transient=True)

    @hookimpl
    def is_transient(self, error: Exception) -> bool | None:
        """Go by the class of Google's own exceptions."""
        return is_transient(error)

    def preflight(self) -> None:
        """Look whether the project is known; asking Vertex AI is left to what has work for it."""
        _ = self.parent
        super().preflight()

    def diagnose(self) -> Sequence[Check]:
        """Ask for a list, which needs credentials, the API and the permission to read."""
        return (looked_at("Vertex AI", self._look_at_models, fix=ENABLE),)

    def _look_at_models(self) -> str:
        request = {"parent": self.parent, "page_size": 1}
        with explained(f"listing the models in {self.parent}"):
            next(iter(self.models.list_models(request=request)), None)
        return f"answers in {self.parent}"


class _NotYetError(Exception):
    """An operation is still running."""


def _given(name: str, others: Sequence[Component], variables: Sequence[str]) -> str | None:
    """Return what the first neighbour says, else the first variable that is set."""
    said = (getattr(other, name, None) for other in others)
    environment: Mapping[str, str] = os.environ
    return next((value for value in said if value), None) or next(
        (environment[variable] for variable in variables if environment.get(variable)), None
    )
