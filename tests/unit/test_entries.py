"""Entries: the text of each kind, and what of it is learnt."""

import json
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import reader_of, write_corpus

from lingualift.entries import EntryReader, _take, mixture_reader
from lingualift.errors import InputError

ENGLISH = ["a dog", "two cats", "a red car"]
GERMAN = ["ein Hund", "zwei Katzen", "ein rotes Auto"]


@pytest.fixture
def pairs(tmp_path):
    return write_corpus(tmp_path / "pairs", {"en-de": {"en": ENGLISH, "de": GERMAN}})


def read(component, folder, *, small_pairs=None, languages=("en", "de"), **options):
    """All entries of one component and the reader; the corpus or augmentation is called ``it``."""
    mixture = {"components": [component], "small_pairs": small_pairs, "loss": options.pop("loss", "all")}
    reader = reader_of(mixture, {"it": folder}, languages=languages, **options)
    return reader.read(0, reader.plan.entries), reader


def test_connected_is_source_space_target_either_way(pairs):
    found, reader = read({"corpus": "it"}, pairs, small_pairs={"below": 10, "repeats": 40})
    assert len(found.texts) == 120
    assert not found.learn_from.any()
    ways = Counter()
    for text, turned, boundary in zip(found.texts, found.swapped, found.boundaries, strict=True):
        sides = (GERMAN, ENGLISH) if turned else (ENGLISH, GERMAN)
        first = text[: boundary - 1]
        assert text == f"{first} {sides[1][sides[0].index(first)]}"
        assert text[boundary - 1] == " "
        ways[bool(turned)] += 1
    assert 35 < ways[True] < 85
    assert reader.read(5, 9).texts == found.texts[5:9]


def test_split_is_two_monolingual_entries(pairs):
    found, _ = read({"corpus": "it", "format": "split"}, pairs)
    assert sorted(found.texts) == sorted(ENGLISH + GERMAN)
    assert not found.boundaries.any()
    assert not found.learn_from.any()
    assert [text in GERMAN for text in found.texts] == found.swapped.tolist()


def test_target_alone_is_learnt_of_augmented_text(tmp_path):
    columns = {"source": ["a Hund", "two chats"], "target": ["ein Hund", "zwei Katzen"]}
    folder = write_corpus(tmp_path / "it", {"en-de": columns}, directed=True, loss="target")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tables"][0] |= {"languages": ["en", "de"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found, _ = read({"augmentation": "it"}, folder)
    assert {(text[:start], text[start:]) for text, start in zip(found.texts, found.learn_from, strict=True)} == {
        ("a Hund ", "ein Hund"),
        ("two chats ", "zwei Katzen"),
    }
    # Its direction is its own.
    assert not found.swapped.any()


@pytest.mark.parametrize("loss", ["all", "response"])
def test_instructions(tmp_path, loss):
    columns = {"instruction": ["add", "sing"], "input": ["1 and 2", ""], "output": ["3", "la"]}
    folder = write_corpus(tmp_path / "it", {"instructions": columns})
    found, _ = read({"corpus": "it"}, folder, loss=loss)
    assert sorted(found.texts) == ["add|1 and 2>3", "sing>la"]
    assert found.apart.all()
    prompts = {"add|1 and 2>3": 12, "sing>la": 5}
    assert [prompts[text] for text in found.texts] == found.boundaries.tolist()
    assert found.learn_from.tolist() == (found.boundaries.tolist() if loss == "response" else [0, 0])


def test_parallel_text_as_instructions(pairs):
    found, _ = read({"corpus": "it", "format": "instruction"}, pairs, loss="response", seed=4)
    expected = {f"English-German|{e}>{g}" for e, g in zip(ENGLISH, GERMAN, strict=True)}
    expected |= {f"German-English|{g}>{e}" for e, g in zip(ENGLISH, GERMAN, strict=True)}
    assert set(found.texts) <= expected
    for text, start, turned in zip(found.texts, found.learn_from, found.swapped, strict=True):
        assert text[:start].endswith(">")
        assert text.startswith("German" if turned else "English")
    # A component says for itself what is learnt.
    for asked, at in (("target", found.boundaries), ("all", 0 * found.boundaries)):
        component = {"corpus": "it", "format": "instruction", "loss": asked}
        assert np.array_equal(read(component, pairs, seed=4)[0].learn_from, at)


