"""Translations that others made: what is taken over, and what is said of files that do not fit."""

import gzip
import json
from pathlib import Path

import pytest

from lingualift.errors import InputError
from lingualift.hypothesis_files import import_hypotheses, read_direction


def text(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records(*values: object) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def read(path: Path) -> list[tuple[str, int, str]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [(line["direction"], line["sentence"], line["hypothesis"]) for line in lines]


def test_plain_text_a_file_a_direction(tmp_path) -> None:
    files = {
        "en-zh": text(tmp_path, "b.txt", "一 只 狗\n\n"),
        "en-de": text(tmp_path, "a.txt", "Ein Hund.\r\nZwei\u2028Hunde"),
    }
    out = tmp_path / "out.jsonl"
    manifest = import_hypotheses(files, {"en-zh": 2, "en-de": 2}, by_direction=True, out=out)
    assert read(out) == [
        ("en-de", 0, "Ein Hund."),
        ("en-de", 1, "Zwei\u2028Hunde"),
        ("en-zh", 0, "一 只 狗"),
        ("en-zh", 1, ""),
    ]
    assert manifest.counts == {"directions": 2, "sentences": 4, "empty": 1}
    assert set(manifest.inputs) == {str(path) for path in files.values()}


def test_compressed_and_with_a_byte_order_mark(tmp_path) -> None:
    path = text(tmp_path, "a.gz", gzip.compress(b"\xef\xbb\xbfeins\nzwei\n"))
    assert read_direction(path, 2) == ["eins", "zwei"]


def test_json_lines_in_their_own_order_or_by_number(tmp_path) -> None:
    plain = text(tmp_path, "a.jsonl", records({"hypothesis": "eins"}, {"hypothesis": "zwei", "score": 3}))
    assert read_direction(plain, 2) == ["eins", "zwei"]
    numbered = records({"sentence": 1, "hypothesis": "zwei"}, {"sentence": 0, "hypothesis": "eins"})
    assert read_direction(text(tmp_path, "b.jsonl.gz", gzip.compress(numbered.encode())), 2) == ["eins", "zwei"]


def test_one_file_of_all_directions_as_a_run_of_ours_writes_it(tmp_path) -> None:
    ours = [
        {"direction": name, "sentence": number, "hypothesis": f"{name} {number}"}
        for name in ("de-en", "en-de", "en-fr")
        for number in range(3)
    ]
    path = text(tmp_path, "0.jsonl", records(*ours))
    wanted = dict.fromkeys(("en-de", "en-fr"), path)
    import_hypotheses(wanted, dict.fromkeys(wanted, 3), by_direction=False, out=tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == records(*ours[3:])


LINES = "one\ntwo\n"
OBJECTS = records({"hypothesis": "one"}, {"hypothesis": "two"})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "one\n", "a.txt: 1 lines, but the benchmark has 2 sentences"),
        ("a.txt", "one\ntwo\nthree", "a.txt: 3 lines, but the benchmark has 2 sentences"),
        ("a.txt", "", "a.txt: 0 lines, but the benchmark has 2 sentences"),
        ("a.txt", "one\ntw\0o\n", "a.txt:2: a NUL byte: the file is broken, or not plain text"),
        ("a.txt", b"one\ntw\xe9o\n", "a.txt:2: not UTF-8: byte 0xe9 at column 3"),
        ("a.gz", gzip.compress(LINES.encode() * 5000, mtime=0)[:-30], "broken or cut short"),
        ("a.jsonl", "one\ntwo\n", "a.jsonl:1: not JSON"),
        ("a.jsonl", OBJECTS.replace("two", "t\\u0000"), "a.jsonl:2: a NUL byte"),
        ("a.jsonl", OBJECTS.replace("two", "t\\ud83d"), "a.jsonl:2: half of a surrogate pair, which is no text"),
        ("a.jsonl", records({"text": "one"}), "a.jsonl:1: not an object with the text `hypothesis`"),
        ("a.jsonl", records({"hypothesis": None}), "a.jsonl:1: not an object with the text `hypothesis`"),
        ("a.jsonl", records({"hypothesis": "one"}), "1 translations, but the benchmark has 2 sentences"),
        (
            "a.jsonl",
            records({"sentence": 0, "hypothesis": "x"}, {"sentence": 0, "hypothesis": "y"}),
            "a.jsonl:2: a second translation of sentence 0",
        ),
        (
            "a.jsonl",
            records({"sentence": 0, "hypothesis": "x"}, {"sentence": 2, "hypothesis": "y"}),
            "2 translations, but the benchmark has 2 sentences in this direction; sentence 1 has none",
        ),
        ("a.jsonl", records({"sentence": True, "hypothesis": "x"}), "a.jsonl:1: `sentence` is True, not a number"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, content, message) -> None:
    path = text(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        import_hypotheses({"en-de": path}, {"en-de": 2}, by_direction=True, out=tmp_path / "out.jsonl")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("lines", [2, 4])
@pytest.mark.parametrize("form", ["plain", "numbered", "of all directions"])
def test_the_first_sentences_alone(tmp_path, lines, form) -> None:
    """Of a file of the whole benchmark the first are kept; a file of these alone will do."""
    out, texts = tmp_path / "out.jsonl", ["eins", "zwei", "drei", "vier"][:lines]
    if form == "plain":
        path = text(tmp_path, "a.txt", "".join(f"{line}\n" for line in texts))
    else:
        found = [{"sentence": at, "hypothesis": line, "direction": "en-de"} for at, line in enumerate(texts)]
        path = text(tmp_path, "a.jsonl", records(*reversed(found)))
    by_direction = form != "of all directions"
    manifest = import_hypotheses({"en-de": path}, {"en-de": 4}, by_direction=by_direction, out=out, limit=2)
    assert read(out) == [("en-de", 0, "eins"), ("en-de", 1, "zwei")]
    assert manifest.counts["sentences"] == 2


def test_a_limit_beyond_the_benchmark_changes_nothing(tmp_path) -> None:
    path = text(tmp_path, "a.txt", LINES)
    assert read_direction(path, 2, limit=9) == ["one", "two"]
    with pytest.raises(InputError, match="2 lines, but the benchmark has 3 sentences in this direction"):
        read_direction(path, 3, limit=9)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.txt",
            "one\ntwo\nthree\n",
            "3 lines, but the benchmark has 4 sentences in this direction, of which `limit` tak",
        ),
        ("a.txt", "one\n", "1 lines, but the benchmark has 4 sentences in this direction, of which `limit` takes 2"),
        ("a.jsonl", OBJECTS * 3, "6 translations, but the benchmark has 4 sentences in this direction, of which"),
        (
            "a.jsonl",
            records({"sentence": 0, "hypothesis": "x"}, {"sentence": 3, "hypothesis": "y"}),
            "2 translations, but the benchmark has 4 sentences in this direction, of which `limit` takes 2; "
            "sentence 1 has none",
        ),
    ],
)
def test_files_that_fit_neither_the_benchmark_nor_its_first_sentences(tmp_path, name, content, message) -> None:
    with pytest.raises(InputError) as caught:
        read_direction(text(tmp_path, name, content), 4, limit=2)
    assert message in str(caught.value)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(InputError, match=r"none\.txt: no such file"):
        read_direction(tmp_path / "none.txt", 1)


def test_a_direction_that_the_one_file_lacks_or_does_not_tell(tmp_path) -> None:
    path = text(tmp_path, "all.jsonl", records({"direction": "en-de", "sentence": 0, "hypothesis": "x"}))
    files, out = {"en-de": path, "en-fr": path}, tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="0 translations of en-fr, but the benchmark has 1 sentences"):
        import_hypotheses(files, {"en-de": 1, "en-fr": 1}, by_direction=False, out=out)
    path.write_text(OBJECTS)
    with pytest.raises(InputError, match=r"all\.jsonl:1: no `direction`"):
        import_hypotheses(files, {"en-de": 1, "en-fr": 1}, by_direction=False, out=out)
