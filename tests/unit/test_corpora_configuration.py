"""Corpora as configuration: what can be said, what it covers, and which files it stands for."""

import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from lingualift.configuration.corpora import AnyCorpus
from lingualift.configuration.loading import ConfigurationError, load_run
from lingualift.errors import InputError, LingualiftError
from lingualift.languages import load_languages

TABLE = load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")
CORPUS = TypeAdapter(AnyCorpus)
NOWHERE = Path("/nowhere")
HUB = {"name": "a/b", "revision": "0" * 40}


def corpus(**entry):
    return CORPUS.validate_python(entry)


def planned(entry, *languages, data=NOWHERE):
    """Table → its files below the data folder."""
    sources = entry.tables(languages, TABLE, data)
    return {source.name: [str(file.relative_to(data)) for file in source.files] for source in sources}


def test_multiway():
    entry = corpus(reader="multiway", path="multi30k", files="train.{language}.gz", kind="parallel")
    assert planned(entry, "en", "de") == {"multiway": ["multi30k/train.en.gz", "multi30k/train.de.gz"]}
    assert entry.tables(["en", "de"], TABLE, NOWHERE)[0].languages == ("en", "de")


def test_lines_of_one_language():
    entry = corpus(reader="lines", path="multi30k/train.en.gz", kind="monolingual", language="en")
    assert planned(entry, "de", "en") == {"en": ["multi30k/train.en.gz"]}
    with pytest.raises(LingualiftError, match="has none of the languages de, fr"):
        entry.tables(["de", "fr"], TABLE, NOWHERE)


def test_lines_with_codes():
    entry = corpus(reader="lines", path="leipzig-sentences", files="{language}.txt.gz", codes="leipzig")
    # Norwegian is nb there; Assamese is not there.
    assert entry.languages_covered(["as", "no", "de"], TABLE) == ["no", "de"]
    assert planned(entry, "as", "no") == {"no": ["leipzig-sentences/nb.txt.gz"]}


def test_alpaca_is_one_table_in_any_language():
    entry = corpus(reader="alpaca", path="alpaca/random_9k.json", kind="instructions")
    assert planned(entry, "en", "zh") == {"instructions": ["alpaca/random_9k.json"]}
    assert entry.kind == "instructions"


def test_flores_and_ntrex():
    flores = corpus(reader="flores", path="flores101/devtest")
    assert planned(flores, "ku", "zhtrad") == {
        "multiway": ["flores101/devtest/ckb.devtest", "flores101/devtest/zho_trad.devtest"]
    }
    newer = corpus(reader="flores", path="flores200/dev", codes="flores200")
    assert planned(newer, "dz", "sq")["multiway"] == ["flores200/dev/dzo_Tibt.dev", "flores200/dev/als_Latn.dev"]
    ntrex = corpus(reader="ntrex", path="ntrex128")
    assert planned(ntrex, "en", "as", "sr")["multiway"] == [
        "ntrex128/newstest2019-src.eng.txt", "ntrex128/newstest2019-ref.srp-Cyrl.txt",
    ]  # fmt: skip


def test_tatoeba_is_against_english():
    entry = corpus(reader="tatoeba", path="tatoeba")
    assert planned(entry, "zh", "en", "ku") == {"zh-en": ["tatoeba/tatoeba.cmn-eng.cmn", "tatoeba/tatoeba.cmn-eng.eng"]}


