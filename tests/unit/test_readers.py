"""Every reader on small files made here: what comes out, and what is said of broken ones."""

import bz2
import gzip
import json
import lzma
import pickle
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lingualift.configuration.corpora import LinesCorpus
from lingualift.errors import InputError, RecordNumber
from lingualift.languages import load_languages
from lingualift.readers import read_table
from lingualift.readers.batches import BATCH_ROWS, Batch, clean, good_pair_mask
from lingualift.readers.lines import LineStream, read_in_step, read_lines, read_separated
from lingualift.readers.memories import SCRIPTS, read_tmx
from lingualift.readers.records import read_json_records, read_parquet, read_saved_dataset

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(batches) -> list[tuple[str | None, ...]]:
    """All rows, cleaned."""
    found = []
    for batch in batches:
        columns = [clean(column, null_reason=batch.null_reason).text.to_pylist() for column in batch.columns]
        found += zip(*columns, strict=True)
    return found


def reasons(batches) -> list[tuple[int, str | None]]:
    """The number of each row, and why its first cell is bad."""
    found = []
    for batch in batches:
        column = clean(batch.columns[0], null_reason=batch.null_reason)
        found += [(line, column.reason(row)) for row, line in enumerate(batch.lines)]
    return found


def cleaned(*cells: bytes | None, **options):
    return clean(pa.array(cells, pa.large_binary()), **options)


@pytest.mark.parametrize("suffix", PACK)
def test_lines_of_each_compression(tmp_path, suffix):
    path = write(tmp_path / f"text{suffix}", PACK[suffix](b"eins\nzwei\ndrei"))
    assert rows(read_lines([path])) == [("eins",), ("zwei",), ("drei",)]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"a\n\nb\n", ["a", None, "b"]),
        ("a\u2028b\x0bc\n".encode(), ["a\u2028b\x0bc"]),  # only a line feed ends a line
        (b"\n", [None]),
        (b"", []),
    ],
)
def test_line_ends(tmp_path, raw, expected):
    assert [row[0] for row in rows(read_lines([write(tmp_path / "text", raw)]))] == expected


@quick
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"").replace(b"\xef", b"")), max_size=40),
    last=st.booleans(),
    block=st.integers(1, 30),
    count=st.integers(1, 9),
)
def test_stream_is_split_on_line_feeds_whatever_the_blocks(tmp_path, lines, last, block, count):
    raw = b"\n".join(lines) + (b"\n" if last else b"")
    expected = raw.split(b"\n")[: -1 if raw.endswith(b"\n") or not raw else None]
    taken = []
    with LineStream(write(tmp_path / "text", raw), block_bytes=block) as stream:
        while cells := stream.take(count).to_pylist():
            assert len(cells) <= count
            taken += cells
            assert stream.line == len(taken)
    assert [cell.removesuffix(b"\n") for cell in taken] == expected


def test_line_numbers_across_batches_and_files(tmp_path):
    long = write(tmp_path / "long", b"x\n" * (BATCH_ROWS + 3))
    short = write(tmp_path / "short", b"y\n")
    batches = list(read_lines([long, short]))
    assert [(batch.files[0].name, batch.lines[0], batch.lines[-1], len(batch)) for batch in batches] == [
        ("long", 1, BATCH_ROWS, BATCH_ROWS),
        ("long", BATCH_ROWS + 1, BATCH_ROWS + 3, 3),
        ("short", 1, 1, 1),
    ]


def test_clean_says_why(tmp_path):
    result = cleaned(
        "  Grüße ".encode(), b"", b" \t\r\n", b"a\xffb", b"\x00\x00", b"a\x00b", "\u200b\ufeff\x07".encode(), None, b"12345678"
    , max_characters=7)  # fmt: skip
    assert result.text.to_pylist() == ["Grüße"] + [None] * 8
    assert [result.reason(row) for row in range(9)] == [
        None, "empty", "empty", "not UTF-8", "control characters", "control characters", "control characters",
        "no such field", "too long",
    ]  # fmt: skip
    assert result.lengths.tolist() == [5, 0, 0, 0, 0, 0, 0, 0, 0]
    assert result.counts() == {"empty": 2, "not UTF-8": 1, "control characters": 3, "no such field": 1, "too long": 1}


