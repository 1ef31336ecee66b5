"""Scores that a reviewer can make again: sacrebleu's command line prints the same; bad files and kills change nothing."""

import gzip
import json
import random
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from killing import Fuse

from lingualift import scoring
from lingualift.configuration.evaluation import Metric
from lingualift.errors import LingualiftError
from lingualift.metrics import score_segments
from lingualift.scoring import score_hypotheses
from lingualift.stores import RecordStore

NUM_LINES = 60
FLORES = {"de": "deu", "ja": "jpn", "ko": "kor", "zh": "zho_simpl", "th": "tha", "sw": "swh", "ar": "ara"}
COMMAND = [sys.executable, "-m", "sacrebleu"]


def lines_of(path: Path, count: int = NUM_LINES) -> list[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\r\n") for _, line in zip(range(count), file, strict=False)]


@pytest.fixture(scope="module")
def references(shared_data) -> dict[str, list[str]]:
    found = {}
    for code, stem in FLORES.items():
        (path,) = (shared_data / "flores101" / "devtest").glob(f"{stem}.devtest")
        found[code] = lines_of(path)
    found["cs"] = lines_of(shared_data / "multi30k" / "test_2016_flickr.cs.gz")
    return found


@pytest.fixture(autouse=True)
def _flores_model(shared_data, monkeypatch) -> None:
    monkeypatch.setenv("SACREBLEU", str(shared_data / "sacrebleu"))


def worse(sentences: list[str], seed: int) -> list[str]:
    """A poor translation: units lost, doubled, swapped; a line in another script, one blank, one with outer spaces."""
    rng = random.Random(seed)
    made = []
    for sentence in sentences:
        spaced = sentence.count(" ") > 3
        units = sentence.split(" ") if spaced else list(sentence)
        units = [unit for unit in units for _ in range(rng.choice([0, 1, 1, 1, 1, 1, 2]))]
        place = rng.randrange(max(1, len(units) - 1))
        units[place : place + 2] = units[place : place + 2][::-1]
        made.append((" " if spaced else "").join(units))
    made[1], made[4], made[7] = "Это другой язык.", "", f"  {made[7]}  "
    return made


CASES = [
    *((code, Metric(name="spbleu"), ["-m", "bleu", "-tok", "flores200"]) for code in ("de", "ja", "th", "ar")),
    ("cs", Metric(name="bleu", tokenizer="13a"), ["-m", "bleu", "-tok", "13a"]),
    ("zh", Metric(name="bleu"), ["-m", "bleu", "-tok", "zh"]),
    ("ja", Metric(name="bleu"), ["-m", "bleu", "-tok", "ja-mecab"]),
    ("ko", Metric(name="bleu"), ["-m", "bleu", "-tok", "ko-mecab"]),
    ("th", Metric(name="bleu"), ["-m", "bleu", "-tok", "char"]),
    ("sw", Metric(name="bleu", tokenizer="intl"), ["-m", "bleu", "-tok", "intl"]),
    ("cs", Metric(name="chrf"), ["-m", "chrf"]),
    ("zh", Metric(name="chrf++"), ["-m", "chrf", "--chrf-word-order", "2"]),
    ("sw", Metric(name="chrf++"), ["-m", "chrf", "--chrf-word-order", "2"]),
]


@pytest.mark.parametrize(
    ("target", "metric", "options"),
    CASES,
    ids=[f"{code}-{metric.name}-{metric.tokenizer}" for code, metric, _ in CASES],
)
def test_sacrebleu_prints_the_same_to_the_last_digit(references, tmp_path, target, metric, options):
    hypotheses = worse(references[target], 1)
    for name, lines in (("hypotheses", hypotheses), ("references", references[target])):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [*COMMAND, str(tmp_path / "references"), "-i", str(tmp_path / "hypotheses"), *options, "-w", "12"]
    done = subprocess.run(command, capture_output=True, text=True)
    printed = json.loads(done.stdout)
    score, signature = score_segments(hypotheses, references[target], {"m": metric}, target=target)["m"]
    assert 5 < score < 99
    assert f"{score:.12f}" == f"{printed['score']:.12f}"
    assert signature == printed["signature"]


def test_another_model_has_another_signature(references, shared_data):
    """The name of a tokenizer's file is no proof of what is in it."""
    model = shared_data / "sacrebleu" / "models" / "flores200sacrebleuspm"
    own = score_segments(
        references["de"], references["de"], {"m": Metric(name="spbleu", tokenizer=f"spm:{model}")}, target="de"
    )
    assert (
        own["m"][1]
        != score_segments(references["de"], references["de"], {"m": Metric(name="spbleu")}, target="de")["m"][1]
    )


def test_a_reference_of_another_language_is_seen_in_the_score(references):
    """Nobody can forbid it; the score says it."""
    metrics = {"spbleu": Metric(name="spbleu")}
    good, _ = score_segments(worse(references["de"], 2), references["de"], metrics, target="de")["spbleu"]
    wrong, _ = score_segments(worse(references["de"], 2), references["ar"], metrics, target="de")["spbleu"]
    assert wrong < 2 < 30 < good


@pytest.fixture
def run(tmp_path):
    """A benchmark of four languages and hypotheses for all its directions, as one worker wrote them."""
    import pyarrow as pa

    folder = tmp_path / "benchmark"
    (folder / "tables").mkdir(parents=True)
    rng = random.Random(5)
    words = ["ba", "to", "mira", "ko", "sel", "dun", "ari", "posto"]
    columns = {
        code: [" ".join(rng.choices(words, k=12)) + f" {code}" for _ in range(40)] for code in ("a", "b", "c", "d")
    }
    with pa.ipc.new_file(folder / "tables" / "all.arrow", pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    table = {"name": "all", "languages": list(columns), "rows": 40, "valid": dict.fromkeys(columns, 40)}
    (folder / "manifest.json").write_text(json.dumps({"tables": [table]}))
    made = {
        f"{source}-{target}": worse(columns[target], number)
        for number, (source, target) in enumerate((s, t) for s in columns for t in columns if s != t)
    }
    return folder, made


def write(path: Path, made: dict[str, list[str]]) -> Path:
    records = (
        {"direction": direction, "sentence": number, "hypothesis": text}
        for direction, texts in made.items()
        for number, text in enumerate(texts)
    )
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def scored(folder: Path, file: Path, out: Path, **more) -> list[list[str]]:
    metrics = {"chrf": Metric(name="chrf"), "bleu": Metric(name="bleu", tokenizer="13a")}
    score_hypotheses([file], benchmark_folder=folder, metrics=metrics, out=out, system="S", benchmark="B", **more)
    return [line.split(",") for line in out.read_text(encoding="utf-8").splitlines()]


def test_a_line_that_is_missing_is_named(run, tmp_path):
    folder, made = run
    made["a-b"] = made["a-b"][:-1]
    with pytest.raises(LingualiftError, match=r"a-b: 1 of 40 sentences have no hypothesis, the first is 39"):
        scored(folder, write(tmp_path / "hypotheses.jsonl", made), tmp_path / "scores.csv")
    assert not (tmp_path / "scores.csv").exists()


def test_blank_hypotheses_are_counted_and_a_nul_byte_is_text(run, tmp_path, caplog):
    folder, made = run
    made = {"a-b": ["", "  ", "\t", *made["a-b"][3:]], "b-a": [f"{text}\x00" for text in made["b-a"]]}
    rows = scored(folder, write(tmp_path / "hypotheses.jsonl", made), tmp_path / "scores.csv")
    assert "40 hypotheses hold control characters (a NUL byte, say), the first is sentence 0 of b-a" in caplog.text
    found = {(row[2], row[3], row[4]): float(row[5]) for row in rows[1:]}
    # Three, and the one that ``worse`` leaves blank.
    assert found["a", "b", "empty_rate"] == 10
    assert found["b", "a", "empty_rate"] == 0
    assert found["b", "a", "bleu"] > 20 and len(rows) == 1 + 2 * 5


@pytest.mark.parametrize("workers", [1, 2])
def test_control_characters_are_counted_whether_or_not_the_scores_were_kept(run, tmp_path, caplog, workers):
    folder, made = run
    texts = made["a-b"]
    made = {"a-b": [*texts[:5], "a\x00b", "c\x85d", "e\nf\rg", "h\ti\u2028j\xa0k", *texts[9:]], "b-a": made["b-a"]}
    file, metrics = write(tmp_path / "hypotheses.jsonl", made), {"chrf": Metric(name="chrf")}
    for _ in range(2):
        caplog.clear()
        manifest = score_hypotheses(
            [file],
            benchmark_folder=folder,
            metrics=metrics,
            out=tmp_path / "scores.csv",
            system="S",
            benchmark="B",
            workers=workers,
            state=tmp_path / "state",
        )
        # Tabs, other spaces and ends of lines beyond ASCII's are text.
        assert manifest.counts["hypotheses with control characters"] == 3
        assert [record.getMessage().split(":")[0] for record in caplog.records] == [
            "3 hypotheses hold control characters (a NUL byte, say), the first is sentence 5 of a-b"
        ]
    write(file, {name: ["plain"] * 40 for name in made})
    manifest = score_hypotheses(
        [file], benchmark_folder=folder, metrics=metrics, out=tmp_path / "scores.csv", system="S", benchmark="B"
    )
    assert dict(manifest.counts) == {"directions": 2, "segments": 80}


def test_ten_kills_leave_the_scores_of_an_unbroken_run(run, tmp_path, monkeypatch):
    """While scoring, while writing to the state or at the end, by the signal that nobody can catch."""
    folder, made = run
    file = write(tmp_path / "hypotheses.jsonl", made)
    scored(folder, file, tmp_path / "unbroken.csv")
    fuse = Fuse(monkeypatch)
    fuse.lay(scoring, "rates")
    fuse.lay(scoring, "write_scores")
    fuse.lay(RecordStore, "_line")
    rng, kept, kills = random.Random(11), [], 0
    work = partial(scored, folder, file, tmp_path / "killed.csv", state=tmp_path / "state")
    while kills < 10:
        killed = fuse.kills(work, after=rng.randrange(14))
        kills += killed
        kept.append(sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("state/*.jsonl")))
        if not killed:
            assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "unbroken.csv").read_bytes()
            shutil.rmtree(tmp_path / "state")
    # Each went on from what another had kept.
    assert len(set(kept)) > 2
    work()
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "unbroken.csv").read_bytes()
    assert list(tmp_path.glob(".*")) == []
