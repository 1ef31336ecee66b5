"""Paired bootstrap: sacrebleu's numbers to the last digit, in every direction, for segment scores, too."""

import csv
import gzip
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.significance import estimate_ci

from lingualift import bootstrap, metrics
from lingualift.bootstrap import (
    COMPARISON_COLUMNS,
    Resampled,
    compare,
    compare_systems,
    mark,
    outcome,
    resample,
    resample_means,
    summarise,
)
from lingualift.configuration.evaluation import Metric
from lingualift.errors import LingualiftError
from lingualift.metrics import Scorer

NUM_LINES = 120
SAMPLES, SEED = 300, 17
OPTIONS = {
    "spbleu": ["-m", "bleu", "-tok", "flores200"],
    "bleu": ["-m", "bleu"],
    "chrf": ["-m", "chrf"],
    "chrf++": ["-m", "chrf", "--chrf-word-order", "2"],
}


def noisy(sentences: list[str], seed: int, *, loss: int = 1) -> list[str]:
    """A translation with words lost and doubled, the more, the greater ``loss``; one line empty."""
    rng = random.Random(seed)
    choices = [0] * loss + [1] * 8 + [2]
    made = [" ".join(word for word in line.split() for _ in range(rng.choice(choices))) for line in sentences]
    made[3] = ""
    return made


@pytest.fixture(scope="module")
def references(shared_data) -> list[str]:
    with gzip.open(shared_data / "ntrex128" / "newstest2019-ref.deu.txt.gz", "rt", encoding="utf-8") as file:
        return [line.strip() for _, line in zip(range(NUM_LINES), file, strict=False)]


@pytest.fixture
def systems(references) -> dict[str, list[str]]:
    return {"base": noisy(references, 1), "same": noisy(references, 2), "worse": noisy(references, 3, loss=3)}


@pytest.fixture
def flores_model(shared_data, monkeypatch) -> None:
    monkeypatch.setenv("SACREBLEU", str(shared_data / "sacrebleu"))


def resampled(name: str, references: list[str], systems: dict[str, list[str]]) -> dict[str, Resampled]:
    scorer = Scorer(Metric(name=name), "de", references)
    return {system: resample(scorer, texts, samples=SAMPLES, seed=SEED) for system, texts in systems.items()}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_command_line_prints_the_same(name, references, systems, tmp_path, flores_model):
    for system, lines in (systems | {"references": references}).items():
        (tmp_path / system).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", *systems, *OPTIONS[name], "--force", "-w", "9"]
    done = subprocess.run(
        # As JSON sacrebleu 2.6 cannot print chrF's float32.
        [*command, "--paired-bs", "--paired-bs-n", str(SAMPLES), "-f", "latex"],
        cwd=tmp_path,
        env=os.environ | {"SACREBLEU_SEED": str(SEED)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    printed = dict(re.findall(r"^ *(?:Baseline: )?(\w+) & +(\d.*?) +\\\\$", done.stdout, flags=re.MULTILINE))
    assert set(printed) == set(systems)
    found = resampled(name, references, systems)
    for system, line in printed.items():
        mean, half = map(float, estimate_ci(found[system].samples))
        expected = f"{found[system].score:.9f} ({mean:.9f} ± {half:.9f})"
        if system != "base":
            p = compare(found[system], found["base"]).p
            expected += f" (p = {p:.4f}){'*' if p < 0.05 else ''}"
        assert line == expected


def test_outcomes_of_real_text(references, systems):
    found = resampled("bleu", references, systems)
    same, worse = (compare(found[system], found["base"]) for system in ("same", "worse"))
    assert same.p > 0.05 and same.low < 0 < same.high
    assert worse.p < 0.05 and worse.low <= worse.difference <= worse.high < 0
    assert [mark(row._asdict()) for row in (same, worse)] == ["", "*"]


def test_degenerate_outputs_score_as_sacrebleu_scores_them(references):
    """No match at all, no words at all, sentences too short for a four-gram: in every resample the same as there."""
    from sacrebleu.metrics import BLEU, CHRF

    short = references[:6]
    texts = {
        "empty": [""] * 6,
        "strange": ["☃"] * 6,
        "one": [short[0].split()[0], *[""] * 5],
        "two": [" ".join(line.split()[:2]) for line in short],
        "three": [" ".join(line.split()[:3]) for line in short],
    }
    draws = np.random.default_rng(SEED).choice(6, size=(20, 6), replace=True)
    plain = {"bleu": BLEU(force=True, tokenize="13a"), "chrf": CHRF(), "chrf++": CHRF(word_order=2)}
    for name, metric in plain.items():
        scorer = Scorer(Metric(name=name), "de", short)
        for lines in texts.values():
            expected = [metric.corpus_score([lines[i] for i in row], [[short[i] for i in row]]).score for row in draws]
            found = resample(scorer, lines, samples=20, seed=SEED)
            assert found.samples == pytest.approx(expected, rel=1e-5)
            assert found.score == metric.corpus_score(lines, [short]).score


def test_equal_systems_are_no_matter_of_chance():
    """sacrebleu prints p = 1/1001 here."""
    one = resample_means([0.1, 0.5, 0.9])
    assert compare(one, one) == (0.0, 0.0, 0.0, 1.0)
    assert mark(compare(one, one)._asdict()) == ""


def test_segment_means_by_hand():
    """The draws are numpy's for the seed; a resample's score is the mean over what it drew."""
    segments, baseline = [10.0, 20.0, 60.0], [10.0, 10.0, 10.0]
    draws = np.random.default_rng(5).choice(3, size=(4, 3), replace=True)
    found = resample_means(segments, samples=4, seed=5)
    assert found.score == 30
    assert found.samples == pytest.approx([sum(segments[place] for place in row) / 3 for row in draws])
    compared = compare(found, resample_means(baseline, samples=4, seed=5))
    assert compared.difference == 20
    distances = [mean - 10 for mean in found.samples]
    above = sum(distance - sum(distances) / 4 > 20 for distance in distances)
    assert compared.p == (above + 1) / 5
    assert (compared.low, compared.high) == (min(distances), max(distances))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30), st.integers(0, 9))
