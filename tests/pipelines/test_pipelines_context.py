"""Context values reach the steps that ask for them; secrets reach nothing else."""

from __future__ import annotations

import pytest

from flowyml import context, secret
from flowyml.pipelines.context import looks_secret, recordable, redact


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "db_password",
        "HF_TOKEN",
        "apiKey",
        "api_key",
        "API_KEY",
        "aws_secret_access_key",
        "credentials",
        "token",
        "accessKey",
        "private_key",
        "userPasswd",
    ],
)
def test_names_of_secrets_are_recognised(name: str) -> None:
    """A value whose name says that it is a secret is taken for one."""
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["lr", "max_tokens", "tokenizer", "key", "sort_key", "epochs", "monkey", "api"]
)
def test_other_names_are_no_secrets(name: str) -> None:
    """Names that merely sound alike are recorded and logged."""
    assert not looks_secret(name)


def test_a_step_is_given_the_value_of_a_secret() -> None:
    """The mark is taken off where the value is used."""
    values = context(login=secret("abc"), nested={"a": [secret("deep")]})

    assert values["login"] == "abc"
    assert values["nested"] == {"a": ["deep"]}


def test_no_secret_is_public_at_any_depth() -> None:
    """What is recorded leaves out marked values and secret names, also inside of others."""
    values = context(
        lr=0.1,
        api_key="k1",
        login=secret("k2"),
        db={"host": "h", "password": "k3"},
        many=[secret(1)],
    )

    assert values.public == {"lr": 0.1, "db": {"host": "h"}, "many": []}


def test_no_secret_is_shown() -> None:
    """A context, a secret and what holds them hide the values."""
    values = context(lr=0.1, api_key="k1", db={"password": "k3"}, login=secret("k2"))

    assert repr(values) == "context(lr=0.1, api_key=***, db={}, login=***)"
    assert repr(secret("k2")) == "secret(***)"


def test_secrets_are_taken_out_of_messages() -> None:
    """The text of a secret is replaced wherever it turns up, the longest first."""
    values = context(api_key="abcd", token="abcdefgh")

    assert redact("got abcdefgh and abcd", values.secrets) == "got *** and ***"


def test_values_of_a_run_go_over_those_of_the_pipeline() -> None:
    """The same name again takes the place of the value."""
    assert dict(context(lr=0.1, epochs=3).over({"lr": 0.2})) == {"lr": 0.2, "epochs": 3}


def test_what_has_no_json_form_is_recorded_by_its_looks() -> None:
    """Every context value can be written down."""
    assert recordable({"a": (1, None), "b": float("nan"), "c": object}) == {
        "a": [1, None],
        "b": "nan",
        "c": "<class 'object'>",
    }
