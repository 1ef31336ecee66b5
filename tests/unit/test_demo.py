"""The demo's text: the committed files are what the grammar says, and the grammar is right."""

import json
from pathlib import Path

import pytest

from lingualift.demo import LANGUAGE_NAMES, LANGUAGES
from lingualift.demo.__main__ import main
from lingualift.demo.grammar import Grammar, load_grammar
from lingualift.demo.meaning import Clause, NounPhrase, Sampler
from lingualift.demo.realisation import Realiser
from lingualift.demo.text import words
from lingualift.errors import InputError

DEMO = Path(__file__).parents[2] / "demo"
DATA = DEMO / "data"


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return load_grammar(DEMO / "grammar.yaml")


def lines(name: str) -> list[str]:
    return (DATA / name).read_text(encoding="utf-8").splitlines()


def phrase(grammar: Grammar, text: str) -> NounPhrase:
    """Read a noun phrase from the grammar's names, e.g. ``this small dog``."""
    determiner, *adjective, noun = text.split()
    return NounPhrase(
        noun=grammar.nouns[noun],
        determiner=determiner,
        adjective=grammar.adjectives[adjective[0]] if adjective else None,
    )


def say(
    grammar: Grammar,
    subjects: list[str],
    verb: str | None = None,
    objects: tuple[str, ...] = (),
    *,
    quality: str | None = None,
    place: str | None = None,
    time: str | None = None,
    adverb: str | None = None,
    is_negated: bool = False,
) -> list[str]:
    clause = Clause(
        subjects=tuple(phrase(grammar, text) for text in subjects),
        verb=grammar.verbs[verb] if verb else None,
        objects=tuple(phrase(grammar, text) for text in objects),
        quality=grammar.adjectives[quality] if quality else None,
        place=grammar.places[place] if place else None,
        time=grammar.times[time] if time else None,
        adverb=adverb,
        is_negated=is_negated,
    )
    return list(Realiser(grammar)((clause,)).values())


def test_same_bytes_again(tmp_path: Path) -> None:
    main([str(DEMO / "grammar.yaml"), str(tmp_path / "data"), "--seed", "17"])
    made = {path.relative_to(tmp_path / "data"): path for path in (tmp_path / "data").rglob("*") if path.is_file()}
    kept = {path.relative_to(DATA): path for path in DATA.rglob("*") if path.is_file()}
    assert made.keys() == kept.keys()
    assert [name for name in kept if kept[name].read_bytes() != made[name].read_bytes()] == []


def test_files_are_aligned_and_small() -> None:
    assert {len(lines(f"train.{language}.txt")) for language in LANGUAGES} == {4000}
    assert {len(lines(f"test.{language}.txt")) for language in LANGUAGES} == {100}
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 1_500_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_twice(language: str) -> None:
    further = "english.txt" if language == "en" else f"mono.{language}.txt"
    sentences = lines(f"train.{language}.txt") + lines(f"test.{language}.txt") + lines(further)
    assert len(set(sentences)) == len(sentences)


