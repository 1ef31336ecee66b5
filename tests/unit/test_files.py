"""Files: one opener for every compression, outputs that are whole or not there."""

import bz2
import gzip
import json
import lzma
import os
import signal
import subprocess
import sys
import textwrap

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


def test_killed_in_the_middle(tmp_path):
    """kill -9 while a file is written: the old one is there, and the next writer clears what was left."""
    path = tmp_path / "made"
    path.write_text("old")
    script = """
        import sys, time
        from lingualift.files import atomic_path
        with atomic_path(sys.argv[1]) as part:
            part.write_text("half")
            print("writing", flush=True)
            time.sleep(60)
    """
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), str(path)], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert path.read_text() == "old"
    assert beside(path) == [".made.part", "made"]
    with atomic_path(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert beside(path) == ["made"]


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
