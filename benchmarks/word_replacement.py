"""Replacing words by translations: sentences a second, against OpusTrainer.

    python benchmarks/word_replacement.py --data ../shared/data

The text is the 29,000 English training captions of Multi30k, the chance 0.3 a word, the machine one core; the rows
take turns, five times, and the table gives the medians. Written to ``benchmarks/output/word_replacement.csv``.

- **Replacer**: ours, as the workflow runs it: all of MUSE as the lexicon, any of its 44 other languages, in batches
  of 16,384 lines; a new one each time, so that nothing is remembered from the last.
- **replace_words**: ours for one sentence, the same method without batches.
- **OpusTrainer, Tags**: ``PlaceholderTagModifier(0.3, template="{src} {trg}")``, the modifier of OpusTrainer 0.5 that
  puts translations of words into a source sentence (it has none that looks words up in a dictionary). It draws words
  at the same chance and writes each one's translation after it, which is its default template without the marks; a
  template without ``{src}`` fails in this version. It takes translations from an aligned target: it is given the
  German caption, aligned word by word in order, prepared off the clock. It keeps no choice of language, and nothing
  is looked up, so that its work is the lighter one.

Reading the text, opening the lexicon and importing are off the clock, for all. OpusTrainer pins other versions than
the project, so that it runs in an environment of its own, made at the first run.
"""

import gzip
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from common import OUTPUT, arguments_parser, main_or_part, report, run_part, speed_rows

_PEER = "opustrainer==0.5"
_RATE = 0.3
_BATCH = 16_384


def main() -> None:
    """Run everything, print the table, write it."""
    arguments = arguments_parser(__doc__, repetitions=5).parse_args()
    order = [
        ("Replacer", sys.executable, "replacer"),
        ("replace_words", sys.executable, "words"),
        ("OpusTrainer, Tags", _peer_python(), "peer"),
    ]
    speeds: dict[str, list[float]] = {name: [] for name, _, _ in order}
    with tempfile.TemporaryDirectory() as folder:
        lexicon = Path(folder) / "lexicon"
        _build(arguments.data, lexicon)
        for _ in range(arguments.repetitions):
            for name, python, part in order:
                result = run_part(__file__, part, python=python, one_core=True, data=arguments.data, lexicon=lexicon)
                speeds[name].append(result["sentences"] / result["seconds"])
    report("word_replacement", speed_rows(speeds, peer="OpusTrainer, Tags", unit="sentences/s"))


def _peer_python() -> str:
    """An interpreter that has OpusTrainer."""
    folder = OUTPUT / "opustrainer-environment"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", _PEER], check=True)
        (folder / "complete").touch()
    return str(python)


def _captions(data: str, language: str) -> list[str]:
    with gzip.open(Path(data) / "multi30k" / f"train.{language}.gz", "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def _build(data: Path, lexicon: Path) -> None:
    from lexicon import muse_languages

    from lingualift.configuration.lexicons import MuseDictionary
    from lingualift.lexicons import build_lexicon

    dictionary = MuseDictionary(reader="muse", path="muse")
    build_lexicon(dictionary, languages=muse_languages(data), data=data, out=lexicon)


def _replacer(data: str, lexicon: str) -> dict[str, float]:
    import numpy as np
    from lexicon import muse_languages

    from lingualift.lexicons import Lexicon
    from lingualift.replacement import Replacer

    sentences, opened, language = _captions(data, "en"), Lexicon.open(Path(lexicon)), muse_languages(Path(data))["en"]
    start = time.perf_counter()
    replace = Replacer(opened, "en", language, to=opened.languages, rate=_RATE, seed=17)
    for first in range(0, len(sentences), _BATCH):
        batch = sentences[first : first + _BATCH]
        replace(batch, np.arange(first, first + len(batch)))
    return {"sentences": len(sentences), "seconds": time.perf_counter() - start}


def _words(data: str, lexicon: str) -> dict[str, float]:
    import numpy as np

    from lingualift.lexicons import Lexicon
    from lingualift.replacement import replace_words

    # A tenth of the text: the speed is the same, and the wait is not.
    sentences, opened = _captions(data, "en")[::10], Lexicon.open(Path(lexicon))
    rng = np.random.default_rng(17)
    start = time.perf_counter()
    for sentence in sentences:
        words = sentence.lower().split(" ")
        " ".join(replace_words(words, opened, language="en", to=opened.languages, rate=_RATE, rng=rng))
    return {"sentences": len(sentences), "seconds": time.perf_counter() - start}


def _opustrainer(data: str, lexicon: str) -> dict[str, float]:
    import random

    from opustrainer.modifiers.placeholders import PlaceholderTagModifier

    lines = []
    for source, target in zip(_captions(data, "en"), _captions(data, "de"), strict=True):
        source, target = source.replace("\t", " "), target.replace("\t", " ")
        length = min(len(source.split()), len(target.split()))
        # It cannot take a line without a target, should there be one.
        if not length:
            continue
        lines.append(f"{source.lower()}\t{target}\t{' '.join(f'{i}-{i}' for i in range(length))}")
    random.seed(17)
    modifier = PlaceholderTagModifier(_RATE, template="{src} {trg}")
    start = time.perf_counter()
    num_sentences = sum(1 for _ in modifier(lines))
    seconds = time.perf_counter() - start
    if num_sentences < len(lines):
        raise RuntimeError(f"OpusTrainer skipped {len(lines) - num_sentences} lines")
    return {"sentences": num_sentences, "seconds": seconds}


if __name__ == "__main__":
    main_or_part(main, {"replacer": _replacer, "words": _words, "peer": _opustrainer})