def test_clean_composes(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Ångström, Việt Nam")
    assert len(decomposed) == 22  # Å, ö one mark each; ệ two
    result = cleaned(decomposed.encode())
    assert result.text.to_pylist() == ["Ångström, Việt Nam"]
    assert result.lengths.tolist() == [18]
    # Composed, but not replaced by what merely looks alike.
    assert cleaned("ﬁn ①".encode()).text.to_pylist() == ["ﬁn ①"]


@quick
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.binary(max_size=4),
        )
    )
)
def test_clean_agrees_with_python(cells):
    result = cleaned(*cells)
    for cell, text, length in zip(cells, result.text.to_pylist(), result.lengths.tolist(), strict=True):
        assert length == len(text or "")
        if text is None:
            continue
        decoded = unicodedata.normalize("NFC", cell.decode("utf-8"))
        assert decoded.strip(" \t\r\n") and "\0" not in text
        # Strips what Python strips, but for the separators U+001C to U+001F.
        assert text.strip("\x1c\x1d\x1e\x1f") == decoded.strip().strip("\x1c\x1d\x1e\x1f") or text in decoded
    reasons = sum(result.counts().values())
    assert reasons == result.text.null_count


@pytest.mark.parametrize(
    ("a", "b", "ratio", "good"),
    [
        (1, 9, 9.0, True),
        (1, 10, 9.0, False),
        (10, 1, 9.0, False),
        (0, 5, None, False),
        (1, 1000, None, True),
        (0, 0, 9.0, False),
    ],
)
def test_good_pairs(a, b, ratio, good):
    assert good_pair_mask(np.array([a]), np.array([b]), ratio).tolist() == [good]


def test_in_step(tmp_path):
    files = [write(tmp_path / "a", "1\n2\n"), write(tmp_path / "b", "eins\r\nzwei"), write(tmp_path / "c", "un\n\n")]
    assert rows(read_in_step(files)) == [("1", "eins", "un"), ("2", "zwei", None)]


@pytest.mark.parametrize("lines", [0, 2, BATCH_ROWS, BATCH_ROWS + 1])
def test_a_short_side_is_named(tmp_path, lines):
    files = [write(tmp_path / "long", b"x\n" * (lines + 1)), write(tmp_path / "short", b"x\n" * lines)]
    with pytest.raises(InputError, match=r"ends here, but .*long goes on") as caught:
        list(read_in_step(files))
    # There is no line 0: an empty side ends on its first.
    assert (Path(caught.value.path).name, caught.value.line) == ("short", max(lines, 1))


# What the libraries themselves make of the start of an archive.
UNPACK: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
    ".zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("suffix", UNPACK)
def test_a_truncated_archive_names_the_line(tmp_path, suffix, kept):
    rng = np.random.default_rng(1)
    raw = b"".join(b"%d\n" % number for number in rng.integers(0, 10**12, 200_000))
    packed = PACK[suffix](raw)
    cut = packed[: int(kept * len(packed))]
    path = write(tmp_path / f"text{suffix}", cut)
    with pytest.raises(InputError, match="broken or cut short") as caught:
        list(read_lines([path]))
    # The first line that is not whole; blocks of bzip2 are of nearly 70,000 lines, and come out whole or not at all.
    line = UNPACK[suffix]().decompress(cut).count(b"\n") + 1
    assert caught.value.line == line
    assert 200_000 * kept - 75_000 < line < 200_000 * kept + 10_000


