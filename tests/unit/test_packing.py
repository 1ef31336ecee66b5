"""Packing: every token once, the loss mask, agreement with run_clm's recipe, shards that do not mind being killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killing import Fuse
from making import byte_tokenizer, reader_of, write_corpus

from lingualift import packing
from lingualift.configuration.mixtures import Mixture
from lingualift.entries import Entries
from lingualift.files import read_json, write_json
from lingualift.packing import TokenisedEntries, concatenate, opening, pack_mixture, pack_whole, token_counts, tokenise

EOS, BOS = 0, 1


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


def entries_of(*items):
    """Entries from (text, first learnt character, boundary, whether a prompt stands apart)."""
    texts, learn_from, boundaries, apart = zip(*items, strict=True)
    size = len(items)
    return Entries(
        list(texts),
        np.array(learn_from),
        np.array(boundaries),
        np.array(apart),
        np.zeros(size, int),
        np.zeros(size, bool),
        {},
    )


def spelt(tokenised, tokenizer):
    """Tokens as one string: ``$`` for the end, ``^`` for the beginning; what is not learnt in ``_``."""
    words = tokenizer.convert_ids_to_tokens(tokenised.tokens.tolist())
    short = {"</s>": "$", "<s>": "^", "Ġ": " "}
    text = "".join(short.get(word, word) for word in words)
    return text, "".join(c if learnt else "_" for c, learnt in zip(text, tokenised.learnt, strict=True))


@pytest.mark.parametrize(
    ("item", "text", "learnt"),
    [
        (("ab c", 0, 0, False), "ab c$", "ab c$"),  # monolingual
        (("ab cd", 0, 3, False), "ab cd$", "ab cd$"),  # connected
        (("ab cd", 3, 3, False), "ab cd$", "___cd$"),  # augmented: the target and the end
        (("ask>say", 4, 4, True), "ask>say$", "____say$"),  # an instruction, its response
        (("ask>say", 0, 4, True), "ask>say$", "ask>say$"),  # an instruction, all of it
    ],
)
def test_the_mask_of_each_kind(tokenizer, item, text, learnt):
    tokenised, _ = tokenise(entries_of(item), tokenizer)
    assert spelt(tokenised, tokenizer) == (text, learnt)
    assert tokenised.ends.tolist() == [len(text)]


@pytest.mark.parametrize(
    ("item", "text", "learnt"),
    [
        (("ab c", 0, 0, False), "^ab c$", "^ab c$"),
        (("ab cd", 3, 3, False), "^ab cd$", "____cd$"),
        (("ask>say", 4, 4, True), "^ask>say$", "_____say$"),
    ],
)
def test_a_tokenizer_that_begins_every_text(item, text, learnt):
    tokenizer = byte_tokenizer(opening=True)
    assert opening(tokenizer) == [BOS]
    tokenised, _ = tokenise(entries_of(item), tokenizer)
    assert spelt(tokenised, tokenizer) == (text, learnt)
    # As the model is asked.
    head = item[0][: item[2]] if item[3] else item[0]
    assert tokenised.tokens[: len(head) + 1].tolist() == tokenizer(head)["input_ids"]


def test_llamas_tokenizer_begins_every_text():
    from transformers import LlamaTokenizer

    words = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a"]
    llama = LlamaTokenizer(vocab={word: at for at, word in enumerate(words)}, merges=[("▁", "a")], add_bos_token=True)
    tokenised, second = tokenise(entries_of(("a b", 2, 2, False)), llama)
    assert opening(llama) == [1]
    assert tokenised.tokens[0] == 1
    assert tokenised.tokens[-1] == llama.eos_token_id
    assert tokenised.tokens[1:-1].tolist() == llama("a b", add_special_tokens=False)["input_ids"]
    assert not tokenised.learnt[0]
    assert tokenised.learnt[-1]
    assert second.tolist() == [1]


def test_a_word_and_the_space_before_it_are_one_token():
    tokenizer = byte_tokenizer(merges=[("Ġ", "c"), ("Ġc", "d")])
    tokenised, second = tokenise(entries_of(("ab cd", 3, 3, False)), tokenizer)
    assert tokenizer.convert_ids_to_tokens(tokenised.tokens.tolist()) == ["a", "b", "Ġcd", "</s>"]
    assert tokenised.learnt.tolist() == [False, False, True, True]
    assert second.tolist() == [1]


def test_a_response_is_tokenised_apart_from_its_prompt():
    tokenizer = byte_tokenizer(merges=[(">", "s")])
    tokenised, _ = tokenise(entries_of(("ask>say", 4, 4, True)), tokenizer)
    assert tokenizer.convert_ids_to_tokens(tokenised.tokens.tolist()) == [*"ask", ">", *"say", "</s>"]


def test_text_that_spells_a_special_token_is_text(tokenizer):
    tokenised, _ = tokenise(entries_of(("a</s>b", 0, 0, False), ("<s> c", 4, 4, False)), tokenizer)
    assert (tokenised.tokens == EOS).sum() == 2
    assert not (tokenised.tokens == BOS).any()
    assert tokenizer.decode(tokenised.tokens.tolist()) == "a</s>b</s><s> c</s>"
    # Only here: a prompt may hold some on purpose.
    assert tokenizer("</s>")["input_ids"] == [EOS]
    prompt, _ = tokenise(entries_of(("<s>ask>say", 7, 7, True)), tokenizer)
    assert prompt.tokens[0] == BOS


def test_what_a_tokenizers_file_says_of_truncation_and_padding_is_not_heeded():
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=12)
    tokenised, _ = tokenise(entries_of(("ab cd", 3, 3, False), ("long text", 0, 0, False)), tokenizer)
    assert spelt(tokenised, tokenizer)[0] == "ab cd$long text$"


def test_dropped_entries_leave_no_token(tokenizer):
    tokenised, second = tokenise(entries_of(("", 0, 0, False), ("a b", 0, 2, False), ("", 0, 0, True)), tokenizer)
    assert spelt(tokenised, tokenizer)[0] == "a b$"
    assert tokenised.ends.tolist() == [0, 4, 4]
    assert second.tolist() == [0, 1, 0]


texts = st.lists(st.text(st.sampled_from("ab é中</s>"), max_size=9), min_size=1, max_size=12)


@settings(deadline=None, max_examples=80)
@given(texts=texts)
def test_one_end_of_sequence_behind_every_entry(tokenizer, texts):
    tokenised, _ = tokenise(entries_of(*((text, 0, 0, False) for text in texts)), tokenizer)
    starts = [0, *tokenised.ends.tolist()[:-1]]
    for text, start, end in zip(texts, starts, tokenised.ends.tolist(), strict=True):
        assert end - start == (len(text.encode()) + 1 if text else 0)
        if text:
            assert tokenised.tokens[end - 1] == EOS
            assert tokenizer.decode(tokenised.tokens[start : end - 1].tolist()) == text
    assert (tokenised.tokens == EOS).sum() == sum(map(bool, texts))


def made_up(sizes):
    ends = np.cumsum(sizes)
    return TokenisedEntries(np.arange(sum(sizes)), np.ones(sum(sizes), bool), ends)


lengths = st.lists(st.integers(0, 25), min_size=1, max_size=40).filter(any)


@settings(deadline=None)
@given(sizes=lengths, block=st.integers(1, 12))
def test_every_token_is_in_one_block(sizes, block):
    for pack in (concatenate, pack_whole):
        blocks = pack(made_up(sizes), block)
        assert all(0 < len(places) <= block for places in blocks)
        assert sorted(np.concatenate(blocks).tolist()) == list(range(sum(sizes)))


@settings(deadline=None)
@given(sizes=lengths, block=st.integers(1, 12))
def test_whole_cuts_no_entry_that_fits(sizes, block):
    blocks = [set(places.tolist()) for places in pack_whole(made_up(sizes), block)]
    start = 0
    for size in sizes:
        tokens = set(range(start, start + size))
        holding = [places for places in blocks if places & tokens]
        assert len(holding) == -(-size // block)
        start += size
    # No two blocks that would fit into one.
    free = sorted(block - len(places) for places in blocks)
    assert len(free) < 2 or free[-1] < block


def test_whole_by_hand():
    # Longest first: 5 into a block of 6, then 4; 2 beside the 4, 1 beside the 5.
    blocks = pack_whole(made_up([1, 5, 2, 4]), 6)
    assert [places.tolist() for places in blocks] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    # 13 tokens are cut at the length of a block.
    assert [len(places) for places in pack_whole(made_up([13]), 6)] == [6, 6, 1]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    numbers = range(400)
    english = [f"sentence {n} of some length" + " and more" * (n % 5) for n in numbers]
    german = [f"Satz {n} von einer Länge" + " und mehr" * (n % 5) for n in numbers]
    return {
        "english": write_corpus(folder / "english", {"en": {"en": english}}),
        "pairs": write_corpus(folder / "pairs", {"en-de": {"en": english, "de": german}}),
        "tasks": write_corpus(
            folder / "tasks",
            {"instructions": {"instruction": ["say it"] * 99, "input": [""] * 99, "output": ["so"] * 99}},
        ),
    }


def pack(corpora, folder, *, tokenizer, block=32, workers=1, entries_a_shard=10**6, seed=1, version=1, **settings):
    components = [{"corpus": "english"}, {"corpus": "pairs"}, {"corpus": "tasks"}]
    mixture = Mixture.model_validate({"components": components, "block": block, "loss": "response", **settings})
    reader = reader_of(mixture, corpora, seed=seed)
    options = {"out": folder / "packed", "work": folder / "work", "workers": workers, "version": version}
    manifest = pack_mixture(reader, tokenizer, mixture, **options, entries_a_shard=entries_a_shard)
    return manifest, reader


def shards(folder):
    """The bytes of all shards."""
    return {path.name: path.read_bytes() for path in sorted((folder / "packed").glob("*.npy"))}


@pytest.mark.parametrize("how", ["concatenate", "whole"])
def test_a_packed_mixture(tmp_path, corpora, tokenizer, how):
    manifest, reader = pack(corpora, tmp_path, tokenizer=tokenizer, packing=how)
    tokens = np.load(tmp_path / "packed" / "tokens-00000.npy")
    learnt = np.unpackbits(np.load(tmp_path / "packed" / "learnt-00000.npy"), axis=1, count=32).astype(bool)
    assert tokens.dtype == np.uint16
    assert tokens.shape == learnt.shape == (manifest.counts["blocks"], 32)
    entries = reader.read(0, reader.plan.entries)
    expected = [token for text in entries.texts for token in (*tokenizer(text)["input_ids"], EOS)]
    assert manifest.counts["entries"] == len(entries.texts) == 400 + 1200 + 99
    assert manifest.counts["tokens"] == len(expected)
    # Everything but the prompts of 99 instructions, "say it>".
    assert manifest.counts["learnt_tokens"] == learnt.sum() == len(expected) - 99 * 7
    if how == "concatenate":
        assert tokens.ravel()[: len(expected)].tolist() == expected
        assert (tokens.ravel()[len(expected) :] == EOS).all()
    else:
        counted = np.bincount(tokens.ravel(), minlength=len(tokenizer))
        assert counted[1:].tolist() == np.bincount(expected, minlength=len(tokenizer))[1:].tolist()
        assert manifest.counts["blocks"] < 1.1 * len(expected) / 32
    # By language: the German is what is not ASCII-only English.
    shares = token_counts(read_json(tmp_path / "packed" / "manifest.json"))
    assert sum(shares.values()) == len(expected)
    assert shares["instructions"] == 99 * len("say it>so$")
    assert not (tmp_path / "work").exists()


def test_tokens_by_language_by_hand(tmp_path, tokenizer):
    folder = write_corpus(tmp_path / "pairs", {"en-de": {"en": ["abc"] * 50, "de": ["xy"] * 50}})
    mixture = Mixture.model_validate({"components": [{"corpus": "pairs"}], "small_pairs": None})
    reader = reader_of(mixture, {"pairs": folder})
    pack_mixture(reader, tokenizer, mixture, out=tmp_path / "packed", work=tmp_path / "work")
    turned = int(reader.read(0, 50).swapped.sum())
    # The space and the end stand with the first side.
    english = 50 * 3 + 2 * (50 - turned)
    assert token_counts(read_json(tmp_path / "packed" / "manifest.json")) == {"en": english, "de": 50 * 7 - english}


def test_concatenate_is_run_clms_group_texts(tmp_path, corpora, tokenizer):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    _, reader = pack(corpora, tmp_path, tokenizer=tokenizer, loss="all")
    ours = np.load(tmp_path / "packed" / "tokens-00000.npy")
    lines = [text + "</s>" for text in reader.read(0, reader.plan.entries).texts]
    entries = datasets.Dataset.from_dict({"text": lines})

    def group_texts(examples):
        # examples/pytorch/language-modeling/run_clm.py
        joined = {key: list(chain(*examples[key])) for key in examples}
        total = len(joined["input_ids"]) // 32 * 32
        return {key: [ids[i : i + 32] for i in range(0, total, 32)] for key, ids in joined.items()}

    tokenised = entries.map(lambda batch: tokenizer(batch["text"]), batched=True, remove_columns=["text"])
    theirs = np.array(tokenised.map(group_texts, batched=True, batch_size=len(entries))["input_ids"])
    # The remainder, which the recipe drops, is one block more.
    assert len(ours) in (len(theirs), len(theirs) + 1)
    assert np.array_equal(ours[: len(theirs)], theirs)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_that_a_number_passes_over_are_counted_once(tmp_path, tokenizer, workers):
    """However many shards and workers have entries of it, and however often each is used."""
    columns = {"en": ["a", None, "a", "a"] * 10, "de": ["a", "a", "a" * 10, "a"] * 10}
    folder = write_corpus(tmp_path / "it", {"multiway": columns})
    # As its import would count them.
    manifest = read_json(folder / "manifest.json")
    manifest["tables"][0]["pairs"] = {"en-de": 20}
    write_json(manifest, folder / "manifest.json")
    components = [{"corpus": "it", "sample": 20}]
    mixture = Mixture.model_validate({"components": components, "small_pairs": {"below": 99, "repeats": 3}})
    reader = reader_of(mixture, {"it": folder}, max_ratios={"it": 9.0})
    places = {"out": tmp_path / "packed", "work": tmp_path / "work"}
    manifest = pack_mixture(reader, tokenizer, mixture, **places, workers=workers, entries_a_shard=9)
    assert (manifest.counts["shards"], manifest.counts["entries"]) == (7, 60)
    order = reader_of({"components": [{"corpus": "it"}], "small_pairs": None}, {"it": folder}).plan.rows(
        0, np.arange(40)
    )[0]
    seen = order[: np.flatnonzero(np.isin(order % 4, (0, 3)))[-1]] % 4
    assert manifest.dropped == {
        "it en-de: a side missing (passed over)": np.count_nonzero(seen == 1),
        "it en-de: length ratio (passed over)": np.count_nonzero(seen == 2),
    }


@pytest.mark.parametrize("how", ["concatenate", "whole"])
def test_shards_do_not_depend_on_workers_or_kills(tmp_path, corpora, tokenizer, monkeypatch, how):
    options = {"tokenizer": tokenizer, "packing": how, "entries_a_shard": 150}
    pack(corpora, tmp_path / "one", **options)
    expected = shards(tmp_path / "one")
    assert len(expected) == 2 * 12
    pack(corpora, tmp_path / "three", workers=3, **options)
    assert shards(tmp_path / "three") == expected

    begun = count()

    def killed_at_its_third(*given):
        if next(begun) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return tokenise(*given)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "tokenise", killed_at_its_third)
        with pytest.raises(BrokenProcessPool):
            pack(corpora, tmp_path / "killed", workers=2, **options)
    # Each of two workers has two at most.
    assert 2 <= len(list((tmp_path / "killed/work").glob("counts-*.json"))) <= 4
    assert not (tmp_path / "killed/packed").exists()
    pack(corpora, tmp_path / "killed", workers=2, **options)
    assert shards(tmp_path / "killed") == expected


def test_killed_at_each_thing_that_it_writes(tmp_path, corpora, tokenizer, monkeypatch):
    options = {"tokenizer": tokenizer, "entries_a_shard": 900}
    pack(corpora, tmp_path / "unbroken", **options)
    fuse = Fuse(monkeypatch)
    for name in ("tokenise", "atomic_path", "write_json", "link_or_copy", "remove"):
        fuse.lay(packing, name)
    for after in count():
        folder = tmp_path / str(after)
        if not fuse.kills(partial(pack, corpora, folder, **options), after=after):
            break
        pack(corpora, folder, **options)
        assert shards(folder) == shards(tmp_path / "unbroken")
        assert not (folder / "work").exists()
    # Each of two shards: tokenised, two files, its counts. Then the folder, four links, the state.
    assert after == 2 * 4 + 1 + 4 + 1


def test_what_a_killed_job_left_is_used_if_it_is_whole(tmp_path, corpora, tokenizer, monkeypatch):
    options = {"tokenizer": tokenizer, "entries_a_shard": 150}
    monkeypatch.setattr(packing, "remove", lambda path: None)
    pack(corpora, tmp_path, **options)
    expected = shards(tmp_path)
    work = tmp_path / "work"
    for path in sorted(work.iterdir())[::2]:
        path.unlink()
    kept = {path.name: path.stat().st_mtime_ns for path in work.iterdir()}
    pack(corpora, tmp_path, workers=2, **options)
    assert shards(tmp_path) == expected
    whole = [n for n in range(12) if sum(f"-{n:05d}." in name for name in kept) == 3]
    for number in whole:
        assert (work / f"tokens-{number:05d}.npy").stat().st_mtime_ns == kept[f"tokens-{number:05d}.npy"]


def test_what_other_settings_left_is_not_used(tmp_path, tokenizer, monkeypatch):
    """The same number of entries, other text: as when the rate of an augmentation changes."""
    monkeypatch.setattr(packing, "remove", lambda path: None)
    mixture = Mixture.model_validate({"components": [{"corpus": "it"}], "block": 8})
    found = []
    for rate, text in ((0.3, "old words"), (0.5, "new words"), (0.3, "old words")):
        folder = write_corpus(tmp_path / f"corpus {len(found)}", {"en": {"en": [text] * 40}})
        manifest = read_json(folder / "manifest.json") | {"settings": {"rate": rate}}
        write_json(manifest, folder / "manifest.json")
        reader = reader_of(mixture, {"it": folder})
        pack_mixture(reader, tokenizer, mixture, out=tmp_path / "packed", work=tmp_path / "work", entries_a_shard=9)
        found.append(tokenizer.decode(np.load(tmp_path / "packed" / "tokens-00000.npy").ravel().tolist()))
    assert "old" in found[0]
    assert "new" in found[1]
    assert "old" not in found[1]
    assert found[2] == found[0]


def test_a_tokenizer_learnt_anew_is_another(tmp_path, corpora, monkeypatch):
    """As large as the one before, with other words."""
    monkeypatch.setattr(packing, "remove", lambda path: None)
    first = byte_tokenizer(merges=[("t", "e")])
    second = byte_tokenizer(merges=[("e", "n")])
    assert len(first) == len(second)
    pack(corpora, tmp_path, tokenizer=first, entries_a_shard=500)
    pack(corpora, tmp_path, tokenizer=second, entries_a_shard=500)
    pack(corpora, tmp_path / "fresh", tokenizer=second, entries_a_shard=500)
    assert shards(tmp_path) == shards(tmp_path / "fresh")


def test_what_another_version_packed_is_packed_again(tmp_path, corpora, tokenizer, monkeypatch):
    made = []
    monkeypatch.setattr(packing, "remove", lambda path: None)
    monkeypatch.setattr(packing, "tokenise", lambda *given: made.append(1) or tokenise(*given))
    for version, num_made in ((1, 4), (1, 0), (2, 4), (2, 0), (1, 4)):
        made.clear()
        pack(corpora, tmp_path, tokenizer=tokenizer, entries_a_shard=500, version=version)
        assert len(made) == num_made
        # A training goes by the manifest; that of the first version names none, as it always did.
        settings = read_json(tmp_path / "packed/manifest.json")["settings"]
        assert settings.get("version") == (None if version == 1 else version)


_PACK = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from making import byte_tokenizer, reader_of
    from lingualift.configuration.mixtures import Mixture
    from lingualift.packing import pack_mixture
    corpus, out, work = map(Path, sys.argv[2:5])
    mixture = Mixture.model_validate({"components": [{"corpus": "captions"}], "block": 64, "packing": "whole"})
    reader = reader_of(mixture, {"captions": corpus}, languages=["en", "de", "fr", "cs"])
    pack_mixture(reader, byte_tokenizer(), mixture, out=out, work=work, workers=2, entries_a_shard=500)
"""


