"""A process that works on a local registry, for the tests of several processes.

It says ``ready`` when it has loaded everything and begins when it reads a line, so that several of
them really begin at once. It prints a line after each thing that is committed.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

from tests.local.local_samples import a_context, a_registration

from flowyml_local.registry import LocalModelRegistry


def say(word: object) -> None:
    """Tell the test; it may act on it at once."""
    print(word, flush=True)  # noqa: T201


def count_up(registry: LocalModelRegistry, name: str, count: int) -> None:
    """Register one model again and again and leave the counting to the registry."""
    for number in range(count):
        registration = a_registration(None, content=f"{name}-{number}")
        say(registry.register_model(registration, a_context(f"{name}-{number}")).version)


def same_delivery(registry: LocalModelRegistry, _name: str, count: int) -> None:
    """Deliver the very same things as every other process does."""
    for number in range(count):
        registration = a_registration(None, content=f"same-{number}")
        say(registry.register_model(registration, a_context(f"same-{number}")).version)


def for_ever(registry: LocalModelRegistry, name: str, _count: int) -> None:
    """Register and move an alias until the process is killed."""
    for number in itertools.count():
        version = f"{name}-{number}"
        registry.register_model(a_registration(version, content=version), a_context(version))
        say(version)
        registry.set_alias("fraud_detector", version, "champion")


WORK: dict[str, Callable[[LocalModelRegistry, str, int], None]] = {
    work.__name__: work for work in (count_up, same_delivery, for_ever)
}


def main() -> None:
    """Work as the command line says."""
    work, path, name, count = sys.argv[1:]
    say("ready")
    sys.stdin.readline()
    WORK[work](LocalModelRegistry(path=Path(path)), name, int(count))


if __name__ == "__main__":
    main()
