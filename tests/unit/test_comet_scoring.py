"""How COMET's segments are grouped, scored once and written, by a model whose scores are known beforehand."""

import json
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import pytest

from lingualift import comet_scoring
from lingualift.comet_metric import read_segment_scores
from lingualift.comet_model import CometError, CometModel
from lingualift.comet_scoring import score_segments
from lingualift.comet_segments import load_scores, read_directions, read_texts, write_segments
from lingualift.errors import InputError

LANGUAGES = ("de", "en", "fr", "yo")
SENTENCES = 6


def value(segment) -> float:
    return zlib.crc32("\t".join(segment).encode()) / 2**32


class Known:
    """Stands for a loaded model."""

    scored: Counter = Counter()
    odd: dict[str, float] = {}

    def __init__(self, settings, device, texts):
        self.texts = texts

    def score(self, segments):
        assert all(source in self.texts and reference in self.texts for source, _, reference in segments)
        Known.scored.update(segments)
        return [self.odd.get(hypothesis, value((source, hypothesis, r))) for source, hypothesis, r in segments]


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(comet_scoring, "Embedder", Known)
    monkeypatch.setattr(comet_scoring, "_CHUNK", 4)
    monkeypatch.setattr(Known, "scored", Counter())
    monkeypatch.setattr(Known, "odd", {})


def directions(languages=LANGUAGES):
    """Every direction; some hypotheses of different directions are equal, and so are two sentences of each language."""
    texts = {code: [f" {code} sentence {number % 5}" for number in range(SENTENCES)] for code in languages}
    for target in languages:
        for source in languages:
            if source != target:
                hypotheses = [f"{target} {number // 2}\u2028\n" for number in range(SENTENCES)]
                yield f"{source}-{target}", texts[source], hypotheses, texts[target]


def segments_of(made):
    return [tuple(text.strip() for text in segment) for _, *sides in made for segment in zip(*sides, strict=True)]


def score(folder: Path, made, cache: Path, **options):
    folder.mkdir(exist_ok=True)
    sizes = write_segments(made, folder)
    counts = score_segments(folder, CometModel(Path("none"), **options), cache=cache, fingerprint="f")
    assert counts["segments"] == sum(sizes)
    return load_scores(folder).tolist(), counts


def test_segments_cross_as_they_are(tmp_path):
    made = list(directions())
    assert write_segments(made, tmp_path) == [SENTENCES] * 12
    texts = read_texts(tmp_path)
    # Each once, those of a direction by length, without white space around them.
    assert len(texts) == len(set(texts)) == 5 * len(LANGUAGES)
    found = list(read_directions(tmp_path, texts))
    assert [direction.name for direction in found] == [name for name, *_ in made]
    assert [segment for direction in found for segment in direction.segments] == segments_of(made)
    (tmp_path / "segments").write_text('["de-en", [99], ["x"], [0]]\n')
    with pytest.raises(ValueError, match="segments:1: not a direction"):
        list(read_directions(tmp_path, texts))


# Segments in a group, and in a part: all in one; a direction each; groups within parts that end between them.
@pytest.mark.parametrize(("group", "part"), [(1000, 1000), (1, 1), (13, 25), (SENTENCES, 4 * SENTENCES)])
def test_every_segment_is_scored_once(tmp_path, monkeypatch, group, part):
    monkeypatch.setattr(comet_scoring, "_GROUP", group)
    monkeypatch.setattr(comet_scoring, "_PART", part)
    made = list(directions())
    expected = [value(segment) for segment in segments_of(made)]
    scores, counts = score(tmp_path / "first", made, tmp_path / "cache")
    assert scores == expected
    assert Known.scored == Counter(set(segments_of(made)))
    # Once more: nothing is scored, and the plan is that of the first time.
    assert score(tmp_path / "again", made, tmp_path / "cache") == (scores, counts)
    # A language less: all of it is known.
    fewer = list(directions(LANGUAGES[1:]))
    scores, counts = score(tmp_path / "fewer", fewer, tmp_path / "cache")
    assert scores == [value(segment) for segment in segments_of(fewer)]
    # Parts that were parts before are work of their own run.
    assert counts["cached"] == (0 if part == 1 else counts["different"])
    assert Known.scored == Counter(set(segments_of(made)))


