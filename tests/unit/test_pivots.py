"""Pivots: every source sentence once into the pivot language, whatever is made of it afterwards."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from making import write_corpus

from lingualift import scoring
from lingualift.errors import LingualiftError
from lingualift.pivots import PivotTranslation, read_legs
from lingualift.scoring import benchmark_sources
from lingualift.translation import translate_directions

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

    def settings(self, *languages):
        return ["tags", languages]


@pytest.fixture
def benchmark(tmp_path) -> Path:
    return write_corpus(tmp_path / "benchmark", {"all": TEXTS})


def pivoting(benchmark: Path, translator: Tags, *, limit: int | None = None) -> PivotTranslation:
    return PivotTranslation(translator, "en", benchmark, limit, key="k")


def through(tmp_path: Path, benchmark: Path, translator: Tags, *, directions=DIRECTIONS, limit=None) -> dict:
    it, legs, out = pivoting(benchmark, translator, limit=limit), tmp_path / "legs", tmp_path / "out.jsonl"
    it.translate_legs(DIRECTIONS, state=tmp_path / "state", out=legs)
    it.translate(read_legs([legs]), directions, state=tmp_path / "state", out=out)
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
        pivoting(benchmark, Tags()).translate(
            {"fr": {"chat": "cat"}}, [("fr", "de")], state=tmp_path / "s", out=tmp_path / "o.jsonl"
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
    pivoting(benchmark, Tags()).translate_both_legs(DIRECTIONS, state=tmp_path / "state", out=out)
    assert answers(out) == expected
    assert not (tmp_path / "state/legs").exists()


def test_legs_and_translations_are_found_again_however_they_are_shared_out(tmp_path, benchmark) -> None:
    first, again = Tags(), Tags()
    expected = through(tmp_path, benchmark, first)
    it, found = pivoting(benchmark, again), {}
    for number, source in enumerate(("de", "fr")):
        of_source = [pair for pair in DIRECTIONS if pair[0] == source]
        it.translate_legs(of_source, state=tmp_path / "state", out=tmp_path / f"legs-{number}")
    legs = read_legs([tmp_path / f"legs-{number}" for number in range(2)])
    for pair in DIRECTIONS:
        out = tmp_path / f"{pair}.jsonl"
        it.translate(legs, [pair], state=tmp_path / "state", out=out)
        found |= answers(out)
    assert found == expected
    assert not again.asked


def test_a_changed_first_leg_is_translated_on_again(tmp_path, benchmark) -> None:
    through(tmp_path, benchmark, Tags())
    shutil.rmtree(benchmark)
    write_corpus(benchmark, {"all": {**TEXTS, "fr": ["chat", *TEXTS["fr"][1:]]}})
    scoring._tables.cache_clear()
    again = Tags()
    assert through(tmp_path, benchmark, again)["fr-de"][0] == "en>de(fr>en(chat))"
    # The French leg, and what is made of it.
    assert again.asked == {"fr>en(chat)": 1, "en>de(fr>en(chat))": 1}


@pytest.mark.parametrize("direct_first", [True, False])
def test_a_system_and_its_pivots_share_what_is_the_same_work(tmp_path, benchmark, direct_first) -> None:
    """First legs are the system's own translations into the pivot language, second legs out of it its own out of it."""
    state, asked = tmp_path / "state", Counter()

    def direct() -> dict[str, list[str]]:
        translator, out = Tags(), tmp_path / "direct.jsonl"
        sources = benchmark_sources(benchmark, DIRECTIONS)
        translate_directions(translator, sources, state=state, key="k", out=out)
        asked.update(translator.asked)
        return answers(out)

    def pivot() -> dict[str, list[str]]:
        translator = Tags()
        found = through(tmp_path, benchmark, translator)
        asked.update(translator.asked)
        return found

    first, second = (direct, pivot) if direct_first else (pivot, direct)
    found = [first(), second()]
    straight, pivoted = found if direct_first else found[::-1]
    assert set(asked.values()) == {1}
    assert straight["de-fr"] == ["de>fr(Hund)", "de>fr(Hund)", ""]
    assert pivoted == through(tmp_path / "alone", benchmark, Tags())
    for name in ("de-en", "en-fr"):
        assert straight[name] == pivoted[name]
