"""Pools: all results, errors that keep what they know, workers that do not outlive the process that started them."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from lingualift.errors import InputError
from lingualift.pools import in_parallel


@pytest.mark.parametrize("workers", [0, 1, 3, 50])
def test_every_task_once_whatever_the_number_of_workers(workers):
    offset = 7
    # Such a function cannot be pickled.
    assert sorted(in_parallel(lambda task: (task, task + offset), range(20), workers)) == [
        (n, n + 7) for n in range(20)
    ]
    assert list(in_parallel(lambda task: task, [], workers)) == []


def test_no_more_workers_than_tasks_and_none_but_this_process_for_one():
    assert set(in_parallel(lambda _: os.getpid(), range(20), 1)) == {os.getpid()}
    assert set(in_parallel(lambda _: os.getpid(), [0], 2)) == {os.getpid()}
    others = len(psutil.Process().children())
    assert max(in_parallel(lambda _: len(psutil.Process(os.getppid()).children()), range(2), 50)) <= others + 2
    assert os.getpid() not in set(in_parallel(lambda _: os.getpid(), range(2), 50))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_with_file_and_line_stays_one(workers):
    def read(task):
        if task == 1:
            raise InputError("corpus.txt", "not UTF-8", line=3)

    with pytest.raises(InputError, match=r"^corpus\.txt:3: not UTF-8$") as caught:
        list(in_parallel(read, range(4), workers))
    assert (caught.value.path, caught.value.line) == ("corpus.txt", 3)


def test_tasks_behind_an_error_are_not_begun(tmp_path):
    def write(task):
        if task == 0:
            raise ValueError("the first")
        (tmp_path / str(task)).touch()
        time.sleep(0.02)

    with pytest.raises(ValueError, match="the first"):
        list(in_parallel(write, range(5000), 2))
    # Some were in work or on their way to the workers.
    assert len(list(tmp_path.iterdir())) < 4000


_PARENT = """
    import os, sys, time
    from pathlib import Path
    from lingualift.pools import in_parallel

    def wait(task):
        Path(sys.argv[1], str(os.getpid())).touch()
        time.sleep(600)

    list(in_parallel(wait, range(2), 2))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl")
def test_workers_die_with_the_process_that_started_them(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(_PARENT), str(tmp_path)])
    while parent.poll() is None and len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    workers = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    alive = psutil.wait_procs(workers, timeout=60)[1]
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert alive == []
