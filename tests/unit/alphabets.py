"""Scripts by the names of their characters, and characters that only one kind of Chinese has; for tests."""

import functools
import unicodedata
from collections import Counter
from collections.abc import Sequence

NAMES = {
    "Arab": ("ARABIC",),
    "Armn": ("ARMENIAN",),
    "Beng": ("BENGALI",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Ethi": ("ETHIOPIC",),
    "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hang": ("HANGUL",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Hebr": ("HEBREW",),
    "Jpan": ("HIRAGANA", "KATAKANA", "CJK", "IDEOGRAPHIC"),
    "Khmr": ("KHMER",),
    "Knda": ("KANNADA",),
    "Laoo": ("LAO ",),
    "Latn": ("LATIN",),
    "Mlym": ("MALAYALAM",),
    "Mymr": ("MYANMAR",),
    "Olck": ("OL CHIKI",),
    "Orya": ("ORIYA",),
    "Sinh": ("SINHALA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Tfng": ("TIFINAGH",),
    "Thai": ("THAI",),
    "Tibt": ("TIBETAN",),
}
SIMPLIFIED = "们这国来时说会对发从学过还问车见长门开马东两个为"
TRADITIONAL = "們這國來時說會對發從學過還問車見長門開馬東兩個為"


@functools.cache
def is_of(character: str, scripts: tuple[str, ...]) -> bool:
    """Whether a character is called after one of the scripts."""
    return unicodedata.name(character, "").startswith(tuple(name for script in scripts for name in NAMES[script]))


def share_of_letters(text: str, scripts: Sequence[str]) -> float:
    """The share of a text's letters that are of the scripts."""
    letters = {character: count for character, count in Counter(text).items() if character.isalpha()}
    own = sum(count for character, count in letters.items() if is_of(character, tuple(scripts)))
    return own / sum(letters.values())


def share_of_traditional(text: str) -> float:
    """Among the characters that only one kind of Chinese has (frequent ones), the share of Traditional ones."""
    counts = Counter(text)
    simplified, traditional = (sum(counts[it] for it in kind) for kind in (SIMPLIFIED, TRADITIONAL))
    return traditional / (simplified + traditional)
