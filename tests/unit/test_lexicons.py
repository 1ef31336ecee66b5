"""Lexicons: what dictionaries become, by hand on tiny ones and by known facts on real ones."""

import gzip
import resource
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from alphabets import is_of, share_of_traditional
from pydantic import TypeAdapter, ValidationError

from lingualift.configuration.lexicons import Dictionary
from lingualift.errors import InputError
from lingualift.languages import Language, load_languages
from lingualift.lexicon_readers import dictionary_files, read_links
from lingualift.lexicons import Lexicon, build_lexicon
from lingualift.manifests import Manifest
from lingualift.segmentation import segment


@dataclass(frozen=True)
class Spoken:
    code: str
    codes: dict[str, str] = field(default_factory=dict)
    scripts: tuple[str, ...] = ("Latn",)


SCRIPTS = {"bg": ("Cyrl",), "sr": ("Cyrl", "Latn"), "zh": ("Hans",), "zhtrad": ("Hant",)}


@pytest.fixture(scope="module")
def table() -> dict[str, Language]:
    return load_languages(Path(__file__).parents[2] / "config" / "languages.tsv")


def dictionary(**settings: object) -> Dictionary:
    return TypeAdapter(Dictionary).validate_python(settings)


def spoken(*codes: str, **codes_of: dict[str, str]) -> dict[str, Spoken]:
    named = {code: {"muse": code} for code in codes} | codes_of
    return {code: Spoken(code, theirs, SCRIPTS.get(code, ("Latn",))) for code, theirs in named.items()}


def build(folder: Path, settings: dict, languages: dict[str, Spoken], data: Path | None = None):
    manifest = build_lexicon(dictionary(**settings), languages=languages, data=data or folder, out=folder / "lexicon")
    return manifest, Lexicon.open(folder / "lexicon")


@pytest.fixture
def table_11(tmp_path: Path) -> Path:
    """LLaMAX, Table 11: en→fr dog → chien, fr→de chien → Hund."""
    (tmp_path / "muse").mkdir()
    (tmp_path / "muse" / "en-fr.txt").write_text("dog chien\nCat\tchat\n", encoding="utf-8")
    with gzip.open(tmp_path / "muse" / "fr-de.txt.gz", "wt", encoding="utf-8") as file:
        file.write("chien Hund\nchien dogge\n")
    return tmp_path


def test_one_hop_is_the_pairs_either_way(table_11: Path) -> None:
    manifest, lexicon = build(table_11, {"reader": "muse", "path": "muse"}, spoken("en", "fr", "de"))
    assert lexicon.languages == ["de", "en", "fr"]
    assert lexicon.sizes == {"de": 2, "en": 2, "fr": 2}
    assert lexicon.translations("dog", "en") == {"fr": ["chien"]}
    assert lexicon.translations("chien", "fr") == {"de": ["dogge", "hund"], "en": ["dog"]}
    assert lexicon.translations("HUND", "de") == {"fr": ["chien"]}
    assert lexicon.translations("bird", "en") == {}
    assert manifest.counts["pairs"] == 4
    assert manifest.counts["translations"] == 8


def test_two_hops_go_through_one_word_and_never_home(table_11: Path) -> None:
    _, lexicon = build(table_11, {"reader": "muse", "path": "muse", "hops": 2}, spoken("en", "fr", "de"))
    assert lexicon.translations("dog", "en") == {"de": ["dogge", "hund"], "fr": ["chien"]}
    # hund → chien → dogge would be German again.
    assert lexicon.translations("hund", "de") == {"en": ["dog"], "fr": ["chien"]}


def test_one_way_dictionaries(table_11: Path) -> None:
    settings = {"reader": "muse", "path": "muse", "hops": 2, "bidirectional": False}
    _, lexicon = build(table_11, settings, spoken("en", "fr", "de"))
    assert lexicon.translations("dog", "en") == {"de": ["dogge", "hund"], "fr": ["chien"]}
    assert lexicon.translations("chien", "fr") == {"de": ["dogge", "hund"]}
    assert lexicon.translations("hund", "de") == {}


