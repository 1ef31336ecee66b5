"""Every benchmark of the papers reads by configuration alone, each row of it good."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from lingualift.configuration.corpora import AnyCorpus
from lingualift.configuration.loading import load_run
from lingualift.corpora import corpus_tables, import_corpus, open_table
from lingualift.errors import InputError
from lingualift.languages import load_languages
from lingualift.planning import Plan


@pytest.fixture(scope="module")
def languages(request):
    return load_languages(request.config.rootpath / "config" / "languages.tsv")


@pytest.fixture
def read(tmp_path, languages):
    """Import a benchmark strictly; table → rows, and its folder."""

    def imported(settings, codes, data):
        corpus = TypeAdapter(AnyCorpus).validate_python(settings)
        out = tmp_path / "out"
        import_corpus(corpus, languages=codes, table=languages, data=data, out=out, work=tmp_path / "work", strict=True)
        return {entry["name"]: entry["rows"] for entry in corpus_tables(out)}, out

    return imported


@pytest.fixture(scope="module")
def preset(request):
    root = request.config.rootpath
    return Plan(load_run(root / "config" / "evaluation.yaml", root=root))


SENTENCES = {
    "flores101": {"multiway": 1012},
    "flores200": {"multiway": 1012},
    "wmt23-refb": {"en-he": 2074, "he-en": 1910},
    "tico19-lines": dict.fromkeys([f"en-{code}" for code in ("fa", "fr", "hi", "ne", "ru", "sw", "zh", "zu")], 2100),
    "ntrex": {"multiway": 1997},
    "multi30k": {"multiway": 1000},
}


@pytest.mark.parametrize("name", SENTENCES)
def test_benchmarks_of_the_preset_read_strictly(shared_data, preset, read, languages, name):
    codes = preset.languages
    if name == "flores200":
        # Of its 204 languages only some are there.
        files = {path.stem for path in (shared_data / "flores200" / "devtest").iterdir()}
        codes = [code for code in codes if languages[code].codes.get("flores200") in files]
        assert len(codes) == 25
    rows, _ = read(preset.configuration.benchmarks[name].test.model_dump(), codes, shared_data)
    assert rows == SENTENCES[name]


def test_flores_has_all_languages(preset, languages):
    covered = {
        name: preset.configuration.benchmarks[name].test.languages_covered(preset.languages, languages)
        for name in ("flores101", "flores200")
    }
    assert len(covered["flores101"]) == 102
    assert len(covered["flores200"]) == 204
    assert [code for code in covered["flores200"] if languages[code].seen] == covered["flores101"]


def test_wmt23_has_fourteen_directions_and_the_paper_thirteen(shared_data, preset, read):
    benchmark = preset.configuration.benchmarks["wmt23"]
    rows, folder = read(benchmark.test.model_dump(), preset.languages, shared_data)
    paper = {f"{source}-{target}" for source, target in preset.directions("wmt23")}
    assert set(rows) == paper | {"cs-uk"} and len(paper) == 13
    assert (rows["de-en"], rows["en-de"], rows["zh-en"]) == (549, 557, 1976)
    # The two directions of a pair are texts of their own.
    assert open_table(folder, "de-en")["en"][0] != open_table(folder, "en-de")["en"][0]
    source = (shared_data / "wmt23/sources/generaltest2023.de-en.src.de").read_text(encoding="utf-8").split("\n")[0]
    assert open_table(folder, "de-en").column_names == ["de", "en"]
    assert open_table(folder, "de-en")["de"][0].as_py() == source.strip()


def test_tatoeba_reads_strictly(shared_data, preset, read):
    rows, _ = read(preset.configuration.benchmarks["tatoeba"].test.model_dump(), ["en", "de", "ceb", "no"], shared_data)
    assert set(rows) == {"de-en", "ceb-en", "no-en"} and rows["de-en"] == 1000


def test_directions_are_those_of_the_paper(preset, languages):
    # LLaMAX, section B.2, as printed.
    tico = (
        "am, bn, din, fa, fuv, hi, km, ku, ln, ms, ne, om, ps, ru, so, ta, ti_ER, tl, zh, ar, ckb, es_LA, fr, ha, id, "
        "kr, lg, mr, my, nus, prs, pt_BR, rw, sw, ti, ti_ET, ur, zu"
    )
    named = [(source, languages[target].codes["tico19"]) for source, target in preset.directions("tico19")]
    assert sorted(named) == sorted(
        ("en", code.replace("_LA", "-LA").replace("_BR", "-BR")) for code in tico.split(", ")
    )
    for name in ("ted", "flores200"):
        assert all("en" in pair for pair in preset.directions(name))


def test_tico19_is_read_where_it_is_fetched_to(preset, languages):
    """The archive's members, as unpacked: config/public_sets.yaml."""
    sources = preset.configuration.benchmarks["tico19"].test.tables(preset.languages, languages, Path("data"))
    files = {str(source.files[0]) for source in sources}
    assert len(files) == 38
    assert {f"data/tico19/test/test.en-{code}.tsv" for code in ("ti_ER", "ti_ET", "es-LA", "pt-BR", "ckb")} < files


