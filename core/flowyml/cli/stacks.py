"""``flowyml stack``: which stacks there are, what is in them, and whether they work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import click

from flowyml.cli import columns
from flowyml.cli.answer import kept_apart
from flowyml.cli.cells import Column
from flowyml.cli.options import Output, configured, output_format, stacked
from flowyml.cli.program import Commands
from flowyml.cli.screen import complain, facts, line, listing, table, write

if TYPE_CHECKING:
    from flowyml.plugins.components import Component
    from flowyml.stacks.stack import Stack

__all__ = ["stack"]

HIDDEN: Final = "(hidden)"

PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")

STACKS: Final = (
    Column("active", lambda item: "*" if item["active"] else ""),
    columns.text("stack", "name"),
)

COMPONENTS: Final = (
    columns.text("component", "component"),
    columns.text("type", "type"),
    Column("configuration", lambda item: _assignments(item["configuration"]), is_text=True),
)

RULES: Final = (
    columns.text("type", "type"),
    Column("rule", lambda item: _assignments(item["rule"]), is_text=True),
)

VALIDATED: Final = (
    columns.text("stack", "name"),
    columns.status(),
)

CHECKS: Final = (
    columns.text("component", "component"),
    columns.text("check", "name"),
    columns.status(),
    columns.prose("finding", "message"),
    columns.prose("fix", "fix"),
)


@click.group(cls=Commands)
def stack() -> None:
    """See, choose and check the stacks of flowyml.yaml."""


@stack.command("list")
@output_format
@configured
def list_(*, output: Output) -> None:
    """List the stacks; an asterisk marks the active one."""
    from flowyml.stacks.active import configuration, stack_name

    active = stack_name()
    config = _config()
    found = [
        {"name": name, "active": name == active, "config": config}
        for name in configuration().stack_names
    ]
    listing(found, STACKS, output, empty="No stacks.")


@stack.command()
@click.argument("name", required=False)
@output_format
@stacked
def show(*, name: str | None, output: Output) -> None:
    """Show a stack, by default the active one: components, configuration and rules."""
    from flowyml.stacks.active import current_stack, stack_name

    built = current_stack(name)
    shown: dict[str, Any] = {
        "name": built.name,
        "active": built.name == stack_name(),
        "config": _config(),
        "components": _components(built),
        "artifact_routing": {name: _written(rule) for name, rule in built.rules.items()},
        "trust": sorted(built.trust),
        "cache": built.cache,
    }
    if output == "json":
        listing([shown], STACKS, output, empty="")
        return
    facts(
        [
            ("stack", f"{built.name} (active)" if shown["active"] else built.name),
            ("config", shown["config"] or "none: the built-in stack"),
            ("trust", ", ".join(shown["trust"]) or None),
        ]
    )
    table(shown["components"], COMPONENTS, title="Components")
    if built.rules:
        rules = [{"type": key, "rule": rule} for key, rule in shown["artifact_routing"].items()]
        table(rules, RULES, title="Artifact routing")


@stack.command("set")
@click.argument("name")
@configured
def set_(*, name: str) -> None:
    """Make a stack the active one in flowyml.yaml; comments and layout stay."""
    from flowyml.stacks.active import current_project
    from flowyml.stacks.editing import set_active_stack

    project = current_project()
    set_active_stack(project, name)
    line(f"active_stack is {name} in {project.config}")


@stack.command()
@click.argument("name", required=False)
@output_format
@configured
def validate(*, name: str | None, output: Output) -> int:
    """Check the file and build each stack, or one, without reaching any backend.

    Exits with 2 when something is wrong.
    """
    from flowyml.cli.validation import checked_stacks, doubted, explained
    from flowyml.plugins.discovery import installed, warn_of_misfits

    checked = checked_stacks(name)
    failed = [check for check in checked if check["error"]]
    if not failed:
        warn_of_misfits(installed())
    if output == "json":
        listing(checked, VALIDATED, output, empty="")
    elif whole := [check for check in checked if not check["error"]]:
        table(whole, VALIDATED)
    for check in failed if output == "table" else ():
        complain(f"Error: {explained(check)}")
    for doubt in chain.from_iterable(map(doubted, checked)) if output == "table" else ():
        complain(f"Warning: {doubt}")
    return 2 if failed else 0


@stack.command()
@configured
def schema() -> None:
    """Print the JSON Schema of flowyml.yaml with every installed plugin, for editors."""
    from flowyml.stacks.schema import json_schema

    with kept_apart():
        written = json.dumps(json_schema(), indent=2)
    write(written)


@stack.command()
@click.argument("name", required=False)
@output_format
@stacked
def doctor(*, name: str | None, output: Output) -> int:
    """Reach every backend of a stack, and say what is wrong and how to put it right.

    Exits with 1 when something is wrong.
    """
    from flowyml.stacks.active import current_stack

    built = current_stack(name)
    found = list(_absent(built)) + [
        check
        for component, instance in built.components.items()
        for check in _diagnosis(component, built.types[component], instance)
    ]
    listing(found, CHECKS, output, empty="The stack has no components.")
    return 1 if any(check["status"] != "ok" for check in found) else 0


def shown_configuration(component: Component) -> dict[str, Any]:
    """Return the fields of a component as they may be shown: secrets are hidden."""
    import attrs

    return {
        a.name: _without_password(getattr(component, a.name)) if a.repr else HIDDEN
        for a in attrs.fields(type(component))
        if a.init
    }


def _without_password(value: Any) -> Any:
    """Hide what a user put into an address: ``http://ada:hunter2@host``."""
    return PASSWORD.sub(f"{HIDDEN}@", value) if isinstance(value, str) else value


