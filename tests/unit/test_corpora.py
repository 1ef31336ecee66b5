"""Importing corpora: what is kept, what is dropped and why, and what an interrupted import does again."""

import gzip
import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sacrebleu
from pydantic import TypeAdapter

from lingualift import corpora
from lingualift.configuration.corpora import AnyCorpus
from lingualift.corpora import TableWriter, corpus_tables, good_pair_mask, import_corpus, open_table
from lingualift.errors import InputError
from lingualift.files import checksum
from lingualift.languages import load_languages
from lingualift.manifests import load_manifest

TABLE = load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")
SEEN = [code for code, language in TABLE.items() if language.seen]


@pytest.fixture
def bring(tmp_path):
    """Import a corpus below ``tmp_path/raw``; the folder it makes is ``tmp_path/out``."""

    def bring(languages, *, data=tmp_path / "raw", workers=1, strict=False, version=1, **entry):
        return import_corpus(
            TypeAdapter(AnyCorpus).validate_python(entry),
            languages=languages,
            table=TABLE,
            data=data,
            out=tmp_path / "out",
            work=tmp_path / "work",
            workers=workers,
            strict=strict,
            version=version,
        )

    (tmp_path / "raw").mkdir()
    return bring


@pytest.fixture
def raw(tmp_path, bring):
    """Write a raw file."""

    def raw(name: str, text: str | bytes) -> Path:
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return raw


def rows(folder: Path, name: str) -> list[tuple[str | None, ...]]:
    return list(zip(*(column.to_pylist() for column in open_table(folder, name).columns), strict=True))


def test_monolingual(tmp_path, bring, raw):
    path = raw("a.de.gz", gzip.compress("eins\n\nzu lang\nzwei\r\nd\xff\n".encode("latin-1")))
    manifest = bring(["de"], reader="lines", path="a.{language}.gz", max_characters=5, max_dropped=0.6)
    assert rows(tmp_path / "out", "de") == [("eins",), ("zwei",)]
    assert manifest.counts == {"tables": 1, "rows read": 5, "rows": 2}
    assert manifest.dropped == {"empty (de)": 1, "too long (de)": 1, "not UTF-8 (de)": 1}
    assert corpus_tables(tmp_path / "out") == [
        {"name": "de", "languages": ["de"], "rows": 2, "valid": {"de": 2}, "pairs": {}, "max_length_ratio": None, "directed": False, "loss": "all"}
    ]  # fmt: skip
    saved = load_manifest(tmp_path / "out" / "manifest.json")
    assert saved["inputs"] == {str(path): checksum(path)}
    assert saved["dropped"] == manifest.dropped


def test_a_bad_side_drops_the_pair_once(tmp_path, bring, raw):
    raw("x.en", "a dog\n\nA\n \nfive!\n")
    raw("x.de", "ein Hund\nHund\n" + "B" * 10 + "\n\x00\nfünf!\n")
    manifest = bring(["en", "de"], reader="aligned", path="x.{language}", files="", pair=["en", "de"], max_dropped=0.6)
    assert rows(tmp_path / "out", "en-de") == [("a dog", "ein Hund"), ("five!", "fünf!")]
    # The fourth row has two faults and is counted once.
    assert manifest.dropped == {"empty (en)": 2, "length ratio (en-de)": 1}
    [table] = corpus_tables(tmp_path / "out")
    assert (table["rows"], table["valid"], table["pairs"]) == (2, {"en": 2, "de": 2}, {"en-de": 2})


def test_multiway_drops_cells(tmp_path, bring, raw):
    raw("x.en", "one\n\nthree\nf\n")
    raw("x.de", "eins\nzwei\ndrei\nvier vier vier\n")
    raw("x.fr", "un\ndeux\n\n" + "q" * 9 + "\n")
    manifest = bring(["en", "de", "fr"], reader="multiway", path=".", files="x.{language}", max_dropped=0.25)
    assert rows(tmp_path / "out", "multiway") == [
        ("one", "eins", "un"), (None, "zwei", "deux"), ("three", "drei", None), ("f", "vier vier vier", "qqqqqqqqq"),
    ]  # fmt: skip
    assert manifest.dropped == {"empty (en)": 1, "empty (fr)": 1, "length ratio (en-de)": 1}
    [table] = corpus_tables(tmp_path / "out")
    assert (table["rows"], table["valid"]) == (4, {"en": 3, "de": 4, "fr": 3})
    # en-de: rows 1, 3 (row 4 is 1 to 14); en-fr: rows 1, 4 (1 to 9 is just allowed); de-fr: rows 1, 2, 4.
    assert table["pairs"] == {"en-de": 2, "en-fr": 2, "de-fr": 3}