def test_a_truncated_array_names_the_line(tmp_path):
    text = json.dumps([{"output": f"number {number}"} for number in range(500)], indent=0)
    cut = gzip.compress(text.encode())[:-500]
    line = zlib.decompressobj(wbits=31).decompress(cut).count(b"\n") + 1
    with pytest.raises(InputError, match="broken or cut short") as caught:
        list(read_json_records([write(tmp_path / "a.json.gz", cut)], ["output"]))
    assert caught.value.line == line > 1


def test_a_truncated_archive_of_a_few_lines_names_the_line(tmp_path):
    cut = gzip.compress(b'{"a": "x"}\n' * 3)[:-8]
    with pytest.raises(InputError, match="broken or cut short") as caught:
        list(read_json_records([write(tmp_path / "a.jsonl.gz", cut)], ["a"]))
    # The text is whole, its checksum is not there.
    assert caught.value.line == 4


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_archives_joined_end_to_end(tmp_path, suffix):
    path = write(tmp_path / f"text{suffix}", PACK[suffix](b"a\nb") + PACK[suffix](b"c\n"))
    assert rows(read_lines([path])) == [("a",), ("bc",)]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_what_is_no_archive(tmp_path, suffix):
    with pytest.raises(InputError, match="broken or cut short"):
        list(read_lines([write(tmp_path / f"text{suffix}", b"plain text\n")]))


def test_separated(tmp_path):
    path = write(tmp_path / "pairs.tsv", "dog\tHund\t1\ncat\tKatze\t2\nbroken\nlong\tlang\t3\textra\n")
    batches = list(read_separated([path], [1, 0], separator="\t", header=False))
    assert rows(batches) == [("Hund", "dog"), ("Katze", "cat"), (None, None), (None, None)]
    assert batches[0].null_reason == "wrong number of columns"


def test_separated_with_header(tmp_path):
    path = write(tmp_path / "pairs.csv", "\ufeffid;de;en\r\n1;Hund;dog\r\n2;Katze;cat\r\n")
    batches = list(read_separated([path], ["en", "id"], separator=";", header=True))
    assert rows(batches) == [("dog", "1"), ("cat", "2")]
    assert list(batches[0].lines) == [2, 3]
    with pytest.raises(InputError, match="no column 'fr'; the header has id, de, en"):
        list(read_separated([path], ["fr"], separator=";", header=True))
    with pytest.raises(InputError, match="there is no column 5"):
        list(read_separated([path], [5], separator=";", header=False))


