"""Pivots: every source sentence once into the pivot language, whatever is made of it afterwards."""

import json
from collections import Counter
from pathlib import Path

import pytest
from making import write_corpus

from lingualift.errors import LingualiftError
from lingualift.pivots import read_legs, translate_both_legs, translate_legs, translate_through_pivot

# Rows 0 and 1 are alike in German; row 2 lacks French, row 3 English.
TEXTS = {
    "de": ["Hund", "Hund", "Katze", "Vogel"],
    "en": ["dog", "hound", "cat", None],
    "fr": ["chien", "chien", None, "oiseau"],
}
DIRECTIONS = [("de", "en"), ("de", "fr"), ("en", "fr"), ("fr", "de")]


class Tags:
    """A translator that writes down what it did: `de>en(Hund)`; nothing for a bird."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.fail_at = fail_at

    def plan(self, sentences, source, target):
        for start in range(0, len(sentences), 2):
            numbers = list(range(start, min(start + 2, len(sentences))))
            yield numbers, [(source, target, sentences[number]) for number in numbers], 9

    def answer(self, prompts, longest):
        if self.fail_at is not None and self.asked.total() >= self.fail_at:
            raise KeyboardInterrupt
        self.asked.update(f"{source}>{target}({text})" for source, target, text in prompts)
        return ["" if text == "Vogel" else f"{source}>{target}({text})" for source, target, text in prompts]

    def settings(self):
        return ["tags"]


@pytest.fixture
def benchmark(tmp_path) -> Path:
    return write_corpus(tmp_path / "benchmark", {"all": TEXTS})


def options(benchmark: Path, *, limit: int | None = None) -> dict:
    return {"pivot": "en", "benchmark": benchmark, "limit": limit, "key": "k"}


def through(tmp_path: Path, benchmark: Path, translator: Tags, *, directions=DIRECTIONS, limit=None) -> dict:
    common = options(benchmark, limit=limit)
    legs = tmp_path / "legs"
    translate_legs(translator, DIRECTIONS, state=tmp_path / "state" / "legs", out=legs, **common)
    out = tmp_path / "out.jsonl"
    translate_through_pivot(
        translator, read_legs([legs]), directions, state=tmp_path / "state" / "second", out=out, **common
    )
    return answers(out)


def answers(out: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in out.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert record["sentence"] == len(found.setdefault(record["direction"], []))
        found[record["direction"]].append(record["hypothesis"])
    return found


def test_every_sentence_goes_through_the_pivot_once(tmp_path, benchmark) -> None:
    translator = Tags()
    assert through(tmp_path, benchmark, translator) == {
        # The target is the pivot: the first leg is all.
        "de-en": ["de>en(Hund)", "de>en(Hund)", "de>en(Katze)"],
        # Row 2 lacks a reference, and what has no first leg has no second.
        "de-fr": ["en>fr(de>en(Hund))", "en>fr(de>en(Hund))", ""],
        # The source is the pivot: the second leg is all.
        "en-fr": ["en>fr(dog)", "en>fr(hound)"],
        "fr-de": ["en>de(fr>en(chien))", "en>de(fr>en(chien))", "en>de(fr>en(oiseau))"],
    }
    first = {text: count for text, count in translator.asked.items() if ">en(" in text and text.count(">") == 1}
    assert first == dict.fromkeys(["de>en(Hund)", "de>en(Katze)", "de>en(Vogel)", "fr>en(chien)", "fr>en(oiseau)"], 1)
    assert not [text for text in translator.asked if "en>en" in text or text.endswith("()")]


def test_a_limit_is_of_each_direction(tmp_path, benchmark) -> None:
    translator = Tags()
    found = through(tmp_path, benchmark, translator, limit=1)
    assert found == {
        "de-en": ["de>en(Hund)"],
        "de-fr": ["en>fr(de>en(Hund))"],
        "en-fr": ["en>fr(dog)"],
        "fr-de": ["en>de(fr>en(chien))"],
    }
    assert translator.asked.total() == 5


def test_a_leg_that_another_benchmark_made_is_found_out(tmp_path, benchmark) -> None:
    with pytest.raises(LingualiftError, match="fr-en: no translation into the pivot language of 'chien'"):
        translate_through_pivot(
            Tags(),
            {"fr": {"chat": "cat"}},
            [("fr", "de")],
            state=tmp_path / "s",
            out=tmp_path / "o.jsonl",
            **options(benchmark),
        )


@pytest.mark.parametrize("asked", [0, 2, 5, 8])
def test_a_broken_off_run_ends_as_an_unbroken_one(tmp_path, benchmark, asked) -> None:
    whole = tmp_path / "whole"
    expected = through(whole, benchmark, Tags())
    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        through(broken, benchmark, Tags(fail_at=asked))
    assert not (broken / "out.jsonl").exists()
    assert through(broken, benchmark, Tags()) == expected
    assert (broken / "out.jsonl").read_bytes() == (whole / "out.jsonl").read_bytes()


def test_both_legs_in_one_go(tmp_path, benchmark) -> None:
    expected = through(tmp_path / "apart", benchmark, Tags())
    out = tmp_path / "out.jsonl"
    translate_both_legs(Tags(), DIRECTIONS, state=tmp_path / "state", out=out, **options(benchmark))
    assert answers(out) == expected
    assert not [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
