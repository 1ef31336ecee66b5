"""Translating into a store that goes on where it was killed."""

import json
import os
import random
import resource
import shutil
from functools import partial
from pathlib import Path

import making
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from killing import Fuse

from lingualift import stores
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import CausalModel
from lingualift.files import write_json
from lingualift.planning.systems import shard_of
from lingualift.stores import HypothesisStore
from lingualift.tokenization import load_tokenizer
from lingualift.translation import Translator, model_key, translate_directions

NAMES = {"en": "English", "de": "German", "cs": "Czech"}
PROMPT = Prompt(
    with_input="{instruction}\n{input}\n=", without_input="{instruction}\n=", translation="From {source} to {target}"
)
DIRECTIONS = [("en", "de"), ("de", "en"), ("cs", "en")]
SENTENCES = {code: tiny.sentences(40, seed=number, words=1 + number * 3) for number, code in enumerate(NAMES)}


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
) -> Path:
    translator = Translator(engine, tokenizer, CausalModel(model="m", batch=8), PROMPT, names)
    out = folder / "out.jsonl"
    sources = {pair: sentences[pair[0]] for pair in directions}
    translate_directions(translator, sources, state=folder / "state", key=key, out=out)
    return out


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
    _translate(tmp_path, tokenizer, engine, key="new")
    assert sum(map(len, engine.calls)) == 40 * len(DIRECTIONS)
    # What nobody goes on with does not stay.
    assert len(list((tmp_path / "state").rglob("*.jsonl"))) == len(DIRECTIONS)


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
        ({**NAMES, "fr": "French"}, SENTENCES, []),
        ({**NAMES, "cs": "Bohemian"}, SENTENCES, ["cs-en"]),
        (NAMES, {**SENTENCES, "de": [*SENTENCES["de"][:39], "ein Hund"]}, ["de-en"]),
        (NAMES, {**SENTENCES, "de": SENTENCES["de"][:39]}, ["de-en"]),
    ],
)
def test_only_what_a_change_concerns_is_translated_again(tmp_path, tokenizer, names, sentences, again) -> None:
    _translate(tmp_path, tokenizer, Echo())
    changed, expected = Echo(), Echo()
    out = _translate(tmp_path, tokenizer, changed, names=names, sentences=sentences).read_bytes()
    pairs = [pair for pair in DIRECTIONS if "-".join(pair) in again]
    options = {"names": names, "sentences": sentences}
    _translate(tmp_path / "part", tokenizer, expected, directions=pairs, **options)
    assert changed.calls == expected.calls
    assert out == _translate(tmp_path / "fresh", tokenizer, Echo(), **options).read_bytes()


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


def test_a_changed_prompt_or_decoding_is_another_store(tmp_path, tokenizer) -> None:
    def store(prompt: Prompt, **decoding) -> str:
        translator = Translator(Echo(fail_at=1), tokenizer, CausalModel(model="m", batch=8, **decoding), prompt, NAMES)
        with pytest.raises(KeyboardInterrupt):
            translate_directions(
                translator, {("en", "de"): SENTENCES["en"]}, state=tmp_path, key=1, out=tmp_path / "out" / "o.jsonl"
            )
        (path,) = tmp_path.glob("en-de/*.jsonl")
        return path.name

    other = PROMPT.model_copy(update={"stop": ("x",)})
    names = [store(PROMPT), store(PROMPT, beam=2), store(PROMPT, max_ratio=2), store(other)]
    assert len(set(names)) == 4
    assert store(PROMPT) == names[0]


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
    fuse.lay(HypothesisStore, "_line")
    fuse.lay(os, "fsync")
    fuse.lay(stores, "_line_at")
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

    def asked(engine: Echo) -> int:
        return sum(map(len, engine.calls))

    first = run(Echo(), 11)
    # Broken off, and gone on with: as if it had not been.
    with pytest.raises(KeyboardInterrupt):
        run(Echo(fail_at=5), 30)
    rest = Echo()
    broken = run(rest, 30)
    whole = Echo()
    run(Echo(), 11, tmp_path / "whole")
    assert run(whole, 30, tmp_path / "whole") == broken
    assert asked(whole) == 19 * len(DIRECTIONS) and rest.calls == whole.calls[5:]
    kept = [line for line in broken if json.loads(line)["sentence"] < 11]
    assert kept == first and len(broken) == 30 * len(DIRECTIONS)
    again, once_more = Echo(), Echo()
    assert run(again, 30) == broken and asked(again) == 0
    run(once_more, 40)
    assert asked(once_more) == 10 * len(DIRECTIONS)
    # Raised before all of the first was there: that is made whole.
    with pytest.raises(KeyboardInterrupt):
        run(Echo(fail_at=1), 20, tmp_path / "early")
    early = Echo()
    assert len(run(early, 40, tmp_path / "early")) == 40 * len(DIRECTIONS)
    assert asked(early) == 40 * len(DIRECTIONS) - 8
    # Another key, or another first sentence, has nothing of it.
    other = Echo()
    run(other, 40, key="other")
    assert asked(other) == 40 * len(DIRECTIONS)


def test_sentences_that_changed_are_translated_again(tmp_path, tokenizer) -> None:
    _translate(tmp_path, tokenizer, Echo())
    engine = Echo()
    changed = {**SENTENCES, "en": ["another one", *SENTENCES["en"][1:]]}
    _translate(tmp_path, tokenizer, engine, sentences=changed)
    assert sum(map(len, engine.calls)) == 40