def test_json_lines(tmp_path):
    records = [{"text": "één\nregel", "url": "x"}, {"text": None}, {"url": "y"}, {"t": {"de": "Hund"}, "text": "z"}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
    assert rows(read_json_records([path], ["text", "t.de"])) == [
        ("één\nregel", None), (None, None), (None, None), ("z", "Hund"),
    ]  # fmt: skip
    assert list(next(read_json_records([path], ["text"])).lines) == [1, 2, 3, 4]


def test_lines_of_json_that_hold_nothing_are_rows_as_those_of_text_are(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"a": "x"}\n\n \t\r\n{"a": ""}\n{"a": "y"}\n\n')
    assert reasons(read_json_records([path], ["a"])) == [
        (1, None), (2, "empty line"), (3, "empty line"), (4, "empty"), (5, None), (6, "empty line"),
    ]  # fmt: skip
    assert len(list(next(read_lines([path])).lines)) == 6


def test_a_line_that_is_no_json_is_one_bad_line(tmp_path, caplog):
    """And so is one that Python does not parse: a number of thousands of digits, brackets a hundred thousand deep."""
    bad = ['{"a": x}', "[1]", '{"a": "x"}}', '{"b": %s}' % ("1" * 5000), '{"a": %s' % ("[" * 100_000)]
    good = ['{"a": "x"}'] * 5
    path = write(tmp_path / "a.jsonl", "".join(f"{line}\n" for line in [*good, *bad, *good]))
    found = reasons(read_json_records([path], ["a"]))
    assert found == [(line, "not a JSON object" if 6 <= line <= 10 else None) for line in range(1, 16)]
    # The first of a file is told.
    [record] = caplog.records
    assert record.levelname == "WARNING" and f"{path}:6: not JSON: Expecting value (column 7)" in record.getMessage()


def test_a_file_whose_lines_are_mostly_no_json_is_broken(tmp_path):
    for bad, good, is_broken in ((3, 2, True), (2, 2, False)):
        path = write(tmp_path / "a.jsonl", '{"a": "x"}\n' * good + "plain text\n" * bad)
        if not is_broken:
            assert len(rows(read_json_records([path], ["a"]))) == 4
            continue
        with pytest.raises(InputError, match="not JSON") as caught:
            list(read_json_records([path], ["a"]))
        assert caught.value.line == good + 1


@pytest.mark.parametrize("cut", [b'{"a": "x"', b'{"a": {"b": 1}', '{"a": "é'.encode()[:-1]])
def test_a_file_that_ends_within_a_record_is_broken(tmp_path, cut):
    whole = b'{"a": "x"}\n' * 30
    with pytest.raises(InputError, match="ends within a record, cut short") as caught:
        list(read_json_records([write(tmp_path / "a.jsonl", whole + cut)], ["a"]))
    assert caught.value.line == 31
    # The last line need not end; if it does, it is a line like others.
    assert len(rows(read_json_records([write(tmp_path / "a.jsonl", whole[:-1])], ["a"]))) == 30
    assert len(rows(read_json_records([write(tmp_path / "a.jsonl", whole + cut + b"\n")], ["a"]))) == 31
    assert reasons(read_json_records([write(tmp_path / "a.jsonl", whole + b'{"a": "\xff"}')], ["a"]))[30] == (
        31,
        "not UTF-8",
    )


def test_fields_that_no_record_has_are_named(tmp_path):
    records = [{"text": "a", "url": "x"}] * 11
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
    with pytest.raises(InputError, match="no text in the field 'content'; the record has: text, url") as caught:
        list(read_json_records([path], ["content"]))
    assert caught.value.line == 1
    # Another field is there: what is missing is counted, language by language.
    assert rows(read_json_records([path], ["text", "content"])) == [("a", None)] * 11
    # As few as may be bad in any table.
    few = write(tmp_path / "b.jsonl", "\n".join(map(json.dumps, records[:10])))
    assert rows(read_json_records([few], ["content"])) == [(None,)] * 10


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "text").mkdir()
    corpus = LinesCorpus(reader="lines", path="text", language="en")
    [source] = corpus.tables(["en"], {"en": SimpleNamespace(code="en", codes={})}, tmp_path)
    with pytest.raises(InputError, match="text: is a folder, not a file: give `files`"):
        read_table(corpus, source)


def test_json_array(tmp_path):
    path = write(tmp_path / "a.json", json.dumps([{"translation": {"cs": "pes", "en": "dog"}}], indent=1))
    assert rows(read_json_records([path], ["translation.en", "translation.cs"])) == [("dog", "pes")]


def test_what_has_no_lines_is_told_by_records(tmp_path):
    import datasets

    texts = ["a", "b"]
    array = write(tmp_path / "a.json", json.dumps([{"a": text} for text in texts], indent=1))
    pq.write_table(pa.table({"a": texts}), tmp_path / "a.parquet")
    datasets.Dataset.from_dict({"a": texts}).save_to_disk(str(tmp_path / "saved"))
    for batch in (
        next(read_json_records([array], ["a"])),
        next(read_parquet([tmp_path / "a.parquet"], ["a"])),
        next(read_saved_dataset(tmp_path / "saved", ["a"], split=None)),
    ):
        assert list(batch.lines) == [1, 2]
        error = InputError(batch.files[0], "empty", line=batch.head(2).lines[1])
        assert str(error) == f"{batch.files[0]}: record 2: empty"
        # From one process to another.
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    lines = write(tmp_path / "a.jsonl", '{"a": "x"}\n')
    assert not any(isinstance(line, RecordNumber) for line in next(read_json_records([lines], ["a"])).lines)
    odd = write(tmp_path / "odd.json", '[{"a": "x"},\n\n3, {"a": "y"}]')
    assert reasons(read_json_records([odd], ["a"])) == [(1, None), (2, "not a JSON object"), (3, None)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('\n{"a": \n', 2, "not JSON"),
        ('{"a": 1}\n[1]\n2\n', 2, "a JSON list, not an object"),
        ('[{"a": 1},\n{]', 2, "not JSON"),
    ],
)
def test_broken_json_names_the_line(tmp_path, text, line, message):
    with pytest.raises(InputError, match=message) as caught:
        list(read_json_records([write(tmp_path / "a.json", text)], ["a"]))
    assert caught.value.line == line