def test_held_out_sentences_are_in_no_instruction() -> None:
    examples = json.loads((DATA / "instructions.json").read_text(encoding="utf-8"))
    examples += json.loads((DATA / "translations.json").read_text(encoding="utf-8"))
    held_out = {line for language in LANGUAGES for line in lines(f"test.{language}.txt")}
    assert held_out.isdisjoint(example[part] for example in examples for part in ("input", "output"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_held_out_sentences_are_known(language: str) -> None:
    known = {word for line in lines(f"train.{language}.txt") for word in words(line)}
    assert {word for line in lines(f"test.{language}.txt") for word in words(line)} <= known


def test_words_are_chinese_characters_and_russian_words() -> None:
    assert words("小狗睡觉。") == ["小", "狗", "睡", "觉"]
    assert words("Кошка спит, а ребёнок поёт.") == ["кошка", "спит", "а", "ребёнок", "поёт"]


def test_instructions_are_english_and_translations_go_everywhere() -> None:
    examples = json.loads((DATA / "instructions.json").read_text(encoding="utf-8"))
    assert len(examples) == 600
    assert all(set(example) == {"instruction", "input", "output"} for example in examples)
    assert "".join(text for example in examples for text in example.values()).isascii()
    translations = json.loads((DATA / "translations.json").read_text(encoding="utf-8"))
    codes = {name: code for code, name in LANGUAGE_NAMES.items()}
    pairs = {code: {line: place for place, line in enumerate(lines(f"train.{code}.txt"))} for code in LANGUAGES}
    counts: dict[str, int] = {}
    for example in translations:
        *start, source, _, target = example["instruction"].split()
        assert " ".join(start) == "Translate the following sentences from"
        assert pairs[codes[source]][example["input"]] == pairs[codes[target]][example["output"]]
        counts[example["instruction"]] = counts.get(example["instruction"], 0) + 1
    assert len(counts) == 12 and set(counts.values()) == {120}


@pytest.mark.parametrize(
    ("target", "word", "translations"),
    [
        ("de", "dog", {"hund"}),
        ("de", "dogs", {"hunde"}),
        ("de", "farmer", {"bauer", "bauern"}),
        ("de", "old", {"alt", "alte", "alten"}),
        ("de", "eats", {"isst", "frisst"}),
        ("de", "this", {"dieser", "diese", "dieses", "diesen"}),
        ("zh", "dogs", {"狗"}),
        ("zh", "old", {"年老", "旧"}),
        ("zh", "looks", {"找"}),
        ("zh", "garden", {"花园"}),
        ("ru", "cat", {"кошка", "кошку"}),
        ("ru", "cats", {"кошки"}),
        ("ru", "two", {"два", "две"}),
        ("ru", "red", {"красный", "красная", "красное", "красную", "красного"}),
        ("ru", "sunday", {"воскресенье"}),
    ],
)
def test_dictionary(target: str, word: str, translations: set[str]) -> None:
    pairs = [line.split(" ") for line in lines(f"dictionaries/en-{target}.txt")]
    assert {translation for source, translation in pairs if source == word} == translations


@pytest.mark.parametrize("target", LANGUAGES[1:])
def test_dictionary_knows_nearly_every_word(target: str) -> None:
    pairs = [line.split(" ") for line in lines(f"dictionaries/en-{target}.txt")]
    assert all(len(pair) == 2 and pair == [word.lower() for word in pair] for pair in pairs)
    known = {source for source, _ in pairs}
    unknown = {word for line in lines("train.en.txt") for word in words(line)} - known
    assert unknown == {"the", "in", "at", "on", "is", "are", "do", "does", "for"}


@pytest.mark.parametrize(
    ("arguments", "settings", "expected"),
    [
        (
            (["the small dog"], "see", ("the red apple",)),
            {},
            [
                "The small dog sees the red apple.",
                "Der kleine Hund sieht den roten Apfel.",
                "小狗看见红色的苹果。",
                "Маленькая собака видит красное яблоко.",
            ],
        ),
        (  # German n-declension; Russian masculine animate accusative of a noun in -а
            (["the clever girl"], "know", ("this old man",)),
            {"is_negated": True},
            [
                "The clever girl does not know this old man.",
                "Das kluge Mädchen kennt diesen alten Mann nicht.",
                "聪明的女孩不认识这个年老的男人。",
                "Умная девочка не знает этого старого мужчину.",
            ],
        ),
        (
            (["the young farmer"], "see", ("the small boy",)),
            {"place": "garden"},
            [
                "The young farmer sees the small boy in the garden.",
                "Der junge Bauer sieht den kleinen Jungen im Garten.",
                "年轻的农民在花园里看见小男孩。",
                "Молодой фермер видит маленького мальчика в саду.",
            ],
        ),
        (  # inanimate masculine: accusative like nominative in Russian, not in German
            (["this friendly woman"], "buy", ("this worn table",)),
            {"time": "morning", "place": "market"},
            [
                "In the morning this friendly woman buys this old table at the market.",
                "Am Morgen kauft diese freundliche Frau diesen alten Tisch auf dem Markt.",
                "早上这个友好的女人在市场上买这张旧桌子。",
                "Утром эта приветливая женщина покупает этот старый стол на рынке.",
            ],
        ),
        (  # feminine accusative; a verb of its own for animals in German
            (["the cat", "the mouse"], "graze", ("the fresh fish",)),
            {"adverb": "often"},
            [
                "The cat and the mouse often eat the fresh fish.",
                "Die Katze und die Maus fressen oft den frischen Fisch.",
                "猫和老鼠经常吃新鲜的鱼。",
                "Кошка и мышь часто едят свежую рыбу.",
            ],
        ),
        (
            (["two child"], "eat", ("three pear",)),
            {},
            [
                "Two children eat three pears.",
                "Zwei Kinder essen drei Birnen.",
                "两个孩子吃三个梨。",
                "Два ребёнка едят три груши.",
            ],
        ),
        (
            (["two cow"], "drink", ("the water",)),
            {"time": "summer"},
            [
                "In summer two cows drink the water.",
                "Im Sommer trinken zwei Kühe das Wasser.",
                "夏天两头牛喝水。",
                "Летом две коровы пьют воду.",
            ],
        ),
        (
            (["this horse"],),
            {"quality": "white"},
            ["This horse is white.", "Dieses Pferd ist weiß.", "这匹马是白色的。", "Эта лошадь белая."],
        ),
        (
            (["the milk"],),
            {"quality": "fresh"},
            ["The milk is fresh.", "Die Milch ist frisch.", "牛奶很新鲜。", "Молоко свежее."],
        ),
        (
            (["the new book"],),
            {"place": "library"},
            [
                "The new book is in the library.",
                "Das neue Buch ist in der Bibliothek.",
                "新书在图书馆里。",
                "Новая книга в библиотеке.",
            ],
        ),
    ],
)
def test_sentences(grammar: Grammar, arguments: tuple, settings: dict, expected: list[str]) -> None:
    assert say(grammar, *arguments, **settings) == expected


def test_two_clauses(grammar: Grammar) -> None:
    first = Clause(subjects=(phrase(grammar, "the bird"),), verb=grammar.verbs["sing"], place=grammar.places["garden"])
    second = Clause(subjects=(phrase(grammar, "the child"),), verb=grammar.verbs["run"], place=grammar.places["park"])
    assert list(Realiser(grammar)((first, second)).values()) == [
        "The bird sings in the garden and the child runs in the park.",
        "Der Vogel singt im Garten und das Kind rennt im Park.",
        "鸟在花园里唱歌，孩子在公园里奔跑。",
        "Птица поёт в саду, а ребёнок бегает в парке.",
    ]


def test_what_is_said_makes_sense(grammar: Grammar) -> None:
    sampler = Sampler(grammar, 1)
    clauses = [clause for _ in range(3000) for clause in sampler()]
    for clause in clauses:
        nouns = [phrase.noun for phrase in (*clause.subjects, *clause.objects)]
        assert len({noun.name for noun in nouns}) == len(nouns)
        assert not (clause.time and clause.adverb)
        if clause.verb:
            assert all(phrase.noun.is_animate for phrase in clause.subjects)
            assert bool(clause.objects) == clause.verb.is_transitive
        if clause.verb and clause.verb.name in ("eat", "graze"):
            assert all("food" in phrase.noun.classes for phrase in clause.objects)
        for described in (*clause.subjects, *clause.objects):
            assert described.adjective is None or described.noun.name in described.adjective.nouns


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("subjects: [person], objects: [readable]", "subjects: [person], objects: [raedable]", "raedable"),
        ("zh: 看见, ", "", "'zh'"),
        ("nouns:\n", "nouns: [\n", "not YAML"),
    ],
)
def test_broken_grammar(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (DEMO / "grammar.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "grammar.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_grammar(path)
