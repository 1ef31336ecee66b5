"""One owner at a time, and none that is dead."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from lingualift import locks
from lingualift.errors import LingualiftError
from lingualift.locks import HeldError, folder_lock

_HOLDER = """
import sys, time
from lingualift.locks import folder_lock
with folder_lock(sys.argv[1], patience=60):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def _holder(folder: Path, seconds: float) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(folder), str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def _owner(folder: Path) -> int:
    """The process that a lock names."""
    return json.loads(Path(f"{folder}.lock").read_text())["pid"]


def _write(folder: Path, *, age: float = 0.0, **owner) -> Path:
    path = Path(f"{folder}.lock")
    owner = {"host": "elsewhere", "pid": 1, "started": 0.0, "since": "then", "token": "theirs", **owner}
    path.write_text(json.dumps(owner))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_lock_is_gone_behind_its_owner_also_after_an_error(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "state") as waited:
        assert not waited
        assert _owner(tmp_path / "state") == os.getpid()
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path / "state"):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


def test_an_owner_that_lives_is_named(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "state", 60)
    try:
        with pytest.raises(LingualiftError, match=rf"is being worked on by process {holder.pid} on"):
            folder_lock(tmp_path / "state", patience=0.1).__enter__()
    finally:
        holder.kill()
        holder.wait()


def test_an_owner_that_ends_is_waited_for(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "state", 0.5)
    with folder_lock(tmp_path / "state", patience=60) as waited:
        assert waited
    assert holder.wait() == 0


def test_an_owner_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "state", 60)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "state.lock").is_file()
    with folder_lock(tmp_path / "state", patience=0) as waited:
        assert not waited


def test_an_owner_that_was_killed_holds_nothing_where_no_parent_looks_after_it(tmp_path: Path) -> None:
    """Its number stays until a parent asks: for ever, in a container whose first process does not."""
    holder = _holder(tmp_path / "state", 60)
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with folder_lock(tmp_path / "state", patience=0):
        assert _owner(tmp_path / "state") == os.getpid()
    holder.wait()


def test_an_owner_that_was_waited_for_and_died_has_finished_nothing(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "state", 60)
    ending = threading.Timer(0.3, holder.kill)
    ending.start()
    with folder_lock(tmp_path / "state", patience=60) as waited:
        assert holder.poll() is None or holder.returncode == -signal.SIGKILL
        assert not waited
    holder.wait()
    ending.join()


@pytest.mark.parametrize("off", [0.0, 500.0])
def test_a_process_of_the_same_number_is_not_the_owner(tmp_path: Path, off: float) -> None:
    """The process that has the number now began at another time than the owner."""
    started = psutil.Process().create_time() - off
    _write(tmp_path / "state", host=socket.gethostname(), pid=os.getpid(), started=started)
    if off:
        with folder_lock(tmp_path / "state", patience=0):
            owner = json.loads((tmp_path / "state.lock").read_text())
        assert (owner["pid"], owner["started"]) == (os.getpid(), psutil.Process().create_time())
    else:
        with pytest.raises(LingualiftError, match="being worked on"):
            folder_lock(tmp_path / "state", patience=0).__enter__()


def test_an_owner_elsewhere_is_dead_when_it_gives_no_sign_of_life(tmp_path: Path) -> None:
    _write(tmp_path / "state", age=100)
    with pytest.raises(LingualiftError, match="process 1 on elsewhere, since then"):
        folder_lock(tmp_path / "state", patience=0, stale=200).__enter__()
    with folder_lock(tmp_path / "state", patience=0, stale=50):
        assert _owner(tmp_path / "state") == os.getpid()