def test_aligned_pairs_given_or_found(tmp_path):
    template = "{source}-{target}/test.{language}"
    given = corpus(reader="aligned", path="tico19", files=template, pairs=[["en", "fr"], ["en", "de"]])
    assert planned(given, "fr", "en") == {"en-fr": ["tico19/en-fr/test.en", "tico19/en-fr/test.fr"]}
    for name in ("en-fr/test.en", "en-fr/test.fr", "en-de/test.en"):
        (tmp_path / "tico19" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tico19" / name).touch()
    found = corpus(reader="aligned", path="tico19", files=template)
    # A side that is missing is missed: only pairs without any file are none of the corpus'.
    assert planned(found, "fr", "de", "en", data=tmp_path) == {
        "en-fr": ["tico19/en-fr/test.en", "tico19/en-fr/test.fr"],
        "en-de": ["tico19/en-de/test.en", "tico19/en-de/test.de"],
    }
    with pytest.raises(InputError, match=r"tico19/\{source\}-\{target\}/test\.\{language\}: no file of such a name"):
        found.tables(["fr", "cs"], TABLE, tmp_path)


@pytest.mark.parametrize(
    ("sides", "there", "pairs"),
    [
        # The source's file is that of many pairs: it is no sign of any.
        (("{source}.txt", "{source}-{target}.txt"), ["en.txt", "fr.txt", "en-de.txt"], ["en-de"]),
        (("{source}.txt", "{source}-{target}.txt"), ["en-de.txt"], ["en-de"]),
        (("src.{source}", "ref.{target}"), ["src.en", "src.fr", "ref.de"], ["en-de", "fr-de"]),
        (("{source}-{target}.a", "{source}-{target}.b"), ["en-de.a", "de-fr.b"], ["en-de", "de-fr"]),
    ],
)
def test_files_of_one_side_that_pairs_share(tmp_path, sides, there, pairs):
    for name in there:
        (tmp_path / name).touch()
    entry = corpus(reader="aligned", path=".", files=dict(zip(("source", "target"), sides, strict=True)))
    assert list(planned(entry, "en", "de", "fr", data=tmp_path)) == pairs


def test_globs_and_packed_files(tmp_path):
    entry = corpus(reader="jsonl", path="mc4", files="c4-{language}.*.json.gz", text_field="text", codes="mc4")
    assert entry.kind == "monolingual"
    assert planned(entry, "he") == {"he": ["mc4/c4-iw.*.json.gz"]}
    (tmp_path / "mc4").mkdir()
    for name in ("c4-iw.2.json.gz", "c4-iw.1.json.gz", "c4-is.1.json.gz"):
        (tmp_path / "mc4" / name).touch()
    assert planned(entry, "he", data=tmp_path) == {"he": ["mc4/c4-iw.1.json.gz", "mc4/c4-iw.2.json.gz"]}
    (tmp_path / "text.de.xz").touch()
    lines = corpus(reader="lines", path="text.{language}")
    assert planned(lines, "de", "fr", data=tmp_path) == {"de": ["text.de.xz"], "fr": ["text.fr"]}


def test_records_by_columns_sides_or_field():
    columns = corpus(reader="tsv", path="a.tsv", columns={"en": 0, "de": 2})
    assert columns.kind == "parallel"
    [source] = columns.tables(["de", "fr", "en"], TABLE, NOWHERE)
    assert (source.name, source.languages, source.fields) == ("de-en", ("de", "en"), (2, 0))
    many = corpus(reader="parquet", path="a.parquet", columns={"en": "x", "de": "y", "fr": "z"})
    assert many.tables(["de", "fr", "en"], TABLE, NOWHERE)[0].name == "multiway"
    sides = corpus(
        reader="tsv", path="d", files="{source}-{target}.txt", columns={"source": 0, "target": 1}, pair=["en", "af"]
    )
    [source] = sides.tables(["af", "en"], TABLE, NOWHERE)
    assert (source.name, source.fields, source.files[0].name) == ("en-af", (0, 1), "en-af.txt")
    field = corpus(
        reader="jsonl", path="t.{source}-{target}.json", text_field="translation.{language}", pair=["cs", "en"]
    )
    [source] = field.tables(["en", "cs"], TABLE, NOWHERE)
    assert source.fields == ("translation.cs", "translation.en")


def test_datasets_has_a_hub():
    entry = corpus(
        reader="datasets", path="opus", hub=HUB, text_field="translation.{language}", pair=["de", "en"]
    )  # fmt: skip
    assert entry.hub.name == "a/b"
    assert entry.tables(["de", "en"], TABLE, NOWHERE)[0].files == (NOWHERE / "opus",)


def test_languages_choose_a_subset():
    entry = corpus(reader="flores", path="flores101/devtest", languages=["de", "fr"])
    assert entry.languages_covered(["en", "fr", "de", "no-such"], TABLE) == ["fr", "de"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"reader": "line", "path": "x"}, "does not match any of the expected tags"),
        ({"reader": "lines", "path": "x", "langauge": "en"}, "Extra inputs are not permitted"),
        ({"reader": "lines", "path": "x"}, "give either 'language' or {language} in 'files'"),
        ({"reader": "lines", "path": "x.{language}", "language": "en"}, "give either 'language' or {language}"),
        ({"reader": "lines", "path": "x.{lang}"}, "{lang} in 'path' or 'files' is not one of those allowed here: {language}"),
        ({"reader": "lines", "path": "x", "language": "en", "kind": "parallel"}, "Input should be 'monolingual'"),
        ({"reader": "multiway", "path": "x", "files": "train.gz"}, "'files' needs {language}"),
        ({"reader": "aligned", "path": "x", "files": "a.{language}"}, "give 'pair', or {source} and {target}"),
        ({"reader": "tsv", "path": "x", "language": "en"}, "give either 'text_field' or 'columns'"),
        ({"reader": "tsv", "path": "x", "columns": {"en": "a", "de": "b"}}, "fields by name need 'header: true'"),
        ({"reader": "jsonl", "path": "x", "columns": {"en": "a"}}, "two languages or more"),
        ({"reader": "jsonl", "path": "x", "text_field": "a", "pair": ["en", "de"]}, "needs 'columns', or {language} in 'text_field'"),
        ({"reader": "tmx", "path": "x", "pair": ["en", "de"], "pairs": [["en", "de"]]}, "not both"),
        ({"reader": "datasets", "path": "{source}-{target}", "columns": {"source": "a", "target": "b"}, "hub": HUB}, "give 'pairs'"),
        ({"reader": "flores", "path": "x", "max_length_ratio": 0.5}, "greater than 1"),
        ({"reader": "flores", "path": "x", "max_dropped": 2}, "less than or equal to 1"),
        ({"reader": "flores", "path": "x", "limit": "mono"}, "'limit' by language is for monolingual text"),
        ({"reader": "alpaca", "path": "x", "skip": {"en": 3}}, "'skip' by language is for monolingual text"),
        ({"reader": "jsonl", "path": "x", "text_field": "a", "language": "en", "max_length_ratio": 9.0}, "'max_length_ratio' is for parallel corpora"),
    ],
)  # fmt: skip
def test_mistakes(entry, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        CORPUS.validate_python(entry)


def test_real_folders(shared_data):
    seen = [code for code, language in TABLE.items() if language.seen]
    flores = corpus(reader="flores", path="flores101/devtest")
    [source] = flores.tables(seen, TABLE, shared_data)
    assert len(source.files) == 102 and all(file.is_file() for file in source.files)
    tico = corpus(reader="aligned", path="tico19", files="{source}-{target}/tico19-test.{language}")
    assert set(planned(tico, *seen, data=shared_data)) == {
        f"en-{code}" for code in ["fa", "fr", "hi", "ne", "ru", "sw", "zh", "zu"]
    }
    alma = corpus(reader="jsonl", path="alma", files="test.{source}-{target}.json", text_field="translation.{language}")
    assert len(planned(alma, *seen, data=shared_data)) == 10


def test_rows_of_a_language():
    languages = ["he", "no", "de", "kea"]
    entry = corpus(reader="lines", path="{language}.txt", limit="mono", languages=["he", "no"], skip={"no": 5})
    it = entry.counted(languages, TABLE)
    # LLaMAX, Table 9.
    assert it.limit == {"he": 300_000, "no": 721_715}
    assert (it.rows_of(["he"]), it.rows_of(["no"])) == ((0, 300_000), (5, 721_715))
    plain = corpus(reader="multiway", path="{language}.txt", files="x.{language}", limit=3)
    assert plain.counted(languages, TABLE) == plain
    assert plain.rows_of(languages) == (0, 3)
    assert corpus(reader="alpaca", path="a.json").rows_of([]) == (0, None)


CORPORA = {
    "captions": {"reader": "multiway", "path": "captions", "files": "train.{language}"},
    "english": {"reader": "lines", "path": "english.txt", "language": "en"},
    "tasks": {"reader": "alpaca", "path": "tasks.json"},
}
TEST = {"reader": "multiway", "path": "captions", "files": "test.{language}"}


def component(**keys):
    return {"mixtures": {"it": {"components": [keys]}}}


def changed(name, **keys):
    return {"corpora": {**CORPORA, name: {**CORPORA[name], **keys}}}


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (component(corpus="captions", format="split", loss="target"), "mixtures.it.components[0]: loss target is for entries with a target: of format split each side is an entry of its own"),
        (component(corpus="tasks", languages=["en"]), "mixtures.it.components[0].languages: 'tasks' is instructions; this is for parallel or monolingual text"),
        (component(corpus="english", sample=2.5), "mixtures.it.components[0].sample: has to be a whole number, found 2.5; or has to be at most 1, found 2.5"),
        (component(corpus="english", sample=0), "mixtures.it.components[0].sample: has to be at least 1, found 0; or has to be above 0, found 0"),
        ({"benchmarks": {"it": {**TEST, "max_characters": 500}}}, "benchmarks.it.max_characters: this key is for corpora: of a benchmark no row is dropped"),
        ({"benchmarks": {"it": {**TEST, "max_length_ratio": 9.0}}}, "benchmarks.it.max_length_ratio: this key is for corpora: of a benchmark no row is dropped"),
        ({"benchmarks": {"it": {**TEST, "max_dropped": 0.1}}}, "benchmarks.it.max_dropped: this key is for corpora: of a benchmark no row is dropped"),
        (changed("tasks", languages=["en"]), "corpora.tasks.languages: unknown key; allowed: *"),
        (changed("tasks", language="en"), "corpora.tasks.language: unknown key; allowed: *"),
        (changed("tasks", codes="ntrex"), "corpora.tasks.codes: unknown key; allowed: *"),
        (changed("tasks", max_length_ratio=3), "corpora.tasks.max_length_ratio: unknown key; allowed: *"),
        (changed("english", max_length_ratio=3), "corpora.english.max_length_ratio: unknown key; allowed: *"),
        (changed("english", limit={"fr": 3}), "corpora.english.limit.fr: 'fr' is not a language of the run; there are: en, de, kea"),
        (changed("english", limit={"de": 3}), "corpora.english.limit.de: the corpus has no 'de'; it has: en"),
        (changed("english", language="kea", limit="mono"), "corpora.english.limit: config/languages.tsv has no sentences (mono) of kea: leave them out of 'languages', or give numbers by language"),
        (changed("english", limit="all"), "corpora.english.limit: *'all'*allowed: mono*"),
    ],
)  # fmt: skip
def test_what_would_have_no_effect_is_a_mistake_of_one_line(sections, said):
    values = {"run": "test", "data": "data", "languages": ["en", "de", "kea"], "corpora": CORPORA, **sections}
    with pytest.raises(ConfigurationError) as caught:
        load_run(values, root=Path(__file__).parents[2], file="run.yaml")
    [line] = caught.value.mistakes
    assert re.fullmatch(re.escape(f"run.yaml: {said}").replace(r"\*", ".*"), line), line
