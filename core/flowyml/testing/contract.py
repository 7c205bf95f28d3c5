"""What the suites share: how a test is left out, and no other way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

__all__ = ["Contract"]


class Contract:
    """Tests that subclasses inherit.

    Attributes:
        skips: Reason by name of an inherited test that does not apply.
    """

    skips: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Refuse a test that is left out without saying so."""
        super().__init_subclass__()
        inherited = {name for base in cls.__mro__[1:] for name in vars(base) if _is_test(name)}
        for name, reason in cls.skips.items():
            if name not in inherited | set(vars(cls)):
                message = f"{cls.__name__}.skips: there is no test {name!r}"
                raise TypeError(message)
            if not reason.strip():
                message = f"{cls.__name__}.skips: say why {name!r} does not apply"
                raise TypeError(message)
        if hidden := sorted(inherited.intersection(vars(cls))):
            message = (
                f"{cls.__name__} replaces {', '.join(hidden)}; name a test that does not apply in "
                "`skips`, with the reason, and give your own another name"
            )
            raise TypeError(message)

    @pytest.fixture(autouse=True)
    def _skip_what_does_not_apply(self, request: pytest.FixtureRequest) -> None:
        # In a report for machines (``--junitxml``) each test says which suite it is of.
        request.node.user_properties.append(("suite", _suite(type(self))))
        name = getattr(request.node, "originalname", request.node.name)
        if reason := self.skips.get(name):
            pytest.skip(reason)


def _suite(cls: type) -> str:
    """Return the name of the suite that a class of tests subclasses."""
    return next(base.__name__ for base in cls.__mro__ if base.__module__.startswith(__package__))


def _is_test(name: str) -> bool:
    return name.startswith("test_")