def test_statistics_and_entries_for_people(table_11: Path) -> None:
    build(table_11, {"reader": "muse", "path": "muse"}, spoken("en", "fr", "de"))
    rows = (table_11 / "lexicon" / "entities.csv").read_text(encoding="utf-8").splitlines()
    assert rows == [
        "language,source,entities,edges",
        "de,fr-de.txt.gz,2,2",
        "de,all,2,2",
        "en,en-fr.txt,2,2",
        "en,all,2,2",
        "fr,en-fr.txt,2,2",
        "fr,fr-de.txt.gz,1,2",
        "fr,all,2,4",
    ]
    entries = (table_11 / "lexicon" / "entries.tsv").read_text(encoding="utf-8").splitlines()
    assert "hund_de\tchien_fr" in entries


def test_subsets_of_languages_and_pairs(table_11: Path) -> None:
    settings = {"reader": "muse", "path": "muse", "languages": ["en", "fr"]}
    assert build(table_11, settings, spoken("en", "fr", "de"))[1].languages == ["en", "fr"]
    settings = {"reader": "muse", "path": "muse", "pairs": ["fr-de"]}
    assert build(table_11, settings, spoken("en", "fr", "de"))[1].languages == ["de", "fr"]
    with pytest.raises(InputError, match="for de-en"):
        build(table_11, {"reader": "muse", "path": "muse", "pairs": ["de-en"]}, spoken("en", "fr", "de"))


def test_two_of_our_languages_may_share_a_code(table_11: Path) -> None:
    languages = spoken("en", "fr", de={"muse": "de"}, gsw={"muse": "de"})
    _, lexicon = build(table_11, {"reader": "muse", "path": "muse"}, languages)
    assert lexicon.translations("chien", "fr") == {"de": ["dogge", "hund"], "en": ["dog"], "gsw": ["dogge", "hund"]}


def test_words_of_another_script_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "en-bg.txt").write_text("dog куче\nthe the\n1990 1990\nкуче куче\ntv тв-сет\n", encoding="utf-8")
    (tmp_path / "en-sr.txt").write_text("dog пас\ndog pas\ndog σκύλος\n", encoding="utf-8")
    manifest, lexicon = build(tmp_path, {"reader": "muse", "path": "."}, spoken("en", "bg", "sr"))
    assert lexicon.translations("dog", "en") == {"bg": ["куче"], "sr": ["pas", "пас"]}
    assert sorted(lexicon.words("bg")) == ["1990", "куче", "тв-сет"]
    assert manifest.dropped == {"another script": 3} and manifest.counts["pairs"] == 5


def test_a_file_of_another_script_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "en-bg.txt").write_text("dog kuche\n", encoding="utf-8")
    with pytest.raises(InputError, match="no pair of words in the languages of this run"):
        build(tmp_path, {"reader": "muse", "path": "."}, spoken("en", "bg"))


def test_word_lists_lose_words_of_another_script(tmp_path: Path) -> None:
    folder = tmp_path / "swadesh110"
    folder.mkdir()
    for name, text in (("eng", "dog\tcur\ncat\n"), ("bul", "куче\tkuche\nkotka\n"), ("cmn", "狗\tgou\n貓\t猫\n")):
        (folder / f"{name}-000.txt").write_text(text, encoding="utf-8")
    code = {"panlex": "cmn-000"}
    languages = spoken(en={"panlex": "eng-000"}, bg={"panlex": "bul-000"}, zh=code, zhtrad=code)
    settings = {"reader": "panlex-swadesh", "path": ".", "lists": ["swadesh110"]}
    manifest, lexicon = build(tmp_path, settings, languages)
    # kuche, kotka; gou in either kind of Chinese.
    assert manifest.dropped == {"another script": 4}
    assert lexicon.translations("dog", "en") == {"bg": ["куче"], "zh": ["狗"], "zhtrad": ["狗"]}
    assert lexicon.translations("cat", "en") == {"zh": ["猫"], "zhtrad": ["貓"]}
    # What one code stands for is one language.
    assert lexicon.translations("狗", "zh") == {"bg": ["куче"], "en": ["cur", "dog"]}


def test_chinese_is_in_the_characters_of_its_language(tmp_path: Path) -> None:
    (tmp_path / "en-cmn.txt").write_text("computer 電腦\ncomputer 电脑\nto 干預\n", encoding="utf-8")
    (tmp_path / "panlex.csv").write_text(
        "source_language,source,target_language,target\ncmn,電腦,en,computer\ncmn,DVD,en,disc\n", encoding="utf-8"
    )
    languages = spoken("en", zh={"muse": "cmn"}, zhtrad={"muse": "cmn"})
    for settings in ({"reader": "muse", "path": "."}, {"reader": "panlex-csv", "path": "panlex.csv", "codes": "muse"}):
        _, lexicon = build(tmp_path, settings, languages)
        assert lexicon.translations("computer", "en") == {"zh": ["电脑"], "zhtrad": ["電腦"]}
        assert lexicon.translations("disc", "en") == {}


