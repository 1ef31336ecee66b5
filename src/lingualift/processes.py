"""Processes and their children: signals passed on, and no child that outlives its parent."""

import contextlib
import ctypes
import os
import signal
import sys

import psutil

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Looked up here: between fork and exec, where it may be called, hardly anything is safe.
_prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None


def die_with_parent(number: signal.Signals = signal.SIGKILL, *, parent: int | None = None) -> None:
    """Have this process sent a signal when its parent dies, also of kill -9: nothing goes on without its lock.

    Linux only. It outlasts ``exec``: a command can be started with it.

    Args:
        parent: the process id of the parent, where it is known: it may have died before this call.
    """
    if _prctl is None:
        return
    parent = os.getppid() if parent is None else parent
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def tell_children(number: signal.Signals) -> int:
    """Send a signal to the children of this process; how many there are."""
    children = psutil.Process().children()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(number)
    return len(children)
