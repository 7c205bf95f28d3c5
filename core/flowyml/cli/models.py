"""``flowyml model``: registered models, decisions about them, and what serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from flowyml.cli import columns
from flowyml.cli.cells import Column
from flowyml.cli.options import Output, output_format, stacked
from flowyml.cli.program import Commands
from flowyml.cli.project import history
from flowyml.cli.screen import facts, line, listing, none_of, table
from flowyml.errors import IntegrityError, NotFoundError

if TYPE_CHECKING:
    from flowyml.records import Deployment, ModelVersion
    from flowyml.routing.lifecycle import ModelLifecycle

__all__ = ["model"]

MODELS: Final = (
    columns.text("name", "name"),
    columns.text("version", "version"),
    columns.status(),
    Column("aliases", lambda item: ", ".join(item["aliases"]) or "-"),
    columns.text("framework", "framework"),
    columns.moment("registered", "created_at"),
    columns.digest(),
)

ENDPOINTS: Final = (
    columns.text("endpoint", "endpoint"),
    columns.text("model", "name"),
    columns.text("version", "version"),
    columns.status(),
    columns.text("url", "url"),
    columns.moment("deployed", "created_at"),
)

EVENTS: Final = (
    columns.text("entry", "sequence"),
    columns.text("version", "version"),
    columns.text("what", "kind"),
    columns.text("who", "actor"),
    columns.moment("when", "at"),
    columns.prose("comment", "comment"),
    columns.digest(),
)

_version = click.option("--version", required=True, metavar="V", help="Version of the model.")
_comment = click.option("--comment", default="", help="Why; kept in the model's history.")


@click.group(cls=Commands)
def model() -> None:
    """See registered models, decide about them, deploy them."""


@model.command("list")
@click.argument("name", required=False)
@output_format
@stacked
def list_(*, name: str | None, output: Output) -> None:
    """List model versions, or those of one model, the newest first."""
    from flowyml.cli.objects import model_object

    deployments = _deployments()
    found = [model_object(version, deployments) for version in _versions(name)]
    none = none_of("model", {"": name}, empty="No models are registered.")
    listing(found, MODELS, output, empty=_absent("model_registry") or none)


@model.command()
@click.argument("name")
@click.option("--version", metavar="V", help="Only this version, or the one with this alias.")
@output_format
@stacked
def show(*, name: str, version: str | None, output: Output) -> None:
    """Show a model: its newest version, or the given one, and what serves it."""
    from flowyml.cli.objects import model_object
    from flowyml.routing.deployments import find_model
    from flowyml.stacks.active import current_stack

    deployments = _deployments()
    chosen = find_model(current_stack(), name, version)
    versions = [chosen] if version else _versions(name)
    found = [model_object(item, deployments) for item in versions]
    if output == "json":
        listing(found, MODELS, output, empty="")
        return
    shown = model_object(chosen, deployments)
    facts(
        [
            ("name", chosen.name),
            ("version", chosen.version),
            ("status", shown["status"]),
            ("aliases", ", ".join(chosen.aliases) or None),
            ("uri", chosen.uri),
            ("digest", chosen.digest),
            ("framework", chosen.framework),
            ("run", chosen.run_id),
            ("registered", columns.local_time(chosen.created_at)),
            ("registry", chosen.registry),
            ("registry id", chosen.registry_id),
            *((f"metadata {key}", str(value)) for key, value in chosen.metadata.items()),
        ]
    )
    if shown["deployments"]:
        table(shown["deployments"], ENDPOINTS, title="Endpoints")
    if len(found) > 1:
        table(found, MODELS, title="Versions")


@model.command()
@output_format
@stacked
def endpoints(*, output: Output) -> None:
    """List what serves, the newest first, with its status as it is now."""
    from flowyml.cli.objects import deployment_object

    found = [deployment_object(deployment) for deployment in _deployments()]
    empty = _absent("model_deployer") or "Nothing is deployed."
    listing(found, ENDPOINTS, output, empty=empty)


@model.command()
@click.argument("name")
@_version
@_comment
@stacked
def approve(*, name: str, version: str, comment: str) -> None:
    """Approve a version that waits for it; approval deploys it where a rule says so."""
    with _lifecycle() as lifecycle:
        deployment = lifecycle.approve(name, version, comment)
    line(f"approved {name}@{version}")
    _tell_of(deployment)


@model.command()
@click.argument("name")
@_version
@_comment
@stacked
def reject(*, name: str, version: str, comment: str) -> None:
    """Reject a version that waits for approval; it is not deployed."""
    with _lifecycle() as lifecycle:
        lifecycle.reject(name, version, comment)
    line(f"rejected {name}@{version}")


@model.command()
@click.argument("name")
@_version
@click.option("--endpoint", metavar="E", help="Endpoint; by default the rule's, or the name.")
@stacked
def deploy(*, name: str, version: str, endpoint: str | None) -> None:
    """Deploy a registered version, its digest verified again."""
    with _lifecycle() as lifecycle:
        _tell_of(lifecycle.deploy(name, version, endpoint))


@model.command()
@click.argument("name")
@stacked
def undeploy(*, name: str) -> None:
    """End the endpoints that serve a model."""
    with _lifecycle() as lifecycle:
        ended = lifecycle.undeploy(name)
    for endpoint in ended:
        line(f"{name} is no longer served at {endpoint}")


@model.command()
@click.argument("name")
@click.option("--endpoint", metavar="E", help="Endpoint, where the model has several.")
@stacked
def rollback(*, name: str, endpoint: str | None) -> None:
    """Deploy the version that served before the one that serves now."""
    with _lifecycle() as lifecycle:
        _tell_of(lifecycle.rollback(name, endpoint))


@model.command("history")
@click.argument("name")
@output_format
@stacked
def history_(*, name: str, output: Output) -> None:
    """Show every decision about a model, and verify that none was changed or removed."""
    from flowyml.cli.objects import event_object

    with history() as metadata:
        first_wrong = metadata.verify_history(name)
        events = metadata.events(name)
    if not events and first_wrong is None:
        message = f"the model {name!r} has no history; `flowyml model list` shows what there is"
        raise NotFoundError(message)
    listing([event_object(event) for event in reversed(events)], EVENTS, output, empty="")
    if first_wrong is not None:
        message = (
            f"the history of {name!r} was changed from outside: entry {first_wrong} is missing or "
            "is not what was written; restore .flowyml/metadata.db from a backup"
        )
        raise IntegrityError(message)


def _absent(role: str) -> str | None:
    """Say that the stack has nothing that could list anything; None where it has."""
    from flowyml.stacks.active import current_stack

    stack = current_stack()
    return None if stack.of_role(role) else f"The stack {stack.name!r} has no {role}."


def _versions(name: str | None) -> list[ModelVersion]:
    from flowyml.stacks.active import current_stack

    stack = current_stack()
    found: list[ModelVersion] = []
    for registry in stack.of_role("model_registry"):
        with stack.hooks.in_words("list its models", registry):
            found += stack.hooks.list_models(registry, name)
    return sorted(found, key=lambda version: version.created_at, reverse=True)


def _deployments() -> tuple[Deployment, ...]:
    from flowyml.stacks.active import current_stack

    stack = current_stack()
    found: list[Deployment] = []
    for deployer in stack.of_role("model_deployer"):
        with stack.hooks.in_words("list what it serves", deployer):
            found += stack.hooks.list_deployments(deployer)
    return tuple(found)


@contextmanager
def _lifecycle() -> Iterator[ModelLifecycle]:
    from flowyml.metadata.store import MetadataStore
    from flowyml.routing.deliver import current_user
    from flowyml.routing.lifecycle import ModelLifecycle
    from flowyml.stacks.active import current_project, current_stack

    stack = current_stack()
    with MetadataStore.open(current_project().metadata_path) as metadata:
        yield ModelLifecycle(stack, metadata, current_user())


def _tell_of(deployment: Deployment | None) -> None:
    if deployment is not None:
        line(
            f"deployed {deployment.model}@{deployment.version} to {deployment.endpoint} "
            f"({deployment.status}) {deployment.url or ''}".rstrip()
        )