def test_memory_does_not_grow_with_directions(tmp_path, monkeypatch):
    """Sources and references are the same for any number of directions; hypotheses are what there is more of."""
    monkeypatch.setattr(comet_scoring, "_GROUP", 200)
    monkeypatch.setattr(comet_scoring, "_PART", 400)
    monkeypatch.setattr(comet_scoring, "_CHUNK", 50)
    monkeypatch.setattr(Known, "score", lambda self, segments: [0.5] * len(segments))
    texts = [f"sentence {number}" for number in range(100)]

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        write_segments(
            ((str(n), texts, [f"{n} {t} ".ljust(1000, "x") for t in texts], texts) for n in range(count)), folder
        )
        tracemalloc.start()
        score_segments(folder, CometModel(Path("none")), cache=folder / "cache", fingerprint="f")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    # Twenty directions more: 2,000 hypotheses of 1,000 characters.
    assert peak(28) - peak(8) < 200_000


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_stops_it(tmp_path, monkeypatch, odd):
    made = [("de-en", ["a", "b", "c"], ["x", "y", "z"], ["d", "e", "f"])]
    monkeypatch.setattr(Known, "odd", {"y": odd})
    with pytest.raises(
        CometError, match=rf"de-en, sentence 1: the score is {odd}.*set the metric's `precision: float32`"
    ):
        score(tmp_path / "half", made, tmp_path / "cache", precision="float16")
    assert not (tmp_path / "half" / "scores").exists()
    (path,) = tmp_path.glob("cache/f-float16/*.jsonl")
    # The two others of its chunk are kept.
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert sorted(record["score"] for record in records[1:]) == sorted(map(value, (("a", "x", "d"), ("c", "z", "f"))))
    monkeypatch.setattr(Known, "odd", {})
    scores, _ = score(tmp_path / "half", made, tmp_path / "cache", precision="float16")
    assert scores == [value(segment) for segment in segments_of(made)]


def test_segment_scores_say_what_made_them(tmp_path):
    path = tmp_path / "segments.jsonl"
    records = [{"direction": name, "sentence": n, "score": n / 4} for name in ("de-en", "en-de") for n in range(3)]
    lines = [json.dumps(record) + "\n" for record in records]
    path.write_text(json.dumps({"signature": "nrefs:1|model:tiny"}) + "\n" + "".join(lines))
    scores = read_segment_scores(path)
    assert scores.signature == "nrefs:1|model:tiny"
    assert {name: list(found) for name, found in scores.items()} == {
        key: [0.0, 0.25, 0.5] for key in ("de-en", "en-de")
    }
    path.write_text("".join(lines))
    assert read_segment_scores(path).signature == ""


def test_segment_scores_of_parts_are_those_of_the_whole(tmp_path):
    head = json.dumps({"signature": "nrefs:1|model:tiny"}) + "\n"
    lines = {name: json.dumps({"direction": name, "sentence": 0, "score": 1.5}) + "\n" for name in ("de-en", "en-de")}
    for name, line in lines.items():
        (tmp_path / name).write_text(head + line)
    scores = read_segment_scores(tmp_path / "de-en", tmp_path / "en-de")
    assert scores.signature == "nrefs:1|model:tiny"
    assert {name: list(found) for name, found in scores.items()} == {"de-en": [1.5], "en-de": [1.5]}
    (tmp_path / "en-de").write_text(json.dumps({"signature": "nrefs:1|model:other"}) + "\n" + lines["en-de"])
    with pytest.raises(
        InputError, match=r"en-de:1: made with nrefs:1\|model:other, but .*de-en with nrefs:1\|model:tiny"
    ):
        read_segment_scores(tmp_path / "de-en", tmp_path / "en-de")
