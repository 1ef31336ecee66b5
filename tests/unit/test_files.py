"""Files: one opener for every compression, outputs that are whole or not there."""

import bz2
import gzip
import json
import lzma
import os
import re
import subprocess
import sys
import textwrap
import time

import pytest
import zstandard

from lingualift.errors import InputError
from lingualift.files import (
    BROKEN_ARCHIVE,
    COMPRESSED,
    atomic_path,
    checksum,
    files_below,
    fingerprint,
    link_or_copy,
    open_bytes,
    read_bytes,
    read_json,
    sweep,
    write_csv,
    write_json,
)

PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
TEXT = "".join(f"line {number} of a text that does not repeat {number**3}\n" for number in range(20_000)).encode()


# Of no process that is seen from here.
ELSEWHERE = "0123456789ab-1-1-0"


def beside(path):
    return sorted(name.name for name in path.parent.iterdir())


def test_every_compression_is_tested():
    assert set(COMPRESSED) == {*PACK} - {""}


@pytest.mark.parametrize("suffix", PACK)
def test_open_by_suffix(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(PACK[suffix](TEXT))
    with open_bytes(path) as file:
        assert file.read() == TEXT


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.9999])
def test_an_archive_cut_short_is_an_error(tmp_path, suffix, kept):
    packed = PACK[suffix](TEXT)
    path = tmp_path / f"text{suffix}"
    path.write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(EOFError), open_bytes(path) as file:
        file.read()


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_broken_archive_is_one_of_the_errors_named(tmp_path, suffix):
    packed = bytearray(PACK[suffix](TEXT))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    path = tmp_path / f"text{suffix}"
    path.write_bytes(packed)
    with pytest.raises(BROKEN_ARCHIVE), open_bytes(path) as file:
        file.read()


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_archives_of_several_parts(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(PACK[suffix](b"one\n") + PACK[suffix](b"two\n"))
    with open_bytes(path) as file:
        assert file.read() == b"one\ntwo\n"


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"text\.gz: no such file$"):
        open_bytes(tmp_path / "text.gz")


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "made"
    path.write_text("old")

    def fail():
        with atomic_path(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert beside(path) == ["made"]


def test_a_failure_leaves_the_old_folder(tmp_path):
    path = tmp_path / "made"
    path.mkdir()
    (path / "a").write_text("old")

    def stop():
        with atomic_path(path) as part:
            part.mkdir()
            (part / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert (path / "a").read_text() == "old"
    assert beside(path) == ["made"]


def test_a_folder_takes_the_place_of_another(tmp_path):
    path = tmp_path / "deep" / "made"
    for content in ("old", "new"):
        with atomic_path(path) as part:
            part.mkdir()
            (part / content).write_text(content)
    assert [file.name for file in path.iterdir()] == ["new"]
    assert beside(path) == ["made"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "made"
    path.mkdir()
    (path / "a").write_text("old")
    rename = type(path).rename

    def refuse(self, target):
        if self.name.endswith(".part"):
            raise OSError("disk on fire")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", refuse)
    with pytest.raises(OSError, match="on fire"), atomic_path(path) as part:
        part.mkdir()
    assert (path / "a").read_text() == "old"
    assert beside(path) == ["made"]


def test_nothing_made_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "made"):
        pass
    assert not (tmp_path / "made").exists()


WRITER = """
    import sys, time
    from pathlib import Path
    from lingualift.files import atomic_path
    with atomic_path(sys.argv[1]) as part:
        target = part
        if sys.argv[2] == "folder":
            part.mkdir()
            target = part / "a"
        target.write_text("half")
        print(part, flush=True)
        sys.stdin.read()
        target.write_text("whole")
"""


def writer(path, kind="file"):
    """A process that writes, until its input ends; and where it writes."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_in_the_middle(tmp_path, kind):
    """kill -9 while it is written: the old one is there, and each next writer clears what the one before has left."""
    path = tmp_path / "made"
    with atomic_path(path) as part:
        (part if kind == "file" else part / "a").parent.mkdir(exist_ok=True)
        (part if kind == "file" else part / "a").write_text("old")
    for _ in range(3):
        process, part = writer(path, kind)
        process.kill()
        process.wait()
        assert (path if kind == "file" else path / "a").read_text() == "old"
        assert beside(path) == [os.path.basename(part), "made"]
    process, _ = writer(path, kind)
    process.communicate("")
    assert (path if kind == "file" else path / "a").read_text() == "whole"
    assert beside(path) == ["made"]


def test_two_that_write_the_same_file_do_not_share_it(tmp_path):
    path = tmp_path / "made"
    first, second = atomic_path(path), atomic_path(path)
    with first.__enter__().open("wb") as one:
        one.write(b"A" * 1000)
        with second.__enter__().open("wb") as other:
            other.write(b"B" * 10)
            one.write(b"A" * 1000)
            one.close()
            first.__exit__(None, None, None)
            assert path.read_bytes() == b"A" * 2000
            other.write(b"B" * 10)
    second.__exit__(None, None, None)
    assert path.read_bytes() == b"B" * 20
    assert beside(path) == ["made"]


def test_two_that_write_the_same_folder_do_not_share_it(tmp_path):
    path = tmp_path / "made"
    first, second = atomic_path(path), atomic_path(path)
    for part, name in ((one := first.__enter__(), "1"), (other := second.__enter__(), "half")):
        part.mkdir()
        (part / name).touch()
    first.__exit__(None, None, None)
    assert [file.name for file in path.iterdir()] == ["1"]
    (other / "rest").touch()
    second.__exit__(None, None, None)
    assert beside(path / "half") == ["half", "rest"]
    assert beside(path) == ["made"]
    assert one != other


def test_a_folder_that_comes_in_between_steps_aside_too(tmp_path, monkeypatch):
    """Another process ends between the two renames of this one."""
    path = tmp_path / "made"
    path.mkdir()
    (path / "old").touch()
    rename, others = type(path).rename, [tmp_path / "theirs"]
    others[0].mkdir()
    (others[0] / "theirs").touch()

    def overtaken(self, target):
        if self.name.endswith(".part") and others:
            rename(others.pop(), path)
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", overtaken)
    with atomic_path(path) as part:
        part.mkdir()
        (part / "ours").touch()
    assert not others
    assert beside(path / "ours") == ["ours"]
    assert beside(path) == ["made"]


def test_what_a_process_that_lives_is_writing_stays(tmp_path):
    path = tmp_path / "made"
    process, part = writer(path)
    sweep(tmp_path, held={"made"})
    assert beside(path) == [os.path.basename(part)]
    with atomic_path(path) as own:
        own.write_text("ours")
    process.communicate("")
    assert process.returncode == 0
    assert path.read_text() == "whole"
    assert beside(path) == ["made"]


def test_what_was_written_elsewhere_stays_for_a_week(tmp_path):
    """Whether that process is alive is not seen from here, but where none can be."""
    names = {age: f".{age}.{ELSEWHERE}.part" for age in ("new", "old", "touched")}
    for name in names.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("half")
    week_ago = (time.time() - 8 * 86_400,) * 2
    for path in (names["old"], f"{names['old']}/a", names["touched"]):
        os.utime(tmp_path / path, week_ago)
    kept = {".new.part", f"new.{ELSEWHERE}.part", f".new.{ELSEWHERE}"}
    for name in kept:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, week_ago)
    with atomic_path(tmp_path / "made") as part:
        part.touch()
    assert set(beside(tmp_path / "made")) == {"made", names["new"], names["touched"], *kept}
    sweep(tmp_path, held={"new"})
    assert set(beside(tmp_path / "made")) == {"made", names["touched"], *kept}


def test_what_cannot_be_swept_is_no_error(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / f".{name}.{ELSEWHERE}.former").touch()
    unlink = type(tmp_path).unlink

    def refuse(self, **options):
        if self.name.startswith(".one"):
            raise PermissionError
        return unlink(self, **options)

    monkeypatch.setattr(type(tmp_path), "unlink", refuse)
    sweep(tmp_path, held={"one", "two"})
    assert beside(tmp_path / "made") == [f".one.{ELSEWHERE}.former"]
    sweep(tmp_path / "none")


def test_a_folder_is_looked_through_once(tmp_path, monkeypatch):
    """In a loop over its files that would take the square of their number."""
    looked, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked.append(folder) or scan(folder))
    for number in range(3):
        with atomic_path(tmp_path / str(number)) as part:
            assert re.fullmatch(rf"\.{number}\.[0-9a-f]{{12}}-{os.getpid()}-\d+-\d+\.part", part.name)
            part.touch()
    assert looked == [tmp_path]


def test_checksum_is_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert checksum(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_fingerprints_do_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


def test_json(tmp_path):
    value = {"β": [1, 2.5, None], "text": "zwölf\n"}
    write_json(value, tmp_path / "value.json")
    assert read_json(tmp_path / "value.json") == value
    assert "β" in (tmp_path / "value.json").read_text(encoding="utf-8")
    (tmp_path / "broken.json").write_text('{\n"a": 1,\n}')
    with pytest.raises(InputError, match=r"broken\.json:3: not JSON"):
        read_json(tmp_path / "broken.json")
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(json.dumps(value).encode())[:-12])
    with pytest.raises(InputError, match=r"cut\.json\.gz:1: cannot be read on, broken or cut short"):
        read_json(tmp_path / "cut.json.gz")
    (tmp_path / "latin.json").write_bytes(b'{\n"a": "\xfc"}')
    with pytest.raises(InputError, match=r"latin\.json:2: not UTF-8"):
        read_json(tmp_path / "latin.json")


@pytest.mark.parametrize("suffix", PACK)
def test_all_bytes_of_a_file(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(PACK[suffix](TEXT * 9))
    assert read_bytes(path) == TEXT * 9


def test_a_second_name_or_a_copy(tmp_path, monkeypatch):
    (tmp_path / "one").write_text("text")
    link_or_copy(tmp_path / "one", tmp_path / "linked")
    assert (tmp_path / "linked").stat().st_ino == (tmp_path / "one").stat().st_ino

    def refuse(source, target):
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(tmp_path / "one", tmp_path / "copied")
    assert (tmp_path / "copied").read_text() == "text"
    assert (tmp_path / "copied").stat().st_ino != (tmp_path / "one").stat().st_ino


def test_files_below(tmp_path):
    for name in ("b/c", "a", "b/a/x"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).touch()
    found = files_below(tmp_path / "folder")
    assert [str(path.relative_to(tmp_path / "folder")) for path in found] == ["a", "b/a/x", "b/c"]
    assert files_below(tmp_path / "folder/a") == [tmp_path / "folder/a"]
    assert files_below(tmp_path / "none") == []


def test_csv_by_hand(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    write_csv([{"b": 100 / 3, "a": 'one, "two"'}, {"a": "ü\n"}], path, ["a", "b"])
    assert path.read_bytes() == 'a,b\n"one, ""two""",33.333333333333336\n"ü\n",\n'.encode()
    # What is not a column is no mere loss; the file stays as it was.
    with pytest.raises(ValueError, match="'c'"):
        write_csv([{"a": 1}, {"c": 1}], path, ["a", "b"])
    assert path.read_text(encoding="utf-8").startswith("a,b\n")
    assert beside(path) == ["rows.csv"]