def test_json_that_is_no_text_is_one_bad_line(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"a": "ok"}\n{"a": "\xff"}\n{"a": "\\ud800"}\n')
    result = clean(next(read_json_records([path], ["a"])).columns[0])
    assert result.text.to_pylist() == ["ok", None, None]
    assert result.counts() == {"not UTF-8": 2}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_record_of_an_array_that_is_no_text_is_one_bad_record(tmp_path, mark):
    path = write(tmp_path / "a.json", mark + b'[{"a": "gr\xc3\xbcn"},\n{"a": "\xff", "b": "ok"},\n{"a": "\\ud800"}]')
    [batch] = read_json_records([path], ["a", "b"])
    a, b = (clean(column) for column in batch.columns)
    assert (a.text.to_pylist(), b.text.to_pylist()) == (["grün", None, None], [None, "ok", None])
    assert a.counts() == {"not UTF-8": 2}
    with pytest.raises(InputError, match="not JSON") as caught:
        list(read_json_records([write(tmp_path / "b.json", b'[{"a": "\xff"},\n\xff]')], ["a"]))
    assert caught.value.line == 2


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["a", None, "c"], "translation": [{"de": "x", "en": "y"}] * 3, "score": [1, 2, 3]})
    pq.write_table(table, path, row_group_size=2)
    assert rows(read_parquet([path], ["text", "translation.en"])) == [("a", "y"), (None, "y"), ("c", "y")]
    with pytest.raises(InputError, match="no column 'txt'; there is text, translation, score"):
        list(read_parquet([path], ["txt"]))
    with pytest.raises(InputError, match="'score' holds int64, not text"):
        list(read_parquet([path], ["score"]))
    with pytest.raises(InputError, match=r"no column 'translation\.fr'"):
        list(read_parquet([path], ["translation.fr"]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read, broken or cut short") as caught:
        list(read_parquet([path], ["text"]))
    assert caught.value.line is None


def test_damage_within_parquet_is_behind_the_last_records_read(tmp_path):
    path = tmp_path / "a.parquet"
    texts = [f"{number * number % 99_991} and {number}" for number in range(2 * BATCH_ROWS)]
    pq.write_table(pa.table({"a": texts}), path, row_group_size=BATCH_ROWS, use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    raw = bytearray(path.read_bytes())
    middle = column.data_page_offset + column.total_compressed_size // 2
    raw[middle : middle + 1000] = b"\xff" * 1000
    path.write_bytes(raw)
    batches = read_parquet([path], ["a"])
    assert len(next(batches)) == BATCH_ROWS
    with pytest.raises(InputError, match=f"a.parquet: cannot be read behind record {BATCH_ROWS}, broken or cut short"):
        next(batches)


def test_saved_dataset(tmp_path):
    import datasets

    rows_in = {"translation": [{"de": "Hund", "en": "dog"}, {"de": "Katze", "en": "cat"}]}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows_in)}).save_to_disk(str(tmp_path / "saved"))
    found = rows(read_saved_dataset(tmp_path / "saved", ["translation.de", "translation.en"], split="train"))
    assert found == [("Hund", "dog"), ("Katze", "cat")]
    with pytest.raises(InputError, match="no split 'dev'; there is train"):
        list(read_saved_dataset(tmp_path / "saved", ["translation.de"], split="dev"))
    with pytest.raises(InputError, match="no such folder"):
        list(read_saved_dataset(tmp_path / "none", ["text"], split=None))