def test_bad_pairs_are_dropped_and_counted(tmp_path):
    columns = {"en": ["one", None, "a", "four"], "de": ["eins", "zwei", "a" * 30, None], "fr": ["un", "deux", "b", "c"]}
    folder = write_corpus(tmp_path / "it", {"multiway": columns})
    found, _ = read({"corpus": "it"}, folder, max_ratios={"it": 9.0})
    assert sorted(found.texts)[:3] == ["", "", ""]
    assert sorted(found.texts)[3] in ("eins one", "one eins")
    assert found.dropped == {"it en-de: a side missing": 2, "it en-de: length ratio": 1}
    # Of split text the pair has to be good as well; 30 characters to one are too many for the other pairs too.
    found, _ = read({"corpus": "it", "format": "split"}, folder, languages=("de", "fr"), max_ratios={"it": 9.0})
    assert sorted(filter(None, found.texts)) == ["deux", "eins", "un", "zwei"]


def test_text_alone_has_no_side_that_could_miss(tmp_path):
    folder = write_corpus(tmp_path / "it", {"multiway": {"en": ["one", None, "three"]}})
    found, _ = read({"corpus": "it"}, folder)
    assert sorted(found.texts) == ["", "one", "three"]
    assert found.dropped == {"it en: no text": 1}


def test_a_number_of_rows_is_of_good_ones(tmp_path):
    """Of 30,000 rows one in a hundred has French, and one in a thousand a French side of absurd length."""
    french = [None if n % 100 else "x" * (999 if n % 1000 == 0 else 9) for n in range(30_000)]
    columns = {"en": [f"line {n:05d}" for n in range(30_000)], "fr": french, "de": ["eine Zeile"] * 30_000}
    folder = write_corpus(tmp_path / "it", {"multiway": columns})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tables"][0]["pairs"] |= {"en-fr": 270, "fr-de": 270}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    options = {"languages": ("en", "fr"), "max_ratios": {"it": 9.0}}
    found, reader = read({"corpus": "it", "sample": 100}, folder, **options)
    assert found.dropped == {}
    assert len({text.replace("xxxxxxxxx", "").strip() for text in found.texts}) == 100
    numbers = [int(text.replace("xxxxxxxxx", "").split()[1]) for text in found.texts]
    assert all(number % 100 == 0 and number % 1000 for number in numbers)
    assert reader.read(20, 30).texts == found.texts[20:30]
    # What came up before the hundredth good row, in the order of all rows.
    order = read({"corpus": "it"}, folder, **options)[1].plan.rows(0, np.arange(30_000))[0]
    is_good = (order % 100 == 0) & (order % 1000 > 0)
    before = order[: np.flatnonzero(is_good)[99]]
    absurd = int((before % 1000 == 0).sum())
    assert absurd > 0
    assert reader.passed_over() == {
        "it en-fr: a side missing (passed over)": len(before) - 99 - absurd,
        "it en-fr: length ratio (passed over)": absurd,
    }
    # All there are, and no more; a share is of all rows, whose bad ones are counted.
    assert len(read({"corpus": "it", "sample": 999}, folder, **options)[0].texts) == 270
    shared, reader = read({"corpus": "it", "sample": 0.5}, folder, **options)
    assert not reader.passed_over()
    assert len(shared.texts) == 15_000
    assert sum(map(bool, shared.texts)) + sum(shared.dropped.values()) == 15_000
    assert 90 < sum(map(bool, shared.texts)) < 180
    # The same ratio counts them and draws them, or it is said.
    with pytest.raises(InputError, match="0 good rows of en-fr, planned with 100 or more"):
        read({"corpus": "it", "sample": 100}, folder, languages=("en", "fr"), max_ratios={"it": 1.1})


