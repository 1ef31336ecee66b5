"""The table of languages against the paper, the data sets' folders and the released scores."""

import csv
import gzip
import re
import zipfile
from pathlib import Path

import pytest

from lingualift.errors import InputError, LingualiftError
from lingualift.languages import Language, code_in, load_languages, told

TABLE = Path(__file__).parents[2] / "config" / "languages.tsv"
HEADER = "code\tname\tfamily\tmono\tpara\tdirections\tscript\tiso639_3\tsegmentation\tresource\tseen\tmuse"
GERMAN = "de\tGerman\tIndo-European\t881553\t10273597\t97\tLatn\tdeu\tspace\thigh\tyes\tde"


@pytest.fixture(scope="module")
def languages() -> dict[str, Language]:
    return load_languages(TABLE)


def test_the_102_are_those_of_the_paper(languages):
    seen = [language for language in languages.values() if language.seen]
    assert len(seen) == 102
    assert all(None not in (language.mono, language.para, language.directions) for language in seen)
    assert all(language.mono is None for language in languages.values() if not language.seen)


@pytest.mark.parametrize(
    ("code", "mono", "para", "directions"),
    [  # read off Table 9 by hand
        ("en", 846_712, 19_548_583, 100),
        ("de", 881_553, 10_273_597, 97),
        ("fi", 719_416, 4_076_885, 97),  # printed 40,76,885
        ("umb", 0, 54, 2),
        ("kea", 0, 0, 0),
        ("zhtrad", 0, 3_747_297, 96),
        ("ceb", 418_058, 2_217_926, 91),
    ],
)
def test_facts_of_table_9(languages, code, mono, para, directions):
    language = languages[code]
    assert (language.mono, language.para, language.directions) == (mono, para, directions)


def test_families_add_up(languages):
    def monolingual(family: str) -> int:
        return sum(language.mono for language in languages.values() if language.seen and language.family == family)

    # Dravidian: 708,459 + 712,832 + 715,387 + 711,863; Uralic: 706,720 + 719,416 + 731,479.
    assert monolingual("Dravidian") == 2_848_541
    assert monolingual("Uralic") == 2_157_615
    assert monolingual("Austroasiatic") == 687_690 + 760_472


def test_agrees_with_the_released_counts(languages, shared_data):
    with (shared_data / "published" / "llamax" / "corpus_merge.csv").open() as file:
        released = {
            row["lang"]: tuple(int(row[key]) for key in ("mono", "para", "direct")) for row in csv.DictReader(file)
        }
    ours = {code: (each.mono, each.para, each.directions) for code, each in languages.items() if each.seen}
    assert ours == released


def test_resource_groups_give_the_published_means(languages, shared_data):
    checked = 0
    for scores in sorted((shared_data / "published" / "llamax").glob("*/spBLEU_score/spBLEU_score.csv")):
        with scores.open() as file:
            rows = {row.pop("direct"): row for row in csv.DictReader(file)}
        with scores.with_name("summary_101.csv").open() as file:
            published = {row["direct"]: row for row in csv.DictReader(file)}
        for direction, row in rows.items():
            for group in ("high", "low"):
                values = [
                    float(v) for code, v in row.items() if v not in ("/", "") and languages[code].resource == group
                ]
                assert sum(values) / len(values) == pytest.approx(float(published[direction][group]), abs=0.011)
                checked += 1
    # Five systems: 16 or fewer directions each, 50 in all; two groups.
    assert checked == 50 * 2


def test_segmentation_and_scripts(languages):
    assert {c for c, each in languages.items() if each.seen and each.segmentation == "jieba"} == {"zh", "zhtrad"}
    characters = {c for c, each in languages.items() if each.seen and each.segmentation == "character"}
    assert characters == {"ja", "th", "lo", "km", "my"}
    assert languages["sr"].script == "Cyrl"
    assert languages["ku"].iso639_3 == "ckb"


def test_every_flores101_file_has_its_language(languages, shared_data):
    files = {path.stem for path in (shared_data / "flores101" / "devtest").glob("*.devtest")}
    assert {code_in(language, "flores101") for language in languages.values() if language.seen} == files
    assert len(files) == 102


def test_unseen_flores200_languages(languages, shared_data):
    files = {path.stem for path in (shared_data / "flores200" / "devtest").glob("*.devtest")}
    unseen = {each.codes["flores200"] for each in languages.values() if not each.seen and "flores200" in each.codes}
    assert files - {"eng_Latn"} <= unseen
    assert all(
        re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", language.codes["flores200"])
        for language in languages.values()
        if language.seen
    )


def test_every_language_of_flores200_has_a_row(languages):
    """204, of which NLLB's tokenizer has all but two, and one in another script."""
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    codes = [each.codes["flores200"] for each in languages.values() if "flores200" in each.codes]
    assert len(codes) == len(set(codes)) == 204
    assert set(codes) - set(FAIRSEQ_LANGUAGE_CODES) == {"arb_Latn", "min_Arab", "sat_Olck"}
    assert set(FAIRSEQ_LANGUAGE_CODES) - set(codes) == {"sat_Beng"}
    assert {each.codes["nllb"] for each in languages.values() if "nllb" in each.codes} == set(FAIRSEQ_LANGUAGE_CODES)
    # The end of a code is the script.
    assert [it.code for it in languages.values() if it.script != it.codes.get("flores200", it.script)[-4:]] == []


