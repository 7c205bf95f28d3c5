"""Clients of Vertex AI, loaded without the hundred services that nobody asked for.

``google.cloud.aiplatform_v1`` imports every one of its services, which takes seconds. While a
client is loaded, empty packages stand in for the three whose ``__init__`` does that; they are
gone again before the function returns, so that a user's own import finds the real ones. Where a
release has another layout, the client is imported the long way.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from flowyml.errors import DeliveryError

__all__ = ["make_client"]

PACKAGE: Final = "google.cloud.aiplatform_v1"

HOST: Final = "aiplatform.googleapis.com"

_loading = threading.Lock()


def make_client(service: str, *, location: str, endpoint_url: str | None) -> Any:
    """Return a client of one service of Vertex AI.

    Args:
        service: ``model``, ``endpoint``, ``prediction`` or ``job``.
        location: Region, such as ``us-central1``.
        endpoint_url: Another address to talk to. Over plain ``http`` no credentials are sent.

    Raises:
        DeliveryError: There are no Application Default Credentials.
    """
    client = _client_class(service)
    if endpoint_url and endpoint_url.startswith("http://"):
        from google.auth.credentials import AnonymousCredentials

        options = {"api_endpoint": endpoint_url}
        return client(credentials=AnonymousCredentials(), transport="rest", client_options=options)
    from google.auth.exceptions import DefaultCredentialsError

    options = {"api_endpoint": endpoint_url or f"{location}-{HOST}"}
    try:
        return client(client_options=options)
    except DefaultCredentialsError as cause:
        message = (
            "Vertex AI needs Application Default Credentials and there are none; run "
            "`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
        )
        raise DeliveryError(message) from cause


@cache
def _client_class(service: str) -> Any:
    name = f"{service.capitalize()}ServiceClient"
    module = f"{PACKAGE}.services.{service}_service.client"
    with _loading:
        try:
            with _stand_ins():
                return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            _forget_half_loaded()
            return getattr(importlib.import_module(module), name)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Put empty packages where the heavy ones would be loaded."""
    heavy = (PACKAGE, f"{PACKAGE}.services", f"{PACKAGE}.types")
    missing = [name for name in heavy if name not in sys.modules]
    root = _folder()
    for name in missing:
        stand_in = types.ModuleType(name)
        below = name.removeprefix(PACKAGE).split(".")[1:]
        stand_in.__path__ = [os.path.join(root, *below)]  # noqa: PTH118  # what importlib takes
        sys.modules[name] = stand_in
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def _folder() -> str:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        message = f"{PACKAGE} is not installed"
        raise ImportError(message)
    return spec.submodule_search_locations[0]


def _forget_half_loaded() -> None:
    for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]
