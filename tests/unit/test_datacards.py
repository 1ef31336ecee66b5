"""Data cards: their numbers are those of the mixture, and any text can stand in them."""

import json
import re
from dataclasses import dataclass

import pytest
from making import byte_tokenizer, reader_of, write_corpus

from lingualift.augmentation import augment_corpus
from lingualift.configuration.lexicons import Augmentation, MuseDictionary
from lingualift.configuration.mixtures import Mixture
from lingualift.datacards import data_card
from lingualift.files import read_json
from lingualift.lexicons import build_lexicon
from lingualift.packing import pack_mixture


@dataclass(frozen=True)
class Spoken:
    """A language of MUSE's that is written in Latin letters."""

    code: str
    segmentation: str = "space"
    scripts: tuple[str, ...] = ("Latn",)

    @property
    def codes(self) -> dict[str, str]:
        return {"muse": self.code}


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """300 English lines of 4 letters, 100 of 9 with a fence in them, and 20 pairs, of which five lack a side."""
    folder = tmp_path_factory.mktemp("card")
    folders = {
        "english": write_corpus(folder / "english", {"en": {"en": ["four"] * 300}}),
        "fenced": write_corpus(folder / "fenced", {"de": {"de": ["```x```|b"] * 100}}),
        "pairs": write_corpus(
            folder / "pairs", {"multiway": {"en": ["ab"] * 20, "de": ["xyz"] * 15 + [None] * 5, "fr": ["x"] * 20}}
        ),
    }
    manifest = read_json(folders["english"] / "manifest.json") | {"dropped": {"too long (en)": 1234}}
    (folders["english"] / "manifest.json").write_text(json.dumps(manifest))
    components = [{"corpus": name} for name in folders]
    mixture = Mixture.model_validate({"components": components, "small_pairs": None, "block": 64})
    tokenizer = byte_tokenizer()
    reader = reader_of(mixture, folders)
    packed = pack_mixture(reader, tokenizer, mixture, out=folder / "packed", work=folder / "work")
    assert packed.counts["entries"] == 415
    found = read_json(folder / "packed" / "manifest.json")
    return data_card(found, reader, tokenizer, name="mine", figure="cards/base.png", seed=1)


def test_tokens_by_hand(card):
    # An end of sequence behind each: 5, 10, and 2 + 1 + 3 + 1.
    total = 300 * 5 + 100 * 10 + 15 * 7
    assert "# Mixture `mine`" in card
    assert f"415 entries, {total:,} tokens ({total:,} learnt), {-(-total // 64)} blocks of 64 in 1 shard(s)." in card
    assert f"| english | 300 | 1,500 | {1500 / total:.1%} |" in card
    assert f"| fenced | 100 | 1,000 | {1000 / total:.1%} |" in card
    assert f"| pairs | 15 | 105 | {105 / total:.1%} |" in card
    assert "| pairs | en-de | 15 | 105 | 105 |" in card
    assert "![tokens by component and language](base.png)" in card


def test_languages_add_up(card):
    section = card[card.index("## Tokens by language") : card.index("## Streams")]
    counts = dict(re.findall(r"\| (\w+) \| ([\d,]+) \|", section))
    assert set(counts) == {"en", "de"}
    assert sum(int(count.replace(",", "")) for count in counts.values()) == 2605


def test_what_was_dropped_stands_there_with_its_reason(card):
    assert "| english | too long (en) | 1,234 |" in card
    assert "| packing | pairs en-de: a side missing | 5 |" in card


@pytest.mark.parametrize("components", [["words"], ["words", "captions"]])
def test_what_was_dropped_before_text_was_augmented_stands_there_too(tmp_path, components):
    """Whether or not the corpus is a component itself, and then once."""
    columns = {"en": ["a dog", "no", "dog"], "de": ["ein Hund", "nein", "x" * 30]}
    folders = {
        "captions": write_corpus(tmp_path / "captions", {"multiway": columns}, max_length_ratio=9.0),
        "words": tmp_path / "words",
    }
    manifest = read_json(folders["captions"] / "manifest.json") | {"dropped": {"empty (en)": 7}}
    (folders["captions"] / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "en-de.txt").write_text("dog hund\n")
    languages = {code: Spoken(code) for code in ("en", "de")}
    dictionary = MuseDictionary(reader="muse", path=".")
    build_lexicon(dictionary, languages=languages, data=tmp_path, out=tmp_path / "lexicon")
    augment_corpus(
        Augmentation(dictionary="muse", source="captions"),
        corpus_folder=folders["captions"],
        lexicon_folder=tmp_path / "lexicon",
        languages=languages,
        codes=list(languages),
        seed=1,
        out=folders["words"],
        work=tmp_path / "work",
    )
    kinds = {"words": "augmentation", "captions": "corpus"}
    mixture = Mixture.model_validate({"components": [{kinds[name]: name} for name in components]})
    tokenizer = byte_tokenizer()
    reader = reader_of(mixture, {name: folders[name] for name in components})
    pack_mixture(reader, tokenizer, mixture, out=tmp_path / "packed", work=tmp_path / "packing")
    packed = read_json(tmp_path / "packed" / "manifest.json")
    card = data_card(packed, reader, tokenizer, name="mine", figure="cards/base.png", seed=1)
    section = card[card.index("## Dropped lines") : card.index("## 10 random entries")]
    rows = re.findall(r"^\| (\w+) \| (.+) \| (\d+) \|$", section, flags=re.M)
    assert rows == [("captions", "empty (en)", "7"), ("words", "length ratio (en-de)", "1")]


def test_ten_entries_are_shown_as_the_tokenizer_gives_them_back(card):
    section = card[card.index("## 10 random entries, decoded") :]
    assert len(re.findall(r"^\*\*(english en|fenced de|pairs en-de)\*\*: ", section, flags=re.M)) == 10
    assert "```text\nfour</s>\n```" in section
    assert "**english en**: 5 of 5 tokens learnt" in section


def test_a_fence_in_the_text_does_not_end_the_sample(card):
    assert "````text\n```x```|b</s>\n````" in card
