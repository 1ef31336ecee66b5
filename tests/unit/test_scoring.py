"""Scores agree with sacrebleu to the last digit, and say how they were made."""

import csv
import gzip
import json
import multiprocessing
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import sacrebleu
from sacrebleu.metrics import BLEU

from lingualift import metrics, scoring
from lingualift.configuration.evaluation import RATES, Metric
from lingualift.errors import InputError, LingualiftError
from lingualift.files import checksum
from lingualift.languages import load_languages
from lingualift.metrics import RATE_SIGNATURES, Scorer, _bleu_tokenizer, check_metrics, rates, score_segments
from lingualift.scoring import COLUMNS, benchmark_sentences, read_hypotheses, score_hypotheses, write_scores

NTREX = {
    "en": "newstest2019-src.eng.txt.gz",
    "de": "newstest2019-ref.deu.txt.gz",
    "zh": "newstest2019-ref.zho-CN.txt.gz",
    "sw": "newstest2019-ref.swa.txt.gz",
}
NUM_LINES = 150
# "bleu" must be right for every target, "spbleu" as well as the plain command.
METRICS = {name: Metric(name=name) for name in ("spbleu", "bleu", "chrf", "chrf++")}


@pytest.fixture(scope="module")
def texts(shared_data) -> dict[str, list[str]]:
    read = {}
    for code, name in NTREX.items():
        with gzip.open(shared_data / "ntrex128" / name, "rt", encoding="utf-8", newline="\n") as file:
            read[code] = [line.rstrip("\r\n") for _, line in zip(range(NUM_LINES), file, strict=False)]
    return read


@pytest.fixture
def flores_model(shared_data, monkeypatch) -> Path:
    monkeypatch.setenv("SACREBLEU", str(shared_data / "sacrebleu"))
    return shared_data / "sacrebleu" / "models" / "flores200sacrebleuspm"


def perturbed(sentences: list[str], seed: int) -> list[str]:
    """A poor translation: words lost, doubled and swapped, some lines empty, some another line's."""
    rng = random.Random(seed)
    made = []
    for sentence in sentences:
        # Characters stand for words where there are no spaces.
        words = sentence.split(" ") if " " in sentence.strip() else list(sentence)
        words = [word for word in words for _ in range(rng.choice([0, 1, 1, 1, 1, 2]))]
        if len(words) > 3 and rng.random() < 0.5:
            place = rng.randrange(len(words) - 1)
            words[place], words[place + 1] = words[place + 1], words[place]
        made.append((" " if " " in sentence.strip() else "").join(words) + rng.choice(["", "", " ", " ."]))
    made[3] = ""
    made[5] = sentences[6]
    return made


