"""Supplements: which pairs lack how much, and what is translated for them (LLaMAX, Algorithm 1)."""

from collections import Counter

import pytest
from making import write_corpus

from lingualift.configuration.prompts import Prompt
from lingualift.configuration.schema import TranslatedCorpus
from lingualift.configuration.systems import CausalModel
from lingualift.corpora import corpus_tables, open_table
from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.mixing import plan_mixture
from lingualift.supplement import assemble_supplement, lacking_pairs, plan_supplement
from lingualift.translation import translate_directions

CODES = ["en", "de", "fr"]
SENTENCES = [f"sentence {number}" for number in range(40)]


class Reverse:
    """A translator that gives a sentence back with its target language; nothing for sentence 7 in French."""

    def __init__(self):
        self.asked = Counter()
        self.system = CausalModel(model="any", beam=1)
        self.prompt = Prompt(with_input="{instruction}{input}", without_input="{instruction}")

    def settings(self, *languages):
        return []

    def plan(self, sentences, source, target):
        assert source == "en"
        self.asked[target] += len(sentences)
        for start in range(0, len(sentences), 8):
            numbers = range(start, min(start + 8, len(sentences)))
            yield list(numbers), [f"{target}: {sentences[number]}" for number in numbers], 9

    def answer(self, prompts, longest):
        return ["" if prompt == "fr: sentence 7" else prompt for prompt in prompts]


@pytest.fixture
def corpora(tmp_path):
    """12 rows of en-de in two corpora, one of them the other way round; 4 of en-fr; none of de-fr."""
    web = {"en-de": {"en": ["a"] * 5, "de": ["b"] * 5}, "en-fr": {"en": ["a"] * 4, "fr": ["b"] * 4}}
    news = {"de-en": {"de": ["a"] * 7, "en": ["b"] * 7}}
    return [write_corpus(tmp_path / "web", web), write_corpus(tmp_path / "news", news)]


@pytest.fixture
def english(tmp_path):
    return write_corpus(tmp_path / "english", {"en": {"en": SENTENCES}})


def translated(tmp_path, corpora, english, *, minimum=15, seed=1, shards=(("de", "fr"),)):
    corpus = TranslatedCorpus.model_validate(
        {"reader": "translated", "source": "english", "system": "any", "of": ["web", "news"], "minimum": minimum}
    )
    translator = Reverse()
    sources = {"corpora": corpora, "english": english}
    supplement = plan_supplement(corpus, **sources, languages=CODES, seed=seed)
    hypotheses = [tmp_path / f"{number}.jsonl" for number in range(len(shards))]
    for path, codes in zip(hypotheses, shards, strict=True):
        asked = {("en", code): supplement.sources(code) for code in codes}
        made = translate_directions(translator, asked, state=tmp_path / "state", key=1, out=path)
        made.details["weights"] = ["abc"]
        made.save(path.with_suffix(".manifest.json"))
    manifest = assemble_supplement(
        corpus, supplement, **sources, hypotheses=hypotheses, seed=seed, out=tmp_path / "more"
    )
    return manifest, translator, tmp_path / "more"


def test_what_pairs_lack(corpora):
    assert lacking_pairs(corpora, CODES, minimum=15) == {("en", "de"): 3, ("en", "fr"): 11, ("de", "fr"): 15}
    assert lacking_pairs(corpora, CODES, minimum=12) == {("en", "fr"): 8, ("de", "fr"): 12}
    assert lacking_pairs(corpora, ["en", "de"], minimum=12) == {}