TICO = "sourceLang\ttargetLang\tsourceString\ttargetString\tstringID\turl\tlicense\ttranslatorId\n"


def test_tico19_as_it_is_published(tmp_path, read):
    (tmp_path / "test.en-pt-BR.tsv").write_text(
        TICO + 'en\tpt-BR\tabout how long?\t"há quanto tempo?"\tPubMed_1:1\thttp://a.b/c\tpublic\t12\n',
        encoding="utf-8",
    )
    settings = {
        "reader": "tsv",
        "path": ".",
        "files": "test.{source}-{target}.tsv",
        "codes": "tico19",
        "header": True,
        "columns": {"source": "sourceString", "target": "targetString"},
    }
    rows, folder = read(settings, ["en", "pt", "fr"], tmp_path)
    assert rows == {"en-pt": 1}
    # Quotes are text: the file knows no quoting.
    assert open_table(folder, "en-pt").to_pylist() == [{"en": "about how long?", "pt": '"há quanto tempo?"'}]


def test_tico19_as_translation_memory(tmp_path, read):
    (tmp_path / "all.en-es-LA.tmx").write_text(
        '<?xml version="1.0"?><tmx version="1.4"><header srclang="en"/><body>'
        '<tu><tuv xml:lang="en"><seg>And are you having a fever?</seg></tuv>'
        '<tuv xml:lang="es-LA"><seg>¿Tiene fiebre?</seg></tuv></tu></body></tmx>',
        encoding="utf-8",
    )
    settings = {"reader": "tmx", "path": ".", "files": "all.{source}-{target}.tmx", "codes": "tico19"}
    rows, folder = read(settings, ["en", "es"], tmp_path)
    assert rows == {"en-es": 1}
    assert open_table(folder, "en-es").to_pylist() == [{"en": "And are you having a fever?", "es": "¿Tiene fiebre?"}]


TED = {"reader": "tsv", "path": "ted.tsv", "header": True, "missing": "__NULL__"}
COLUMNS = {"en": "en", "pt": "pt-br", "no": "nb"}