def benchmark(folder: Path, tables: dict[str, dict[str, list[str]]]) -> Path:
    import pyarrow as pa

    (folder / "tables").mkdir(parents=True)
    described = []
    for name, columns in tables.items():
        table = pa.table(columns)
        with pa.ipc.new_file(folder / "tables" / f"{name}.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
        described.append({"name": name, "languages": list(columns), "rows": table.num_rows})
    (folder / "manifest.json").write_text(json.dumps({"tables": described}))
    return folder


def hypotheses_file(path: Path, made: dict[str, list[str]]) -> Path:
    records = (
        {"direction": direction, "sentence": number, "hypothesis": hypothesis}
        for direction, hypotheses in made.items()
        for number, hypothesis in enumerate(hypotheses)
    )
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def rows_of(path: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["source"], row["target"], row["metric"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize("target", ["de", "zh", "sw"])
def test_spbleu_is_sacrebleus_to_the_last_digit(texts, flores_model, monkeypatch, target):
    # sacrebleu reads the variable when it is imported, which was before the test set it.
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.SACREBLEU_DIR", str(flores_model.parents[1]))
    hypotheses = perturbed(texts[target], 1)
    plain = BLEU(tokenize="flores200", force=True)
    score = plain.corpus_score(hypotheses, [texts[target]]).score
    scorer = Scorer(METRICS["spbleu"], target, texts[target])
    assert 5 < score < 95
    assert scorer.score(hypotheses) == score
    assert scorer.signature == str(plain.get_signature())
    assert "tok:flores200" in scorer.signature
    # Serving one source leaves nothing behind for the next.
    assert scorer.score(texts[target]) == pytest.approx(100)
    assert scorer.score(hypotheses) == score


@pytest.mark.parametrize(("target", "tokenizer"), [("de", "13a"), ("zh", "zh"), ("sw", "13a")])
def test_bleu_and_chrf_are_sacrebleus_to_the_last_digit(texts, target, tokenizer):
    hypotheses, references = perturbed(texts[target], 2), texts[target]
    metrics = {name: METRICS[name] for name in ("bleu", "chrf", "chrf++")}
    found = score_segments(hypotheses, references, metrics, target=target)
    assert found["bleu"][0] == sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenizer, force=True).score
    assert found["chrf"][0] == sacrebleu.corpus_chrf(hypotheses, [references]).score
    assert found["chrf++"][0] == sacrebleu.corpus_chrf(hypotheses, [references], word_order=2).score
    assert f"tok:{tokenizer}|" in found["bleu"][1]
    assert "nw:2|" in found["chrf++"][1]


def test_the_command_line_prints_the_same(texts, flores_model, tmp_path):
    hypotheses = perturbed(texts["de"], 3)
    for name, lines in (("hypotheses", hypotheses), ("references", texts["de"])):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    found = score_segments(hypotheses, texts["de"], METRICS, target="de")
    options = {
        "spbleu": ["-m", "bleu", "-tok", "flores200"],
        "bleu": ["-m", "bleu", "-tok", "13a"],
        "chrf": ["-m", "chrf"],
        "chrf++": ["-m", "chrf", "--chrf-word-order", "2"],
    }
    for name, words in options.items():
        command = [sys.executable, "-m", "sacrebleu", str(tmp_path / "references"), "-i", str(tmp_path / "hypotheses")]
        done = subprocess.run(
            [*command, *words, "-w", "12"], capture_output=True, text=True, check=True, env=os.environ
        )
        printed = json.loads(done.stdout)
        score, signature = found[name]
        assert f"{printed['score']:.12f}" == f"{score:.12f}"
        assert printed["signature"] == signature


@pytest.mark.parametrize("workers", [1, 2])
def test_scores_of_a_system(texts, flores_model, tmp_path, workers):
    folder = benchmark(tmp_path / "benchmark", {"multiway": texts})
    made = {
        f"{source}-{target}": perturbed(texts[target], number)
        for number, (source, target) in enumerate([("en", "de"), ("de", "en"), ("en", "zh"), ("sw", "de")])
    }
    made["de-sw"] = list(texts["de"])
    parts = [dict(list(made.items())[:2]), dict(list(made.items())[2:])]
    files = [hypotheses_file(tmp_path / f"{number}.jsonl", part) for number, part in enumerate(parts)]
    arguments = {"benchmark_folder": folder, "metrics": METRICS, "system": "S", "benchmark": "ntrex"}
    manifest = score_hypotheses(files, out=tmp_path / "scores.csv", workers=workers, **arguments)
    assert dict(manifest.counts) == {"directions": 5, "segments": 5 * NUM_LINES}
    rows = rows_of(tmp_path / "scores.csv")
    assert len(rows) == 5 * (len(METRICS) + 3)
    assert [key[:2] for key in rows] == sorted(key[:2] for key in rows)
    for direction, hypotheses in made.items():
        source, target = direction.split("-")
        for name, (score, signature) in score_segments(hypotheses, texts[target], METRICS, target=target).items():
            row = rows[source, target, name]
            assert (float(row["score"]), row["signature"], row["segments"]) == (score, signature, str(NUM_LINES))
    assert float(rows["de", "sw", "copy_rate"]["score"]) == 100
    assert float(rows["en", "de", "empty_rate"]["score"]) == pytest.approx(100 / NUM_LINES)
    assert {name: rows["en", "de", name]["signature"] for name in RATES} == RATE_SIGNATURES
    assert all(signature.startswith("rates:1|") for signature in RATE_SIGNATURES.values())
    assert tuple(rows["en", "de", "chrf"]) == COLUMNS


def test_scoring_goes_on_where_it_was(texts, tmp_path, monkeypatch):
    folder = benchmark(tmp_path / "benchmark", {"multiway": texts})
    made = {"en-de": perturbed(texts["de"], 0), "en-sw": perturbed(texts["sw"], 1)}
    files = [hypotheses_file(tmp_path / "hypotheses.jsonl", made)]
    metrics = {"chrf": METRICS["chrf"]}

    def score(out: str, **options) -> bytes:
        score_hypotheses(
            files, benchmark_folder=folder, metrics=metrics, out=tmp_path / out, system="S", benchmark="B", **options
        )
        return (tmp_path / out).read_bytes()

    unbroken = score("unbroken.csv")
    _break_off(monkeypatch, lambda: score("state.csv", state=tmp_path / "state"))
    (state,) = (tmp_path / "state").iterdir()
    # As if killed while writing the second record: only that direction is scored again.
    state.write_bytes(state.read_bytes()[:-9])
    scored = []
    plain = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda self, hypotheses: scored.append(1) or plain(self, hypotheses))
    assert score("resumed.csv", state=tmp_path / "state") == unbroken
    assert len(scored) == 1


def test_what_is_new_alone_is_scored(texts, tmp_path, monkeypatch):
    folder = benchmark(tmp_path / "benchmark", {"multiway": texts})
    made = {"en-de": perturbed(texts["de"], 0), "en-sw": perturbed(texts["sw"], 1)}
    metrics = {"chrf": METRICS["chrf"]}
    scored = []
    plain = Scorer.score
    monkeypatch.setattr(
        Scorer, "score", lambda self, hypotheses: scored.append(hypotheses[3]) or plain(self, hypotheses)
    )

    def score(folder=folder, workers=1, limit=None) -> list[str]:
        """The first words that were scored; the rows are those of a run that has kept nothing."""
        name = str(len(list(tmp_path.iterdir())))
        files = [hypotheses_file(tmp_path / f"{name}.jsonl", made)]
        arguments = {"benchmark_folder": folder, "metrics": metrics, "system": "S", "benchmark": "B", "limit": limit}
        score_hypotheses(files, out=tmp_path / "out.csv", state=tmp_path / "state", workers=workers, **arguments)
        new = scored.copy()
        score_hypotheses(files, out=tmp_path / "fresh.csv", **arguments)
        scored.clear()
        assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
        return new

    assert score() == [made["en-de"][3], made["en-sw"][3]]
    assert score() == []
    # Another direction, by the metric that there was; another metric, of all directions.
    made["de-en"] = perturbed(texts["en"], 2)
    assert score() == [made["de-en"][3]]
    metrics["plain"] = Metric(name="bleu", tokenizer="13a")
    assert sorted(score()) == sorted(hypotheses[3] for hypotheses in made.values())
    # Other hypotheses are scored, and what was kept of the former ones is there no more.
    made["en-de"] = perturbed(texts["de"], 7)
    assert score() == [made["en-de"][3]] * 2
    for store in (tmp_path / "state").iterdir():
        assert [json.loads(line)["direction"] for line in store.read_text().splitlines()].count("en-de") == 1
    # Fewer directions, and one metric again: those that are left out for once are not forgotten.
    metrics.pop("plain")
    rest = {name: made.pop(name) for name in ("de-en", "en-sw")}
    assert score() == []
    made.update(rest)
    metrics["plain"] = Metric(name="bleu", tokenizer="13a")
    assert score(workers=2) == []
    # Other references.
    other = benchmark(tmp_path / "other", {"multiway": {**texts, "sw": texts["sw"][::-1]}})
    assert score(folder=other) == [made["en-sw"][3]] * 2


def test_what_another_benchmark_or_part_has_scored_is_not_scored_again(texts, tmp_path, monkeypatch):
    """Two benchmarks over the same data, one of them in other parts: each writes to its own state alone."""
    few = {code: lines[:20] for code, lines in texts.items()}
    folder = benchmark(tmp_path / "data", {"multiway": few})
    made = {pair: perturbed(few[pair[-2:]], seed) for seed, pair in enumerate(("en-de", "en-zh", "de-zh", "sw-en"))}
    metrics, shared = {"chrf": METRICS["chrf"]}, tmp_path / "state" / "S"
    scored = []
    plain = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda self, lines: scored.append(lines) or plain(self, lines))

    def score(part: str, directions: list[str]) -> list[list[str]]:
        """What was scored; the rows are those of a run that knows nothing of others."""
        scored.clear()
        file = hypotheses_file(tmp_path / "hypotheses.jsonl", {name: made[name] for name in directions})
        arguments = {"benchmark_folder": folder, "metrics": metrics, "system": "S", "benchmark": part.split("/")[0]}
        state = {"state": shared / part, "shared": shared}
        score_hypotheses([file], out=tmp_path / "out.csv", **state, **arguments)
        found = scored.copy()
        score_hypotheses([file], out=tmp_path / "fresh.csv", **arguments)
        assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
        return found

    assert score("from-en", ["en-de", "en-zh"]) == [made["en-de"], made["en-zh"]]
    assert score("into-zh", ["en-zh", "de-zh"]) == [made["de-zh"]]
    # All directions in two parts; the state of one benchmark is being written to, with half a line at its end.
    (path,) = (shared / "from-en").iterdir()
    path.write_bytes(path.read_bytes() + b'{"direction": "sw-en')
    before = {path: path.read_bytes() for path in shared.rglob("*.jsonl")}
    assert score("all/0", ["en-de", "de-zh"]) == []
    assert score("all/1", ["en-zh", "sw-en"]) == [made["sw-en"]]
    assert {path: path.read_bytes() for path in before} == before
    # As one: what its parts have found is found.
    assert score("all", list(made)) == []
    assert len([path for path in shared.rglob("*.jsonl") if path not in before]) == 1
    # Other hypotheses of the same direction are no matter of the others.
    made["en-de"] = perturbed(few["de"], 9)
    assert score("all", list(made)) == [made["en-de"]]
    assert score("into-zh", ["en-de", "en-zh"]) == []


