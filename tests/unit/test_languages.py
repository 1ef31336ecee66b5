"""The table of languages against the paper, the data sets' folders and the released scores."""

import csv
import gzip
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alphabets import NAMES, share_of_letters, share_of_traditional

from lingualift.errors import InputError, LingualiftError
from lingualift.files import files_below
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
    assert languages["sr"].script == "Cyrl" and languages["sr"].scripts == ("Cyrl", "Latn")
    assert {script for language in languages.values() for script in language.scripts} == set(NAMES)
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
    # zh and zhtrad read one.
    assert sorted(codes("muse")) == sorted([*muse, "zh"])
    leipzig = {path.name.split(".")[0] for path in (shared_data / "leipzig-sentences").glob("*.gz")}
    assert sorted(codes("leipzig")) == sorted(leipzig)
    xsid = {path.name.split(".")[0] for path in (shared_data / "xsid").glob("*.test.conll")}
    assert sorted(codes("xsid")) == sorted(xsid)
    assert {path.name.split(".")[1] for path in (shared_data / "xquad").glob("*.json")} == set(codes("xquad"))


# Data set → its folder, and where the codes stand in the paths of its files.
PATHS = {
    "tico19": ("tico19", r"(en)-(.+)/tico19-test\.(.+)"),
    "wmt23": ("wmt23", r"(?:sources|references)/generaltest2023\.(\w+)-(\w+)\.(?:src|ref\.ref[AB])\.(\w+)"),
    "alma": ("alma", r"(?:train|test)\.(\w+)-(\w+)\.(?:json|(\w+))"),
    "mlqa": ("mlqa", r"dev/dev-context-(\w+)-question-(\w+)\.json"),
    "xnli": ("xnli", r"dev-(.+)\.tsv"),
    "mgsm": ("mgsm", r"mgsm_(.+)\.tsv"),
    "xcopa": ("xcopa", r"(?:test|val)\.(.+)\.jsonl"),
    "uner": ("uner", r"UNER_[\w-]+/([^_]+)_[a-z]+-ud-(?:train|dev|test)\.iob2"),
    "afromt": ("afromt-dictionaries", r"(en)-(.+)\.txt"),
}
# What they call otherwise than the paper does.
OTHERWISE = {
    "tico19": {"es": "es-LA", "ff": "fuv", "kmr": "ku", "ku": "ckb", "pt": "pt-BR"},
    "afromt": {"rn": "run"},
    "xwinograd": {"ja": "jp"},
}


def codes_of(languages: dict[str, Language], name: str) -> list[str]:
    """The codes of a data set, those that are not the paper's own held against a list."""
    codes = {language.code: language.codes[name] for language in languages.values() if name in language.codes}
    assert {code: theirs for code, theirs in codes.items() if theirs != code} == OTHERWISE.get(name, {})
    return sorted(codes.values())


@pytest.mark.parametrize("name", PATHS)
def test_codes_stand_in_the_paths_of_real_files(languages, shared_data, name):
    folder, pattern = PATHS[name]
    paths = [path.relative_to(shared_data / folder).as_posix() for path in files_below(shared_data / folder)]
    found = {path: re.fullmatch(pattern, path) for path in paths}
    assert [path for path in paths if found[path] is None] == []
    theirs = sorted({code for match in found.values() for code in match.groups() if code})
    ours = codes_of(languages, name)
    if name == "tico19":
        # Of its 38 languages beside English (test_benchmarks_configuration) eight are at hand.
        assert len(set(ours)) == len(ours) == 39 and len(theirs) == 9
        ours = [code for code in ours if code in theirs]
    assert ours == theirs


def test_codes_of_winograd_schemas_stand_in_their_table(languages, shared_data):
    with (shared_data / "xwinograd" / "dataset.tsv").open(encoding="utf-8", newline="") as file:
        theirs = {line.split("\t")[0] for line in file}
    assert codes_of(languages, "xwinograd") == sorted(theirs)


@pytest.mark.parametrize(
    ("code", "variety", "block"),
    [("am", "amh-001", "[ሀ-፿]"), ("kn", "kan-001", "[ಀ-೿]"), ("ne", "npi-001", "[ऀ-ॿ]")],
)
def test_word_lists_that_are_left_out_are_transcriptions(languages, shared_data, code, variety, block):
    with zipfile.ZipFile(shared_data / "panlex" / "panlex_swadesh.zip") as archive:
        words = archive.read(f"panlex_swadesh/swadesh110/{variety}.txt").decode()
    assert not re.search(block, words) and len(re.findall("[A-Za-z]", words)) > 100
    assert languages[code].codes["panlex"] != variety