def test_a_comparison_turned_round(pairs, seed):
    first, second = (resample_means(column, samples=50, seed=seed) for column in zip(*pairs, strict=True))
    there, back = compare(first, second), compare(second, first)
    assert back == pytest.approx((-there.difference, -there.high, -there.low, there.p))
    assert 0 < there.p <= 1 and there.low <= there.high


def test_summary_by_hand():
    def row(difference: float, p: float) -> dict[str, object]:
        return {"system": "S", "baseline": "B", "metric": "bleu", "difference": difference, "p": p}

    rows = [row(1.0, 0.01), row(2.0, 0.049), row(3.0, 0.05), row(-1.0, 0.001), row(0.0, 0.001)]
    assert [outcome(each) for each in rows] == ["won", "won", "tied", "lost", "tied"]
    assert summarise(rows) == [{"system": "S", "baseline": "B", "metric": "bleu", "won": 2, "tied": 2, "lost": 1}]


@pytest.fixture
def files(references, systems, tmp_path):
    """Three systems from de-like lines into two targets; one of them lacks a direction."""
    import pyarrow as pa

    folder = tmp_path / "benchmark"
    (folder / "tables").mkdir(parents=True)
    columns = {"en": [line.upper() for line in references], "de": references, "fr": references[::-1]}
    with pa.ipc.new_file(folder / "tables" / "all.arrow", pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    manifest = {"tables": [{"name": "all", "languages": list(columns), "rows": NUM_LINES}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    hypotheses = {}
    for system, lines in systems.items():
        made = {"en-de": lines} | ({"en-fr": lines[::-1]} if system != "same" else {})
        records = (
            {"direction": direction, "sentence": number, "hypothesis": text}
            for direction, texts in made.items()
            for number, text in enumerate(texts)
        )
        hypotheses[system] = [tmp_path / f"{system}.jsonl"]
        hypotheses[system][0].write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder, hypotheses


def segment_scores(path: Path, seed: int) -> Path:
    rng = random.Random(seed)
    rows = ({"direction": "en-de", "sentence": place, "score": rng.uniform(40, 90)} for place in range(NUM_LINES))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_of_comparisons(files, references, systems, tmp_path, workers):
    folder, hypotheses = files
    comet = {name: [segment_scores(tmp_path / f"{name}.comet", seed)] for seed, name in enumerate(systems)}
    manifest = compare_systems(
        hypotheses,
        pairs=[("same", "base"), ("worse", "base")],
        benchmark_folder=folder,
        benchmark="B",
        metrics={"bleu": Metric(name="bleu")},
        segment_scores={"comet22": comet},
        out=tmp_path / "comparisons.csv",
        samples=SAMPLES,
        seed=SEED,
        workers=workers,
    )
    with (tmp_path / "comparisons.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COMPARISON_COLUMNS
    keys = [(row["direction"], row["metric"], row["system"]) for row in rows]
    assert keys == [
        ("en-de", "bleu", "same"),
        ("en-de", "bleu", "worse"),
        ("en-de", "comet22", "same"),
        ("en-de", "comet22", "worse"),
        ("en-fr", "bleu", "worse"),
    ]
    found = resampled("bleu", references, systems)
    expected = compare(found["worse"], found["base"])
    assert {name: float(rows[1][name]) for name in expected._fields} == expected._asdict()
    assert float(rows[1]["score"]) - float(rows[1]["baseline_score"]) == expected.difference
    assert rows[1]["signature"].endswith(f"|bs:{SAMPLES}|seed:{SEED}")
    assert manifest.counts == {"directions": 2, "comparisons": 5}
    won = {
        (row["system"], row["metric"]): (row["won"], row["tied"], row["lost"]) for row in manifest.details["outcomes"]
    }
    assert won["worse", "bleu"] == (0, 0, 2)
    assert won["same", "bleu"] == (0, 1, 0)


def test_a_killed_run_goes_on(files, tmp_path, monkeypatch):
    """One direction was compared: the other alone is."""
    folder, hypotheses = files
    options = {
        "pairs": [("worse", "base")],
        "benchmark_folder": folder,
        "benchmark": "B",
        "metrics": {"bleu": Metric(name="bleu")},
        "samples": 50,
    }
    compare_systems(hypotheses, out=tmp_path / "unbroken.csv", **options)
    plain, seen = bootstrap.resample, []

    def dying(*given, **more):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(given)
        return plain(*given, **more)

    monkeypatch.setattr(bootstrap, "resample", dying)
    with pytest.raises(KeyboardInterrupt):
        compare_systems(hypotheses, out=tmp_path / "killed.csv", state=tmp_path / "state", **options)
    seen.clear()
    compare_systems(hypotheses, out=tmp_path / "killed.csv", state=tmp_path / "state", **options)
    assert len(seen) == 2
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "unbroken.csv").read_bytes()
    compare_systems(hypotheses, out=tmp_path / "again.csv", state=tmp_path / "state", **options)
    assert len(seen) == 2


def test_what_another_benchmark_has_compared_is_not_compared_again(files, tmp_path, monkeypatch):
    folder, hypotheses = files
    shared, plain, seen = tmp_path / "state", bootstrap.resample, []
    monkeypatch.setattr(bootstrap, "resample", lambda *given, **more: seen.append(1) or plain(*given, **more))
    options = {
        "benchmark_folder": folder,
        "metrics": {"bleu": Metric(name="bleu")},
        "samples": 20,
        "pairs": [("worse", "base")],
    }

    def compare_in(name: str, **more) -> bytes:
        seen.clear()
        compare_systems(hypotheses, benchmark="B", out=tmp_path / f"{name}.csv", **options | more)
        return (tmp_path / f"{name}.csv").read_bytes()

    fresh = compare_in("fresh")
    assert compare_in("first", state=shared / "first" / "0", shared=shared) == fresh and len(seen) == 4
    before = [path.read_bytes() for path in shared.rglob("*.jsonl")]
    assert compare_in("second", state=shared / "second", shared=shared) == fresh and seen == []
    assert [path.read_bytes() for path in shared.rglob("*.jsonl")] == before
    # Not by others: another number of resamples makes other rows, another pair as well.
    compare_in("third", state=shared / "third", shared=shared, samples=21)
    assert len(seen) == 4
    compare_in("fourth", state=shared / "fourth", shared=shared, pairs=[("base", "worse")])
    assert len(seen) == 4


@pytest.mark.parametrize("changed", [None, "the stage", "sacrebleu"])
def test_another_version_shares_no_comparisons(files, tmp_path, monkeypatch, changed):
    folder, hypotheses = files
    plain, seen, left = bootstrap.resample, [], [2]

    def dying(*given, **more):
        if len(seen) == left[0]:
            raise KeyboardInterrupt
        seen.append(given)
        return plain(*given, **more)

    def compare_all(version: int = 1) -> None:
        compare_systems(
            hypotheses,
            pairs=[("worse", "base")],
            benchmark_folder=folder,
            benchmark="B",
            metrics={"bleu": Metric(name="bleu")},
            samples=20,
            out=tmp_path / "comparisons.csv",
            state=tmp_path / "state",
            version=version,
        )

    monkeypatch.setattr(bootstrap, "resample", dying)
    with pytest.raises(KeyboardInterrupt):
        compare_all()
    seen.clear()
    left[0] = 99
    if changed == "sacrebleu":
        monkeypatch.setattr(metrics.metadata, "version", lambda name: "9.9")
    compare_all(version=2 if changed == "the stage" else 1)
    # Two directions of two systems: one is taken over, or none.
    assert len(seen) == (4 if changed else 2)


def test_a_system_without_files(files, tmp_path):
    folder, hypotheses = files
    with pytest.raises(LingualiftError, match="names absent, but there are no hypotheses of it"):
        compare_systems(
            hypotheses,
            pairs=[("absent", "base")],
            benchmark_folder=folder,
            benchmark="B",
            metrics={"bleu": Metric(name="bleu")},
            out=tmp_path / "comparisons.csv",
        )
