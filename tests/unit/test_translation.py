"""Translating into a store that goes on where it was killed."""

import json
import os
import random
import resource
import shutil
import threading
from functools import partial
from pathlib import Path

import making
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from killing import Fuse

from lingualift import translation
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import CausalModel
from lingualift.errors import LingualiftError
from lingualift.files import write_json
from lingualift.planning.systems import shard_of
from lingualift.stores import RecordStore
from lingualift.tokenization import load_tokenizer
from lingualift.translation import LazyEngine, Translator, model_key, translate_directions

NAMES = {"en": "English", "de": "German", "cs": "Czech"}
PROMPT = Prompt(
    with_input="{instruction}\n{input}\n=", without_input="{instruction}\n=", translation="From {source} to {target}"
)
DIRECTIONS = [("en", "de"), ("de", "en"), ("cs", "en")]
SENTENCES = {code: tiny.sentences(40, seed=number, words=3 + number * 3) for number, code in enumerate(NAMES)}


class Echo:
    """An engine whose answers show the batch that they came from."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.calls: list[list[list[int]]] = []
        self.fail_at = fail_at

    def generate(self, prompts, *, max_new_tokens):
        if self.fail_at == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append([list(prompt) for prompt in prompts])
        mark = sum(map(len, prompts)) % 200 + 50
        return [[*prompt[-3:], mark][:max_new_tokens] for prompt in prompts]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tokenizer") / "out"
    tiny.tokenizer(folder)
    return load_tokenizer(folder)


def _translate(
    folder: Path,
    tokenizer,
    engine: Echo,
    *,
    key: object = "key",
    directions=DIRECTIONS,
    names=NAMES,
    sentences=SENTENCES,
    prompt=PROMPT,
    batch=8,
) -> Path:
    translator = Translator(engine, tokenizer, CausalModel(model="m", batch=batch), prompt, names)
    out = folder / "out.jsonl"
    sources = {pair: sentences[pair[0]] for pair in directions}
    translate_directions(translator, sources, state=folder / "state", key=key, out=out)
    return out


def _asked(engine: Echo) -> int:
    return sum(map(len, engine.calls))


def test_every_sentence_once_in_order(tmp_path, tokenizer) -> None:
    out = _translate(tmp_path, tokenizer, Echo())
    records = [json.loads(line) for line in out.read_text().splitlines()]
    expected = [(f"{a}-{b}", number) for a, b in sorted(DIRECTIONS) for number in range(40)]
    assert [(record["direction"], record["sentence"]) for record in records] == expected
    assert all("\n" not in record["hypothesis"] for record in records)


def test_batches_hold_like_lengths_and_every_sentence(tokenizer) -> None:
    translator = Translator(Echo(), tokenizer, CausalModel(model="m", batch=8), PROMPT, NAMES)
    sentences = [text for code in NAMES for text in SENTENCES[code]]
    batches = list(translator.plan(sentences, "en", "de"))
    assert sorted(number for numbers, _, _ in batches for number in numbers) == list(range(len(sentences)))
    assert max(len(numbers) for numbers, _, _ in batches) == 8
    caps = [cap for _, _, cap in batches]
    assert caps == sorted(caps) and len(set(caps)) > 1
    for numbers, prompts, cap in batches:
        assert [tokenizer.decode(prompt) for prompt in prompts] == [
            f"From English to German\n{sentences[number]}\n=" for number in numbers
        ]
        assert all(cap >= 3 * len(tokenizer(sentences[n], add_special_tokens=False)["input_ids"]) for n in numbers)


@pytest.mark.parametrize("call", [0, 1, 4, 9, 14])
def test_a_broken_off_run_ends_as_an_unbroken_one(tmp_path, tokenizer, call) -> None:
    whole = Echo()
    expected = _translate(tmp_path / "whole", tokenizer, whole).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        _translate(tmp_path / "broken", tokenizer, Echo(fail_at=call))
    assert not (tmp_path / "broken/out.jsonl").exists()
    rest = Echo()
    assert _translate(tmp_path / "broken", tokenizer, rest).read_bytes() == expected
    assert rest.calls == whole.calls[call:]


def test_a_torn_line_is_made_again_with_its_whole_batch(tmp_path, tokenizer) -> None:
    expected = _translate(tmp_path / "whole", tokenizer, Echo()).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        _translate(tmp_path / "torn", tokenizer, Echo(fail_at=3))
    (store,) = (tmp_path / "torn/state").rglob("*.jsonl")
    store.write_bytes(store.read_bytes()[:-150])
    rest = Echo()
    assert _translate(tmp_path / "torn", tokenizer, rest).read_bytes() == expected
    assert len(rest.calls[0]) == 8


def test_a_store_of_another_key_is_not_used(tmp_path, tokenizer) -> None:
    with pytest.raises(KeyboardInterrupt):
        _translate(tmp_path, tokenizer, Echo(fail_at=5), key="old")
    engine = Echo()
    new = _translate(tmp_path, tokenizer, engine, key="new").read_bytes()
    assert _asked(engine) == 40 * len(DIRECTIONS)
    # What was made with the other stays, and is gone on with.
    rest = Echo()
    assert _translate(tmp_path, tokenizer, rest, key="old").read_bytes() == new
    assert rest.calls == engine.calls[5:]


def test_what_was_translated_is_found_again_however_directions_are_shared_out(tmp_path, tokenizer) -> None:
    whole = Echo()
    expected = _translate(tmp_path / "whole", tokenizer, whole).read_text().splitlines()
    with pytest.raises(KeyboardInterrupt):
        _translate(tmp_path, tokenizer, Echo(fail_at=7))
    shards = [shard_of(DIRECTIONS, shard, 2) for shard in range(2)]
    rest = [Echo(), Echo()]
    found = [
        line
        for directions, engine in zip(shards, rest, strict=True)
        for line in _translate(tmp_path, tokenizer, engine, directions=directions).read_text().splitlines()
    ]
    assert sorted(found) == sorted(expected)
    assert sorted(call for engine in rest for call in engine.calls) == sorted(whole.calls[7:])
    again = Echo()
    assert _translate(tmp_path, tokenizer, again).read_text().splitlines() == expected
    assert again.calls == []


@pytest.mark.parametrize(
    ("names", "sentences", "again"),
    [
        ({**NAMES, "fr": "French"}, SENTENCES, 0),
        ({**NAMES, "cs": "Bohemian"}, SENTENCES, 40),
        (NAMES, {**SENTENCES, "de": [*SENTENCES["de"][:39], "ein Hund"]}, 1),
        (NAMES, {**SENTENCES, "de": SENTENCES["de"][:39]}, 0),
        (NAMES, {**SENTENCES, "de": [*SENTENCES["de"][20:], *SENTENCES["de"], "ein Hund", "ein Hund"]}, 1),
    ],
)
def test_only_what_a_change_concerns_is_translated_again(tmp_path, tokenizer, names, sentences, again) -> None:
    def read(out: Path) -> dict[tuple[str, str], str]:
        records = map(json.loads, out.read_text().splitlines())
        return {(it["direction"], sentences[it["direction"][:2]][it["sentence"]]): it["hypothesis"] for it in records}

    _translate(tmp_path, tokenizer, Echo())
    engine = Echo()
    found = read(_translate(tmp_path, tokenizer, engine, names=names, sentences=sentences))
    assert _asked(engine) == again
    fresh = read(_translate(tmp_path / "fresh", tokenizer, Echo(), names=names, sentences=sentences))
    # Each sentence has the answer to its own question; the last token alone tells of its batch.
    assert {key: text[:-1] for key, text in found.items()} == {key: text[:-1] for key, text in fresh.items()}


def test_a_shard_of_more_directions_than_files_may_be_open(tmp_path, tokenizer) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    codes = [f"x{number}" for number in range(80)]
    translator = Translator(Echo(), tokenizer, CausalModel(model="m"), PROMPT, dict.fromkeys([*codes, "en"], "Any"))
    sources = {(code, "en"): ["word"] for code in codes}
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        translate_directions(translator, sources, state=tmp_path / "state", key=1, out=tmp_path / "out.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 80


@pytest.mark.parametrize("empty", [[0], [3, 17], list(range(40))])
def test_an_empty_sentence_stays_empty_and_is_not_asked(tmp_path, tokenizer, empty) -> None:
    sentences = ["" if number in empty else text for number, text in enumerate(SENTENCES["de"])]
    engine = Echo()
    translator = Translator(engine, tokenizer, CausalModel(model="m", batch=8), PROMPT, NAMES)
    out = tmp_path / "out.jsonl"
    translate_directions(translator, {("de", "en"): sentences}, state=tmp_path / "state", key=1, out=out)
    found = [json.loads(line)["hypothesis"] for line in out.read_text().splitlines()]
    assert [number for number, text in enumerate(found) if not text] == empty
    assert sum(map(len, engine.calls)) == 40 - len(empty)


def test_a_prompt_with_a_stop_its_own_special_tokens_or_a_chat() -> None:
    class Says:
        def generate(self, prompts, *, max_new_tokens):
            return [byte("Ein Hund. ### Note", add_special_tokens=False)["input_ids"] for _ in prompts]

    byte = making.byte_tokenizer(opening=True)
    byte.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    system = CausalModel(model="m")

    def asked(**options) -> tuple[str, list[str]]:
        prompt = PROMPT.model_copy(update={"stop": ("###",), **options})
        translator = Translator(Says(), byte, system, prompt, NAMES)
        ((_, questions, longest),) = translator.plan(["a dog"], "en", "de")
        return byte.decode(questions[0]), translator.answer(questions, longest)

    words = "From English to German\na dog\n="
    assert asked() == (f"<s>{words}", ["Ein Hund."])
    assert asked(special_tokens=False) == (words, ["Ein Hund."])
    assert asked(chat=True) == (f"[user]{words}", ["Ein Hund."])


def test_a_changed_prompt_or_decoding_is_another_store_and_the_former_stays(tmp_path, tokenizer) -> None:
    def stores(prompt: Prompt, **decoding) -> set[Path]:
        translator = Translator(Echo(), tokenizer, CausalModel(model="m", batch=8, **decoding), prompt, NAMES)
        sources = {("en", "de"): SENTENCES["en"]}
        translate_directions(translator, sources, state=tmp_path, key=1, out=tmp_path / "out" / "o.jsonl")
        return set(tmp_path.glob("*/en-de.*.jsonl"))

    other = PROMPT.model_copy(update={"stop": ("x",)})
    found = [stores(PROMPT), stores(PROMPT, beam=2), stores(PROMPT, max_ratio=2), stores(other), stores(PROMPT)]
    assert [len(paths) for paths in found] == [1, 2, 3, 4, 4]


def test_going_back_to_a_former_prompt_or_limit_translates_nothing_again(tmp_path, tokenizer) -> None:
    few = {code: texts[:10] for code, texts in SENTENCES.items()}
    other = PROMPT.model_copy(update={"translation": "{source} into {target}"})
    whole = _translate(tmp_path, tokenizer, Echo()).read_text().splitlines()

    def again(**options) -> tuple[list[str], int]:
        engine = Echo()
        return _translate(tmp_path, tokenizer, engine, **options).read_text().splitlines(), _asked(engine)

    assert again(sentences=few) == ([line for line in whole if json.loads(line)["sentence"] < 10], 0)
    assert again() == (whole, 0)
    assert again(prompt=other)[1] == 40 * len(DIRECTIONS)
    assert again() == (whole, 0)


def test_a_smaller_batch_goes_on_with_what_a_larger_one_has_left(tmp_path, tokenizer) -> None:
    with pytest.raises(KeyboardInterrupt):
        _translate(tmp_path, tokenizer, Echo(fail_at=7))
    engine = Echo()
    out = _translate(tmp_path, tokenizer, engine, batch=4)
    # Five batches of the first direction and two of the second were done.
    assert _asked(engine) == 40 * len(DIRECTIONS) - 7 * 8
    assert max(map(len, engine.calls)) == 4 and len(out.read_text().splitlines()) == 40 * len(DIRECTIONS)


def test_a_lower_limit_and_then_the_higher_one_leave_a_broken_off_run_as_it_was(tmp_path, tokenizer) -> None:
    whole = Echo()
    _translate(tmp_path / "whole", tokenizer, whole)
    with pytest.raises(KeyboardInterrupt):
        _translate(tmp_path, tokenizer, Echo(fail_at=2))
    few, rest = Echo(), Echo()
    _translate(tmp_path, tokenizer, few, sentences={code: texts[:20] for code, texts in SENTENCES.items()})
    _translate(tmp_path, tokenizer, rest)
    texts = [[tokenizer.decode(prompt) for call in it.calls for prompt in call] for it in (whole, few, rest)]
    # Of the first direction the batches are those of the unbroken run, but for those of which nothing was missing.
    assert [call for call in rest.calls if call in whole.calls[2:5]]
    assert set(texts[0]) == {*texts[1], *texts[2], *texts[0][:16]}
    again = Echo()
    _translate(tmp_path, tokenizer, again)
    assert again.calls == []


def test_a_sentence_that_comes_twice_is_asked_once(tmp_path, tokenizer) -> None:
    twice = {code: [text for text in texts[:5] for _ in range(2)] for code, texts in SENTENCES.items()}
    engine = Echo()
    records = map(json.loads, _translate(tmp_path, tokenizer, engine, sentences=twice).read_text().splitlines())
    said = [record["hypothesis"] for record in records]
    assert _asked(engine) == 5 * len(DIRECTIONS) and len(said) == 10 * len(DIRECTIONS)
    assert said[::2] == said[1::2]


def test_two_jobs_at_the_same_directions_in_turned_order_share_the_work(tmp_path, tokenizer) -> None:
    """Each waits for what the other is at, and for nothing else; what both ask for is asked once."""
    met = threading.Barrier(2, timeout=60)

    class Meets(Echo):
        def generate(self, prompts, *, max_new_tokens):
            if not self.calls:
                met.wait()
            return super().generate(prompts, max_new_tokens=max_new_tokens)

    engines = [Meets(), Meets()]
    orders = [DIRECTIONS, DIRECTIONS[::-1]]
    outs: dict[int, bytes] = {}

    def job(number: int) -> None:
        translator = Translator(engines[number], tokenizer, CausalModel(model="m", batch=8), PROMPT, NAMES)
        sources = {pair: SENTENCES[pair[0]] for pair in orders[number]}
        out = tmp_path / f"{number}.jsonl"
        translate_directions(translator, sources, state=tmp_path / "state", key=1, out=out)
        outs[number] = out.read_bytes()

    jobs = [threading.Thread(target=job, args=(number,)) for number in range(2)]
    for it in jobs:
        it.start()
    for it in jobs:
        it.join()
    assert outs[0] == outs[1]
    assert sum(map(_asked, engines)) == 40 * len(DIRECTIONS)
    assert all(engine.calls for engine in engines)


def test_no_engine_is_made_where_all_is_there(tmp_path, tokenizer) -> None:
    made = []

    def make() -> Echo:
        made.append(1)
        return Echo()

    first = _translate(tmp_path, tokenizer, LazyEngine(make)).read_bytes()
    assert len(made) == 1
    assert _translate(tmp_path, tokenizer, LazyEngine(make)).read_bytes() == first
    assert len(made) == 1


def test_translations_that_are_lost_while_a_job_runs_are_an_error(tmp_path, tokenizer, monkeypatch) -> None:
    read = translation._read

    def lose(path, *others):
        path.unlink()
        return read(path, *others)

    monkeypatch.setattr(translation, "_read", lose)
    with pytest.raises(LingualiftError, match="translations that were there are gone: run again"):
        _translate(tmp_path, tokenizer, Echo())


def test_sources_of_each_direction(tmp_path, tokenizer) -> None:
    translator = Translator(Echo(), tokenizer, CausalModel(model="m"), PROMPT, NAMES)
    sources = {("en", "de"): SENTENCES["en"][:3], ("de", "en"): []}
    manifest = translate_directions(
        translator,
        sources,
        state=tmp_path / "state",
        key=1,
        out=tmp_path / "out.jsonl",
    )
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == manifest.counts["sentences"] == 3


def test_ten_kills_leave_the_translations_of_an_unbroken_run(tmp_path, tokenizer, monkeypatch) -> None:
    """While translating, before or behind a write to the store, or at the end, by the signal that nobody can catch.

    Directions are shared out anew behind each kill.
    """
    expected = _translate(tmp_path / "whole", tokenizer, Echo()).read_bytes()
    fuse = Fuse(monkeypatch)
    fuse.lay(RecordStore, "_line")
    fuse.lay(os, "fsync")
    fuse.lay(translation, "_line")
    rng, kills, sizes = random.Random(11), 0, set()
    while kills < 10:
        mine = shard_of(DIRECTIONS, kills % 2, 1 + kills % 2)
        killed = fuse.kills(
            partial(_translate, tmp_path / "killed", tokenizer, Echo(), directions=mine), after=rng.randrange(40)
        )
        kills += killed
        sizes.add(sum(path.stat().st_size for path in tmp_path.glob("killed/state/*/*.jsonl")))
        if not killed:
            shutil.rmtree(tmp_path / "killed/state")
    # Each went on from what another had kept.
    assert len(sizes) > 5
    assert _translate(tmp_path / "killed", tokenizer, Echo()).read_bytes() == expected
    assert list((tmp_path / "killed").glob(".*")) == []


@given(num=st.integers(1, 60), shards=st.integers(1, 10))
def test_shards_share_out_the_directions(num: int, shards: int) -> None:
    directions = [(f"a{number}", "b") for number in range(num)]
    parts = [shard_of(directions, shard, shards) for shard in range(shards)]
    assert sorted(pair for part in parts for pair in part) == sorted(directions)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_model_key_is_that_of_the_weights_and_of_what_says_how_they_are_used(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    by_file = model_key(tmp_path)
    # Weights that a manifest names are not read.
    manifest = {"weights": by_file, "seconds": 3}
    write_json(manifest, tmp_path / "manifest.json")
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert model_key(tmp_path) == by_file
    seen = [by_file]
    for name in ("config.json", "tokenizer.json", "chat_template.jinja", "tokenizer.model", "source.spm"):
        (tmp_path / name).write_text("1")
        assert model_key(tmp_path) not in seen
        seen.append(model_key(tmp_path))
        (tmp_path / name).write_text("2")
        assert model_key(tmp_path) not in seen
        seen.append(model_key(tmp_path))
    # Times, logs and descriptions are no part of a model.
    write_json({**manifest, "seconds": 4}, tmp_path / "manifest.json")
    (tmp_path / "README.md").write_text("A model.")
    (tmp_path / "training.jsonl").write_text("{}")
    assert model_key(tmp_path) == seen[-1]
    (tmp_path / "manifest.json").unlink()
    assert model_key(tmp_path) not in seen


def test_a_raised_limit_translates_what_is_new_alone(tmp_path, tokenizer) -> None:
    def run(engine: Echo, count: int, folder: Path = tmp_path / "raised", key: str = "key") -> list[str]:
        few = {code: texts[:count] for code, texts in SENTENCES.items()}
        return _translate(folder, tokenizer, engine, sentences=few, key=key).read_text().splitlines()

    first = run(Echo(), 11)
    # Broken off, and gone on with: as if it had not been.
    with pytest.raises(KeyboardInterrupt):
        run(Echo(fail_at=5), 30)
    rest = Echo()
    broken = run(rest, 30)
    whole = Echo()
    run(Echo(), 11, tmp_path / "whole")
    assert run(whole, 30, tmp_path / "whole") == broken
    assert _asked(whole) == 19 * len(DIRECTIONS) and rest.calls == whole.calls[5:]
    kept = [line for line in broken if json.loads(line)["sentence"] < 11]
    assert kept == first and len(broken) == 30 * len(DIRECTIONS)
    again, once_more = Echo(), Echo()
    assert run(again, 30) == broken and _asked(again) == 0
    run(once_more, 40)
    assert _asked(once_more) == 10 * len(DIRECTIONS)
    # Raised before all of the first was there.
    with pytest.raises(KeyboardInterrupt):
        run(Echo(fail_at=1), 20, tmp_path / "early")
    early = Echo()
    assert len(run(early, 40, tmp_path / "early")) == 40 * len(DIRECTIONS)
    assert _asked(early) == 40 * len(DIRECTIONS) - 8
    # Another key, or another first sentence, has nothing of it.
    other = Echo()
    run(other, 40, key="other")
    assert _asked(other) == 40 * len(DIRECTIONS)
