"""Public sets: fetched whole from a real server, or not at all."""

import hashlib
import importlib.util
import io
import json
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lingualift import public_sets
from lingualift.configuration.corpora import AnyCorpus
from lingualift.configuration.lexicons import Dictionary
from lingualift.errors import InputError, LingualiftError
from lingualift.public_sets import PublicSet, download, fetch_public_set, read_checksums, read_public_sets, unpack

ROOT = Path(__file__).parents[2]
TEXT = b"one\ntwo\n" * 1000


class Server(ThreadingHTTPServer):
    """A server of this machine: what it holds by path, what it was asked, and how often it is to fail.

    Attributes:
        cut: for each of the next answers, how many bytes it breaks off after.
        failing: how many of the next answers are errors of the server.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cut: list[int] = []
        self.failing, self.ranges = 0, True

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if self.server.failing:
            self.server.failing -= 1
            self.send_error(503)
            return
        if self.path not in self.server.files:
            self.send_error(404)
            return
        content, start = self.server.files[self.path], 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + self.server.cut.pop(0)] if self.server.cut else content[start:])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as it:
        thread = threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield it
        it.shutdown()
        thread.join()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar(members: dict[str, bytes], *, link: str | None = None) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return packed.getvalue()


def zipped(members: dict[str, bytes], *, link: str | None = None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    return packed.getvalue()


def entry(url: Any, **more: Any) -> PublicSet:
    return PublicSet.model_validate({"licence": "CC0-1.0", "reader": "lines", "url": url, **more})


def fetch(it: PublicSet, folder: Path) -> dict[str, Any]:
    out = folder / "data" / "set"
    fetch_public_set(it, checksums=folder / "checksums.tsv", state=folder / "state", out=out)
    return json.loads((out / "manifest.json").read_text())


def left_in(folder: Path) -> list[str]:
    """What is there of a set that could not be had; downloads that may go on do not count."""
    return [str(path) for path in (folder / "data").rglob("*")] + [str(path) for path in folder.glob("*.tsv")]


def test_an_archive_becomes_the_files_that_are_wanted(server, tmp_path):
    packed = tar(
        {"./set-1.0/devtest/en": b"A dog.\n", "./set-1.0/devtest/de": b"Ein Hund.\n", "./set-1.0/code.py": b""}
    )
    server.files["/v1/set.tar.gz"] = packed
    # Snakemake makes the folder of an output before the job.
    (tmp_path / "data" / "set").mkdir(parents=True)
    how = {"strip": 1, "only": ["set-1.0/devtest/*"]}
    manifest = fetch(entry(server.url("/v1/set.tar.gz"), checksum=sha256(packed), unpack=how), tmp_path)
    folder = tmp_path / "data" / "set"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found.pop("manifest.json") == found.pop(".fetched.json")
    assert found == {"devtest/en": b"A dog.\n", "devtest/de": b"Ein Hund.\n"}
    assert manifest["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in sorted(found.items())}
    assert manifest["counts"] == {"downloads": 1, "files": 2}
    assert not (tmp_path / "state").exists()
    # What the configuration holds it to need not be written down.
    assert not (tmp_path / "checksums.tsv").exists()


def test_a_zip_that_nobody_has_summed_sets_its_checksum_and_is_held_to_it(server, tmp_path, caplog):
    server.files["/set.zip"] = packed = zipped({"set/test.tsv": b"a\tb\n", "__MACOSX/._test.tsv": b"?"})
    it = entry(server.url("/set.zip"), unpack={"strip": 1, "only": ["set/*"]})
    manifest = fetch(it, tmp_path)
    assert manifest["files"] == {"test.tsv": hashlib.sha256(b"a\tb\n").hexdigest()}
    assert "no checksum of it is known: this first download sets it" in caplog.text
    assert sha256(packed) in caplog.text
    expected, origin = read_checksums(tmp_path / "checksums.tsv")[server.url("/set.zip")]
    assert expected == sha256(packed) and origin.startswith("first download, 20")
    before = (tmp_path / "checksums.tsv").read_text()
    # The same again is no news; another file is an error, and leaves what is there alone.
    (tmp_path / "data" / "set").rename(tmp_path / "data" / "former")
    assert fetch(it, tmp_path)["files"] == manifest["files"]
    assert (tmp_path / "checksums.tsv").read_text() == before
    (tmp_path / "data" / "set").rename(tmp_path / "data" / "second")
    server.files["/set.zip"] = zipped({"set/test.tsv": b"a\tc\n"})
    with pytest.raises(LingualiftError, match=r"not [0-9a-f]{64} as first download, 20.*nothing of it is kept"):
        fetch(it, tmp_path)
    assert not (tmp_path / "data" / "set").exists()
    assert (tmp_path / "checksums.tsv").read_text() == before


def test_many_files_by_their_codes_and_an_md5(server, tmp_path):
    for code in ("en", "de"):
        server.files[f"/text.{code}"] = code.encode()
    md5 = "md5:" + hashlib.md5(b"en").hexdigest()
    table = tmp_path / "checksums.tsv"
    table.write_text(f"# A remark.\nurl\tchecksum\tbytes\torigin\n{server.url('/text.en')}\t{md5}\t2\tits publisher\n")
    manifest = fetch(entry(server.url("/text.{language}"), fill={"language": ["en", "de"]}), tmp_path)
    assert sorted(manifest["files"]) == ["text.de", "text.en"]
    assert [it["held to"] for it in manifest["downloads"].values()] == [
        "its publisher",
        "nothing: the first download",
    ]
    assert read_checksums(table)[server.url("/text.de")][0] == sha256(b"de")
    assert table.read_text().startswith("# A remark.\n")


def test_another_file_than_promised_leaves_nothing_in_place(server, tmp_path):
    server.files |= {"/a": b"a", "/b": b"other"}
    table = tmp_path / "sums"
    table.write_text(f"{server.url('/b')}\t{sha256(b'b')}\t1\tits publisher\n")
    it = entry([server.url("/a"), server.url("/b")])
    with pytest.raises(
        LingualiftError, match=f"/b: what came .*not {hashlib.sha256(b'b').hexdigest()} as its publisher"
    ):
        fetch_public_set(it, checksums=table, state=tmp_path / "state", out=tmp_path / "data" / "set")
    assert left_in(tmp_path) == []
    assert not [path for path in (tmp_path / "state").rglob("b*") if path.is_file()]
    # The other file, of which nothing was known, is not taken for known.
    assert list(read_checksums(table)) == [server.url("/b")]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server, tmp_path):
    server.files["/text"], server.cut = TEXT, [3000, 1000]
    whole = download(server.url("/text"), tmp_path, expected=sha256(TEXT), wait=0)
    assert whole.read_bytes() == TEXT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=3000-", "bytes=4000-"]


def test_it_starts_again_where_nothing_would_show_that_two_halves_do_not_fit(server, tmp_path):
    server.files["/text"], server.cut = TEXT, [3000]
    assert download(server.url("/text"), tmp_path, wait=0).read_bytes() == TEXT
    assert [wanted for _, wanted in server.asked] == [None, None]


def test_a_server_that_cannot_go_on_starts_again(server, tmp_path):
    server.files["/text"], server.cut, server.ranges = TEXT, [3000], False
    assert download(server.url("/text"), tmp_path, expected=sha256(TEXT), wait=0).read_bytes() == TEXT


def test_the_beginning_of_another_file_is_thrown_away(server, tmp_path):
    server.files["/text"], server.cut = TEXT, [3000]
    with pytest.raises(LingualiftError, match="broken off after 3,000 of 8,000 bytes"):
        download(server.url("/text"), tmp_path, expected=sha256(TEXT), tries=1)
    (part,) = tmp_path.rglob("*.part")
    part.write_bytes(b"?" * 9000)
    with pytest.raises(LingualiftError, match=r"what came \(9,000 bytes\)"):
        download(server.url("/text"), tmp_path, expected=sha256(TEXT), wait=0)
    assert download(server.url("/text"), tmp_path, expected=sha256(TEXT), wait=0).read_bytes() == TEXT


def test_servers_that_fail_are_asked_again_and_missing_files_are_not(server, tmp_path):
    server.files["/text"], server.failing = TEXT, 2
    assert download(server.url("/text"), tmp_path, wait=0).read_bytes() == TEXT
    with pytest.raises(LingualiftError, match="the server answers 404 Not Found"):
        download(server.url("/none"), tmp_path, wait=0)
    assert [path for path, _ in server.asked] == ["/text"] * 3 + ["/none"]
    server.failing, server.asked = 9, []
    with pytest.raises(LingualiftError, match=r"could not be downloaded, 4 times: .*503"):
        download(server.url("/text?again"), tmp_path, wait=0)
    assert len(server.asked) == 4


def test_a_truncated_download_is_never_a_set(server, tmp_path, monkeypatch):
    monkeypatch.setattr(public_sets.time, "sleep", lambda _: None)
    server.files["/set.zip"] = zipped({"a": TEXT})
    server.cut = [50] * 4
    with pytest.raises(LingualiftError, match=r"4 times: broken off after 50 of"):
        fetch(entry(server.url("/set.zip"), unpack={}), tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (tar({"good": b"1", "../evil": b"2"}), r"'\.\./evil' would be written outside"),
        (tar({"a/../../../evil": b"2"}), "would be written outside"),
        (tar({"/tmp/evil": b"2"}), "'/tmp/evil' would be written outside"),
        (zipped({"../evil": b"2"}), r"'\.\./evil' would be written outside"),
        (zipped({"a\\..\\..\\evil": b"2"}), "would be written outside"),
        (tar({"good": b"1"}, link="evil"), "'evil' is a link"),
        (zipped({"good": b"1"}, link="evil"), "'evil' is a link"),
        (tar({"good": b"1"})[:-20], "broken or cut short"),
        (zipped({"good": TEXT})[:-30], "broken or cut short"),
        (b"<html>Not found</html>", "broken or cut short"),
        (tar({}), "none of its members"),
    ],
)
def test_archives_that_are_not_unpacked(server, tmp_path, packed, message):
    server.files["/set"] = packed
    with pytest.raises(LingualiftError, match=message):
        fetch(entry(server.url("/set"), unpack={}), tmp_path)
    assert left_in(tmp_path) == []
    assert not [path for path in tmp_path.rglob("*") if path.name == "evil"]


def test_what_nobody_has_summed_is_never_taken_from_a_job_before(server, tmp_path):
    server.files["/set.zip"] = zipped({"../evil": b"2"})
    it = entry(server.url("/set.zip"), unpack={})
    with pytest.raises(LingualiftError, match="outside of the folder"):
        fetch(it, tmp_path)
    server.files["/set.zip"] = zipped({"good": b"1"})
    assert list(fetch(it, tmp_path)["files"]) == ["good"]


def test_two_members_do_not_share_a_place(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar({"x/a": b"1", "y/a": b"2"}))
    (tmp_path / "out").mkdir()
    with pytest.raises(LingualiftError, match="'y/a' has the place of another"):
        unpack(tmp_path / "a.tar", tmp_path / "out", public_sets.Unpacking(strip=1))


def test_a_folder_that_is_there_is_left_alone(server, tmp_path):
    own = tmp_path / "data" / "set" / "mine.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(LingualiftError, match="is there already, and nothing of it is overwritten"):
        fetch(entry(server.url("/set")), tmp_path)
    assert own.read_text() == "mine" and server.asked == []


def test_a_set_that_is_whole_gets_its_manifest_back_and_another_is_left_alone(server, tmp_path):
    server.files["/set.zip"] = zipped({"set/en": b"A dog.\n", "set/de": b"Ein Hund.\n"})
    it = entry(server.url("/set.zip"), unpack={"strip": 1})
    before = fetch(it, tmp_path)
    manifest = tmp_path / "data" / "set" / "manifest.json"
    manifest.unlink()
    # What is said of a set beside determines nothing.
    other = it.model_copy(update={"licence": "MIT", "about": "a set", "reader": "multiway"})
    assert fetch(other, tmp_path) == before and len(server.asked) == 1
    assert not list((tmp_path / "data").rglob(".*.part"))
    # Other members are another set.
    fewer = it.model_copy(update={"unpack": public_sets.Unpacking(strip=1, only=("set/en",))})
    with pytest.raises(LingualiftError, match="is there already, and nothing of it is overwritten"):
        fetch(fewer, tmp_path)
    # So is a set with a file that somebody changed, or added.
    for name, content, former in (("en", b"A cat.\n", b"A dog.\n"), ("own", b"", None)):
        path = manifest.with_name(name)
        path.write_bytes(content)
        with pytest.raises(LingualiftError, match="is there already, and nothing of it is overwritten"):
            fetch(it, tmp_path)
        path.unlink() if former is None else path.write_bytes(former)
    assert fetch(it, tmp_path) == before and len(server.asked) == 1


def test_what_macos_puts_beside_files_is_left_out_and_what_lies_too_high_is_told(tmp_path):
    members = {"._set": b"?", "set/._en": b"?", "set/en": b"A dog.\n", "__MACOSX/set/._en": b"?"}
    (tmp_path / "a.tar").write_bytes(tar(members))
    (tmp_path / "b.tar").write_bytes(tar({**members, "README": b"Read me.\n"}))
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    unpack(tmp_path / "a.tar", tmp_path / "a", public_sets.Unpacking(strip=1))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["en"]
    with pytest.raises(LingualiftError, match=r"'README' lies in fewer than the 1 folders that `strip` leaves out"):
        unpack(tmp_path / "b.tar", tmp_path / "b", public_sets.Unpacking(strip=1))
    unpack(tmp_path / "b.tar", tmp_path / "c", public_sets.Unpacking(strip=1, only=("set/*",)))
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["en"]


@pytest.mark.parametrize("name", ["flores101", "flores200"])
def test_flores_has_its_own_folder_taken_alone(tmp_path, name):
    how = read_public_sets(ROOT / "config" / "public_sets.yaml")[name].unpack
    members = {f"./{name}_dataset/devtest/eng.devtest": b"A dog.\n", "README": b"", f"._{name}_dataset": b""}
    (tmp_path / "a.tar").write_bytes(tar(members))
    unpack(tmp_path / "a.tar", tmp_path / "out", how)
    assert [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")] == [
        "devtest/eng.devtest"
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"url": "ftp://host/file"}, "not the http"),
        ({"url": "https://host/"}, "not the http"),
        ({"url": "https://host/{code}"}, r"'fill' differ: \['code'\]"),
        ({"url": "https://host/{code}", "fill": {"code": ["a", "b"]}, "checksum": sha256(b"")}, "one 'checksum'"),
        ({"url": ["https://host/1/file", "https://host/2/file"]}, "two files have the same name"),
        ({"url": "https://host/file", "checksum": "sha256:12"}, "checksum"),
    ],
)
def test_mistakes_of_the_file_of_sets(tmp_path, keys, message):
    path = tmp_path / "sets.yaml"
    path.write_text(json.dumps({"mine": {"licence": "", "reader": "lines", **keys}}))
    with pytest.raises(InputError, match=f"mine: .*(?s:.*){message}"):
        read_public_sets(path)


def test_a_table_of_checksums_that_contradicts_itself(tmp_path):
    path = tmp_path / "checksums.tsv"
    path.write_text("".join(f"https://a/b\t{sha256(content)}\t1\tme\n" for content in (b"1", b"2")))
    with pytest.raises(InputError, match=r"checksums\.tsv:2: another checksum"):
        read_checksums(path)
    path.write_text("https://a/b\tsha1:12\t1\tme\n")
    with pytest.raises(InputError, match=r"checksums\.tsv:1: 'sha1:12' is no checksum"):
        read_checksums(path)
    path.write_text("https://a/b sha256:1\n")
    with pytest.raises(InputError, match=r"checksums\.tsv:1: not 4 fields but 1"):
        read_checksums(path)


def test_the_script_fills_the_folder_of_its_manifest(server, tmp_path):
    spec = importlib.util.spec_from_file_location("fetch", ROOT / "workflow" / "scripts" / "fetch_public_set.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    server.files["/text"] = TEXT
    it = entry(server.url("/text"), checksum=sha256(TEXT))
    (tmp_path / "sets.yaml").write_text(json.dumps({"set": it.model_dump(mode="json", exclude_defaults=True)}))
    script.main(
        manifest=str(tmp_path / "data" / "set" / "manifest.json"),
        settings=it.settings(),
        sets=str(tmp_path / "sets.yaml"),
        checksums=str(tmp_path / "checksums.tsv"),
        state=str(tmp_path / "state"),
        version=1,
    )
    assert (tmp_path / "data" / "set" / "text").read_bytes() == TEXT
    # Under which licence it came is part of the account.
    assert json.loads((tmp_path / "data/set/manifest.json").read_text())["settings"]["licence"] == "CC0-1.0"


# What is shipped


def test_every_set_of_the_issue_is_there_with_a_reader_that_exists():
    sets = read_public_sets(ROOT / "config" / "public_sets.yaml")
    wanted = {"flores101", "flores200", "wmt23", "tico19", "ted", "ntrex128", "tatoeba", "multi30k", "muse", "panlex"}
    assert wanted <= set(sets)
    readers = {
        reader
        for union in (AnyCorpus, Dictionary)
        for kind in union.__args__[0].__args__
        for reader in kind.model_fields["reader"].annotation.__args__
    }
    assert {it.reader for it in sets.values()} <= readers


def test_every_checksum_is_of_a_file_of_a_set():
    sets = read_public_sets(ROOT / "config" / "public_sets.yaml")
    known = read_checksums(ROOT / "config" / "checksums.tsv")
    urls = {url: it for it in sets.values() for url in it.urls()}
    assert set(known) <= set(urls)
    # One place says it, not two.
    assert not [url for url in known if urls[url].checksum]


def test_copies_at_hand_are_what_would_come(shared_data):
    """A copy that was changed would hold the publisher's own file to a wrong sum."""
    import gzip

    it = read_public_sets(ROOT / "config" / "public_sets.yaml")["ntrex128"]
    known = read_checksums(ROOT / "config" / "checksums.tsv")
    for url in it.urls()[:3]:
        with gzip.open(shared_data / "ntrex128" / (url.rsplit("/")[-1] + ".gz")) as file:
            assert known[url][0] == sha256(file.read())