def test_a_reader_of_pairs_finds_the_counted_ones(tmp_path, bring, raw):
    rng = np.random.default_rng(3)
    for code in ("en", "de", "fr"):
        raw(f"x.{code}", "".join("x" * int(length) + "\n" for length in rng.integers(0, 40, 500)))
    bring(["en", "de", "fr"], reader="multiway", path=".", files="x.{language}")
    [entry] = corpus_tables(tmp_path / "out")
    table = open_table(tmp_path / "out", "multiway")
    lengths = {name: pc.utf8_length(table[name]).fill_null(0).to_numpy() for name in table.column_names}
    for pair, count in entry["pairs"].items():
        a, b = pair.split("-")
        assert good_pair_mask(lengths[a], lengths[b], entry["max_length_ratio"]).sum() == count
        assert 0 < count < 500


def test_instructions(tmp_path, bring, raw):
    records = [
        {"instruction": "Say hi", "input": "", "output": "hi"},
        {"instruction": "Add", "input": "1 1", "output": "2"},
        {"instruction": "Do nothing", "input": "", "output": ""},
    ]
    raw("a.json", json.dumps(records))
    manifest = bring(["en"], reader="alpaca", path="a.json", max_dropped=0.5)
    table = open_table(tmp_path / "out", "instructions")
    assert table.column_names == ["instruction", "input", "output"]
    assert rows(tmp_path / "out", "instructions") == [("Say hi", "", "hi"), ("Add", "1 1", "2")]
    assert manifest.dropped == {"empty (output)": 1}
    [table] = corpus_tables(tmp_path / "out")
    assert (table["rows"], table["languages"]) == (2, [])


def test_too_many_dropped_names_the_commonest_reason(tmp_path, bring, raw):
    path = raw("a", b"good\n" * 85 + b"\xff\n" * 5 + b"\n" * 10)
    with pytest.raises(InputError, match=r"15 of 100 rows dropped.*mostly: empty \(de\), 10 times") as caught:
        bring(["de"], reader="lines", path="a", language="de")
    assert (caught.value.path, caught.value.line) == (str(path), 91)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "work").glob("*.arrow"))
    assert bring(["de"], reader="lines", path="a", language="de", max_dropped=0.15).counts["rows"] == 85


def test_multiway_watches_each_language(bring, raw):
    raw("x.en", "a\n" * 100)
    bad = raw("x.de", "a\n" * 85 + "\n" * 15)
    with pytest.raises(InputError, match=r"15 of 100 rows.*empty \(de\)") as caught:
        bring(["en", "de"], reader="multiway", path=".", files="x.{language}")
    assert (caught.value.path, caught.value.line) == (str(bad), 86)


def test_a_bad_line_in_a_tiny_pair_stops_nothing(tmp_path, bring, raw):
    """Kamba has 8 sentence pairs in LLaMAX's data, all of them with one language (Table 9)."""
    raw("en-kam.en", "one\ntwo\nthree\n\nfive\nsix\nseven\neight\n")
    raw("en-kam.kam", "a\nb\nc\nd\ne\nf\ng\nh\n")
    raw("en-kea.en", "\n")
    raw("en-kea.kea", "a\n")
    entry = {"reader": "aligned", "path": "{source}-{target}.{language}", "files": ""}
    manifest = bring(["en", "kam", "kea"], **entry)
    assert manifest.counts == {"tables": 2, "rows read": 9, "rows": 7}
    assert manifest.dropped == {"empty (en)": 2}
    assert {table["name"]: table["rows"] for table in corpus_tables(tmp_path / "out")} == {"en-kam": 7, "en-kea": 0}
    assert rows(tmp_path / "out", "en-kea") == []