def texts_of(language: Language, data: Path) -> Iterator[tuple[str, str]]:
    """Data set and text of every file of sentences in a language."""
    files = {
        "flores101": "flores101/devtest/{}.devtest",
        "flores200": "flores200/devtest/{}.devtest",
        "ntrex": f"ntrex128/newstest2019-{'src' if language.code == 'en' else 'ref'}.{{}}.txt.gz",
        "leipzig": "leipzig-sentences/{}.txt.gz",
        "tatoeba": "tatoeba/tatoeba.{0}-eng.{0}",
    }
    for name, pattern in files.items():
        path = data / pattern.format(language.codes.get(name))
        if name in language.codes and path.is_file():
            content = path.read_bytes()
            yield name, (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def test_sentences_are_in_the_scripts_of_their_language(languages, shared_data):
    """A file in the wrong row would show."""
    shares = {
        (language.code, name): share_of_letters(text, language.scripts)
        for language in languages.values()
        for name, text in texts_of(language, shared_data)
    }
    assert len(shares) > 350
    # Latin names stand in all of them, in NTREX's Traditional Chinese the most.
    assert {place: share for place, share in shares.items() if share < 0.82} == {}
    # The scripts that come second are there.
    for code in ("sr", "uz", "lfn"):
        text = dict(texts_of(languages[code], shared_data))["tatoeba"]
        assert share_of_letters(text, languages[code].scripts[1:]) > 0.25


def test_chinese_sentences_are_in_the_characters_of_their_language(languages, shared_data):
    shares = {
        (language.code, name): share_of_traditional(text)
        for language in languages.values()
        if language.script in ("Hans", "Hant")
        for name, text in texts_of(language, shared_data)
    }
    # Tatoeba's Mandarin is written either way.
    assert 0.2 < shares.pop(("zh", "tatoeba")) < 0.8
    simplified = [share for (code, _), share in shares.items() if languages[code].script == "Hans"]
    traditional = [share for (code, _), share in shares.items() if languages[code].script == "Hant"]
    assert len(simplified) == len(traditional) == 4
    assert max(simplified) < 0.05 and min(traditional) > 0.95


# The languages in the vocabulary of MADLAD-400's translation models (<2abt>, ...): of its 493 marks, those that are
# neither scripts (<2Arab>), regions (<2CA>) nor tasks (<2translate>). Two lists from its spiece.model agree.
MADLAD_MARKS = """
abt ace ace_Arab acf ada adh ady af agr ahk ak akb alt alz am amu an ang ann ape ar arn ary arz as av awa ay az
az_RU ba ban bar bas bbc bci be ber ber_Latn bew bg bg_Latn bgp bho bi bik bim bjn bjn_Arab bm bn bn_Latn bo bqc br
bru brx bs bts btx bua bug bum bus bzj ca cab cac cak cbk cce ce ceb cfm ch chk chm chr ckb cnh co cr_Latn crh
crh_Latn crs cs ctd_Latn ctu cuk cv cy da de din dje djk dln doi dov dtp dv dwr dyu dz ee el el_Latn emp en enq eo
es et eu fa ff ffm fi fil fip fj fo fon fr fr_CA frp fur fuv fy ga gag gbm gd gl gn gof gom gom_Latn gor grc gsw gu
gu_Latn gub guc guh gui gv gvl gym ha haw he hi hi_Latn hif hil hmn hne ho hr ht hu hui hus hvn hy iba ibb id ify ig
ilo inb io is iso it iu ium izz ja jac jam jiv jv jvn ka kaa kaa_Latn kac kbd kbp kek kg kha kj kjg kjh kk kl km kmb
kmz_Latn kn kn_Latn knj ko koi kos kr kr_Arab krc kri ks ks_Deva ksd ksw ktu ku kum kv kw kwi ky la laj lb lg lhu li
lij lmo ln lo lrc lt ltg lu lus lv mad mag mai mak mam mas mass maz mbt mdf meo meu mfe mg mgh mh mi min miq mk mkn
ml ml_Latn mn mni mps mqy mr mrj mrw ms ms_Arab ms_Arab_BN msb msi msm mt mwl my myv nan_Latn_TW ndc_ZW nds nds_NL
ne new ngu nhe nia nij niq nl nn nnb no noa nog nr nso nus nut nv ny nyu nzi oc oj om or os otq pa pag pap pau pck
pis pl pon ppk prs ps pt qu qub quc quf quh qup quy qvc qvi qvz qxr raj rcf rki rm rmc rn ro rom ru ru_Latn rw rwo
sa sah sat_Latn sc scn sd sda se seh sg sh shn shp si sja sk skr sl sm smt sn so spp sq sr srm srn ss st stq su sus
suz sv sw sxn syr szl ta ta_Latn tab taj taq taq_Tfng tbz tca tcy tdx te te_Latn teo tet tg th ti tiv tk tks tlh tll
tly_IR tn to toj tr trp ts tsc tsg tt tuc tvl twu tyv tyz tzh tzj tzm tzo ubu udm ug uk ur uz ve vec vi wa wal war
wo wuu xal xh yap yi yo yua zap zh zh_Hant zh_Latn zne zu zza
"""


def test_codes_of_madlads_models_are_in_their_vocabulary(languages):
    marks = set(MADLAD_MARKS.split())
    assert len(marks) == 453
    codes = {code: it.codes["madlad_mt"] for code, it in languages.items() if "madlad_mt" in it.codes}
    assert set(codes.values()) <= marks
    # The data's folder is another name here and there, the model's mark is of the script that the row is in.
    assert (languages["he"].codes["madlad"], codes["he"]) == ("iw", "he") and "iw" not in marks
    told = {"zh": "zh", "zhtrad": "zh_Hant", "ku": "ckb", "kmr": "ku", "tl": "fil", "ns": "nso", "crh": "crh_Latn"}
    told |= {"ace": "ace", "ace_Arab": "ace_Arab", "ks": "ks", "ks_Deva": "ks_Deva", "no": "no", "nn": "nn"}
    assert {code: codes[code] for code in told} == told
    for code, mark in codes.items():
        assert "_" not in mark or mark.partition("_")[2] == languages[code].script, code
    # Whatever is called there as here has its code; Santali has none in its script, nor Minangkabau in Arabic.
    assert {code for code in languages if code in marks} <= set(codes)
    assert {"sat", "min_Arab", "ast", "kam", "kea", "luo", "umb", "yue"}.isdisjoint(codes)
    assert len([code for code in codes if languages[code].seen]) == 102 - 5


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
        ([GERMAN.replace("Latn", "Latn, Cyrl")], 2, "script is 'Latn, Cyrl', not ISO 15924 scripts such as Latn or"),
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