def test_references_are_prepared_once(tmp_path, monkeypatch):
    """Seven languages around English: half of the directions have one target, which is no reason to prepare it twice."""
    columns = {code: [f"{code} {number} {number * number}" for number in range(5)] for code in ("en", *"abcdefg")}
    folder = benchmark(tmp_path / "benchmark", {"multiway": columns})
    pairs = [(source, "en") for source in columns if source != "en"] + [
        ("en", code) for code in columns if code != "en"
    ]
    file = hypotheses_file(tmp_path / "hypotheses.jsonl", {"-".join(pair): columns[pair[1]] for pair in pairs})
    # Workers are other processes.
    count = multiprocessing.get_context("fork").Value("i", 0)
    plain = Scorer.__init__

    def counted(*given) -> None:
        with count.get_lock():
            count.value += 1
        plain(*given)

    monkeypatch.setattr(Scorer, "__init__", counted)
    prepared = {}
    for workers in (1, 2, 4):
        count.value = 0
        score_hypotheses(
            [file],
            benchmark_folder=folder,
            metrics={"chrf": METRICS["chrf"]},
            out=tmp_path / f"{workers}.csv",
            system="S",
            benchmark="B",
            workers=workers,
        )
        prepared[workers] = count.value
    # Of fourteen directions, four workers have four at most each: English is prepared by two of them.
    assert prepared == {1: 8, 2: 8, 4: 9}
    assert len({(tmp_path / f"{workers}.csv").read_bytes() for workers in prepared}) == 1