@pytest.mark.parametrize(
    ("bad", "good", "share", "is_too_many"),
    # Of twelve lines ten may go, whatever the share; of 150 fifteen, a tenth.
    [(10, 2, 0.1, False), (11, 1, 0.1, True), (15, 135, 0.1, False), (16, 134, 0.1, True), (1, 99, 0, True)],
)
def test_a_share_counts_above_ten_rows(bring, raw, bad, good, share, is_too_many):
    raw("a", "good\n" * good + "\n" * bad)
    entry = {"reader": "lines", "path": "a", "language": "de", "max_dropped": share}
    if not is_too_many:
        assert bring(["de"], **entry).counts["rows"] == good
        return
    with pytest.raises(InputError, match=f"{bad} of {bad + good} rows dropped"):
        bring(["de"], **entry)


@pytest.mark.parametrize(("text", "line", "reason"), [(b"a\nb\n\n", 3, "empty"), (b"a\n\xff\n\n", 2, "not UTF-8")])
def test_strict_drops_nothing(bring, raw, text, line, reason):
    raw("x.en", "a\nb\nc\n")
    path = raw("x.de", text)
    with pytest.raises(InputError, match=reason) as caught:
        bring(["en", "de"], reader="multiway", path=".", files="x.{language}", strict=True)
    assert (caught.value.path, caught.value.line) == (str(path), line)


def test_strict_keeps_long_and_uneven_pairs(tmp_path, bring, raw):
    raw("x.en", "a\n")
    raw("x.de", "b" * 100 + "\n")
    bring(
        ["en", "de"], reader="aligned", path="x.{language}", files="", pair=["en", "de"], max_characters=9, strict=True
    )
    assert rows(tmp_path / "out", "en-de") == [("a", "b" * 100)]


def test_no_text_is_an_error(bring, raw):
    raw("a", "")
    with pytest.raises(InputError, match="holds no text"):
        bring(["de"], reader="lines", path="a", language="de")


def test_missing_files_are_found_before_anything_is_read(tmp_path, bring, raw):
    raw("a.de", "x\n")
    with pytest.raises(InputError, match=r"a\.fr: no such file, wanted for 'fr'"):
        bring(["de", "fr"], reader="lines", path="a.{language}")
    assert not (tmp_path / "work").exists()


def test_a_pair_with_a_side_missing_is_not_passed_over(tmp_path, bring, raw):
    raw("en-fr/train.en", "a\n")
    raw("en-de/train.en", "a\n")
    raw("en-de/train.de", "b\n")
    entry = {"reader": "aligned", "path": "{source}-{target}", "files": "train.{language}"}
    with pytest.raises(InputError, match=r"en-fr/train\.fr: no such file, wanted for 'en-fr'"):
        bring(["en", "fr", "de"], **entry)
    assert bring(["en", "de"], **entry).counts["tables"] == 1
    with pytest.raises(InputError, match=r"raw/\{source\}-\{target\}/train\.\{language\}: no file of such a name"):
        bring(["de", "fr"], **entry)


def test_limit(tmp_path, bring, raw):
    raw("a.1", "one\n\nthree\n")
    raw("a.2", "four\nfive\n")
    manifest = bring(["en"], reader="lines", path="a.*", language="en", limit=4, max_dropped=0.3)
    assert rows(tmp_path / "out", "en") == [("one",), ("three",), ("four",)]
    assert manifest.counts["rows read"] == 4


def test_a_limit_for_each_language(tmp_path, bring, raw):
    for code in ("de", "en", "fr"):
        raw(f"a.{code}", "one\ntwo\nthree\n")
    entry = {"reader": "lines", "path": "a.{language}"}
    bring(["de", "en", "fr"], **entry, limit={"de": 2, "fr": 9})
    assert {table["name"]: table["rows"] for table in corpus_tables(tmp_path / "out")} == {"de": 2, "en": 3, "fr": 3}


def test_two_corpora_share_a_file(tmp_path, bring, raw):
    """20,000 lines are read in more than one batch."""
    lines = [f"line {number}" for number in range(20_000)]
    raw("a.1", "\n".join(lines[:18_000]) + "\n")
    raw("a.2", "\n".join(lines[18_000:]) + "\n\n")
    entry = {"reader": "lines", "path": "a.*", "language": "en"}
    parts = []
    for window in ({"limit": 17_500}, {"skip": 17_500, "limit": 700}, {"skip": {"en": 18_200}}):
        manifest = bring(["en"], **entry, **window)
        parts.append([text for (text,) in rows(tmp_path / "out", "en")])
        assert manifest.counts["rows"] == len(parts[-1])
    assert [len(part) for part in parts] == [17_500, 700, 1800]
    assert [text for part in parts for text in part] == lines
    assert manifest.counts["rows read"] == 1801
    with pytest.raises(InputError, match=r"a\.1: holds no text behind the first 20,001 rows"):
        bring(["en"], **entry, skip=20_001)
    # A bad row behind those left out is told with its own line.
    raw("b", "one\n\ntwo\n\n")
    with pytest.raises(InputError, match="empty") as caught:
        bring(["en"], reader="lines", path="b", language="en", skip=2, max_dropped=0)
    assert caught.value.line == 4