def test_every_pair_is_filled_up(tmp_path, corpora, english):
    manifest, translator, folder = translated(tmp_path, corpora, english)
    tables = {table["name"]: table for table in corpus_tables(folder)}
    assert {name: table["rows"] for name, table in tables.items()} == {"en-de": 3, "en-fr": 11, "de-fr": 15}
    # A sentence is translated once into a language, however many pairs take it.
    assert translator.asked == {"de": 15, "fr": 15}
    for name, table in tables.items():
        columns = open_table(folder, name).to_pydict()
        assert list(columns) == table["languages"] == name.split("-")
        for first, second in zip(*columns.values(), strict=True):
            english_of = {text.split(": ")[-1] for text in (first, second) if text}
            assert len(english_of) == 1
            assert english_of <= set(SENTENCES)
    # The pairs take the first of one shuffled list.
    taken = open_table(folder, "en-fr").column("en").to_pylist()
    assert open_table(folder, "en-de").column("en").to_pylist() == taken[:3]
    assert taken != SENTENCES[:11]
    assert len(set(taken)) == 11
    assert manifest.counts["tables"] == 3


def test_where_there_is_no_translation_there_is_no_pair(tmp_path, corpora, english):
    # All sentences are needed, so that sentence 7 is among them.
    manifest, _, folder = translated(tmp_path, corpora, english, minimum=40)
    tables = {table["name"]: table for table in corpus_tables(folder)}
    assert tables["de-fr"]["pairs"] == {"de-fr": 39}
    assert tables["de-fr"]["valid"] == {"de": 40, "fr": 39}
    assert open_table(folder, "de-fr").column("fr").null_count == 1
    assert manifest.dropped["no translation (de-fr)"] == 1
    found = read_json(folder / "manifest.json")
    assert found["counts"]["pairs"] == sum(sum(table["pairs"].values()) for table in found["tables"])
    assert found["weights"] == [["abc"]]
    assert len(found["inputs"]) == 4


def test_however_many_jobs_translate_the_corpus_is_the_same(tmp_path, corpora, english):
    _, _, one = translated(tmp_path / "one", corpora, english)
    manifest, translator, two = translated(tmp_path / "two", corpora, english, shards=(("de",), ("fr",)))
    assert translator.asked == {"de": 15, "fr": 15}
    for table in corpus_tables(one):
        assert open_table(one, table["name"]).equals(open_table(two, table["name"]))
    assert corpus_tables(one) == corpus_tables(two)
    assert manifest.details["weights"] == [["abc"], ["abc"]]


def test_a_supplement_is_used_once_in_a_mixture(tmp_path, corpora, english):
    """Pairs of few rows are repeated three times, what fills them up is not."""
    from lingualift.configuration.mixtures import Mixture

    _, _, folder = translated(tmp_path, corpora, english)
    mixture = Mixture.model_validate(
        {"components": [{"corpus": "web"}, {"corpus": "more"}], "small_pairs": {"below": 15, "repeats": 3}}
    )
    tables = {"web": corpus_tables(corpora[0]), "more": corpus_tables(folder)}
    plan = plan_mixture(mixture, tables=tables, languages=CODES, seed=1)
    assert {(stream.source, stream.label): stream.entries for stream in plan.streams} == {
        ("web", "en-de"): 15,
        ("web", "en-fr"): 12,
        ("more", "en-de"): 3,
        ("more", "en-fr"): 11,
        ("more", "de-fr"): 15,
    }


def test_another_seed_takes_other_sentences(tmp_path, corpora, english):
    taken = []
    for seed in (1, 1, 2):
        _, _, folder = translated(tmp_path, corpora, english, seed=seed)
        taken.append(open_table(folder, "en-fr").column("en").to_pylist())
    assert taken[0] == taken[1] != taken[2]


def test_too_few_english_sentences(tmp_path, corpora, english):
    with pytest.raises(LingualiftError, match="40 English sentences, 50 are needed: lower `minimum`"):
        translated(tmp_path, corpora, english, minimum=50)


def test_nothing_is_lacking(tmp_path, english):
    corpora = [write_corpus(tmp_path / "all", {"multiway": {code: ["a"] * 20 for code in CODES}})]
    with pytest.raises(LingualiftError, match="no pair has fewer than 15 rows: the corpus is not needed"):
        translated(tmp_path, corpora, english)
