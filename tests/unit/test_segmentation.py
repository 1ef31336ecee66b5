"""Segmentation: words and back, to the character."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingualift.segmentation import join, segment


@dataclass(frozen=True)
class Written:
    segmentation: str


SPACE, JIEBA, CHARACTER = Written("space"), Written("jieba"), Written("character")


def test_chinese_by_jieba_and_the_rest_by_spaces() -> None:
    assert segment(["我来到北京清华大学"], JIEBA) == [["我", "来到", "北京", "清华大学"]]
    assert segment(["ein Hund, ein  Tier", ""], SPACE) == [["ein", "Hund,", "ein", "", "Tier"], [""]]
    assert segment(["ไทย ภาษา"], CHARACTER) == [["ไทย", "ภาษา"]]


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60) | st.text("我来到北京 ,。ab1\u3000\n", max_size=60))
@pytest.mark.parametrize("language", [SPACE, JIEBA, CHARACTER])
def test_joining_undoes_segmenting(language: Written, sentence: str) -> None:
    assert join(segment([sentence], language)[0], language) == sentence


def test_replaced_words_in_chinese_stand_apart() -> None:
    words = ["狗", "dog", "喜欢", "吃", "。"]
    assert join(words, JIEBA, replaced=[False, True, False, False, False]) == "狗 dog 喜欢吃。"
    assert join(["我", "like", "dogs", "。"], JIEBA, replaced=[False, True, True, False]) == "我 like dogs。"
    # Japanese in kanji is not set off, nor is what was Latin all along.
    assert join(["我", "犬", "iphone", "手机"], JIEBA, replaced=[False, True, False, False]) == "我犬 iphone手机"
    assert join(["a", " ", "b"], JIEBA, replaced=[True, False, True]) == "a b"
    assert join(["ein", "dog"], SPACE, replaced=[False, True]) == "ein dog"


def test_jieba_leaves_nothing_behind(tmp_path: Path) -> None:
    code = (
        "from lingualift.segmentation import segment; from types import SimpleNamespace as N;"
        "segment(['你好'], N(segmentation='jieba'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"TMPDIR": str(tmp_path)}, capture_output=True, check=True
    )
    assert not done.stdout and not done.stderr
    assert not list(tmp_path.iterdir())
