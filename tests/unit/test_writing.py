"""Words in the script of their language, and Chinese ones in its characters."""

import pytest
from alphabets import NAMES, is_of
from hypothesis import given
from hypothesis import strategies as st

from lingualift.errors import LingualiftError
from lingualift.writing import in_script


@pytest.mark.parametrize(
    ("scripts", "words", "expected"),
    [
        ("Cyrl", ["собака", "dog", "dvd-плеер", "1990", "µ", "ʼ", "…"], "собака None dvd-плеер 1990 µ ʼ …"),
        ("Latn", ["dog", "straße", "đường", "собака", "о", "½", "5g"], "dog straße đường None None ½ 5g"),
        ("Cyrl Latn", ["пас", "pas", "σκύλος"], "пас pas None"),
        ("Jpan", ["犬", "いぬ", "イヌ", "tシャツ", "ー", "cd", "개"], "犬 いぬ イヌ tシャツ ー None None"),
        ("Hang", ["개", "ㄱ", "dog", "犬"], "개 ㄱ None None"),
        ("Kore", ["개", "dog", "犬"], "개 None 犬"),
        ("Laoo", ["ໝາ", "mǎa"], "ໝາ None"),
        # A vowel sign is no letter, but of the script.
        ("Khmr", ["ឆ្កែ", "x\u17c2", "ch~kae"], "ឆ្កែ x\u17c2 None"),
        ("Hans", ["電腦", "电脑", "乾淨", "卡拉ok", "dvd", "イヌ", "42"], "电脑 电脑 干净 卡拉ok None None 42"),
        # What is Traditional stays, in its own variant too: 萬里 is not 萬裏, 干預 not 幹預, 吃 not 喫.
        (
            "Hant",
            ["电脑", "電腦", "萬里", "干預", "裏面", "吃", "公里", "dvd"],
            "電腦 電腦 萬里 干預 裏面 吃 公里 None",
        ),
    ],
)
def test_by_hand(scripts: str, words: list[str], expected: str) -> None:
    assert in_script(words, scripts.split()) == [None if it == "None" else it for it in expected.split(" ")]


@given(
    words=st.lists(st.text(st.sampled_from("aZéßжЯѣאبกລខ犬あイ가ሀ4-' "), min_size=1), max_size=20),
    scripts=st.lists(st.sampled_from(sorted(set(NAMES) - {"Hans", "Hant"})), min_size=1, max_size=2),
)
def test_agrees_with_the_names_of_characters(words: list[str], scripts: list[str]) -> None:
    def dropped(word: str) -> bool:
        return any(map(str.isalpha, word)) and not any(is_of(character, tuple(scripts)) for character in word)

    assert in_script(words, scripts) == [None if dropped(word) else word for word in words]


def test_a_script_that_is_none() -> None:
    with pytest.raises(LingualiftError, match="Xxxx: a script that Unicode does not know"):
        in_script(["dog"], ["Xxxx"])
