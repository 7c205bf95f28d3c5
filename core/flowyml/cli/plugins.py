"""``flowyml plugin``: which plugins are installed, how one is configured, written and checked."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import click

from flowyml.cli import columns
from flowyml.cli.fields import FIELDS, described_fields
from flowyml.cli.options import Output, output_format
from flowyml.cli.program import Commands
from flowyml.cli.screen import facts, line, listing, none_of, table
from flowyml.spelling import meant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowyml.cli.checking import Finding
    from flowyml.plugins.discovery import Catalog, Provider

__all__ = ["plugin", "plugin_object"]

PLUGINS: Final = (
    columns.text("role", "role"),
    columns.text("type", "name"),
    columns.text("distribution", "distribution"),
    columns.text("version", "version", is_spare=True),
    columns.text("for flowyml", "requires", is_spare=True),
    columns.status(),
    columns.prose("problem", "problem"),
)

CHECKS: Final = (
    columns.text("plugin", "plugin"),
    columns.text("check", "check"),
    columns.status(),
    columns.prose("found", "message"),
)

NEW_ROLES: Final = (
    "artifact_store",
    "experiment_tracker",
    "model_registry",
    "model_deployer",
    "orchestrator",
    "serializer",
    "extension",
)


@click.group(cls=Commands)
def plugin() -> None:
    """See which plugins are installed and how they are configured; write one and check it."""


@plugin.command("list")
@click.option("--role", metavar="ROLE", help="Only plugins for this role.")
@output_format
def list_(*, role: str | None, output: Output) -> None:
    """List the installed plugins from their metadata; none is imported."""
    from flowyml.plugins.discovery import installed

    catalog = installed()
    found = [
        plugin_object(provider, catalog)
        for provider in sorted((*catalog.providers, *catalog.disabled), key=_place)
        if role is None or provider.role == role
    ]
    empty = none_of("plugin", {"--role": role}, empty="No plugins.")
    listing(found, PLUGINS, output, empty=empty)


@plugin.command()
@click.argument("name")
@click.option("--role", metavar="ROLE", help="Which one, where several roles have this type.")
@output_format
def show(*, name: str, role: str | None, output: Output) -> None:
    """Show a plugin: where it comes from, and each field of its configuration.

    NAME is its type, as `type:` in flowyml.yaml.
    """
    from flowyml.plugins.discovery import installed

    catalog = installed()
    named = (provider.role for provider in catalog.providers if provider.type == name)
    roles = [role] if role else list(dict.fromkeys(named))
    if not roles:
        _refuse_unknown(name, [provider.type for provider in catalog.providers])
    found = [_details(each, name) for each in roles]
    if output == "json":
        listing(found, PLUGINS, output, empty="")
        return
    for details in found:
        facts(
            [
                ("type", details["name"]),
                ("role", details["role"]),
                ("from", f"{details['distribution']} {details['version']}"),
                ("class", details["reference"]),
                ("does", details["doc"]),
            ]
        )
        if details["fields"]:
            table(details["fields"], FIELDS, title=f"Fields of {details['role']} {name}")


@plugin.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(NEW_ROLES),
    default="artifact_store",
    show_default=True,
    help="What it is for.",
)
def new(*, name: str, role: str) -> None:
    """Write a package with a plugin that passes its tests as written.

    NAME is what its `type:` in flowyml.yaml will be. The package goes into a folder of its own
    below the working directory.
    """
    from pathlib import Path

    from flowyml.cli.new_plugin import NewPlugin

    folder = NewPlugin.named(name, role).write(Path())
    line(f"Written: {folder}. Next:", strong=True)
    line(f"  cd {folder}")
    line("  pip install -e '.[test]'")
    line("  pytest")
    line(f"  flowyml plugin check {folder.name}")


@plugin.command()
@click.argument("distribution", required=False)
@click.option(
    "--tests",
    "folder",
    type=click.Path(exists=True, file_okay=False),
    help="Folder of its tests, where they are not found beside its source.",
)
@output_format
def check(*, distribution: str | None, folder: str | None, output: Output) -> int:
    """Check an installed plugin as its author would: what users would run into otherwise.

    DISTRIBUTION is the name of its package, whose tests are run with the suites that they subclass:
    they are found where it was installed from (`pip install -e .`), and in the working directory.
    Without it all plugins of third parties are checked, but no tests of theirs are run. Exits with
    1 when something is wrong.
    """
    from flowyml.cli.checking import check_provider, providers_of
    from flowyml.plugins.discovery import installed

    if folder and not distribution:
        message = "name the distribution whose tests these are"
        raise click.UsageError(message)
    catalog, found, sound = installed(), [], []
    for provider in providers_of(distribution, catalog):
        findings = list(check_provider(provider, catalog))
        found += [_finding_object(f"{provider.role} {provider.type}", each) for each in findings]
        if all(each.status == "ok" for each in findings):
            sound.append(provider)
    for subject, finding in _conformance(distribution, folder, sound, catalog):
        found.append(_finding_object(subject or distribution or "", finding))
    listing(found, CHECKS, output, empty="No plugins of third parties.")
    return 1 if any(each["status"] == "failed" for each in found) else 0


def _conformance(
    distribution: str | None, given: str | None, providers: list[Provider], catalog: Catalog
) -> Iterator[tuple[str, Finding]]:
    """Run the suites for plugins that are sound otherwise."""
    from pathlib import Path

    from flowyml.cli.conformance import default_conformance, tests_of, their_conformance

    if not providers:
        return iter(())
    if distribution is None:
        why = "its own tests run when `flowyml plugin check` names its distribution"
        return default_conformance(providers, catalog, why)
    folder = Path(given) if given else tests_of(providers[0])
    if folder:
        return their_conformance(folder, [each for each in providers if each.role != "role"])
    why = (
        f"no tests of {distribution} were found for the suite of its role: give them with "
        "`--tests FOLDER`, or install it from its source (`pip install -e FOLDER`)"
    )
    return default_conformance(providers, catalog, why)


def plugin_object(provider: Provider, catalog: Catalog) -> dict[str, Any]:
    """Return a plugin as ``-o json`` prints it."""
    from flowyml.cli.soundness import soundness

    status, problem = soundness(provider, catalog)
    return {
        "role": provider.role,
        "name": provider.type,
        "distribution": provider.distribution,
        "version": provider.version,
        "requires": provider.requires or None,
        "reference": provider.entry_point.value,
        "status": status,
        "problem": problem,
    }


def _finding_object(subject: str, finding: Finding) -> dict[str, Any]:
    return {
        "plugin": subject,
        "check": finding.check,
        "status": finding.status,
        "message": f"{finding.message}; {finding.fix}" if finding.fix else finding.message,
    }


def _place(provider: Provider) -> tuple[str, str, str]:
    return provider.role, provider.type, provider.distribution


def _refuse_unknown(name: str, known: list[str]) -> None:
    from flowyml.errors import NotFoundError
    from flowyml.plugins.discovery import INSTALL

    if extra := next((types[name] for types in INSTALL.values() if name in types), None):
        advice = f"install it with `pip install 'flowyml[{extra}]'`"
    else:
        advice = meant(name, known) or "`flowyml plugin list` shows those that are"
    message = f"no plugin {name!r} is installed; {advice}"
    raise NotFoundError(message)


def _details(role: str, name: str) -> dict[str, Any]:
    from flowyml.plugins.discovery import installed

    catalog = installed()
    provider = catalog.find(role, name)
    shown = plugin_object(provider, catalog)
    if role not in {*catalog.roles(), "extension"}:  # a serializer, or a role: no configuration
        return {**shown, "doc": None, "fields": []}
    cls = catalog.component(role, name)
    return {**shown, "doc": inspect.getdoc(cls), "fields": described_fields(cls)}