def test_words_are_lower_case_and_composed(tmp_path: Path) -> None:
    (tmp_path / "en-fr.txt").write_text("Summer\tE\u0301te\u0301\n", encoding="utf-8")
    _, lexicon = build(tmp_path, {"reader": "tsv", "path": "."}, spoken("en", "fr"))
    assert lexicon.translations("summer", "en") == {"fr": ["\u00e9t\u00e9"]}
    assert lexicon.translations("ETE\u0301", "fr") == {}
    assert lexicon.translations("E\u0301T\u00c9", "fr") == {"en": ["summer"]}


def test_words_that_are_their_own_translation(tmp_path: Path) -> None:
    (tmp_path / "en-fr.txt").write_text("Paris paris\npig cochon\n", encoding="utf-8")
    _, lexicon = build(tmp_path, {"reader": "muse", "path": "."}, spoken("en", "fr"))
    assert lexicon.translations("paris", "en") == {"fr": ["paris"]}
    manifest, lexicon = build(tmp_path, {"reader": "muse", "path": ".", "keep_identical": False}, spoken("en", "fr"))
    assert lexicon.translations("paris", "en") == {}
    assert manifest.dropped == {"the same in both languages": 1} and manifest.counts["pairs"] == 1


def test_bad_lines_are_dropped_by_reason(tmp_path: Path) -> None:
    text = "two words\tdeux mots\nno\t\n\nthree\tcolumns\there\nalone\na b c\nyes\toui\nyes oui\nwell\tbon\n"
    (tmp_path / "en-fr.txt").write_text(text, encoding="utf-8")
    manifest, lexicon = build(tmp_path, {"reader": "tsv", "path": "en-fr.txt"}, spoken("en", "fr"))
    assert manifest.dropped == {"empty word": 1, "empty line": 1, "not two columns": 3}
    assert manifest.counts["lines"] == 9 and manifest.counts["pairs"] == 4
    assert lexicon.sizes["en"] == 3
    assert lexicon.translations("two words", "en") == {"fr": ["deux mots"]}


