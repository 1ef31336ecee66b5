"""Processes and their children: signals passed on, and no child that outlives its parent."""

import contextlib
import ctypes
import os
import signal
import sys

import psutil

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Have this process killed when its parent dies, also of kill -9: nothing goes on without its lock. Linux only."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before the call.
        os.kill(os.getpid(), signal.SIGKILL)


def tell_children(number: signal.Signals) -> int:
    """Send a signal to the children of this process; how many there are."""
    children = psutil.Process().children()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(number)
    return len(children)