def test_two_tables_that_share_a_target_are_prepared_once_each(tmp_path, monkeypatch):
    tables = {name: {code: [f"{name} {code}"] * 3 for code in codes} for name, codes in (("x", "eac"), ("y", "ebd"))}
    folder = benchmark(tmp_path / "benchmark", tables)
    made = {f"{source}-e": ["x e"] * 3 for source in "abcd"}
    prepared = []
    plain = Scorer.__init__
    monkeypatch.setattr(Scorer, "__init__", lambda *given: prepared.append(given[3][0]) or plain(*given))
    score_hypotheses(
        [hypotheses_file(tmp_path / "hypotheses.jsonl", made)],
        benchmark_folder=folder,
        metrics={"chrf": METRICS["chrf"]},
        out=tmp_path / "scores.csv",
        system="S",
        benchmark="B",
    )
    assert prepared == ["x e", "y e"]
    rows = rows_of(tmp_path / "scores.csv")
    assert [float(rows[source, "e", "chrf"]["score"]) == 100 for source in "abcd"] == [True, False, True, False]


def _break_off(monkeypatch, run) -> None:
    """Run a scoring that is broken off before its results are written."""

    def dying(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "write_scores", dying)
        with pytest.raises(KeyboardInterrupt):
            run()


@pytest.mark.parametrize("changed", ["the stage", "sacrebleu", "the tokenizer's model"])
def test_another_version_shares_no_scores(texts, flores_model, tmp_path, monkeypatch, changed):
    folder = benchmark(tmp_path / "benchmark", {"multiway": {code: texts[code][:5] for code in ("en", "de")}})
    files = [hypotheses_file(tmp_path / "hypotheses.jsonl", {"en-de": texts["de"][:5]})]
    models = tmp_path / "sacrebleu/models"
    models.mkdir(parents=True)
    (models / flores_model.name).write_bytes(flores_model.read_bytes())
    monkeypatch.setenv("SACREBLEU", str(models.parent))
    scored = []
    plain = Scorer.score
    monkeypatch.setattr(Scorer, "score", lambda self, hypotheses: scored.append(1) or plain(self, hypotheses))

    def score(version: int = 1) -> None:
        score_hypotheses(
            files,
            benchmark_folder=folder,
            metrics={"spbleu": METRICS["spbleu"]},
            out=tmp_path / "scores.csv",
            system="S",
            benchmark="B",
            state=tmp_path / "state",
            version=version,
        )

    _break_off(monkeypatch, score)
    _break_off(monkeypatch, score)
    assert len(scored) == 1
    if changed == "sacrebleu":
        monkeypatch.setattr(metrics.metadata, "version", lambda name: "9.9")
    if changed == "the tokenizer's model":
        # One more byte of a field that no reader knows is the same tokenizer to the reader.
        (models / flores_model.name).write_bytes(flores_model.read_bytes() + b"\xf8\x7f\x00")
    score(version=2 if changed == "the stage" else 1)
    assert len(scored) == 2