def ted(tmp_path, *rows):
    lines = ["\t".join(row) for row in (("talk_name", "en", "nb", "pt-br"), *rows)]
    (tmp_path / "ted.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_missing_cells_of_ted_are_null_and_no_mistake(tmp_path, read):
    rows = [("t1", "one", "__NULL__", "um"), ("t1", "two", "to", "__NULL__"), ("t2", "__NULL__", "__NULL__", "três")]
    found, folder = read({**TED, "columns": COLUMNS}, ["en", "pt", "no"], ted(tmp_path, *rows))
    assert found == {"multiway": 3}
    assert open_table(folder, "multiway").to_pydict() == {
        "en": ["one", "two", None],
        "pt": ["um", None, "três"],
        "no": [None, "to", None],
    }
    (entry,) = corpus_tables(folder)
    assert entry["valid"] == {"en": 2, "pt": 2, "no": 1}
    assert entry["pairs"] == {"en-pt": 1, "en-no": 1, "pt-no": 0}


def test_rows_of_a_pair_need_both_sides(tmp_path, read):
    rows = [("t1", "one", "__NULL__", "um"), ("t1", "two", "to", "__NULL__")]
    settings = {**TED, "pair": ["en", "pt"], "columns": {"source": "en", "target": "pt-br"}}
    found, folder = read(settings, ["en", "pt"], ted(tmp_path, *rows))
    assert found == {"en-pt": 1}
    assert open_table(folder, "en-pt").to_pylist() == [{"en": "one", "pt": "um"}]


def test_an_empty_cell_is_still_a_mistake(tmp_path, read):
    with pytest.raises(InputError, match=r"ted\.tsv:3: empty"):
        read({**TED, "columns": COLUMNS}, ["en", "pt", "no"], ted(tmp_path, ("t", "a", "b", "c"), ("t", "a", "", "c")))


def test_what_stands_for_missing_is_text_unless_it_is_said(tmp_path, read):
    settings = {**TED, "missing": None, "columns": COLUMNS}
    _, folder = read(settings, ["en", "pt", "no"], ted(tmp_path, ("t", "a", "__NULL__", "c")))
    assert open_table(folder, "multiway")["no"].to_pylist() == ["__NULL__"]


# The header of all_talks_test.tsv, behind talk_name: github.com/tensorflow/datasets, translate/ted_multi.py.
TED_LANGUAGES = (
    "en es pt-br fr ru he ar ko zh-cn it ja zh-tw nl ro tr de vi pl pt bg el fa sr hu hr uk cs id th sv sk "
    "sq lt da calv my sl mk fr-ca fi hy hi nb ka mn et ku gl mr zh ur eo ms az ta bn kk be eu bs"
)


def test_ted_of_the_preset_is_read_from_its_published_file(tmp_path, preset, languages, read):
    """Rows as tensorflow/datasets reads them: what is empty, or holds one of two marks anywhere, is no text."""
    header = ["talk_name", *TED_LANGUAGES.split()]
    assert len(header) == 61
    whole = [f"text {name}" for name in header]
    marks = {"de": "__NULL__", "fr": "a __NULL__ b", "nb": "_ _ NULL _ _", "cs": "", "ja": "x _ _ NULL _ _ y"}
    gaps = [marks.get(code, text) for code, text in zip(header, whole, strict=True)]
    (tmp_path / "ted").mkdir()
    text = "\n".join("\t".join(row) for row in (header, whole, gaps)) + "\n"
    (tmp_path / "ted" / "all_talks_test.tsv").write_text(text, encoding="utf-8")
    rows, folder = read(preset.configuration.benchmarks["ted"].test.model_dump(), preset.languages, tmp_path)
    assert rows == {"multiway": 2}
    table = open_table(folder, "multiway").to_pydict()
    columns = {code: language.codes["ted"] for code, language in languages.items() if "ted" in language.codes}
    assert table == {
        code: [f"text {column}", None if column in marks else f"text {column}"] for code, column in columns.items()
    }
    assert set(header) - set(columns.values()) == {"talk_name", "calv", "fr-ca", "pt-br", "zh"}
    assert {(source, target) for source, target in preset.directions("ted")} == {
        pair for code in columns if code != "en" for pair in (("en", code), (code, "en"))
    }


def test_an_empty_mark_is_no_mark_by_itself():
    with pytest.raises(ValidationError, match="at least 1 item"):
        TypeAdapter(AnyCorpus).validate_python({**TED, "missing": "", "columns": COLUMNS})


def test_json_lines(tmp_path, read):
    (tmp_path / "test.jsonl").write_text('{"translation": {"en": "one", "de": "eins"}, "id": 7}\n', encoding="utf-8")
    settings = {
        "reader": "jsonl",
        "path": "test.jsonl",
        "columns": {"en": "translation.en", "de": "translation.de"},
    }
    rows, folder = read(settings, ["en", "de"], tmp_path)
    assert rows == {"en-de": 1}
    assert open_table(folder, "en-de").to_pylist() == [{"en": "one", "de": "eins"}]


def test_sides_named_alike_are_a_mistake():
    files = {"source": "{source}-{target}", "target": "{source}-{target}"}
    with pytest.raises(ValidationError, match="are the same"):
        TypeAdapter(AnyCorpus).validate_python({"reader": "aligned", "path": ".", "files": files})