@pytest.mark.parametrize(
    ("name", "cut", "message"),
    [
        ("dataset_dict.json", lambda raw: raw[:-3], r":1: not JSON"),
        ("train/state.json", lambda raw: raw[:-3], r":\d+: not JSON"),
        ("train/dataset_info.json", lambda raw: b"", r":1: not JSON"),
        ("train/dataset_info.json", lambda raw: b"[]", ": not a JSON object"),
        ("train/data-00000-of-00001.arrow", lambda raw: raw[:-300], ": not a saved data set, broken or cut short"),
    ],
)
def test_a_broken_file_of_a_saved_dataset_is_named(tmp_path, name, cut, message):
    import datasets

    folder = tmp_path / "saved"
    datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": ["x", "y"]})}).save_to_disk(str(folder))
    write(folder / name, cut((folder / name).read_bytes()))
    with pytest.raises(InputError, match=f"saved/{name}{message}"):
        list(read_saved_dataset(folder, ["a"], split="train"))


def test_a_saved_dataset_that_lacks_a_file_or_an_entry(tmp_path):
    import datasets

    datasets.Dataset.from_dict({"a": ["x"]}).save_to_disk(str(tmp_path / "saved"))
    write(tmp_path / "saved" / "state.json", "{}")
    with pytest.raises(InputError, match=r"saved: not a saved data set.*_data_files"):
        list(read_saved_dataset(tmp_path / "saved", ["a"], split=None))
    (tmp_path / "saved" / "state.json").unlink()
    with pytest.raises(InputError, match=r"saved: not a saved data set"):
        list(read_saved_dataset(tmp_path / "saved", ["a"], split=None))


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en-GB"><seg>A  dog
 barks</seg></tuv><tuv xml:lang="DE"><seg>Ein <bpt i="1"/>Hund</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>alone</seg></tuv><tuv xml:lang="fr"><seg>seul</seg></tuv></tu>