def test_each_reader_arrives(tmp_path, bring, raw):
    raw("p.tsv", "dog\tHund\n")
    bring(["en", "de"], reader="tsv", path="p.tsv", columns={"en": 0, "de": 1})
    assert rows(tmp_path / "out", "en-de") == [("dog", "Hund")]
    raw(
        "p.tmx",
        '<tmx><body><tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu></body></tmx>',
    )
    bring(["en", "de"], reader="tmx", path="p.tmx", pair=["de", "en"])
    assert rows(tmp_path / "out", "de-en") == [("b", "a")]
    raw("p.jsonl", '{"t": {"en": "a", "de": "b", "fr": "c"}}\n')
    fields = {code: f"t.{code}" for code in ("en", "de", "fr")}
    bring(["en", "de", "fr"], reader="jsonl", path="p.jsonl", columns=fields)
    assert rows(tmp_path / "out", "multiway") == [("a", "b", "c")]
    assert not (tmp_path / "out" / "tables" / "de-en.arrow").exists()


def test_an_interrupted_import_goes_on(tmp_path, bring, raw, monkeypatch):
    for code in ("de", "en", "fr"):
        raw(f"a.{code}", f"{code} one\n{code} two\n")
    read = []
    honest = corpora.read_table

    def watched(corpus, source):
        read.append(source.name)
        if source.name == fails:
            raise KeyboardInterrupt
        return honest(corpus, source)

    monkeypatch.setattr(corpora, "read_table", watched)
    entry = {"reader": "lines", "path": "a.{language}"}
    fails = "fr"
    with pytest.raises(KeyboardInterrupt):
        bring(["de", "en", "fr"], **entry)
    assert read == ["de", "en", "fr"]
    assert not (tmp_path / "out").exists()

    fails = ""
    read.clear()
    resumed = bring(["de", "en", "fr"], **entry)
    assert read == ["fr"]
    assert resumed.counts == {"tables": 3, "rows read": 6, "rows": 6}
    assert len(resumed.inputs) == 3
    bring(["de", "en", "fr"], **entry)
    assert read == ["fr"]

    # Killed after a table was written anew, before that was noted: the old notes must not vouch for it.
    def killed(value, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(corpora, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            bring(["fr"], **entry, limit=1)
    read.clear()
    bring(["fr"], **entry)
    assert read == ["fr"]
    assert rows(tmp_path / "out", "fr") == [("fr one",), ("fr two",)]

    # A raw file that changed, or another setting, is read again; another choice of languages is not.
    os.utime(raw("a.en", "en three\n"), ns=(1, 1))
    bring(["en", "fr"], **entry)
    assert read == ["fr", "en"]
    assert rows(tmp_path / "out", "en") == [("en three",)]
    bring(["en", "fr"], **entry, limit=1)
    assert read == ["fr", "en", "en", "fr"]
    # So is all that another version of the code has read.
    bring(["en", "fr"], **entry, limit=1, version=2)
    assert read == ["fr", "en", "en", "fr", "en", "fr"]
    # The rows of another language are not its matter.
    bring(["en", "fr"], **entry, limit={"en": 1, "fr": 2}, version=2)
    assert read == ["fr", "en", "en", "fr", "en", "fr", "fr"]


def test_processes_make_the_same_bytes(tmp_path, bring, raw):
    for code in ("de", "en", "fr"):
        raw(f"a.{code}", f"{code}\n" * 20_000)
    bring(["de", "en", "fr"], reader="lines", path="a.{language}")
    alone = {path.name: path.read_bytes() for path in (tmp_path / "out" / "tables").iterdir()}
    for path in (tmp_path / "work").iterdir():
        path.unlink()
    manifest = bring(["de", "en", "fr"], reader="lines", path="a.{language}", workers=2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "tables").iterdir()} == alone
    assert manifest.counts["rows"] == 60_000


def test_bad_lines_of_json_are_dropped_and_counted(tmp_path, bring, raw):
    good = [json.dumps({"t": {"en": f"dog {n}", "de": f"Hund {n}"}}) for n in range(30)]
    path = raw("p.jsonl", "\n".join([*good[:20], '{"t": ', "", *good[20:], "[]"]) + "\n")
    entry = {"reader": "jsonl", "path": "p.jsonl", "columns": {"en": "t.en", "de": "t.de"}}
    # Their share counts with that of all other bad rows, and a benchmark has none.
    for options, message in (
        ({"max_dropped": 0}, r"3 of 33 rows dropped.*mostly: not a JSON object \(en\), 2 times"),
        ({"strict": True}, "not a JSON object"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            bring(["en", "de"], **entry, **options)
        assert (caught.value.path, caught.value.line) == (str(path), 21)
    manifest = bring(["en", "de"], **entry)
    assert manifest.counts == {"tables": 1, "rows read": 33, "rows": 30}
    assert manifest.dropped == {"not a JSON object (en)": 2, "empty line (en)": 1}
    assert rows(tmp_path / "out", "en-de") == [(f"dog {n}", f"Hund {n}") for n in range(30)]


def test_an_instruction_of_an_array_is_told_by_its_number(bring, raw):
    records = [{"instruction": "Say hi", "input": "", "output": output} for output in ("hi", "")]
    path = raw("a.json", json.dumps(records, indent=1))
    with pytest.raises(InputError, match="empty") as caught:
        bring(["en"], reader="alpaca", path="a.json", max_dropped=0)
    assert str(caught.value).startswith(f"{path}: record 2: ")


def test_memories_of_both_kinds_of_chinese(tmp_path, bring, raw):
    sides = [("en", "computer"), ("zh-TW", "電腦"), ("zh-CN", "电脑")]
    variants = "".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in sides)
    raw("p.tmx", f"<tmx><body><tu>{variants}</tu></body></tmx>")
    for code, text in (("zh", "电脑"), ("zhtrad", "電腦")):
        bring(["en", "zh", "zhtrad"], reader="tmx", path="p.tmx", pair=["en", code])
        assert rows(tmp_path / "out", f"en-{code}") == [("computer", text)]


def test_an_error_in_a_process_keeps_its_place(bring, raw):
    raw("a.de", "x\n")
    path = raw("a.en", "x\n\n")
    with pytest.raises(InputError, match="mostly: empty") as caught:
        bring(["de", "en"], reader="lines", path="a.{language}", workers=2, max_dropped=0)
    assert (caught.value.path, caught.value.line) == (str(path), 2)


def test_record_batches_are_even(tmp_path):
    with TableWriter(tmp_path / "t.arrow", ["de"]) as writer:
        for size in (1, 16_383, 40_000, 0, 5):
            writer.add([pa.array(["x"] * size, pa.large_string())])
    with pa.ipc.open_file(str(tmp_path / "t.arrow")) as file:
        sizes = [file.get_batch(index).num_rows for index in range(file.num_record_batches)]
    assert sizes == [16_384, 16_384, 16_384, 7_237]


def test_open_table_names_what_is_missing_or_broken(tmp_path, bring, raw):
    with pytest.raises(InputError, match="no such table"):
        open_table(tmp_path, "de")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "de.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(InputError, match="broken table"):
        open_table(tmp_path, "de")


def test_multi30k(tmp_path, bring, shared_data):
    codes = ["en", "de", "fr", "cs"]
    manifest = bring(codes, data=shared_data, reader="multiway", path="multi30k", files="train.{language}.gz")
    [entry] = corpus_tables(tmp_path / "out")
    assert (entry["rows"], entry["valid"]) == (29_000, dict.fromkeys(codes, 29_000))
    # Two German captions are "@@".
    assert manifest.dropped == dict.fromkeys([f"length ratio ({pair})" for pair in ("en-de", "de-fr", "de-cs")], 2)
    table = open_table(tmp_path / "out", "multiway")
    raw = gzip.decompress((shared_data / "multi30k" / "train.fr.gz").read_bytes()).decode().split("\n")
    assert table["fr"][0].as_py() == raw[0].strip()
    assert table["fr"][28_999].as_py() == raw[28_999].strip()


def test_benchmarks_keep_the_publishers_text_and_corpora_are_composed(tmp_path, bring, raw):
    """Bengali ya, which NFC takes apart, and an e with an accent of its own, which NFC puts together."""
    raw("x.bn", "\u09df cafe\u0301 \r\n")
    raw("x.en", "one\n")
    options = {"reader": "multiway", "path": ".", "files": "x.{language}"}
    bring(["en", "bn"], **options)
    assert rows(tmp_path / "out", "multiway") == [("one", "\u09af\u09bc caf\u00e9")]
    shutil.rmtree(tmp_path / "out")
    bring(["en", "bn"], **options, strict=True)
    assert rows(tmp_path / "out", "multiway") == [("one", "\u09df cafe\u0301")]


@pytest.mark.parametrize("code", ["bn", "as", "pa", "yo", "or", "hi"])
def test_references_that_are_hypotheses_are_perfect(tmp_path, bring, shared_data, code):
    """Also where they are not in NFC, which a file of hypotheses need not be either."""
    folder = shared_data / "flores101" / "devtest"
    bring(["en", code], data=shared_data, reader="flores", path="flores101/devtest", strict=True)
    published = (folder / f"{TABLE[code].codes['flores101']}.devtest").read_text(encoding="utf-8").split("\n")[:-1]
    assert any(unicodedata.normalize("NFC", line) != line for line in published)
    references = open_table(tmp_path / "out", "multiway")[code].to_pylist()
    assert sacrebleu.corpus_bleu(published, [references]).score == pytest.approx(100)
    assert references == [line.strip() for line in published]


def test_flores_is_whole(tmp_path, bring, shared_data):
    manifest = bring(SEEN, data=shared_data, reader="flores", path="flores101/devtest", strict=True)
    [entry] = corpus_tables(tmp_path / "out")
    assert entry["languages"] == SEEN and len(entry["pairs"]) == 102 * 101 // 2
    assert set(entry["valid"].values()) == set(entry["pairs"].values()) == {1012}
    assert len(manifest.inputs) == 102


def test_ntrex_is_whole(tmp_path, bring, shared_data):
    bring(SEEN, data=shared_data, reader="ntrex", path="ntrex128", strict=True)
    [entry] = corpus_tables(tmp_path / "out")
    assert set(entry["valid"].values()) == {1997}
    assert "en" in entry["languages"] and len(entry["languages"]) == 89


def test_tatoeba_and_alma(tmp_path, bring, shared_data):
    bring(list(TABLE), data=shared_data, reader="tatoeba", path="tatoeba")
    tables = corpus_tables(tmp_path / "out")
    assert len(tables) == 112
    assert {table["name"]: table["rows"] for table in tables}["de-en"] == 1000
    alma = {
        "reader": "jsonl",
        "path": "alma",
        "files": "test.{source}-{target}.json",
        "text_field": "translation.{language}",
    }
    bring(["cs", "en"], data=shared_data, **alma)
    lines = (shared_data / "alma" / "test.cs-en.cs").read_text("utf-8").splitlines()
    assert [row[0] for row in rows(tmp_path / "out", "cs-en")] == [line.strip() for line in lines]


def test_multiway_counts_pairs_of_absurd_length_and_loses_no_row_by_them(tmp_path, bring, raw):
    """Every other German line is far too short for English; French goes with both."""
    for code, text in (("en", "a sentence\n" * 39 + "\n"), ("de", "ein Satz\nx\n" * 20), ("fr", "ici\n" * 40)):
        raw(f"x.{code}", text)
    options = {"reader": "multiway", "path": ".", "files": "x.{language}"}
    # What is too many, and why, goes by lines that are bad themselves.
    with pytest.raises(InputError, match=r"1 of 40 rows dropped.*mostly: empty \(en\), 1 times"):
        bring(["en", "de", "fr"], **options, max_dropped=0)
    manifest = bring(["en", "de", "fr"], **options)
    # 19 of the 20 beside "x" are English: 10 letters to 1 are too many, the 3 of French are not.
    assert manifest.dropped == {"empty (en)": 1, "length ratio (en-de)": 19}
    [table] = corpus_tables(tmp_path / "out")
    assert table["rows"] == 40 and table["pairs"] == {"en-de": 20, "en-fr": 39, "de-fr": 40}
    assert bring(["en", "de", "fr"], **options, max_length_ratio=None).dropped == {"empty (en)": 1}
