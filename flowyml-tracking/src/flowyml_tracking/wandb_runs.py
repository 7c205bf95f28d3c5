"""The one W&B run that stands for a pipeline run."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from flowyml.errors import DeliveryError
from flowyml.records import LoggedRun, RunInfo, RunStatus
from flowyml_tracking.origin import origin_of
from flowyml_tracking.wandb_client import FINISH_PATIENCE, PATIENCE, answers, let_go, sdk
from flowyml_tracking.wandb_journal import Entry, Journal
from flowyml_tracking.wandb_records import ended, history, run_files

__all__ = ["KEY", "STEP", "WandbRun", "WandbRuns"]

KEY: Final = "_flowyml"
"""Column of a row for its idempotency key; W&B shows no column that begins with ``_``."""

STEP: Final = "step"

LONGEST_ID: Final = 64


@define
class WandbRun:
    """A W&B run that this process has open.

    Attributes:
        run: W&B's own object.
        journal: What was handed to it.
    """

    run: Any
    journal: Journal
    _drawn: set[str] = field(init=False, factory=set)
    _is_finished: bool = field(init=False, default=False)

    @property
    def logged(self) -> LoggedRun:
        """What a delivery gives back; an offline run has no address."""
        return LoggedRun(self.run.id, self.run.url)

    def take(self, entries: Iterable[Entry]) -> None:
        """Hand deliveries to W&B."""
        for entry in entries:
            for row in entry.rows:
                self._draw(row)
                self.run.log(row, commit=True)
            if entry.config:
                self.run.config.update(entry.config, allow_val_change=True)
            for name, value in entry.summary.items():
                self.run.summary[name] = value

    def show(self, name: str, image: Any) -> None:
        """Show a picture."""
        self.run.log({name: sdk().Image(image)}, commit=True)

    def finish(self, *, exit_code: int) -> None:
        """Finish it and wait until W&B has everything, or has said once that it could not.

        Raises:
            DeliveryError: What W&B was given did not all reach its file.
        """
        if self._is_finished:
            return
        self._is_finished = True
        self.run.finish(exit_code=exit_code)
        if self.run.offline:
            _wait_for_end(Path(self.run.settings.sync_file))

    def _draw(self, row: dict[str, Any]) -> None:
        """Have W&B draw metrics over our step; it takes a name with a star for a pattern."""
        if STEP not in row:
            return
        for name in row:
            is_known = name == STEP or name in self._drawn
            if name and not is_known and "*" not in name and not name.startswith("_"):
                self.run.define_metric(name, step_metric=STEP)
                self._drawn.add(name)


@define
class WandbRuns:
    """Opens W&B runs under ids that follow from the pipeline runs: never two for one.

    Attributes:
        project: None for W&B's own setting, else the name of the pipeline.
        entity: User or team.
        mode: None for W&B's own setting.
        folder: Where W&B makes its folder ``wandb``.
        base_url: Address of the server.
        api_key: A secret.
    """

    project: str | None
    entity: str | None
    mode: str | None
    folder: Path
    base_url: str | None
    api_key: str | None = field(repr=False)
    _open: dict[str, WandbRun] = field(init=False, factory=dict)

    def open(self, run: RunInfo) -> WandbRun:
        """Return the W&B run that takes values now, with all that was handed over before."""
        if run.run_id not in self._open:
            with answers(f"open its run for {run.run_id!r}"):
                self._open[run.run_id] = self._opened(run)
        return self._open[run.run_id]

    def _opened(self, run: RunInfo) -> WandbRun:
        with ExitStack() as undoing:
            journal = self._journal(run)
            undoing.callback(journal.close, settled=False)
            left = journal.open()
            opened = WandbRun(self._init(run), journal)
            undoing.callback(_abandon, opened)
            opened.take(_without(left, self._arrived(run, opened.run, left)))
            undoing.pop_all()
            return opened

    @contextmanager
    def handing_over(self, run: RunInfo, task: str) -> Iterator[WandbRun]:
        """Have the W&B run open in a block, and give it up where the block fails.

        Nobody knows then what W&B has. Whoever opens the run next finds out, and hands over what
        else the journal has.

        Args:
            run: The pipeline run.
            task: What the block asks of W&B, as it stands after "could not".

        Raises:
            DeliveryError: W&B refused, or its helper process is gone.
        """
        opened = self.open(run)
        try:
            with answers(task):
                yield opened
        except BaseException:
            del self._open[run.run_id]
            try:
                _abandon(opened)
            finally:
                opened.journal.close(settled=False)
            raise

    def has_unsettled(self, run: RunInfo) -> bool:
        """Say whether somebody handed values over who did not finish, and is not at it now."""
        return self._journal(run).has_unsettled()

    def finish(self, run: RunInfo, status: RunStatus) -> None:
        """Finish the W&B run, and wait until W&B has everything.

        A run that logged nothing has none. One that could not be finished is opened anew.

        Raises:
            DeliveryError: W&B may not have everything; the journal has.
        """
        if run.run_id not in self._open and not self.has_unsettled(run):
            return
        good = status in (RunStatus.DONE, RunStatus.INCOMPLETE)
        with self.handing_over(run, f"finish its run of {run.run_id!r}") as opened:
            opened.run.summary["flowyml.status"] = status.value
            opened.finish(exit_code=0 if good else 1)
        self._open.pop(run.run_id).journal.close(settled=True)

    def _journal(self, run: RunInfo) -> Journal:
        return Journal(self.folder / "wandb" / "flowyml" / _id(run))

    def _init(self, run: RunInfo) -> Any:
        wandb = sdk()
        self.folder.mkdir(parents=True, exist_ok=True)
        project = self.project or wandb.Settings().project or run.pipeline
        try:
            return wandb.init(
                id=_id(run),
                name=run.run_id,
                project=project,
                entity=self.entity,
                dir=str(self.folder),
                mode=self.mode,
                resume="allow",
                reinit="create_new",  # a run that the user's own code opened stays what it is
                tags=[run.pipeline[:64], run.stack[:64]],
                config={f"flowyml.{name}": fact for name, fact in origin_of(run).items()},
                settings=self._settings(wandb),
            )
        except BaseException:
            let_go(wandb)
            raise

    def _settings(self, wandb: Any) -> Any:
        wanted = {"base_url": self.base_url, "api_key": self.api_key}
        return wandb.Settings(
            console="off",
            silent=True,
            init_timeout=PATIENCE,
            finish_timeout=FINISH_PATIENCE,  # W&B would wait for ever for a server that is gone
            finish_timeout_raises=True,
            x_disable_stats=True,
            x_disable_meta=True,
            **{name: value for name, value in wanted.items() if value},
        )

    def _arrived(self, run: RunInfo, opened: Any, left: list[Entry]) -> set[str]:
        """Return the keys of those rows that did not get lost with a process that died."""
        if not any(entry.rows for entry in left):
            return set()
        if opened.offline:
            files = run_files(self.folder, _id(run))
            return {str(row[KEY]) for file in files for row in history(file) if KEY in row}
        address = {"base_url": self.base_url} if self.base_url else {}
        server = sdk().Api(overrides=address, api_key=self.api_key)
        found = server.run(f"{opened.entity}/{opened.project}/{opened.id}")
        # Asked for one column, the server would give samples.
        return {str(row[KEY]) for row in found.scan_history(use_cache=False) if KEY in row}


def _abandon(opened: WandbRun) -> None:
    """Finish a run in which something failed, which is being told already."""
    with suppress(Exception):
        opened.finish(exit_code=1)


def _wait_for_end(file: Path) -> None:
    """Wait until the file of an offline run is complete; W&B may still be writing it."""
    deadline = time.monotonic() + PATIENCE
    while not ended(file):
        if time.monotonic() > deadline:
            message = (
                f"W&B did not write all that it was given to {file}; if the disk is full, make room"
            )
            raise DeliveryError(message, transient=True)
        time.sleep(0.02)


def _without(entries: list[Entry], arrived: set[str]) -> list[Entry]:
    """Take out the rows that W&B has; settings and summary may be handed over again."""
    return [
        Entry(
            entry.key, [r for r in entry.rows if r[KEY] not in arrived], entry.config, entry.summary
        )
        for entry in entries
    ]


def _id(run: RunInfo) -> str:
    """Return the W&B id that belongs to a pipeline run."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", run.run_id)
    if plain == run.run_id and len(plain) <= LONGEST_ID:
        return plain
    return f"{plain[:40]}-{hashlib.sha256(run.run_id.encode()).hexdigest()[:16]}"