def test_codes_name_real_files(languages, shared_data):
    def codes(dataset: str) -> list[str]:
        return [language.codes[dataset] for language in languages.values() if dataset in language.codes]

    ntrex = {re.split(r"[.]", path.name)[1] for path in (shared_data / "ntrex128").glob("newstest2019-*.gz")}
    assert sorted(codes("ntrex")) == sorted(ntrex)
    tatoeba = {path.suffix[1:] for path in (shared_data / "tatoeba").glob("tatoeba.*")}
    assert sorted(codes("tatoeba")) == sorted(tatoeba)
    muse = {code for path in (shared_data / "muse").glob("*.txt.gz") for code in path.name.split(".")[0].split("-")}
    assert sorted(codes("muse")) == sorted(muse)
    leipzig = {path.name.split(".")[0] for path in (shared_data / "leipzig-sentences").glob("*.gz")}
    assert sorted(codes("leipzig")) == sorted(leipzig)
    xsid = {path.name.split(".")[0] for path in (shared_data / "xsid").glob("*.test.conll")}
    assert sorted(codes("xsid")) == sorted(xsid)
    assert {path.name.split(".")[1] for path in (shared_data / "xquad").glob("*.json")} == set(codes("xquad"))


@pytest.mark.parametrize(
    ("code", "variety", "block"),
    [("am", "amh-001", "[ሀ-፿]"), ("kn", "kan-001", "[ಀ-೿]"), ("ne", "npi-001", "[ऀ-ॿ]")],
)
def test_word_lists_that_are_left_out_are_transcriptions(languages, shared_data, code, variety, block):
    with zipfile.ZipFile(shared_data / "panlex" / "panlex_swadesh.zip") as archive:
        words = archive.read(f"panlex_swadesh/swadesh110/{variety}.txt").decode()
    assert not re.search(block, words) and len(re.findall("[A-Za-z]", words)) > 100
    assert languages[code].codes["panlex"] != variety


def test_flores_and_ntrex_are_in_the_script(languages, shared_data):
    """A file in the wrong row would show: the text must be mostly in the language's script."""
    blocks = {
        "Cyrl": "[Ѐ-ӿ]",
        "Arab": "[؀-ۿ]",
        "Grek": "[Ͱ-Ͽ]",
        "Deva": "[ऀ-ॿ]",
        "Hebr": "[֐-׿]",
        "Geor": "[ა-ჿ]",
        "Latn": "[A-Za-zÀ-ɏḀ-ỿ]",
    }
    for language in languages.values():
        block = blocks.get(language.script)
        if block is None:
            continue
        texts = []
        if code := language.codes.get("flores101"):
            texts.append((shared_data / "flores101" / "devtest" / f"{code}.devtest").read_text("utf-8"))
        if code := language.codes.get("ntrex"):
            part = "src" if code == "eng" else "ref"
            texts.append(
                gzip.decompress((shared_data / "ntrex128" / f"newstest2019-{part}.{code}.txt.gz").read_bytes()).decode()
            )
        for text in texts:
            letters = sum(character.isalpha() for character in text)
            assert len(re.findall(block, text)) > 0.5 * letters, language.code


def test_a_job_knows_what_it_is_told_and_no_more():
    languages = told({"de": {"codes": {"muse": "ger"}}})
    assert (languages["de"].code, languages["de"].codes["muse"]) == ("de", "ger")
    with pytest.raises(AttributeError):
        _ = languages["de"].segmentation


def test_code_in_says_what_is_missing(languages):
    assert code_in(languages["de"], "panlex") == "deu-000"
    assert code_in(languages["zh"], "m2m100") == "zh"
    with pytest.raises(LingualiftError, match=r"Umbundu \(umb\) has no code in 'muse'"):
        code_in(languages["umb"], "muse")


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        ([GERMAN, GERMAN], 3, "'de' is given twice"),
        ([GERMAN.replace("881553", "881,553")], 2, "mono is '881,553', not a whole number"),
        ([GERMAN.replace("space", "spaces")], 2, "segmentation is 'spaces', not one of space, jieba, character"),
        ([GERMAN.replace("Latn", "latin")], 2, "script is 'latin'"),
        ([GERMAN.replace("yes", "1")], 2, "seen is '1'"),
        (["# a note", GERMAN.replace("de\tGerman", "de-x\tGerman")], 3, "code is 'de-x'"),
        ([GERMAN + "\tde"], 2, "13 columns where the header has 12"),
    ],
)
def test_bad_tables_name_the_line(tmp_path, rows, line, message):
    path = tmp_path / "languages.tsv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_languages(path)
    assert caught.value.line == line


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "languages.tsv"
    path.write_text(f"{HEADER}\n{GERMAN}\n", encoding="utf-8")
    first = load_languages(path)
    assert load_languages(path) is first
    path.write_text(f"{HEADER}\n{GERMAN}\n{GERMAN.replace('de', 'xx', 1)}\n", encoding="utf-8")
    assert list(load_languages(path)) == ["de", "xx"]


def test_missing_file_and_column(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_languages(tmp_path / "none.tsv")
    (tmp_path / "short.tsv").write_text("code\tname\nde\tGerman\n")
    with pytest.raises(InputError, match="lacks the column"):
        load_languages(tmp_path / "short.tsv")
