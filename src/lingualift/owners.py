"""Which process something belongs to, and whether that one still runs."""

import functools
import hashlib
import os
import socket
from pathlib import Path

import psutil

_SLACK = 1.0  # seconds by which two readings of when a process began may differ


def own_mark() -> str:
    """What names this process among all others, in a file name: ``<where>-<process id>-<when it began>``."""
    return _mark(os.getpid())


@functools.cache
def _mark(pid: int) -> str:
    return f"{_here()}-{pid}-{psutil.Process(pid).create_time():.0f}"


def is_dead(mark: str) -> bool | None:
    """Whether the process of a mark has ended; None where that is not seen from here."""
    where, pid, started = mark.split("-")
    return None if where != _here() else not runs(int(pid), float(started))


def runs(pid: int, started: float) -> bool:
    """Whether a process of this number runs that began at that time, in seconds since the epoch."""
    try:
        process = psutil.Process(pid)
        # Numbers are used again: one that began at another time is another process. One that has ended keeps its number
        # until its parent asks what became of it, and in many a container none ever does.
        return abs(process.create_time() - started) <= _SLACK and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes() -> str:
    """Which processes are seen from here, by their numbers: those of one namespace, since the machine came up."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


@functools.cache
def _here() -> str:
    return hashlib.sha256(f"{socket.gethostname()} {processes()}".encode()).hexdigest()[:12]