def _components(built: Stack) -> list[dict[str, Any]]:
    return [
        {
            "component": name,
            "type": built.types[name],
            "configuration": shown_configuration(component),
        }
        for name, component in built.components.items()
    ]


def _written(rule: Any) -> dict[str, Any]:
    import attrs

    return {
        a.name: value
        for a in attrs.fields(type(rule))
        if (value := getattr(rule, a.name)) is not None
    }


def _diagnosis(name: str, type_: str, component: Component) -> list[dict[str, Any]]:
    """Ask a component how it is; one that fails while it looks has found something as well."""
    from flowyml.plugins.libraries import missing_libraries
    from flowyml.records import Check
    from flowyml.stacks.guarding import answers
    from flowyml.stacks.secrecy import component_secrets, redact, said

    if any(missing_libraries(component)):
        return []  # there is nothing else to ask
    try:
        checks = list(answers(component.diagnose(), Check, "diagnose", name))
        checks = checks or [_checked_in_advance(component)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is the finding
        checks = [Check("diagnosis", ok=False, message=said(error))]
    secrets = component_secrets([component])
    return [
        {
            "component": name,
            "type": type_,
            "name": check.name,
            "status": "ok" if check.ok else "failed",
            "message": redact(check.message, secrets),
            "fix": check.fix and redact(check.fix, secrets),
        }
        for check in checks
    ]


def _absent(built: Stack) -> Iterator[dict[str, Any]]:
    """Yield each library that is missing once, whoever needs it, with one command for them all."""
    from flowyml.plugins.libraries import install_command, missing_libraries

    users: dict[Any, list[str]] = {}
    for name, component in built.components.items():
        for missing in missing_libraries(component):
            users.setdefault(missing, []).append(name)
    for missing, names in users.items():
        yield {
            "component": ", ".join(names),
            "type": ", ".join(built.types[name] for name in names),
            "name": missing.module,
            "status": "failed",
            "message": "is not installed",
            "fix": install_command(users),
        }


def _checked_in_advance(component: Component) -> Any:
    from flowyml.records import Check

    component.preflight()
    return Check("preflight", ok=True, message="ready")


def _config() -> str | None:
    from flowyml.stacks.active import current_project

    config = current_project().config
    return str(config) if config else None


def _assignments(values: Mapping[str, Any]) -> str:
    given = {key: value for key, value in values.items() if value is not None}
    return ", ".join(f"{key}={value}" for key, value in given.items()) or "-"
