"""Languages of outputs: as langdetect tells them, the same in any order; a language it does not know has no rate."""

import csv
import gzip
import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lingualift import detection
from lingualift.arrow_tables import TableWriter
from lingualift.configuration.evaluation import OFF_TARGET
from lingualift.detection import (
    FastText,
    LangDetect,
    check_languages,
    off_target,
    score_off_target,
    share_in_scripts,
)
from lingualift.errors import LingualiftError
from lingualift.languages import Language, load_languages, told
from lingualift.scoring import COLUMNS

LANGUAGES = load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")
GERMAN = "Der Hund läuft über die Straße und bellt die Katze an."
ENGLISH = "The dog runs across the street and barks at the cat."


REFERENCES = [f"{code} {number}" for code in ("en", "de", "am") for number in range(4)]


class Words:
    """A detector that takes the first word for the language; it knows en and de."""

    signature = "detector:words"

    def label(self, language: Language) -> str | None:
        return language.code if language.code in ("en", "de") else None

    def detect(self, sentences):
        return [sentence.split()[0] if sentence.split() else None for sentence in sentences]


def test_rates_by_hand():
    hypotheses = ["de eins", "de zwei", "de drei", "en four", "fr cinq", "", " ", "en eight"]
    assert off_target(hypotheses, "en", "de", Words(), LANGUAGES) == {"R_source": 25.0, "R_X": 37.5}
    # French is not known: its outputs are nobody's, its rate is no 0.
    assert off_target(hypotheses, "fr", "en", Words(), LANGUAGES) == {"R_source": None, "R_X": 25.0}


@pytest.fixture(scope="module")
def sentences(shared_data) -> list[str]:
    read = []
    for name in ("src.eng", "ref.deu", "ref.zho-CN", "ref.swa", "ref.fil", "ref.vie"):
        with gzip.open(shared_data / "ntrex128" / f"newstest2019-{name}.txt.gz", "rt", encoding="utf-8") as file:
            read += [line.strip() for _, line in zip(range(25), file, strict=False)]
    return [*read, "", "   ", "1234", "!?", "https://example.org", "a"]


@pytest.mark.parametrize("seed", [0, 7])
def test_langdetects_own_answers(sentences, monkeypatch, seed):
    langdetect = pytest.importorskip("langdetect")
    monkeypatch.setattr(langdetect.DetectorFactory, "seed", seed)
    expected = []
    for sentence in sentences:
        try:
            expected.append(langdetect.detect(sentence))
        except langdetect.LangDetectException:
            expected.append(None)
    assert LangDetect(seed).detect(sentences) == expected
    assert expected[-6:-1] == [None] * 5
    assert {"en", "de", "zh-cn", "sw", "tl", "vi"} <= set(expected)


def test_the_answer_to_a_sentence_does_not_hang_on_the_others(sentences):
    detector = LangDetect(0)
    order = list(range(len(sentences)))
    random.Random(1).shuffle(order)
    shuffled = detector.detect([sentences[place] for place in order])
    together = detector.detect(sentences)
    assert [together[place] for place in order] == shuffled
    assert [detector.detect([sentence])[0] for sentence in sentences[:20]] == together[:20]


def test_names_of_languages():
    detector = LangDetect()
    names = {code: detector.label(LANGUAGES[code]) for code in ("zh", "zhtrad", "no", "tl", "am", "nn", "he")}
    assert names == {"zh": "zh-cn", "zhtrad": "zh-tw", "no": "no", "tl": "tl", "am": None, "nn": None, "he": "he"}


def test_every_name_is_one_of_langdetects():
    factory = pytest.importorskip("langdetect.detector_factory")
    known = {path.name for path in Path(factory.PROFILES_DIRECTORY).iterdir()}
    named = [LangDetect().label(language) for language in LANGUAGES.values()]
    named = [name for name in named if name is not None]
    assert set(named) <= known
    assert len(set(named)) == len(named)