def test_bilingual_tables_have_their_own_sentences(tmp_path):
    pair, other = {"en": ["a", "b", "c"], "de": ["A", "B", "C"]}, {"cs": ["x"], "en": ["y"]}
    folder = benchmark(tmp_path / "benchmark", {"de-en": pair, "cs-en": other})
    assert benchmark_sentences(folder, "de", "en") == (["A", "B", "C"], ["a", "b", "c"])
    assert benchmark_sentences(folder, "en", "de", limit=2) == (["a", "b"], ["A", "B"])
    assert benchmark_sentences(folder, "cs", "en") == (["x"], ["y"])
    with pytest.raises(LingualiftError, match="no direction cs-de"):
        benchmark_sentences(folder, "cs", "de")
    # English references of two tables in one run: each against its own.
    file = hypotheses_file(tmp_path / "hypotheses.jsonl", {"de-en": ["a", "b", "c"], "cs-en": ["y"]})
    metrics = {"chrf": METRICS["chrf"]}
    out = tmp_path / "scores.csv"
    score_hypotheses([file], benchmark_folder=folder, metrics=metrics, out=out, system="S", benchmark="B")
    assert {key: float(row["score"]) for key, row in rows_of(out).items() if key[2] == "chrf"} == {
        ("cs", "en", "chrf"): 100,
        ("de", "en", "chrf"): 100,
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([("en-de", 0, "x")], "en-de: 1 of 2 sentences have no hypothesis, the first is 1"),
        ([("en-de", 0, "x"), ("en-de", 0, "x")], "sentence 0 has a second hypothesis"),
        ([("en-de", 2, "x")], "has 2 sentences, but here is 2"),
        ([("en-fr", 0, "x")], "'en-fr' is not between two of de, en"),
        (["{"], r"hypotheses\.jsonl:1: not a JSON object with a direction"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_bad_hypotheses_are_named(tmp_path, lines, message, workers):
    folder = benchmark(tmp_path / "benchmark", {"multiway": {"de": ["A", "B"], "en": ["a", "b"]}})
    file = tmp_path / "hypotheses.jsonl"
    keys = ("direction", "sentence", "hypothesis")
    texts = [line if isinstance(line, str) else json.dumps(dict(zip(keys, line, strict=True))) for line in lines]
    texts += [json.dumps({"direction": "de-en", "sentence": n, "hypothesis": ""}) for n in range(2)]
    file.write_text("\n".join(texts))
    with pytest.raises(LingualiftError, match=message):
        score_hypotheses(
            [file],
            benchmark_folder=folder,
            metrics={"chrf": METRICS["chrf"]},
            out=tmp_path / "scores.csv",
            system="S",
            benchmark="B",
            workers=workers,
        )
    assert not (tmp_path / "scores.csv").exists()


def test_unusual_line_ends_stay_inside_a_hypothesis(tmp_path):
    from lingualift.scoring import find_directions

    texts = ["a\u2028b\x85c\x0bd\re", "", "f\ng\x00"]
    file = hypotheses_file(tmp_path / "hypotheses.jsonl", {"en-de": texts, "de-en": ["x"]})
    assert read_hypotheses(find_directions([file])["en-de"], 3, direction="en-de") == texts


def test_the_tokenizer_of_a_target_is_one_for_its_script():
    """Where the table of languages says that words have no spaces between them, 13a is no tokenizer."""
    fitting = {"jieba": {"zh"}, "character": {"char", "ja-mecab"}, "space": {"13a", "ko-mecab"}}
    languages = load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")
    chosen = {code: _bleu_tokenizer(METRICS["bleu"], code) for code in languages}
    assert {code for code, language in languages.items() if chosen[code] not in fitting[language.segmentation]} == set()
    assert {code for code, tokenizer in chosen.items() if tokenizer.endswith("mecab")} == {"ja", "ko"}


def test_rates_by_hand():
    sources = ["Ein Hund", "Zwei", "drei", ""]
    hypotheses = [" ein hund ", "two", "  ", ""]
    # An empty source that stays empty is a copy as well; 8 + 3 characters over 3 + 3 + 5 + 0.
    assert rates(sources, hypotheses, ["dog", "two", "three", ""]) == {
        "copy_rate": 50.0,
        "empty_rate": 50.0,
        "length_ratio": 1.0,
    }


def test_a_missing_tokenizer_names_the_file_to_put_there(monkeypatch, tmp_path):
    monkeypatch.setenv("SACREBLEU", str(tmp_path))
    with pytest.raises(
        LingualiftError, match=f"put its SentencePiece model at {tmp_path}/models/flores200sacrebleuspm"
    ):
        check_metrics([METRICS["spbleu"]])
    with pytest.raises(LingualiftError, match=r"models/sacrebleu_tokenizer_spm\.model"):
        check_metrics([Metric(name="spbleu", tokenizer="flores101")])
    with pytest.raises(InputError, match=r"own\.model: no such file"):
        check_metrics([Metric(name="spbleu", tokenizer=f"spm:{tmp_path / 'own.model'}")])
    with pytest.raises(LingualiftError, match=r"pip install 'sacrebleu\[ja\]'"):
        _without_mecab(monkeypatch)


def _without_mecab(monkeypatch) -> None:
    # What sacrebleu finds where it cannot be imported.
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    Scorer(METRICS["bleu"], "ja", ["犬"])


def test_a_models_checksum_is_in_its_signature(texts, flores_model):
    metric = Metric(name="spbleu", tokenizer=f"spm:{flores_model}")
    hypotheses = perturbed(texts["de"], 4)
    own = Scorer(metric, "de", texts["de"])
    assert own.score(hypotheses) == Scorer(METRICS["spbleu"], "de", texts["de"]).score(hypotheses)
    assert f"tok:spm-flores200sacrebleuspm-{checksum(flores_model)[:8]}|" in own.signature


def test_scores_are_written_in_full_precision(tmp_path):
    row = dict(zip(COLUMNS, ("S", "B", "en", "de", "spbleu", 100 / 3, "a,b", 3), strict=True))
    write_scores([row], tmp_path / "scores.csv")
    (read,) = rows_of(tmp_path / "scores.csv").values()
    assert float(read["score"]) == 100 / 3
    assert read["signature"] == "a,b"


def test_each_direction_has_its_own_text_where_the_benchmark_has_two_tables(tmp_path: Path) -> None:
    """WMT: en-de and de-en are different texts, not one text read both ways."""
    _write_benchmark(tmp_path, {"de-en": {"de": ["eins"], "en": ["one"]}, "en-de": {"en": ["two"], "de": ["zwei"]}})
    assert benchmark_sentences(tmp_path, "en", "de") == (["two"], ["zwei"])
    assert benchmark_sentences(tmp_path, "de", "en") == (["eins"], ["one"])


def test_rows_without_both_sides_are_left_out(tmp_path: Path) -> None:
    """TED: a talk that was not translated; the limit counts the rows that are left."""
    columns = {"en": ["a", "b", "c", "d"], "de": ["A", None, "C", "D"], "fr": [None, "β", "γ", "δ"]}
    _write_benchmark(tmp_path, {"multiway": columns})
    assert benchmark_sentences(tmp_path, "en", "de", limit=2) == (["a", "c"], ["A", "C"])
    assert benchmark_sentences(tmp_path, "de", "fr") == (["C", "D"], ["γ", "δ"])


def _write_benchmark(folder: Path, tables: dict[str, dict[str, list[str | None]]]) -> None:
    (folder / "tables").mkdir()
    entries = []
    for name, columns in tables.items():
        table = pa.table(columns)
        with pa.ipc.new_file(str(folder / "tables" / f"{name}.arrow"), table.schema) as writer:
            writer.write_table(table)
        entries.append({"name": name, "languages": list(columns), "rows": len(table)})
    (folder / "manifest.json").write_text(json.dumps({"tables": entries}), encoding="utf-8")