def test_an_owner_in_another_container_is_not_dead_for_want_of_its_process(tmp_path: Path, monkeypatch) -> None:
    """Of two containers of one name each has its own numbers of processes: only signs of life say anything."""
    _write(tmp_path / "state", age=100, host=socket.gethostname(), processes="boot pid:[2]", pid=2**22 + 1)
    with pytest.raises(HeldError):
        folder_lock(tmp_path / "state", patience=0, stale=200).__enter__()
    with folder_lock(tmp_path / "state", patience=0, stale=50):
        pass
    # Among the same processes there is no need to wait for those.
    monkeypatch.setattr(locks, "processes", lambda: "boot pid:[2]")
    _write(tmp_path / "state", age=100, host=socket.gethostname(), processes="boot pid:[2]", pid=2**22 + 1)
    with folder_lock(tmp_path / "state", patience=0, stale=200) as waited:
        assert not waited


def test_the_patience_may_depend_on_the_owner_and_its_job(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    asked = []
    other = folder_lock(tmp_path / "state", patience=lambda owner: asked.append(owner) or 0.05)
    said = r"by job 17, process \d+ on .*end it, `scancel 17`"
    held = folder_lock(tmp_path / "state", note={"work": "theirs"})
    with held, pytest.raises(HeldError, match=said) as caught:
        other.__enter__()
    assert [owner["job"] for owner in asked] == ["17"]
    assert [owner["work"] for owner in asked] == ["theirs"]
    assert caught.value.owner == asked[0]


def test_the_owner_gives_signs_of_life(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "state", heartbeat=0.02):
        path = tmp_path / "state.lock"
        os.utime(path, (1.0, 1.0))
        deadline = time.monotonic() + 60
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 2


def test_a_lock_that_was_taken_over_is_left_to_its_new_owner(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "state"):
        path = _write(tmp_path / "state")
    assert json.loads(path.read_text())["token"] == "theirs"


_LOSER = """
import logging, sys, time
from lingualift.locks import folder_lock
logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
with folder_lock(sys.argv[1], heartbeat=0.02):
    print("held", flush=True)
    time.sleep(120)
print("went on", flush=True)
"""


def test_an_owner_whose_lock_was_taken_over_ends_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _LOSER, str(tmp_path / "state")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    # Put there whole, as a new owner does.
    theirs = _write(tmp_path / "theirs")
    theirs.rename(tmp_path / "state.lock")
    said, errors = process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    assert said == ""
    assert "state.lock was taken over by process 1 on elsewhere, since then: this process ends at once" in errors
    assert json.loads((tmp_path / "state.lock").read_text())["token"] == "theirs"


@pytest.mark.parametrize("content", ["", "{}", None])
def test_an_owner_whose_lock_says_nothing_goes_on(tmp_path: Path, content: str | None) -> None:
    """A network file system may show a file as empty, or not at all, for a while: no one has taken it over."""
    path, touched = tmp_path / "state.lock", 0.0
    with folder_lock(tmp_path / "state", heartbeat=0.02):
        whole = path.read_text()
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        time.sleep(0.2)
        path.write_text(whole)
        os.utime(path, (1.0, 1.0))
        deadline = time.monotonic() + 60
        while touched < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
            touched = path.stat().st_mtime
    assert touched > 2


def test_a_broken_lock_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "state.lock").write_text("")
    with folder_lock(tmp_path / "state", patience=0):
        assert _owner(tmp_path / "state") == os.getpid()
    assert not list(tmp_path.iterdir())


_TURN = """
import sys, time
from lingualift.locks import folder_lock
with folder_lock(sys.argv[1], patience=120):
    for word in ("in", "out"):
        with open(sys.argv[2], "a") as file:
            file.write(word + "\\n")
        time.sleep(0.02)
"""


def test_processes_take_turns(tmp_path: Path) -> None:
    # A dead owner's lock is there: all of them see it at once, one takes it over.
    _write(tmp_path / "state", host=socket.gethostname(), pid=2**22 + 1)
    command = [sys.executable, "-c", _TURN, str(tmp_path / "state"), str(tmp_path / "turns")]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert (tmp_path / "turns").read_text().split() == ["in", "out"] * 4
