"""Context values reach the steps that ask for them; secrets reach nothing else."""

from __future__ import annotations

from collections import Counter, OrderedDict
from pathlib import Path

import pytest
from attrs import frozen

from flowyml import context, secret
from flowyml.pipelines.context import looks_secret, recordable
from flowyml.stacks.secrecy import redact


@frozen
class Login:
    password: str


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


def test_a_step_is_given_lists_of_its_own() -> None:
    """What one step puts into them, neither the next step nor the next run finds there."""
    shared = object()
    counted = Counter(a=1)
    given = context(
        grid={"lr": [0.1]}, tags={"a"}, pair=([1], secret([2])), shared=shared, counted=counted
    )

    given["grid"]["lr"].append(1)
    given["tags"].add("b")
    given["pair"][0].append(3)
    given["pair"][1].append(3)

    given["counted"].update("a")
    assert {**given} == {
        "grid": {"lr": [0.1]},
        "tags": {"a"},
        "pair": ([1], [2]),
        "shared": shared,
        "counted": Counter(a=1),
    }
    assert given["shared"] is shared


def test_no_secret_is_public_at_any_depth() -> None:
    """What is recorded leaves out marked values and secret names, also inside of others."""
    values = context(
        lr=0.1,
        api_key="k1",
        login=secret("k2"),
        db={"host": "h", "password": "k3"},
        many=[secret(1)],
        more=OrderedDict(token="k4", a=1),
    )

    assert values.public == {"lr": 0.1, "db": {"host": "h"}, "many": [], "more": {"a": 1}}


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


@pytest.mark.parametrize("given", ["other", secret("other")], ids=["plain", "marked"])
def test_what_takes_the_place_of_a_secret_is_one(given: object) -> None:
    """`flowyml run --param value=...` cannot mark it again."""
    values = context(value=secret("first"), plain=1).over({"value": given, "plain": 2})

    assert (values["value"], values.secrets) == ("other", ("other",))
    assert values.public == {"plain": 2}


def test_every_value_can_be_recorded() -> None:
    """What has no JSON form is recorded as text where that is harmless, else by its kind."""
    values = {"a": (1, None), "b": float("nan"), "c": Path("x/y"), "d": Login("hidden")}

    assert recordable(values) == {
        "a": [1, None],
        "b": "nan",
        "c": "x/y",
        "d": f"<{__name__}.Login>",
    }


def test_objects_are_not_shown() -> None:
    """The looks of an object may hold a secret of its own."""
    assert "hidden" not in repr(context(login=Login("hidden")))


def test_a_login_inside_of_an_address_is_no_parameter() -> None:
    """User and password are taken out of a URL that is recorded; the step gets them."""
    values = context(database="postgres://ann:s3cret@host/db", page="https://host/a:b@c")

    assert values.public == {"database": "postgres://***@host/db", "page": "https://host/a:b@c"}
    assert values["database"] == "postgres://ann:s3cret@host/db"
