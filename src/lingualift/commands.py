"""Commands of which one runs after the other, and what they are told when this process is told to stop."""

import contextlib
import logging
import os
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from lingualift.errors import LingualiftError
from lingualift.interruptions import SIGNALS, is_preempted
from lingualift.processes import die_with_parent

logger = logging.getLogger(__name__)
# Longer than writing a checkpoint takes: who is told to stop finishes its step and writes one. Then it is ended, and
# killed if that does not help.
SHUTDOWN_SECONDS, _ENDING_SECONDS = 3600.0, 60.0


class Commands:
    """Runs commands, one after the other; told to stop, also between two of them, it tells the one that runs.

    Args:
        note: a file that is then written: for those that are not yet there to be told. The nodes' agents write into it
            which signals they were sent.
    """

    def __init__(self, note: Path) -> None:
        self._note, self._told = note, False
        self._process: subprocess.Popen[str] | None = None
        self._end: threading.Timer | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Commands":
        self._former = {number: signal.signal(number, self._pass_on) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def told(self) -> bool:
        """Whether this process, or those that it started, were told to stop.

        SIGTERM alone does not say so: of a rank that died on one node srun ends the agents of the others by it, too.
        """
        if self._told:
            return True
        try:
            said = self._note.read_text(encoding="utf-8")
        except OSError:
            return False
        return signal.SIGUSR1.name in said or is_preempted()

    def follow(self, command: list[str], environment: dict[str, str]) -> int:
        """Run a command, its output into the log, and end it where this process ends, however it does.

        What the nodes noted of the command before is forgotten.

        Returns:
            Its status; 1 without running it where this process was told to stop.

        Raises:
            LingualiftError: there is no such command.
        """
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        if self._told:
            return 1
        try:
            # Of SIGTERM srun ends its tasks on all nodes, which SIGKILL would leave there.
            self._process = process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                preexec_fn=partial(die_with_parent, signal.SIGTERM, parent=os.getpid()),
            )
        except FileNotFoundError as error:
            raise LingualiftError(f"{command[0]}: no such command; the profile says how jobs are run") from error
        try:
            if self._told:
                # Before there was a process to tell.
                self._tell()
            assert process.stdout is not None
            for line in process.stdout:
                logger.info("%s", line.rstrip())
            return process.wait()
        finally:
            self._process = None
            if self._end is not None:
                self._end.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        # On a full disk, or where the folder is gone, there is at least who is told by a signal.
        with contextlib.suppress(OSError):
            self._note.touch()
        self._tell()

    def _tell(self) -> None:
        if self._process is not None:
            # Not SIGTERM: srun would end its tasks of it, where it passes SIGUSR1 on to them.
            self._process.send_signal(signal.SIGUSR1)
            if self._end is None:
                self._end = threading.Timer(SHUTDOWN_SECONDS, _end, [self._process])
                self._end.daemon = True
                self._end.start()


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process that was told to stop long ago."""
    logger.warning("told to stop %.0f s ago, process %d still runs: it is ended", SHUTDOWN_SECONDS, process.pid)
    process.terminate()
    try:
        process.wait(_ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
