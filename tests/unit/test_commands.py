"""Commands that run one after the other, and what they are told when their launcher is told to stop."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lingualift import commands
from lingualift.commands import Commands
from lingualift.errors import LingualiftError


def test_a_command_is_told_to_stop_by_the_signal_that_srun_passes_on(tmp_path, caplog) -> None:
    script = 'trap "echo told; exit 7" USR1; kill -TERM $PPID; while true; do sleep 0.05; done'
    before = signal.getsignal(signal.SIGTERM)
    with caplog.at_level("INFO"), Commands(tmp_path / "stop") as running:
        assert running.follow(["bash", "-c", script], dict(os.environ)) == 7
        assert running.told
    assert caplog.messages[-1] == "told"
    assert signal.getsignal(signal.SIGTERM) is before
    with Commands(tmp_path / "other") as running:
        with pytest.raises(LingualiftError, match="no-such-srun: no such command"):
            running.follow(["no-such-srun"], {})
        assert not running.told


def test_who_cannot_note_that_it_was_told_passes_it_on_all_the_same(tmp_path) -> None:
    script = 'trap "exit 7" USR1; kill -TERM $PPID; while true; do sleep 0.05; done'
    with Commands(tmp_path / "no such folder" / "stop") as running:
        assert running.follow(["bash", "-c", script], dict(os.environ)) == 7
        assert running.told


def test_told_to_stop_between_two_commands_none_is_run_any_more(tmp_path) -> None:
    with Commands(tmp_path / "stop") as running:
        assert running.follow(["true"], dict(os.environ)) == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert running.follow(["touch", str(tmp_path / "run")], dict(os.environ)) == 1
    assert running.told and not (tmp_path / "run").exists()


_DYING = """
import os, sys
from pathlib import Path
from lingualift.commands import Commands
trap = f"trap 'touch {sys.argv[1]}/ended; exit' TERM; touch {sys.argv[1]}/began; while true; do sleep 0.05; done"
with Commands(Path(sys.argv[1]) / "stop") as running:
    running.follow(["bash", "-c", trap], dict(os.environ))
"""


def test_a_command_is_ended_where_its_launcher_is_killed(tmp_path) -> None:
    """By SIGTERM, of which srun ends its tasks on all nodes."""
    process = subprocess.Popen([sys.executable, "-c", _DYING, str(tmp_path)])
    try:
        while not (tmp_path / "began").exists():
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    deadline = time.monotonic() + 20
    while not (tmp_path / "ended").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_nodes_noted_of_a_command_is_forgotten_at_the_next(tmp_path) -> None:
    """Else the ranks of another step, started again behind a dead one, would stop as soon as they begin."""
    note = tmp_path / "stop"
    with Commands(note) as running:
        assert running.follow(["bash", "-c", f"echo SIGTERM > {note}; exit 3"], dict(os.environ)) == 3
        assert running.follow(["bash", "-c", f"! test -e {note}"], dict(os.environ)) == 0
        assert not running.told


def test_a_command_that_does_not_stop_when_it_is_told_is_ended(tmp_path, monkeypatch, caplog) -> None:
    """As ranks that wait in a library hear of no signal."""
    monkeypatch.setattr(commands, "SHUTDOWN_SECONDS", 0.1)
    monkeypatch.setattr(commands, "_ENDING_SECONDS", 0.1)
    script = 'trap "" USR1 TERM; kill -TERM $PPID; while true; do sleep 0.05; done'
    with caplog.at_level("WARNING"), Commands(tmp_path / "stop") as running:
        assert running.follow(["bash", "-c", script], dict(os.environ)) == -signal.SIGKILL
    assert "still runs: it is ended" in caplog.text


def test_a_command_that_stops_when_it_is_ended_is_not_killed(tmp_path, monkeypatch) -> None:
    """srun ends its tasks on other nodes first."""
    monkeypatch.setattr(commands, "SHUTDOWN_SECONDS", 0.1)
    script = 'trap "" USR1; trap "exit 7" TERM; kill -TERM $PPID; while true; do sleep 0.05; done'
    with Commands(tmp_path / "stop") as running:
        assert running.follow(["bash", "-c", script], dict(os.environ)) == 7
