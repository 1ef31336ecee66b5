"""Marks of processes: of this one, of others, of dead ones, of those that are not seen from here."""

import os
import subprocess
import sys

import psutil

from lingualift.owners import is_dead, own_mark, runs

_SAYS = "from lingualift.owners import own_mark; print(own_mark(), flush=True); input()"


def test_a_mark_is_of_one_process() -> None:
    where, pid, started = own_mark().split("-")
    assert (int(pid), int(started)) == (os.getpid(), round(psutil.Process().create_time()))
    assert is_dead(own_mark()) is False
    # The same number, given again later.
    assert is_dead(f"{where}-{pid}-{int(started) + 60}") is True
    assert is_dead(f"{'0' * 12}-{pid}-{started}") is None


def test_a_process_is_dead_when_it_has_ended_whether_or_not_it_was_waited_for() -> None:
    other = subprocess.Popen([sys.executable, "-c", _SAYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    mark = other.stdout.readline().strip()
    assert mark.startswith(f"{own_mark().split('-')[0]}-{other.pid}-")
    assert is_dead(mark) is False
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.pid_exists(other.pid) and is_dead(mark) is True
    other.communicate()
    assert is_dead(mark) is True
    assert not runs(other.pid, 0.0)


def test_a_forked_process_has_a_mark_of_its_own() -> None:
    own_mark()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, own_mark().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000).decode().split("-")[1] == str(child)