def test_reading_in_parts_is_reading_at_once(tmp_path):
    folders = {
        "english": write_corpus(tmp_path / "english", {"en": {"en": [f"line {n}" for n in range(300)]}}),
        "pairs": write_corpus(
            tmp_path / "pairs", {"en-de": {"en": [f"e{n}" for n in range(90)], "de": [f"d{n}" for n in range(90)]}}
        ),
    }
    reader = reader_of({"components": [{"corpus": "english"}, {"corpus": "pairs"}]}, folders)
    whole = reader.read(0, 570)
    parts = [reader.read(start, min(start + 37, 570)) for start in range(0, 570, 37)]
    assert [text for part in parts for text in part.texts] == whole.texts
    for name in ("learn_from", "boundaries", "apart", "streams", "swapped"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=8).filter(any),
    data=st.data(),
)
def test_take_is_pyarrows(sizes, data):
    chunks, start = [], 0
    for size in sizes:
        chunks.append(pa.array([f"row {start + n}" for n in range(size)], pa.large_string()))
        start += size
    column = pa.chunked_array(chunks)
    rows = np.array(sorted(data.draw(st.lists(st.integers(0, start - 1), min_size=1, max_size=20))))
    assert _take(column, rows).to_pylist() == column.take(pa.array(rows)).to_pylist()


def test_memory_does_not_grow_with_the_corpus(tmp_path):
    """A thousand rows of 400,000: what is read is read, and not the 30 MB beside it."""
    texts = [f"sentence {number} of a corpus that is larger than what is read of it" for number in range(40_000)]
    folder = write_corpus(tmp_path / "it", {"en": {"en": texts * 10}})
    script = """
        import sys
        import pyarrow as pa
        sys.path.insert(0, sys.argv[1])
        from making import reader_of
        reader = reader_of({"components": [{"corpus": "it"}]}, {"it": __import__("pathlib").Path(sys.argv[2])})
        assert all(reader.read(0, 1000).texts)
        print(pa.default_memory_pool().max_memory())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(Path(__file__).parent), str(folder)]
    assert int(subprocess.run(command, check=True, capture_output=True).stdout) < 2 * 2**20


def test_the_reader_of_a_job(tmp_path, pairs):
    mixture = {"components": [{"corpus": "it"}]}
    reader = reader_of(mixture, {"it": pairs}, max_ratios={"it": 9.0})
    reader.plan.save(tmp_path / "plan.json")
    settings_of_job = {
        "sources": ["it"],
        "prompt": reader.prompt.model_dump(mode="json"),
        "names": dict(reader.names),
        "max_ratios": {"it": 9.0},
    }
    again = mixture_reader(tmp_path / "plan.json", [pairs], settings_of_job)
    assert again.read(0, 9).texts == reader.read(0, 9).texts
    assert again.identity() == reader.identity()


@pytest.mark.parametrize(
    ("component", "prompt", "english", "french"),
    [
        ({}, False, False, False),
        ({"format": "split"}, False, False, False),
        ({"format": "instruction"}, True, True, False),
    ],
)
def test_what_nothing_is_asked_with_is_not_its_matter(pairs, component, prompt, english, french):
    reader = reader_of({"components": [{"corpus": "it", **component}]}, {"it": pairs})

    def differs(**changed):
        given = {"prompt": reader.prompt, "names": reader.names, **changed}
        return EntryReader(reader.plan, folders=reader.folders, **given).identity() != reader.identity()

    assert differs(prompt=reader.prompt.model_copy(update={"translation": "{source} to {target}"})) == prompt
    assert differs(names={**reader.names, "en": "Anglais"}) == english
    assert differs(names={**reader.names, "fr": "Francais"}) == french
    if not prompt:
        bare = EntryReader(reader.plan, folders=reader.folders)
        assert bare.identity() == reader.identity()
        assert bare.read(0, 9).texts == reader.read(0, 9).texts


def test_the_identity_is_that_of_the_text(tmp_path, pairs):
    mixture = {"components": [{"corpus": "it"}]}
    first = reader_of(mixture, {"it": pairs}).identity()
    manifest = json.loads((pairs / "manifest.json").read_text())
    (pairs / "manifest.json").write_text(json.dumps(manifest | {"seconds": 9.9}))
    assert reader_of(mixture, {"it": pairs}).identity() == first
    assert reader_of(mixture, {"it": pairs}, seed=2).identity() != first
    assert reader_of(mixture, {"it": pairs}, max_ratios={"it": 2.0}).identity() != first
    # As an augmentation at another rate: the same rows, other words.
    (pairs / "manifest.json").write_text(json.dumps(manifest | {"settings": {"rate": 0.5}}))
    assert reader_of(mixture, {"it": pairs}).identity() != first
