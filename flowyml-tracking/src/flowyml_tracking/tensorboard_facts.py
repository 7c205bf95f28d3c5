"""What TensorBoard has no place for: who logged which parameter, and where a run comes from.

It lies as ``flowyml.json`` in the run's folder, beside the event files, and the hyperparameters
that TensorBoard shows are written anew from it whenever it changes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from attrs import asdict, define, field

from flowyml.errors import DeliveryError
from flowyml.records import RunStatus
from flowyml.storage.locks import locked
from flowyml_tracking.parameters import text_of
from flowyml_tracking.tensorboard_events import beginning, framed

__all__ = ["Facts", "changing"]

FILE: Final = "flowyml.json"

HYPERPARAMETERS: Final = "events.out.tfevents.0.hparams"
"""Sorts before every other event file, so that TensorBoard goes on following the newest one."""


@define
class Facts:
    """The facts of one run.

    Attributes:
        parameters: By name the value as text, the value as TensorBoard shows it, and the step that
            logged it.
        origin: Pipeline, run, stack, user, commit.
        status: How the run ended; None while it goes on.
    """

    parameters: dict[str, dict[str, Any]] = field(factory=dict)
    origin: dict[str, str] = field(factory=dict)
    metadata: dict[str, str] = field(factory=dict)
    status: str | None = None
    started: float = 0.0
    ended: float | None = None

    def add_parameter(self, name: str, value: object, step: str) -> None:
        """Remember a parameter and who logged it."""
        shown = value if isinstance(value, bool | int | float | str) else text_of(value)
        self.parameters[name] = {"text": text_of(value), "value": shown, "step": step}

    def end(self, status: RunStatus) -> None:
        """Remember how the run ended."""
        self.status = status.value
        self.ended = datetime.now(UTC).timestamp()


@contextmanager
def changing(folder: Path) -> Iterator[Facts]:
    """Give out the facts of a run, and write what became of them; other processes wait.

    Raises:
        DeliveryError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(str(folder)):
            file = folder / FILE
            before = file.read_text() if file.exists() else "{}"
            facts = Facts(**json.loads(before))
            yield facts
            after = json.dumps(asdict(facts), indent=2)
            if after != before:
                _replace(folder / HYPERPARAMETERS, _hyperparameters(facts))
                _replace(file, after.encode())
    except DeliveryError:
        raise
    except OSError as cause:
        message = f"TensorBoard's folder {folder} cannot be written: {cause}"
        raise DeliveryError(message) from cause


def _replace(file: Path, content: bytes) -> None:
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=".flowyml-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _hyperparameters(facts: Facts) -> bytes:
    """Return a whole event file that tells TensorBoard's hparams plugin of this run."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2

    values = {name: entry["value"] for name, entry in facts.parameters.items()}
    group = facts.origin.get("run_id")
    start = summary_v2.hparams_pb(values, trial_id=group, start_time_secs=facts.started)
    events = [beginning(facts.started), Event(wall_time=facts.started, summary=start)]
    if facts.ended is not None:
        good = facts.status in (RunStatus.DONE, RunStatus.INCOMPLETE)
        status = api_pb2.STATUS_SUCCESS if good else api_pb2.STATUS_FAILURE
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=facts.ended)
        content = plugin_data_pb2.HParamsPluginData(
            version=metadata.PLUGIN_DATA_VERSION, session_end_info=end
        )
        events.append(Event(wall_time=facts.ended, summary=_end_summary(content)))
    return framed(events)


def _end_summary(content: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata

    plugin = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString()
    )
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=SummaryMetadata(plugin_data=plugin),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])
