"""Work that is killed by the signal that nobody can catch, after so many calls of what it depends on."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest


class Fuse:
    """Counts calls of some functions in a process of its own, and kills it at the call that is one too many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch, self._left = monkeypatch, 10**9

    def lay(self, owner: Any, name: str) -> None:
        """Count the calls of a function or method."""
        plain = getattr(owner, name)

        def counted(*given: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(*given, **options)

        self._patch.setattr(owner, name, counted)

    def kills(self, work: Callable[[], Any], *, after: int) -> bool:
        """Do some work in a process that has so many calls; whether it was killed, or came to its end before."""

        def limited() -> None:
            self._left = after
            work()

        process = multiprocessing.get_context("fork").Process(target=limited)
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return process.exitcode != 0
