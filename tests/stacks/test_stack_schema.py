"""The JSON Schema takes what loads and refuses what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from tests.stacks.documented_files import DOCUMENTED
from tests.stacks.stack_samples import CATALOG, provider

from flowyml.plugins.discovery import Catalog, installed
from flowyml.stacks.interpolation import Veil
from flowyml.stacks.schema import json_schema

SCHEMA = json_schema(CATALOG)


def loaded(text: str) -> Any:
    """Return a file as an editor's YAML library sees it, variables as text."""
    veil = Veil.over(text)
    plain = YAML(typ="safe", pure=True).load(veil.hide(text))
    return json.loads(veil.show(json.dumps(plain, ensure_ascii=False)))


def faults(text: str) -> list[str]:
    """Return what the schema has against a file."""
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(loaded(text))]


def test_it_is_a_schema_of_plain_json() -> None:
    """It passes the metaschema of its dialect and survives JSON."""
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("text", DOCUMENTED.values(), ids=DOCUMENTED.keys())
def test_it_takes_every_documented_file(text: str) -> None:
    """Both shapes, and ${VAR} wherever a value may stand."""
    assert faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "- stacks",
        "stacks: {}",
        "stack: { a: {} }",
        "stacks: { a: {} }\nplugins: {}",
        "stacks: { a: [] }",
        "plugins: { artifact_stor: { type: local } }",
        "plugins: { artifact_store: { type: locl } }",
        "plugins: { artifact_store: {} }",
        "plugins: { artifact_store: local }",
        "plugins: { artifact_store: [{ type: local }] }",
        "plugins: { artifact_store: { type: gcs } }",
        "plugins: { artifact_store: { type: gcs, bucket: b, buckt: c } }",
        "plugins: { artifact_store: { type: gcs, bucket: 7 } }",
        "plugins: { artifact_store: { type: gcs, bucket: b, parts: many } }",
        "plugins: { artifact_store: { type: gcs, bucket: b, verify: 'yes' } }",
        "plugins: { artifact_store: { type: gcs, bucket: b, tier: warm } }",
        "plugins: { artifact_store: { type: gcs, bucket: b, regions: eu } }",
        "plugins: { artifact_store: { type: gcs, bucket: b, retries: { attempt: 1 } } }",
        "plugins: { artifact_routing: { Model: { register: 'false' } } }",
        "plugins: { artifact_routing: { Model: { regster: true } } }",
        "plugins: { artifact_routing: { Model: { path: '{run}' } } }",
        "plugins: { artifact_routing: { Model: { path: 'a/../b' } } }",
        "plugins: { artifact_routing: { Model: { path: '/a' } } }",
        "plugins: { artifact_routing: { Model: { on_error: ignore } } }",
        "plugins: { artifact_routing: { Model: { deploy_min_metrics: { f1: high } } } }",
        "plugins: { extensions: [audi] }",
        "plugins: { trust: everything }",
        "plugins: { cache: 'no' }",
        "plugins: {}\npipelines: [a]",
    ],
)
def test_it_refuses_what_does_not_load(text: str) -> None:
    """Everything that a schema can know."""
    assert faults(text)


def test_no_default_of_a_secret_is_shown() -> None:
    """A field with repr=False has its type there and nothing else."""
    fields = SCHEMA["$defs"]["artifact_store.gcs"]["properties"]
    assert fields["token"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert fields["timeout"]["default"] == 30.0
    assert fields["cache"] == {"type": "string", "default": "cache"}


def test_docstrings_become_descriptions() -> None:
    """An editor shows what the class says about its fields."""
    rule = SCHEMA["$defs"]["rule"]["properties"]
    assert rule["endpoint_name"]["description"] == (
        "Endpoint to deploy to; the model's name where it is not given."
    )


def test_a_broken_plugin_leaves_the_others_their_help() -> None:
    """Its own keys are simply not known."""
    broken = provider("model_registry", "broken", "no_such_module:Registry")
    schema = json_schema(Catalog((*CATALOG.providers, broken)))
    checked = {"plugins": {"model_registry": {"type": "broken", "any": "key"}}}
    assert list(Draft202012Validator(schema).iter_errors(checked)) == []


def test_the_installed_components_have_a_schema() -> None:
    """Every class that the workspace ships can be described."""
    schema = json_schema(installed())
    Draft202012Validator.check_schema(schema)
    described = {name for name in schema["$defs"] if "." in name}
    assert {"artifact_store.local", "model_registry.local", "orchestrator.local"} <= described
