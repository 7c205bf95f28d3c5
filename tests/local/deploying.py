"""A process that deploys a model and kills itself at a named point on the way.

Its arguments: the folder of the endpoints, the endpoint, the key, the point, and a file with the
pickled `ModelVersion`. A point is ``before`` or ``after``, one of `CALLS`, and how often that has
been called by then: ``after write 1``.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.local.local_samples import a_context

from flowyml_local import launching
from flowyml_local.deployer import LocalModelDeployer
from flowyml_local.endpoints import EndpointFiles
from flowyml_local.processes import Process

CALLS: dict[str, tuple[Any, str]] = {
    "spawn": (launching, "_spawn"),
    "listen": (launching, "_listen"),
    "write": (EndpointFiles, "write"),
    "end": (Process, "end"),
}


def die_at(point: str) -> None:
    """Make the process kill itself at the point, as surely as a power cut."""
    when, name, number = point.split()
    owner, attribute = CALLS[name]
    call: Callable[..., Any] = getattr(owner, attribute)
    calls = iter(range(1, 100))

    def deadly(*arguments: Any) -> Any:
        due = next(calls) == int(number)
        if due and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, deadly)


def main() -> None:
    """Deploy as the command line says."""
    path, endpoint, key, point, pickled = sys.argv[1:]
    model = pickle.loads(Path(pickled).read_bytes())
    if point != "never":
        die_at(point)
    deployer = LocalModelDeployer(path=Path(path))
    print("ready", flush=True)  # noqa: T201
    deployment = deployer.deploy_model(model, endpoint, a_context(key))
    print(deployment.url, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
