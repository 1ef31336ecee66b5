"""Augmentation: the papers' replacement, its draws, and the corpus that comes of it."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lingualift import augmentation as augmentation_module
from lingualift.augmentation import augment_corpus
from lingualift.configuration.lexicons import Augmentation, MuseDictionary
from lingualift.errors import InputError
from lingualift.lexicons import Lexicon, build_lexicon
from lingualift.manifests import Manifest
from lingualift.replacement import Coverage, Replacer, count_words, replace_words


@dataclass(frozen=True)
class Spoken:
    code: str
    segmentation: str = "space"
    codes: dict[str, str] = field(default_factory=dict)
    scripts: tuple[str, ...] = ("Latn",)


LANGUAGES = {code: Spoken(code, codes={"muse": code}) for code in ("en", "fr", "de", "cs")}
LANGUAGES["zh"] = Spoken("zh", "jieba", {"muse": "zh"}, ("Hans",))
FILES = {
    "en-fr": "dog chien\ncat chat\ncat chatte\nthe le\n",
    "en-de": "dog hund\ncat katze\nthe der\nthe die\nthe das\n",
    "en-zh": "dog 狗\nlike 喜欢\n",
    "fr-de": "chien dogge\n",
}
KNOWN = {"dog", "cat", "the", "like"}


def make_lexicon(folder: Path, hops: int = 1, files: dict[str, str] = FILES) -> Lexicon:
    (folder / "muse").mkdir(parents=True)
    for pair, text in files.items():
        (folder / "muse" / f"{pair}.txt").write_text(text, encoding="utf-8")
    dictionary = MuseDictionary(reader="muse", path="muse", hops=hops)
    build_lexicon(dictionary, languages=LANGUAGES, data=folder, out=folder / "lexicon")
    return Lexicon.open(folder / "lexicon")


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    return make_lexicon(tmp_path_factory.mktemp("one-hop"))


@pytest.fixture(scope="module")
def two_hops(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    return make_lexicon(tmp_path_factory.mktemp("two-hops"), hops=2)


def replacer(
    lexicon: Lexicon, code: str = "en", to: Sequence[str] = ("de", "fr", "zh"), **settings: object
) -> Replacer:
    return Replacer(lexicon, code, LANGUAGES[code], **{"to": to, "rate": 1.0, "seed": 17} | settings)


def run(replace: Replacer, sentences: Sequence[str]) -> list[str]:
    return replace(sentences, np.arange(len(sentences)))


# One sentence, by hand.


def test_every_known_word_is_replaced_by_one_of_its_translations(lexicon: Lexicon) -> None:
    words = ["the", "dog", "saw", "the", "cat"]
    for seed in range(20):
        out = replace_words(words, lexicon, language="en", to=["de", "fr"], rate=1.0, rng=np.random.default_rng(seed))
        assert out[0] in {"le", "der", "die", "das"}
        assert out[1] in {"chien", "hund"}
        assert out[2] == "saw"
        assert out[4] in {"chat", "chatte", "katze"}
    assert replace_words(words, lexicon, language="en", to=["fr"], rate=0.0, rng=np.random.default_rng(0)) == words


def test_languages_the_lexicon_lacks(lexicon: Lexicon) -> None:
    with pytest.raises(KeyError, match="cs"):
        replace_words(["dog"], lexicon, language="en", to=["cs"], rate=1.0, rng=np.random.default_rng(0))
    with pytest.raises(KeyError, match="cs"):
        replacer(lexicon, to=["cs"])
    with pytest.raises(KeyError, match="cs"):
        replacer(lexicon, code="cs")


# Batches of sentences.


def test_punctuation_stays_and_can_be_made_part_of_the_word(lexicon: Lexicon) -> None:
    sentences = ["«Dog», (cat!) the dogs... like,"]
    assert run(replacer(lexicon, to=["de"]), sentences)[0] in {
        f"«hund», (katze!) {the} dogs... like," for the in ("der", "die", "das")
    }
    unstripped = run(replacer(lexicon, to=["fr"], strip_punctuation=False), sentences)
    assert unstripped == ["«dog», (cat!) le dogs... like,"]
    assert run(replacer(lexicon, to=["fr"], lower=False), ["Dogs, Cat? DOG"])[0] in {
        "Dogs, chat? chien",
        "Dogs, chatte? chien",
    }


def test_coverage_counts(lexicon: Lexicon) -> None:
    replace = replacer(lexicon, to=["zh"])
    assert run(replace, ["the dog - the cat", "a  bird", ""]) == ["the 狗 - the cat", "a  bird", ""]
    # "-" and the empty words between spaces are no words.
    assert replace.coverage == Coverage(words=6, known=1, replaced=1, sentences=3, unchanged=2)


def test_words_that_are_their_own_translation_are_not_replaced(tmp_path: Path) -> None:
    files = {"en-fr": "dog chien\ntaxi taxi\nparis paris\n", "en-zh": "dog 狗\n1990 1990\n"}
    lexicon = make_lexicon(tmp_path, files=files)
    replace = replacer(lexicon, to=["fr"])
    assert run(replace, ["A taxi!", "Dog in (Paris)", "dog"]) == ["a taxi!", "chien in (paris)", "chien"]
    assert replace.coverage == Coverage(words=6, known=4, replaced=2, same=2, sentences=3, unchanged=1)
    # Nor are they set off by spaces in Chinese.
    replace = replacer(lexicon, "zh", to=["en"])
    assert run(replace, ["1990年。", "狗在1990年"]) == ["1990年。", "dog 在1990年"]
    assert (replace.coverage.replaced, replace.coverage.same, replace.coverage.unchanged) == (1, 2, 1)


def test_own_language_is_never_chosen(two_hops: Lexicon) -> None:
    sentences = ["hund katze der"] * 200
    found = {word for line in run(replacer(two_hops, "de", to=["de", "en", "fr"]), sentences) for word in line.split()}
    # hund → chien → dogge is German; hund → dog → chien is not.
    assert found == {"dog", "chien", "cat", "chat", "chatte", "the", "le"}


def test_two_hops_reach_further(lexicon: Lexicon, two_hops: Lexicon) -> None:
    sentences = ["dog"] * 100
    assert set(run(replacer(lexicon, to=["de"]), sentences)) == {"hund"}
    assert set(run(replacer(two_hops, to=["de"]), sentences)) == {"hund", "dogge"}


def test_draws_are_uniform_over_languages_then_over_words(lexicon: Lexicon) -> None:
    counts = Counter(run(replacer(lexicon, to=["de", "fr"]), ["the"] * 12_000))
    # Half French, where there is one word; half German, where there are three. Five standard deviations.
    assert abs(counts["le"] - 6_000) < 275
    for word in ("der", "die", "das"):
        assert abs(counts[word] - 2_000) < 205


def test_the_rate_is_that_of_known_words(lexicon: Lexicon) -> None:
    replace = replacer(lexicon, rate=0.3)
    run(replace, ["the dog saw a cat"] * 4_000)
    assert replace.coverage.known == 12_000
    assert abs(replace.coverage.replaced - 3_600) < 255


def test_draws_of_neighbouring_places_are_independent(lexicon: Lexicon) -> None:
    lines = run(replacer(lexicon, to=["de", "fr"], rate=0.5), ["dog dog"] * 9_000)
    pairs = Counter(lines)
    for first, share_first in (("dog", 0.5), ("hund", 0.25), ("chien", 0.25)):
        for second, share_second in (("dog", 0.5), ("hund", 0.25), ("chien", 0.25)):
            expected = 9_000 * share_first * share_second
            assert abs(pairs[f"{first} {second}"] - expected) < 5 * expected**0.5


def test_chinese_is_segmented_and_put_together(lexicon: Lexicon) -> None:
    assert run(replacer(lexicon, "zh", to=["en"]), ["狗喜欢吃。", "Iphone手机"]) == ["dog like 吃。", "iphone手机"]
    replace = replacer(lexicon, "zh", to=["en"], rate=0.0)
    assert run(replace, ["我喜欢狗。 OK"]) == ["我喜欢狗。 ok"]
    assert replace.coverage.words == 4


sentences_of = st.lists(
    st.lists(st.sampled_from([*sorted(KNOWN), "The", "dog,", "(cat)", "bird", "", "…"]), max_size=8).map(" ".join),
    max_size=12,
)


@given(sentences=sentences_of)
def test_rate_zero_only_lowers(lexicon: Lexicon, sentences: list[str]) -> None:
    assert run(replacer(lexicon, rate=0.0), sentences) == [sentence.lower() for sentence in sentences]


@given(sentences=sentences_of, hops=st.sampled_from([1, 2]), seed=st.integers(0, 2**64 - 1))
def test_rate_one_leaves_no_known_word(
    lexicon: Lexicon, two_hops: Lexicon, sentences: list[str], hops: int, seed: int
) -> None:
    changed = run(replacer(lexicon if hops == 1 else two_hops, seed=seed), sentences)
    for before, after in zip(sentences, changed, strict=True):
        old, new = before.lower().split(" "), after.split(" ")
        assert len(old) == len(new)
        for was, now in zip(old, new, strict=True):
            assert (was != now) == (was.strip("(,)…") in KNOWN)


@given(sentences=sentences_of, hops=st.sampled_from([1, 2]), size=st.integers(1, 5), rate=st.floats(0, 1))
def test_batches_do_not_matter(
    lexicon: Lexicon, two_hops: Lexicon, sentences: list[str], hops: int, size: int, rate: float
) -> None:
    used = lexicon if hops == 1 else two_hops
    whole, parts = replacer(used, rate=rate), replacer(used, rate=rate)
    lines = np.arange(len(sentences))
    starts = range(0, len(sentences), size)
    pieces = [parts(sentences[i : i + size], lines[i : i + size]) for i in reversed(starts)]
    assert [sentence for piece in reversed(pieces) for sentence in piece] == whole(sentences, lines)
    assert parts.coverage == whole.coverage


def test_forgetting_changes_nothing(two_hops: Lexicon, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = ["the dog likes the cat", "dog, cat and bird"] * 50
    expected = run(replacer(two_hops), sentences)
    for limit in ("_MAX_TOKENS", "_MAX_STRINGS", "_MAX_CANDIDATES"):
        monkeypatch.setattr(f"lingualift.replacement.{limit}", 0)
    replace = replacer(two_hops)
    assert [replace([sentence], np.array([line]))[0] for line, sentence in enumerate(sentences)] == expected


# Corpora.


def write_corpus(folder: Path, tables: dict[str, dict[str, list]], **about: object) -> Path:
    (folder / "tables").mkdir(parents=True)
    entries = []
    for name, columns in tables.items():
        table = pa.table({code: pa.array(texts, pa.string()) for code, texts in columns.items()})
        with pa.ipc.new_file(str(folder / "tables" / f"{name}.arrow"), table.schema) as writer:
            writer.write_table(table, max_chunksize=16_384)
        entry = {"name": name, "languages": list(columns), "rows": len(table), "directed": False, "loss": "all"}
        entries.append(entry | about)
    (folder / "manifest.json").write_text(json.dumps({"kind": "corpus", "tables": entries}))
    return folder


@pytest.fixture
def augment(lexicon: Lexicon, tmp_path: Path) -> Callable[..., Manifest]:
    def augment(corpus: Path, *, seed: int = 17, out: str = "out", **settings: object) -> Manifest:
        return augment_corpus(
            Augmentation(dictionary="muse", source="captions", **settings),
            corpus_folder=corpus,
            lexicon_folder=lexicon.folder,
            languages=LANGUAGES,
            codes=["en", "fr", "de", "cs"],
            seed=seed,
            out=tmp_path / out,
            work=tmp_path / "work",
        )

    return augment


def read(folder: Path) -> dict[str, list[dict]]:
    return {
        path.stem: pa.ipc.open_file(path.read_bytes()).read_all().to_pylist()
        for path in sorted((folder / "tables").iterdir())
    }


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "tables").iterdir()}


def test_multiway_parallel(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    columns = {"en": ["The dog"] * 600, "fr": ["Le chien"] * 600, "de": [None, *["Der Hund"] * 599]}
    manifest = augment(write_corpus(tmp_path / "corpus", {"multiway": columns}))
    tables = read(tmp_path / "out")
    assert set(tables) == {"en-fr", "fr-en", "en-de", "de-en", "fr-de", "de-fr"}
    for one, other, num_rows in (("en", "fr", 600), ("en", "de", 599), ("fr", "de", 599)):
        forth, back = tables[f"{one}-{other}"], tables[f"{other}-{one}"]
        # Every row goes one way or the other, as by a coin.
        lines = [row["line"] for row in forth + back]
        assert sorted(lines) == list(range(600 - num_rows, 600))
        assert abs(len(forth) - num_rows / 2) < 62
    assert {row["target"] for row in tables["en-fr"]} == {"Le chien"}
    assert {row["source"].split()[1] for row in tables["en-fr"]} == {"chien", "hund"}
    entry = next(table for table in manifest.details["tables"] if table["name"] == "en-fr")
    rows = len(tables["en-fr"])
    assert entry == {
        "name": "en-fr",
        "languages": ["en", "fr"],
        "rows": rows,
        "valid": {"en": rows, "fr": rows},
        "pairs": {"en-fr": rows},
        "directed": True,
        "loss": "target",
    }
    assert manifest.counts["pairs"] == 600 + 599 + 599
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["tables"] == manifest.details["tables"]
    assert not list((tmp_path / "work").iterdir())


def test_monolingual(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"en": {"en": ["The DOG barks", None, "a bird"]}})
    manifest = augment(corpus, to=["fr"])
    assert read(tmp_path / "out") == {
        "en-en": [
            {"source": "le chien barks", "target": "The DOG barks", "line": 0},
            {"source": "a bird", "target": "a bird", "line": 2},
        ]
    }
    assert manifest.details["tables"][0]["loss"] == "all" and manifest.details["tables"][0]["languages"] == ["en", "en"]
    with (tmp_path / "out" / "coverage.csv").open() as file:
        row = dict(next(csv.DictReader(file)))
    assert row == {
        "language": "en",
        "words": "5",
        "known": "2",
        "replaced": "2",
        "same": "0",
        "sentences": "2",
        "unchanged": "1",
        "known_share": "0.4",
        "replaced_share": "0.4",
        "same_share": "0.0",
    }


def test_sources_without_lexicon_are_dropped_with_the_reason(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"cs-en": {"cs": ["pes"] * 100, "en": ["dog"] * 100}})
    manifest = augment(corpus)
    assert set(read(tmp_path / "out")) == {"en-cs"}
    num_dropped = 100 - manifest.counts["pairs"]
    assert manifest.dropped == {"cs is not in the lexicon": num_dropped} and 25 < num_dropped < 75


def test_coverage_names_languages_the_lexicon_lacks(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    """Their words are counted, and not one is known."""
    columns = {"source": ["Malý pes – štěká!", "ne"], "target": ["The dog barks!", "no"]}
    corpus = write_corpus(tmp_path / "corpus", {"cs-en": columns}, languages=["cs", "en"], directed=True)
    manifest = augment(corpus)
    assert manifest.dropped == {"cs is not in the lexicon": 2} and manifest.details["tables"] == []
    with (tmp_path / "out" / "coverage.csv").open() as file:
        [row] = csv.DictReader(file)
    assert (row["language"], row["words"], row["known"], row["known_share"]) == ("cs", "4", "0", "0.0")
    assert (row["replaced"], row["same"], row["sentences"], row["unchanged"]) == ("0", "0", "2", "2")


# The first to ask jieba waits for its dictionary.
@settings(deadline=None)
@given(sentences=st.lists(st.text(st.sampled_from("aB ,.–狗"), max_size=12), min_size=1, max_size=6))
@pytest.mark.parametrize("code", ["en", "zh"])
def test_words_are_those_of_a_lexicon_that_knows_none(lexicon: Lexicon, code: str, sentences: list[str]) -> None:
    replace = replacer(lexicon, code, to=["fr" if code == "zh" else "zh"], rate=0.0)
    run(replace, sentences)
    counted = count_words(sentences, LANGUAGES[code])
    assert (counted.words, counted.sentences) == (replace.coverage.words, len(sentences))
    assert (counted.known, counted.replaced) == (0, 0)


def test_pairs_of_absurd_length_are_dropped_and_no_other_row_changes(
    augment: Callable[..., Manifest], tmp_path: Path
) -> None:
    """Nine times as long is just allowed."""
    english, french, german = ["the dog"] * 300, ["le chien"] * 300, ["der hund"] * 300
    for line, letters in ((7, 299), (250, 28), (251, 27)):
        english[line], french[line] = "dog", "x" * letters
    german[250] = "hunde"
    columns = {"en": english, "fr": french, "de": german}
    for name, ratio in (("without", None), ("with", 9.0)):
        corpus = write_corpus(tmp_path / name / "corpus", {"multiway": columns}, max_length_ratio=ratio)
        manifest = augment(corpus, rate=0.5, out=f"{name}/out")
    # 3 to 299 and 28 letters; 8 to 299 letters, but 5 to 28 is fair.
    assert manifest.dropped == {"length ratio (en-fr)": 2, "length ratio (fr-de)": 1}
    without, left = read(tmp_path / "without" / "out"), read(tmp_path / "with" / "out")
    assert set(without) == set(left) and sum(map(len, without.values())) == 900
    gone_of = {frozenset(("en", "fr")): {7, 250}, frozenset(("fr", "de")): {7}}
    for name, rows in left.items():
        gone = gone_of.get(frozenset(name.split("-")), set())
        assert rows == [row for row in without[name] if row["line"] not in gone]
    assert manifest.counts["pairs"] == manifest.counts["sentences"] == 897


@pytest.mark.parametrize(
    ("sample", "num_rows", "is_exact"), [(100, 100, True), (355, 355, True), (5_000, 360, True), (0.25, 100, False)]
)
def test_a_number_is_of_fair_pairs(
    augment: Callable[..., Manifest], tmp_path: Path, sample: float, num_rows: int, is_exact: bool
) -> None:
    """40 of 400 pairs are absurd: a number has others instead, a share has not."""
    columns = {"en": ["dog"] * 400, "fr": ["x" * 99 if line % 10 == 3 else "chien" for line in range(400)]}
    found = []
    for name, ratio in (("without", None), ("with", 9.0)):
        corpus = write_corpus(tmp_path / name / "corpus", {"multiway": columns}, max_length_ratio=ratio)
        manifest = augment(corpus, sample=sample, out=f"{name}/out")
        found.append({row["line"]: row for rows in read(tmp_path / name / "out").values() for row in rows})
    without, left = found
    fair = {line: row for line, row in without.items() if line % 10 != 3}
    assert fair.items() <= left.items() and not any(line % 10 == 3 for line in left)
    num_dropped = manifest.dropped["length ratio (en-fr)"]
    assert 0 < num_dropped <= 40
    if is_exact:
        assert len(left) == num_rows
    else:
        assert left == fair and len(left) + num_dropped == num_rows


def test_what_the_corpus_had_dropped_is_carried_on(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"en": {"en": ["dog"]}})
    content = json.loads((corpus / "manifest.json").read_text()) | {"dropped": {"too long (en)": 4}}
    (corpus / "manifest.json").write_text(json.dumps(content))
    manifest = augment(corpus)
    assert manifest.dropped == {} and manifest.details["dropped_before"] == {"captions": {"too long (en)": 4}}


def test_directed_tables_keep_their_direction(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    columns = {"source": ["dog"] * 10, "target": ["chien"] * 10}
    corpus = write_corpus(tmp_path / "corpus", {"en-fr": columns}, languages=["en", "fr"], directed=True)
    augment(corpus, to=["de"])
    tables = read(tmp_path / "out")
    assert {name: len(rows) for name, rows in tables.items()} == {"en-fr": 10}
    assert {row["source"] for row in tables["en-fr"]} == {"hund"}


@pytest.mark.parametrize(("sample", "expected"), [(100, 100), (5_000, 400), (0.25, 100), (1.0, 400), (1, 1)])
def test_samples_are_exact(augment: Callable[..., Manifest], tmp_path: Path, sample: float, expected: int) -> None:
    columns = {"en": ["dog"] * 500, "fr": [None] * 100 + ["chien"] * 400}
    augment(write_corpus(tmp_path / "corpus", {"multiway": columns}), sample=sample)
    lines = [row["line"] for rows in read(tmp_path / "out").values() for row in rows]
    assert len(lines) == len(set(lines)) == expected
    assert min(lines) >= 100


def test_only_the_pairs_asked_for(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    columns = {"en": ["dog"] * 50, "fr": ["chien"] * 50, "de": ["hund"] * 50}
    corpus = write_corpus(tmp_path / "corpus", {"multiway": columns})
    augment(corpus, pairs=["fr-en"])
    assert set(read(tmp_path / "out")) == {"en-fr", "fr-en"}
    with pytest.raises(InputError, match="no table in the languages and pairs"):
        augment(corpus, pairs=["en-cs"])
    with pytest.raises(InputError, match="the lexicon does not cover cs"):
        augment(corpus, to=["cs"])


def test_same_seed_same_bytes_and_another_seed_others(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    columns = {"en": ["the dog and the cat"] * 300, "fr": ["le chien"] * 300}
    corpus = write_corpus(tmp_path / "corpus", {"en-fr": columns})
    for name, seed in (("a", 17), ("b", 17), ("c", 18)):
        augment(corpus, seed=seed, out=name, rate=0.5)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b") != bytes_of(tmp_path / "c")


def test_a_killed_job_goes_on(
    augment: Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"en": ["the dog"] * 90, "fr": ["le chien"] * 90, "de": ["der hund"] * 90}
    corpus = write_corpus(tmp_path / "corpus", {"multiway": columns})
    unbroken = augment(corpus, out="unbroken")
    rows, seen = augmentation_module._rows, []

    def fail_at_third(path: Path, part: object) -> Iterator:
        seen.append(part)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return rows(path, part)

    monkeypatch.setattr(augmentation_module, "_rows", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        augment(corpus, out="resumed")
    assert not (tmp_path / "resumed").exists()
    resumed = augment(corpus, out="resumed")
    # Two pairs were done, the third was begun twice.
    assert len(seen) == 4
    assert bytes_of(tmp_path / "resumed") == bytes_of(tmp_path / "unbroken")
    assert resumed.counts == unbroken.counts and resumed.details == unbroken.details


def test_batches_of_the_output(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"en": {"en": ["dog"] * 16_383 + [None] + ["cat"] * 16_500}})
    augment(corpus)
    reader = pa.ipc.open_file(str(tmp_path / "out" / "tables" / "en-en.arrow"))
    assert [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)] == [16_384, 16_384, 115]
    assert reader.schema == pa.schema({"source": pa.string(), "target": pa.string(), "line": pa.int64()})


def test_a_broken_table_is_an_error_with_its_name(augment: Callable[..., Manifest], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {"en": {"en": ["dog"]}})
    (corpus / "tables" / "en.arrow").write_bytes(b"ARROW?")
    with pytest.raises(InputError, match=r"en\.arrow: not a table of a corpus"):
        augment(corpus)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"rate": 1.5}, {"sample": 0}, {"sample": 1.5}, {"to": []}, {"hops": 2}])
def test_configuration_is_strict(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Augmentation(dictionary="muse", source="captions", **wrong)


def test_real_captions(shared_data: Path, tmp_path: Path) -> None:
    dictionary = MuseDictionary(reader="muse", path="muse")
    build_lexicon(dictionary, languages=LANGUAGES, data=shared_data, out=tmp_path / "lexicon")
    lexicon = Lexicon.open(tmp_path / "lexicon")
    sentences = gzip.decompress((shared_data / "multi30k" / "val.en.gz").read_bytes()).decode().splitlines()
    replace = replacer(lexicon, to=["de", "fr", "cs"])
    changed = run(replace, sentences)
    assert replace.coverage.known / replace.coverage.words > 0.95
    num_changed = 0
    for before, after in zip(sentences, changed, strict=True):
        for was, now in zip(before.lower().split(" "), after.split(" "), strict=True):
            bare, new = was.strip("\"',.!?()"), now.strip("\"',.!?()")
            if was != now:
                num_changed += 1
                assert new in {word for words in lexicon.translations(bare, "en").values() for word in words}
    assert replace.coverage.replaced == num_changed
    assert replace.coverage.same == replace.coverage.known - num_changed > 0
    assert replace.coverage.unchanged == sum(
        before.lower() == after for before, after in zip(sentences, changed, strict=True)
    )
