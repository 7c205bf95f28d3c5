"""The JSON Schema of ``flowyml.yaml`` with the components that are installed, for editors."""

from __future__ import annotations

from typing import Final

from flowyml.errors import PluginError
from flowyml.plugins.discovery import Catalog, installed
from flowyml.stacks.rules import Rule
from flowyml.stacks.schema_types import VARIABLE, Schema, class_schema

__all__ = ["json_schema"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema(catalog: Catalog | None = None) -> Schema:
    """Return the schema; every value in it is plain JSON.

    A component that cannot be imported takes any keys in it, so that one broken plugin does not
    take the help away from the others. No default of a secret is in it.

    Args:
        catalog: The plugins; the installed ones where it is not given.
    """
    catalog = catalog or installed()
    definitions = {"rule": class_schema(Rule), "stack": _stack(catalog)}
    for role in (*catalog.roles(), "extension"):
        definitions[role] = _role(catalog, role)
        for type_ in catalog.types(role):
            definitions[f"{role}.{type_}"] = _component(catalog, role, type_)
    return {
        "$schema": DIALECT,
        "title": "flowyml.yaml",
        "description": "Where the artifacts of FlowyML pipelines go.",
        "type": "object",
        "properties": {
            "stacks": {
                "description": "The stacks by name.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": r"^[^\s/\\.-][^/\\]*$"},
                "additionalProperties": _to("stack"),
            },
            "plugins": {"description": "The only stack, named default.", **_to("stack")},
            "active_stack": {
                "description": "The stack that is used where nobody says otherwise.",
                "type": "string",
            },
            "pipelines": {
                "description": "FILE:attribute or module:attribute of pipelines, by name.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
        },
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "not": {"required": ["stacks", "plugins"]},
        "$defs": definitions,
    }


def _to(definition: str) -> Schema:
    return {"$ref": f"#/$defs/{definition}"}


def _stack(catalog: Catalog) -> Schema:
    several = {role for role in catalog.roles() if _takes_list(catalog, role)}
    roles = {
        role: {"anyOf": [_to(role), {"type": "array", "items": _to(role)}]}
        if role in several
        else _to(role)
        for role in catalog.roles()
    }
    trust = {"anyOf": [{"enum": ["pickle"]}, VARIABLE]}
    return {
        "type": ["object", "null"],
        "properties": {
            **roles,
            "artifact_stores": {
                "description": "Further stores by the names that rules give them.",
                "type": "object",
                "additionalProperties": _to("artifact_store"),
            },
            "artifact_routing": {
                "description": "Rules by the name of the type; `default` is for every other.",
                "type": "object",
                "additionalProperties": _to("rule"),
            },
            "extensions": {
                "description": "What wraps or observes the components, the outermost first.",
                "type": "array",
                "items": {"anyOf": [_type(catalog, "extension"), _to("extension")]},
            },
            "trust": {
                "description": "What may be read although it could run code.",
                "anyOf": [*trust["anyOf"], {"type": "array", "items": trust}],
            },
            "cache": {
                "description": "Whether steps that do not say may be answered from an earlier run.",
                "anyOf": [{"type": "boolean"}, VARIABLE],
            },
        },
        "additionalProperties": False,
    }


def _takes_list(catalog: Catalog, role: str) -> bool:
    try:
        return catalog.role(role).several
    except PluginError:
        return True


def _type(catalog: Catalog, role: str) -> Schema:
    return {"anyOf": [{"enum": list(catalog.types(role))}, VARIABLE]}


def _role(catalog: Catalog, role: str) -> Schema:
    """Return the schema of a component of a role: `type` decides which other keys there are."""
    schema = {
        "type": "object",
        "properties": {"type": _type(catalog, role)},
        "required": ["type"],
    }
    cases = [
        {
            "if": {"properties": {"type": {"const": type_}}, "required": ["type"]},
            "then": _to(f"{role}.{type_}"),
        }
        for type_ in catalog.types(role)
    ]
    return {**schema, "allOf": cases} if cases else schema


def _component(catalog: Catalog, role: str, type_: str) -> Schema:
    try:
        return class_schema(catalog.component(role, type_), {"type": {"const": type_}})
    except (PluginError, NameError):  # NameError: an annotation that only a type checker can read
        return {"type": "object", "description": "This plugin cannot be imported."}
