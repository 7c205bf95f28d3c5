"""A transfer that takes long is seen in a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from tests.cli.conftest import read_all

from flowyml.cli.transfer import transfer


def test_a_long_transfer_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, how much of how much, and the terminal is given back."""
    monkeypatch.setenv("TERM", "xterm-256color")
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