@pytest.fixture
def scored(tmp_path):
    """English, German and Amharic: two directions, one of whose languages langdetect does not know."""
    import pyarrow as pa

    folder = tmp_path / "benchmark"
    (folder / "tables").mkdir(parents=True)
    columns = {code: [text for text in REFERENCES if text.startswith(code)] for code in ("en", "de", "am")}
    with pa.ipc.new_file(folder / "tables" / "all.arrow", pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    manifest = {"tables": [{"name": "all", "languages": list(columns), "rows": 4}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    made = {"en-de": [GERMAN, GERMAN, ENGLISH, ""], "am-en": [ENGLISH, ENGLISH, ENGLISH, GERMAN]}
    hypotheses = tmp_path / "hypotheses.jsonl"
    hypotheses.write_text(
        "".join(
            json.dumps({"direction": direction, "sentence": number, "hypothesis": text}) + "\n"
            for direction, texts in made.items()
            for number, text in enumerate(texts)
        )
    )
    return folder, hypotheses


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_of_scores(scored, tmp_path, workers):
    folder, hypotheses = scored
    manifest = score_off_target(
        [hypotheses],
        benchmark_folder=folder,
        rates={name: (name, LangDetect(3)) for name in OFF_TARGET},
        languages=LANGUAGES,
        out=tmp_path / "scores.csv",
        system="S",
        benchmark="B",
        workers=workers,
    )
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    found = {(row["source"], row["target"], row["metric"]): row["score"] for row in rows}
    assert found == {
        ("am", "en", "R_source"): "",
        ("am", "en", "R_X"): "75.0",
        ("en", "de", "R_source"): "25.0",
        ("en", "de", "R_X"): "50.0",
    }
    assert rows[0]["signature"].startswith("detector:langdetect|version:")
    assert rows[0]["signature"].endswith("|seed:3")
    assert {row["segments"] for row in rows} == {"4"}
    assert manifest.counts == {"directions": 2, "segments": 8, "undetected": 1}


def test_a_killed_run_goes_on(scored, tmp_path):
    """The state of a run that had one direction: the other alone is looked at."""
    folder, hypotheses = scored
    looked_at = []

    class Once(Words):
        def detect(self, sentences):
            if sentences[0] in REFERENCES:
                return super().detect(sentences)
            if looked_at:
                raise KeyboardInterrupt
            looked_at.append(list(sentences))
            return super().detect(sentences)

    options = {"benchmark_folder": folder, "languages": LANGUAGES, "system": "S", "benchmark": "B"}
    once, plain = ({name: (name, detector) for name in OFF_TARGET} for detector in (Once(), Words()))
    options["state"] = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        score_off_target([hypotheses], rates=once, out=tmp_path / "resumed.csv", **options)
    looked_at.clear()
    score_off_target([hypotheses], rates=once, out=tmp_path / "resumed.csv", **options)
    assert looked_at == [[GERMAN, ENGLISH, ""]]
    unkept = options.copy()
    del unkept["state"]
    score_off_target([hypotheses], rates=plain, out=tmp_path / "unbroken.csv", **unkept)
    assert (tmp_path / "resumed.csv").read_bytes() == (tmp_path / "unbroken.csv").read_bytes()
    # Nothing is looked at twice, but all of it by another version.
    looked_at.clear()
    score_off_target([hypotheses], rates=once, out=tmp_path / "again.csv", **options)
    assert looked_at == []
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "unbroken.csv").read_bytes()
    score_off_target([hypotheses], rates=plain, out=tmp_path / "again.csv", version=2, **options)
    with pytest.raises(KeyboardInterrupt):
        score_off_target([hypotheses], rates=once, out=tmp_path / "again.csv", version=3, **options)


def test_what_another_benchmark_has_looked_at_is_not_looked_at_again(scored, tmp_path):
    folder, hypotheses = scored
    looked_at = []

    class Seen(Words):
        def detect(self, sentences):
            looked_at.extend(sentence for sentence in sentences if sentence not in REFERENCES)
            return super().detect(sentences)

    options = {"benchmark_folder": folder, "languages": LANGUAGES, "system": "S", "benchmark": "B"}
    options |= {"rates": {name: (name, Seen()) for name in OFF_TARGET}}

    def score(name: str, **more) -> bytes:
        looked_at.clear()
        score_off_target([hypotheses], out=tmp_path / f"{name}.csv", **options, **more)
        return (tmp_path / f"{name}.csv").read_bytes()

    shared = tmp_path / "state"
    fresh = score("fresh")
    assert score("first", state=shared / "first", shared=shared) == fresh and len(looked_at) == 5
    before = [path.read_bytes() for path in shared.rglob("*.jsonl")]
    assert score("second", state=shared / "second" / "0", shared=shared) == fresh and looked_at == []
    assert [path.read_bytes() for path in shared.rglob("*.jsonl")] == before
    # A direction more is all that is new.
    hypotheses.write_text(hypotheses.read_text().replace("am-en", "en-am"))
    score("third", state=shared / "second" / "1", shared=shared)
    assert looked_at == [ENGLISH, GERMAN]


def test_a_kill_behind_the_counts_loses_none(scored, tmp_path, monkeypatch):
    """While the references are looked at, when the scores are written already."""
    folder, hypotheses = scored
    looked_at = []

    class Seen(Words):
        def detect(self, sentences):
            looked_at.append(list(sentences))
            return super().detect(sentences)

    options = {"benchmark_folder": folder, "languages": LANGUAGES, "system": "S", "benchmark": "B"}
    options |= {"rates": {"R_X": ("R_X", Seen())}, "out": tmp_path / "scores.csv", "state": tmp_path / "state"}
    with monkeypatch.context() as patch:
        patch.setattr(detection, "_own_references", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            score_off_target([hypotheses], **options)
    assert len(looked_at) == 2
    looked_at.clear()
    score_off_target([hypotheses], **options)
    # The references alone.
    assert all(sentences[0] in REFERENCES for sentences in looked_at)


def test_references_of_another_language_are_counted_and_told(scored, tmp_path, caplog):
    """langdetect takes `de 0` for anything but German; what it does not know it says nothing of, but the script does."""
    folder, hypotheses = scored
    hypotheses.write_text(hypotheses.read_text().replace("am-en", "de-am"))
    latin = "references in Amharic: 0 % of the first 4 are in its script (Ethi): are they in another language?"
    options = {"benchmark_folder": folder, "languages": LANGUAGES, "system": "S", "benchmark": "B"}
    for detector, rate in ((Words(), 100), (LangDetect(0), 0)):
        caplog.clear()
        rates = {name: (name, detector) for name in OFF_TARGET}
        manifest = score_off_target([hypotheses], rates=rates, out=tmp_path / "scores.csv", **options)
        assert manifest.details["references_in_their_language"] == {"de": rate}
        german = "references in German: 0 % of the first 4 are taken for it: are they in another language?"
        assert {record.getMessage() for record in caplog.records} == ({german, latin} if rate == 0 else {latin})
        assert manifest.details["references_in_their_script"] == {"am": 0, "de": 100}


def test_of_languages_whose_scripts_are_not_told_nothing_is_said_of_them(scored, tmp_path, caplog):
    folder, hypotheses = scored
    hypotheses.write_text(hypotheses.read_text().replace("am-en", "de-am"))
    languages = told({code: {"name": code, "codes": {}} for code in ("en", "de", "am")})
    rates = {name: (name, Words()) for name in OFF_TARGET}
    options = {"benchmark_folder": folder, "languages": languages, "system": "S", "benchmark": "B", "rates": rates}
    manifest = score_off_target([hypotheses], out=tmp_path / "scores.csv", **options)
    assert manifest.details["references_in_their_script"] == {} and not caplog.records


def test_texts_in_a_script_by_hand():
    """A text counts where at least half of its letters do; one without letters is in any script."""
    texts = ["Der Hund", "NASA и ООН", "Собака", "1990!", "犬 in Latin letters", "ﷺ 12"]
    assert share_in_scripts(texts, ["Latn"]) == pytest.approx(100 * 4 / 6)
    assert share_in_scripts(texts, ["Cyrl", "Arab"]) == pytest.approx(100 * 4 / 6)
    dogs = ["狗在跑", "犬が走る", "개가 달린다", "犬はとても速く走る"]
    shares = {script: share_in_scripts(dogs, [script]) for script in ("Hans", "Hant", "Jpan", "Kore")}
    assert shares == {"Hans": 50, "Hant": 50, "Jpan": 75, "Kore": 75}


def test_every_language_of_flores_is_in_its_script(shared_data):
    """No warning of what is right; and of what is wrong one, where two languages share no script."""
    folder = shared_data / "flores101" / "devtest"
    lines = {
        code: (folder / f"{language.codes['flores101']}.devtest").read_text("utf-8").split("\n")[:100]
        for code, language in LANGUAGES.items()
        if "flores101" in language.codes
    }
    assert len(lines) == 102
    assert {code for code in lines if share_in_scripts(lines[code], LANGUAGES[code].scripts) < 90} == set()
    for code, other in (("am", "en"), ("de", "ru"), ("zhtrad", "fr"), ("ur", "hi"), ("en", "ja"), ("ja", "en")):
        assert share_in_scripts(lines[other], LANGUAGES[code].scripts) < 20


def benchmark(folder: Path, **tables: dict[str, list[str | None]]) -> list[dict[str, Any]]:
    """Tables of a benchmark: name → language → texts."""
    (folder / "tables").mkdir()
    for name, columns in tables.items():
        with TableWriter(folder / "tables" / f"{name}.arrow", list(columns)) as writer:
            writer.add([pa.array(texts, pa.large_string()) for texts in columns.values()])
    return [{"name": name, "languages": list(columns)} for name, columns in tables.items()]


LABELS = {"en": "en", "de": "de", "zh": "zh-cn", "zhtrad": "zh-tw"}


@pytest.fixture(scope="module")
def flores(shared_data) -> dict[str, list[str]]:
    codes = {"en": "eng", "de": "deu", "fr": "fra", "am": "amh", "zh": "zho_simpl", "zhtrad": "zho_trad"}
    folder = shared_data / "flores101" / "devtest"
    return {it: (folder / f"{code}.devtest").read_text("utf-8").split("\n")[:150] for it, code in codes.items()}


def test_texts_of_another_language_are_told_when_a_benchmark_is_imported(flores, tmp_path, caplog):
    holes = [None if number % 3 else text for number, text in enumerate(flores["en"])]
    tables = benchmark(tmp_path, good={**flores, "en": holes}, swapped={"en": flores["en"], "de": flores["fr"]})
    found = check_languages(tmp_path, tables, LABELS)
    # Of fr and am nothing was asked; what langdetect says of Traditional Chinese is not to be trusted.
    assert found == {"in_their_language": {"de": 0, "en": 100, "zh": pytest.approx(100, abs=15)}}
    warning = "de of 'swapped': 0 % of the first 100 are taken for it: are they in another language?"
    assert [record.getMessage() for record in caplog.records] == [warning]


def test_texts_in_another_script_are_told_when_a_benchmark_is_imported(flores, tmp_path, caplog):
    """Of languages, too, that langdetect does not know, and of Traditional Chinese."""
    columns = {"am": flores["en"], "zhtrad": flores["zhtrad"], "en": flores["en"], "fr": flores["zh"]}
    scripts = {code: LANGUAGES[code].scripts for code in columns}
    found = check_languages(tmp_path, benchmark(tmp_path, all=columns), LABELS, scripts=scripts)
    assert found["in_their_language"] == {"en": 100}
    shares = found["in_their_script"]
    assert (shares["am"], shares["en"], shares["zhtrad"]) == (0, 100, 100) and shares["fr"] < 10
    assert [record.getMessage() for record in caplog.records] == [
        f"{code} of 'all': {shares[code]:.0f} % of the first 100 are in its script ({script}): are they in another language?"
        for code, script in (("am", "Ethi"), ("fr", "Latn"))
    ]


def test_more_lines_are_looked_at_where_the_first_leave_a_doubt(flores, tmp_path, monkeypatch, caplog):
    looked_at = []
    detect = LangDetect.detect
    monkeypatch.setattr(LangDetect, "detect", lambda *it: looked_at.append(len(it[1])) or detect(*it))
    mixed = [*flores["fr"][:25], *flores["de"][25:]]
    found = check_languages(tmp_path, benchmark(tmp_path, all={"en": flores["en"], "de": mixed}), LABELS)
    # The first hundred have 25 lines of French: no reason to warn.
    assert found["in_their_language"] == {"de": 75, "en": 100}
    assert looked_at == [25, 25, 100] and not caplog.records


def test_a_language_of_many_tables_costs_little(flores, tmp_path, monkeypatch):
    looked_at = []
    detect = LangDetect.detect
    monkeypatch.setattr(LangDetect, "detect", lambda *it: looked_at.append(len(it[1])) or detect(*it))
    tables = {f"t{number}": {"en": flores["en"], "am": flores["am"]} for number in range(8)}
    check_languages(tmp_path, benchmark(tmp_path, **tables), LABELS)
    assert looked_at == [12] * 8


def test_of_few_lines_nothing_is_said(flores, tmp_path, caplog):
    tables = benchmark(tmp_path, few={"en": flores["de"][:9], "de": [None] * 9})
    assert check_languages(tmp_path, tables, LABELS) == {"in_their_language": {}} and not caplog.records


def test_two_detectors_beside_each_other(scored, tmp_path):
    """Each rate by the detector that it names; am is known to neither, de not to the first."""
    folder, hypotheses = scored

    class English(Words):
        signature = "detector:english"

        def label(self, language: Language) -> str | None:
            return "en" if language.code == "en" else None

        def detect(self, sentences):
            return ["en" if sentence == ENGLISH else None for sentence in sentences]

    rates = {"R_X": ("R_X", LangDetect(0)), "R_X_english": ("R_X", English()), "R_source": ("R_source", English())}
    options = {"benchmark_folder": folder, "languages": LANGUAGES, "system": "S", "benchmark": "B"}
    score_off_target([hypotheses], rates=rates, out=tmp_path / "scores.csv", **options)
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = {(row["source"], row["target"], row["metric"]): row for row in csv.DictReader(file)}
    assert {key: row["score"] for key, row in rows.items()} == {
        ("am", "en", "R_X"): "75.0",
        ("am", "en", "R_X_english"): "75.0",
        ("am", "en", "R_source"): "",
        ("en", "de", "R_X"): "50.0",
        ("en", "de", "R_X_english"): "",
        ("en", "de", "R_source"): "25.0",
    }
    assert rows["en", "de", "R_source"]["signature"] == "detector:english"


def test_fasttext_without_its_file(tmp_path):
    with pytest.raises(LingualiftError, match=r"lid\.176\.bin.*no such file.*fasttext\.cc"):
        FastText(tmp_path / "lid.176.bin")


def test_fasttext_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fasttext", None)
    (tmp_path / "absent.bin").write_bytes(b"model")
    with pytest.raises(LingualiftError, match="pip install fasttext-wheel"):
        FastText(tmp_path / "absent.bin")


def test_fasttexts_names(tmp_path, monkeypatch):
    """What lid.176 calls the languages whose codes differ; a line is a text for it, and a blank one is no text."""
    seen = []

    def predict(lines):
        seen.extend(lines)
        return [["__label__" + line.split()[0]] if line != "nothing" else [] for line in lines], None

    labels = [f"__label__{name}" for name in ("en", "de", "ckb", "ku", "no", "tl", "als", "sq", "zh", "yue")]
    model = SimpleNamespace(get_labels=lambda: labels, predict=predict)
    monkeypatch.setitem(sys.modules, "fasttext", SimpleNamespace(load_model=lambda path: model))
    (tmp_path / "lid.176.ftz").write_bytes(b"model")
    detector = FastText(tmp_path / "lid.176.ftz")
    names = {code: detector.label(LANGUAGES[code]) for code in ("en", "ku", "kmr", "no", "tl", "gsw", "sq", "zh", "sw")}
    assert names == {
        "en": "en",
        "ku": "ckb",
        "kmr": "ku",
        "no": "no",
        "tl": "tl",
        "gsw": "als",
        "sq": "sq",
        "zh": "zh",
        "sw": None,
    }
    assert detector.detect(["de ein\nZwei", "", "  ", "nothing", "en"]) == ["de", None, None, None, "en"]
    assert seen == ["de ein Zwei", "nothing", "en"]
    assert "lid.176.ftz|checksum:" in detector.signature