CUT = gzip.compress("".join(f"w{n * n % 997} m{n * 7 % 991}\n" for n in range(900)).encode(), mtime=0)[:-900]
# The first line that zlib itself does not make whole.
CUT_AT = zlib.decompressobj(wbits=31).decompress(CUT).count(b"\n") + 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("en-fr.txt.gz", CUT, rf"en-fr\.txt\.gz:{CUT_AT}: cannot be read on, broken or cut short"),
        ("en-fr.txt", b"dog chien\n\xff\xfe", r"en-fr\.txt:2: not UTF-8"),
        ("en-fr.txt", b"a list of\nprose and other\nthings", r"en-fr\.txt:1: not a list of word pairs"),
        ("en-fr.txt", b"dog chien\na list of\ncat\tchat\nprose\nand other things", r"en-fr\.txt:2: not a list of word"),
        ("en-fr.txt", b"", r"en-fr\.txt: holds no word pair"),
        ("en-fr.txt", b"dog\t\n", r"en-fr\.txt: holds no word pair"),
        ("en-xx.txt", b"dog chien\n", "no file like"),
        ("x.zip", b"not a zip", r"x\.zip: broken or cut short, or not a zip archive: download it again"),
    ],
)
def test_broken_files_are_errors_with_their_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / "muse").mkdir()
    (tmp_path / "muse" / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        build(tmp_path, {"reader": "muse", "path": "muse"}, spoken("en", "fr"))
    assert not (tmp_path / "lexicon").exists()


def test_damage_to_a_zip_names_it_and_the_file_within(tmp_path: Path) -> None:
    path = tmp_path / "muse.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("deep/en-de.txt", "deep/en-fr.txt"):
            archive.writestr(name, "".join(f"w{n * n % 997} m{n * 7 % 991}\n" for n in range(900)))
        text = archive.getinfo("deep/en-fr.txt").header_offset + 1000
    whole = path.read_bytes()
    # In the last entry of the list at the end: the version of zip that unpacks it, and its method.
    entry = whole.rfind(b"PK\x01\x02")
    version, method = entry + 6, entry + 10
    name, again = r"muse\.zip/deep/en-fr\.txt", r"download it again \(.+\)"
    damaged = [
        (whole[:at] + b"\xee" + whole[at + 1 :], message)
        for at, message in (
            (text, f"{name}: cannot be unpacked, the archive is damaged: {again}"),
            (method, f"{name}: cannot be unpacked: .*method is not supported"),
            (version, rf"muse\.zip: .*{again}"),
        )
    ]
    cut = [whole[:-30], whole[: len(whole) // 2], b""]
    for content, message in damaged + [(it, rf"muse\.zip: broken or cut short.*{again}") for it in cut]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            build(tmp_path, {"reader": "muse", "path": "muse.zip"}, spoken("en", "de", "fr"))


def test_an_empty_file_among_others_is_an_error(table_11: Path) -> None:
    (table_11 / "muse" / "en-de.txt").touch()
    with pytest.raises(InputError, match=r"en-de\.txt: holds no word pair"):
        build(table_11, {"reader": "muse", "path": "muse"}, spoken("en", "fr", "de"))


def test_the_files_named_are_those_read(table_11: Path) -> None:
    for name in ("muse/en-fr.txt~", "muse/notes.txt", "muse/en-cs.txt"):
        (table_11 / name).write_text("dog pes\n", encoding="utf-8")
    with zipfile.ZipFile(table_11 / "muse" / "more.zip", "w") as archive:
        archive.writestr("deep/de-en.txt", "hund dog\n")
    for settings, names in (
        ({"path": "muse"}, ["en-fr.txt", "fr-de.txt.gz", "more.zip"]),
        ({"path": "muse", "pairs": ["fr-de"]}, ["fr-de.txt.gz", "more.zip"]),
        ({"path": "muse/en-fr.txt"}, ["en-fr.txt"]),
    ):
        entry, languages = dictionary(reader="muse", **settings), spoken("en", "fr", "de")
        found = dictionary_files(entry, languages=languages, data=table_11)
        assert [file.name for file in found] == names
        manifest, _ = build(table_11, {"reader": "muse", **settings}, languages)
        assert set(manifest.inputs) == set(map(str, found))
    assert dictionary_files(dictionary(reader="muse", path="none"), languages=languages, data=table_11) == []


def test_word_lists_in_a_folder(tmp_path: Path) -> None:
    for name in (
        "swadesh110/eng-000",
        "swadesh110/deu-000",
        "swadesh207/eng-000",
        "other/eng-000",
        "swadesh110/xxx-000",
    ):
        (tmp_path / "lists" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lists" / f"{name}.txt").write_text("dog\n", encoding="utf-8")
    settings = {"reader": "panlex-swadesh", "path": "lists", "lists": ["swadesh110"]}
    languages = spoken(en={"panlex": "eng-000"}, de={"panlex": "deu-000"})
    found = dictionary_files(dictionary(**settings), languages=languages, data=tmp_path)
    assert [f"{file.parent.name}/{file.stem}" for file in found] == ["swadesh110/deu-000", "swadesh110/eng-000"]
    assert build(tmp_path, settings, languages)[0].counts["files"] == 2


def test_missing_folder_and_missing_column() -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        build(Path("nowhere"), {"reader": "muse", "path": "muse"}, spoken("en", "fr"))
    with pytest.raises(InputError, match="none of the languages has a code in the column 'panlex'"):
        build(Path("nowhere"), {"reader": "panlex-swadesh", "path": "x.zip"}, spoken("en", "fr"))


def test_opening_what_is_no_lexicon(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Lexicon.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "corpus"}')
    with pytest.raises(InputError, match="not the manifest of a lexicon"):
        Lexicon.open(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"reader": "muze", "path": "x"},
        {"reader": "muse", "path": "x", "hops": 3},
        {"reader": "muse", "path": "x", "lists": ["swadesh110"]},
        {"reader": "tsv", "path": "x", "pairs": ["en_de"]},
    ],
)
def test_configuration_is_strict(settings: dict) -> None:
    with pytest.raises(ValidationError):
        dictionary(**settings)


def test_table_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "panlex.csv").write_text(
        "id,source_language,source,target_language,target\n"
        '1,eng-000,"hello, you",fra-000,bonjour\n2,eng-000,dog,deu-000,Hund\n3,eng-000,dog,xxx-000,hup\n4,eng-000\n',
        encoding="utf-8",
    )
    languages = spoken(en={"panlex": "eng-000"}, fr={"panlex": "fra-000"}, de={"panlex": "deu-000"})
    manifest, lexicon = build(tmp_path, {"reader": "panlex-csv", "path": "panlex.csv"}, languages)
    assert lexicon.translations("hello, you", "en") == {"fr": ["bonjour"]}
    assert lexicon.translations("dog", "en") == {"de": ["hund"]}
    assert manifest.dropped == {"columns unlike the header": 1}


def test_table_of_columns(tmp_path: Path) -> None:
    text = "concept\teng-000\tfra-000\tdeu-000\n1\tdog|hound\tchien\t\n2\tcat\t\tKatze\n"
    (tmp_path / "panlex.tsv").write_text(text, encoding="utf-8")
    languages = spoken(en={"panlex": "eng-000"}, fr={"panlex": "fra-000"}, de={"panlex": "deu-000"})
    _, lexicon = build(tmp_path, {"reader": "panlex-csv", "path": "panlex.tsv"}, languages)
    assert lexicon.translations("chien", "fr") == {"en": ["dog", "hound"]}
    assert lexicon.translations("katze", "de") == {"en": ["cat"]}


def test_a_table_cut_short_names_the_line(tmp_path: Path) -> None:
    rows = "".join(f"w{n * n % 997},m{n * 7 % 991}\n" for n in range(900))
    cut = gzip.compress(f"eng-000,fra-000\n{rows}".encode())[:-900]
    (tmp_path / "panlex.csv.gz").write_bytes(cut)
    line = zlib.decompressobj(wbits=31).decompress(cut).count(b"\n") + 1
    languages = spoken(en={"panlex": "eng-000"}, fr={"panlex": "fra-000"})
    with pytest.raises(InputError, match=rf"panlex\.csv\.gz:{line}: cannot be read on, broken or cut short"):
        build(tmp_path, {"reader": "panlex-csv", "path": "panlex.csv.gz"}, languages)


@pytest.mark.parametrize("name", ["panlex.csv", "panlex.csv.gz"])
@pytest.mark.parametrize("line", [1, 7, 5002])
def test_a_byte_of_a_table_that_is_no_text_names_its_line(tmp_path: Path, name: str, line: int) -> None:
    rows = [b"eng-000,fra-000", *(b"w%d,m%d" % (number, number) for number in range(6000))]
    rows[line - 1] += b"\xff"
    # A quoted cell may go over lines.
    rows[1] = b'"two\nlines",x'
    at = line + (line > 1)
    content = b"\n".join(rows)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    languages = spoken(en={"panlex": "eng-000"}, fr={"panlex": "fra-000"})
    with pytest.raises(InputError, match=rf"{name}:{at}: not UTF-8: byte 0xff"):
        build(tmp_path, {"reader": "panlex-csv", "path": name}, languages)


def test_table_without_languages(tmp_path: Path) -> None:
    (tmp_path / "panlex.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"panlex\.csv:1: the header has neither"):
        build(tmp_path, {"reader": "panlex-csv", "path": "panlex.csv"}, spoken(en={"panlex": "eng-000"}))


def test_bli_zip_by_hand(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "hu-l2.zip", "w") as archive:
        archive.writestr("hu-bg/hu-bg.train.500.cc.trans", "egy\tедин\n")
        archive.writestr("hu-bg/hu-bg.test.2000.cc.trans", "nap\tден\n")
    _, lexicon = build(tmp_path, {"reader": "panlex-bli", "path": "hu-l2.zip"}, spoken("hu", "bg"))
    assert lexicon.translations("egy", "hu") == {"bg": ["един"]}
    assert lexicon.translations("nap", "hu") == {}


def test_real_swadesh(shared_data: Path, tmp_path: Path) -> None:
    languages = spoken(en={"panlex": "eng-000"}, de={"panlex": "deu-000"}, qx={"panlex": "qxx-999"})
    settings = {"reader": "panlex-swadesh", "path": "panlex/panlex_swadesh.zip"}
    _, lexicon = build(tmp_path, settings, languages, shared_data)
    assert lexicon.languages == ["de", "en"]
    assert lexicon.translations("dog", "en")["de"] == ["hund"]
    assert {"big", "large"} <= set(lexicon.translations("groß", "de")["en"])
    _, small = build(tmp_path, settings | {"lists": ["swadesh110"]}, languages, shared_data)
    assert len(small) < len(lexicon)


def test_real_bli(shared_data: Path, tmp_path: Path) -> None:
    settings = {"reader": "panlex-bli", "path": "panlex/bli/hu-l2.zip"}
    _, lexicon = build(tmp_path, settings, spoken("hu", "bg", "fi", "tr"), shared_data)
    assert "един" in lexicon.translations("egy", "hu")["bg"]
    # The folder holds the zips of three languages: th-bg and tr-bg come with them.
    settings["path"] = "panlex/bli"
    _, whole = build(tmp_path, settings, spoken("hu", "bg", "fi", "tr"), shared_data)
    assert whole.translations("eskiden", "tr")["bg"]
    assert len(whole) > len(lexicon)


def test_real_afromt(shared_data: Path, tmp_path: Path) -> None:
    settings = {"reader": "tsv", "path": "afromt-dictionaries"}
    manifest, lexicon = build(tmp_path, settings, spoken("en", "sw", "zu"), shared_data)
    assert manifest.dropped["empty word"] > 0
    assert "wakati" in lexicon.translations("time", "en")["sw"]


@pytest.mark.parametrize(
    "settings",
    [
        {"reader": "muse", "path": "muse"},
        {"reader": "panlex-swadesh", "path": "panlex/panlex_swadesh.zip"},
        {"reader": "panlex-bli", "path": "panlex/bli", "codes": "muse"},
    ],
    ids=lambda settings: settings["reader"],
)
def test_real_words_are_in_the_scripts_of_their_language(
    table: dict[str, Language], shared_data: Path, settings: dict
) -> None:
    # Of MUSE's Latin ones some do.
    languages = {code: it for code, it in table.items() if it.scripts != ("Latn",) or code in ("en", "de", "fr", "hu")}
    words, manifest = defaultdict(set), Manifest("lexicon", {})
    for links in read_links(dictionary(**settings), languages=languages, data=shared_data, manifest=manifest):
        words[links.source].update(links.sources)
        words[links.target].update(links.targets)
    assert len(words) >= 5 and manifest.dropped["another script"] > 0
    for code, found in words.items():
        scripts = table[code].scripts
        assert all(any(is_of(letter, scripts) for letter in word) for word in found if any(map(str.isalpha, word))), (
            code
        )
    for code, share in (("zh", 0.0), ("zhtrad", 1.0), ("yue", 1.0)):
        if code in words:
            assert share_of_traditional("".join(words[code])) == pytest.approx(share, abs=0.05)


def test_both_kinds_of_chinese_are_known(table: dict[str, Language], shared_data: Path) -> None:
    """MUSE's Chinese, Traditional for the most part, serves the one as well as the other."""
    languages = {code: table[code] for code in ("en", "zh", "zhtrad")}
    words = defaultdict(set)
    links_of = read_links(
        dictionary(reader="muse", path="muse"), languages=languages, data=shared_data, manifest=Manifest("lexicon", {})
    )
    for links in links_of:
        words[links.target].update(links.targets)
    for code in ("zh", "zhtrad"):
        file = shared_data / "flores101" / "devtest" / f"{table[code].codes['flores101']}.devtest"
        sentences = segment(file.read_text(encoding="utf-8").lower().splitlines()[:200], table[code])
        tokens = [token for sentence in sentences for token in sentence if any(map(str.isalpha, token))]
        # Of all words, names among them, and those that jieba joins.
        assert sum(token in words[code] for token in tokens) > 0.4 * len(tokens)


@pytest.mark.slow
def test_all_of_muse(table: dict[str, Language], shared_data: Path, tmp_path: Path) -> None:
    manifest, lexicon = build(tmp_path, {"reader": "muse", "path": "muse"}, table, shared_data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2_000_000
    # The one Chinese of the files is two of ours.
    assert manifest.counts["files"] == 49 and len(lexicon.languages) == 46
    assert manifest.counts["lines"] == sum(
        gzip.decompress(file.read_bytes()).count(b"\n") for file in (shared_data / "muse").iterdir()
    )
    translations = lexicon.translations("dog", "en")
    assert len(translations) == 45
    assert "hund" in translations["de"] and "chien" in translations["fr"] and "狗" in translations["zh"]
    assert "dog" in lexicon.translations("собака", "ru")["en"]