@pytest.mark.slow
def test_killed_while_packing_multi30k(tmp_path, shared_data):
    """kill -9 in the middle, and again: the shards are those of a run that was never killed."""
    from lingualift.configuration.corpora import MultiwayCorpus
    from lingualift.corpora import import_corpus
    from lingualift.languages import load_languages

    table = load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")
    corpus = MultiwayCorpus(reader="multiway", path="multi30k", files="train.{language}.gz", limit=1500)
    codes = ["en", "de", "fr", "cs"]
    options = {"languages": codes, "table": table, "data": shared_data, "work": tmp_path / "import"}
    import_corpus(corpus, **options, out=tmp_path / "corpus")

    def start(name):
        folders = [str(tmp_path / "corpus"), str(tmp_path / name / "packed"), str(tmp_path / name / "work")]
        command = [sys.executable, "-c", textwrap.dedent(_PACK), str(Path(__file__).parent), *folders]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    assert start("unbroken").wait() == 0
    work = tmp_path / "killed" / "work"
    process = start("killed")
    while process.poll() is None and sum(1 for _ in work.glob("counts-*.json")) < 5:
        time.sleep(0.005)
    # The workers too.
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "packed").exists()
    assert start("killed").wait() == 0
    expected = shards(tmp_path / "unbroken")
    assert len(expected) == 2 * 54
    assert shards(tmp_path / "killed") == expected