</body></tmx>
"""


def test_tmx(tmp_path):
    path = write(tmp_path / "a.tmx.gz", gzip.compress(TMX.encode()))
    batches = list(read_tmx([path], ["en", "de"]))
    assert rows(batches) == [("A dog barks", "Ein Hund"), ("alone", None)]
    assert list(batches[0].lines) == [3, 5]


@pytest.mark.parametrize(
    ("asked", "written"), [("ti_ER", "ti-ER"), ("ti-ER", "TI_er"), ("zh-tw", "zh_TW"), ("ti", "ti_ET")]
)
def test_a_tmx_and_who_asks_may_spell_a_language_otherwise(tmp_path, asked, written):
    path = write(tmp_path / "a.tmx", TMX.replace('"DE"', f'"{written}"'))
    assert rows(read_tmx([path], ["en", asked])) == [("A dog barks", "Ein Hund"), ("alone", None)]
    # Another region is another language.
    assert rows(read_tmx([path], ["en", "ti_XX"])) == [("A dog barks", None), ("alone", None)]


def unit(**variants: str) -> str:
    """A translation unit: text by code, whose "_" stands for "-"."""
    sides = (f'<tuv xml:lang="{c.replace("_", "-")}"><seg>{text}</seg></tuv>' for c, text in variants.items())
    return f"<tu>{''.join(sides)}</tu>"


@pytest.mark.parametrize(
    ("variants", "simplified", "traditional"),
    [
        ({"zh_TW": "電腦", "zh_CN": "电脑"}, "电脑", "電腦"),
        ({"zh_HK": "電腦", "zh_SG": "电脑", "zh_CN": "机"}, "电脑", "電腦"),
        ({"zh_Hant": "電腦", "zh_Hans": "电脑"}, "电脑", "電腦"),
        ({"zh_Hant_CN": "電腦", "zh_Hans_TW": "电脑"}, "电脑", "電腦"),
        # The very code before any that is like it.
        ({"zh_CN": "电脑", "zh": "机", "zh_Hant": "電腦"}, "机", "電腦"),
        # What says nothing of its script is for who asks for no other.
        ({"zh_XX": "一", "zh_YY": "二"}, "一", None),
    ],
)
def test_variants_of_a_unit_go_to_the_language_of_their_script(tmp_path, variants, simplified, traditional):
    path = write(tmp_path / "a.tmx", f"<tmx><body>{unit(en='computer', **variants)}</body></tmx>")

    def read(*languages: str, codes: tuple[str, ...] = ()) -> list[tuple[str | None, ...]]:
        return rows(read_tmx([path], codes or languages, languages))

    assert read("en", "zh") == [("computer", simplified)]
    assert read("zhtrad", "en") == [(traditional, "computer")]
    assert read("zh", "zhtrad") == [(simplified, traditional)]
    if "zh" not in variants and traditional:
        # They may share a code, or have one with a region of its own.
        assert read("zh", "zhtrad", codes=("zh", "zh")) == [(simplified, traditional)]
        assert read("en", "zhtrad", codes=("en", "zh")) == [("computer", traditional)]
        assert read("zhtrad", codes=("zh_MO",)) == [(traditional,)]


def test_a_variant_of_another_script_is_better_than_none_but_no_pair_with_itself(tmp_path):
    path = write(tmp_path / "a.tmx", f"<tmx><body>{unit(en='computer', zh_TW='電腦')}</body></tmx>")
    assert rows(read_tmx([path], ["en", "zh"], ["en", "zh"])) == [("computer", "電腦")]
    assert rows(read_tmx([path], ["zh", "zhtrad"], ["zh", "zhtrad"])) == [(None, "電腦")]
    latin = write(tmp_path / "b.tmx", f"<tmx><body>{unit(sr_Latn='pas', sr_Cyrl='пас', sr_RS='псето')}</body></tmx>")
    assert rows(read_tmx([latin], ["sr"], ["sr"])) == [("пас",)]


def test_the_scripts_of_memories_are_those_of_the_table():
    languages = load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")
    assert {code: languages[code].script.lower() for code in SCRIPTS} == {
        code: script for code, (_, script) in SCRIPTS.items()
    }
    assert {code for code, language in languages.items() if len(language.scripts) > 1} <= set(SCRIPTS)


def test_broken_tmx_names_the_line(tmp_path):
    with pytest.raises(InputError, match="broken TMX") as caught:
        list(read_tmx([write(tmp_path / "a.tmx", TMX.replace("</body>", ""))], ["en", "de"]))
    assert caught.value.line == 6


def test_tmx_opens_no_other_file(tmp_path):
    write(tmp_path / "secret", "secret")
    text = TMX.replace("<tmx ", f'<!DOCTYPE tmx [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>\n<tmx ')
    path = write(tmp_path / "a.tmx", text.replace("alone", "alone &x;"))
    assert "secret" not in str(rows(read_tmx([path], ["en", "de"])))


def test_missing_files(tmp_path):
    for read in (lambda p: read_lines([p]), lambda p: read_parquet([p], ["a"]), lambda p: read_tmx([p], ["a"])):
        with pytest.raises(InputError, match="no such file"):
            list(read(tmp_path / "none"))


def test_batch_head():
    column = pa.array(["a", "b", "c"], pa.large_string())
    head = Batch(columns=(column,), files=(Path("x"),), lines=range(5, 8)).head(2)
    assert (head.columns[0].to_pylist(), list(head.lines)) == (["a", "b"], [5, 6])
