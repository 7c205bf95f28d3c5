"""A transfer that takes long is seen in a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cli.conftest import Ask, read_all

from flowyml.cli.transfer import transfer
from flowyml.cli.watch import LiveView
from flowyml.records import RunInfo
from flowyml.storage.transfers import Transfer

RUN = RunInfo("run-1", "training", "local", datetime(2026, 11, 24, tzinfo=UTC))


def test_a_long_transfer_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, how much of how much, and the terminal is given back."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)
    ours, theirs = pty.openpty()
    with (
        os.fdopen(theirs, "w") as terminal,
        redirect_stdout(terminal),
        transfer("model.pkl", 4096, patience=0) as advance,
    ):
        advance(4096)

    shown = read_all(ours)
    assert "model.pkl" in shown
    assert "4.0 KiB" in shown or "4.0/4.0 KiB" in shown
    assert "\x1b[?25h" in shown  # the cursor is back


def test_a_short_transfer_shows_nothing() -> None:
    """Whoever does not have to wait is not told."""
    ours, theirs = pty.openpty()
    with (
        os.fdopen(theirs, "w") as terminal,
        redirect_stdout(terminal),
        transfer("model.pkl", 4096, patience=600) as advance,
    ):
        advance(4096)
        terminal.write("end")

    assert read_all(ours) == "end"


def test_a_pipe_gets_no_bar(tmp_path: Path) -> None:
    """However long it takes."""
    file = tmp_path / "out"
    with (
        file.open("w") as pipe,
        redirect_stdout(pipe),
        transfer("model.pkl", 1, patience=0) as advance,
    ):
        advance(1)

    assert file.read_text() == ""


def drawn(patience: float, *, ended: bool = False) -> str:
    """Return what a terminal shows of a run that stores something, as it stands at last."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, redirect_stdout(terminal):
        view = LiveView(patience=patience)
        view.run_started(RUN, ["train"])
        going = Transfer("storing model", 8192)
        view.transfer_began(going)
        going.advance(4096)
        if ended:
            view.transfer_ended(going)
        view.close()
    return read_all(ours)


def test_what_a_run_stores_has_a_bar_below_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn with them, so that neither disturbs the other; nobody is told of what is quick."""
    monkeypatch.setenv("TERM", "xterm-256color")

    shown = drawn(patience=0)

    assert shown.index("train") < shown.index("storing model")
    assert "4.0 KiB of 8.0 KiB" in shown
    assert "storing model" not in drawn(patience=600)
    assert "pending" in drawn(patience=600)


def test_a_transfer_that_ended_has_no_bar_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays of a run is what became of its steps."""
    monkeypatch.setenv("TERM", "xterm-256color")

    assert "storing model" not in drawn(patience=0, ended=True).rpartition("pending")[2]


WATCHED = """\
from flowyml import Pipeline, step
from flowyml.storage import transfers


@step
def look() -> str:
    print("watched by", type(transfers.current_watcher()).__name__)
    return "x"


pipeline = Pipeline("p").add_step(look)
"""


def test_a_run_has_bars_in_a_terminal_alone(command: Ask, terminal: Ask, project: Path) -> None:
    """Neither in a pipe, nor with JSON, nor where a server for tests lends a terminal."""
    (project / "flow.py").write_text(WATCHED)

    assert "watched by LiveView" in terminal("run", "flow.py").out
    by_a_server = terminal("run", "flow.py", CI="true").out
    assert "watched by NoneType" in by_a_server
    assert "look: done after" in by_a_server  # a line for each step, as in a pipe
    with_json = terminal("run", "flow.py", "-o", "json")
    assert "watched by NoneType" in with_json.out + with_json.err
    assert "watched by NoneType" in command("run", "flow.py", CI="").out
