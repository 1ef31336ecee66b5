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

Also measured: building the lexicon of all 49 MUSE files (seconds, peak memory) and opening it.
"""

import argparse
import csv
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

_OUTPUT = Path(__file__).parent / "output"
_PEER = "opustrainer==0.5"
_RATE = 0.3
_BATCH = 16_384


def main() -> None:
    """Run everything, print the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of sample data")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--part", choices=sorted(_PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--lexicon", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(json.dumps(_PARTS[arguments.part](arguments.data, arguments.lexicon)))
        return
    peer = _peer_python()
    with tempfile.TemporaryDirectory() as folder:
        lexicon = Path(folder) / "lexicon"
        built = _run(sys.executable, "build", arguments.data, lexicon)
        order = [
            ("Replacer", sys.executable, "replacer"),
            ("replace_words", sys.executable, "words"),
            ("OpusTrainer, Tags", peer, "peer"),
        ]
        measured: dict[str, list[float]] = {name: [] for name, _, _ in order}
        for _ in range(arguments.repetitions):
            for name, python, part in order:
                result = _run(python, part, arguments.data, lexicon)
                measured[name].append(result["sentences"] / result["seconds"])
    base = statistics.median(measured["OpusTrainer, Tags"])
    rows = [
        {
            "what": name,
            "median": round(statistics.median(speeds)),
            "least": round(min(speeds)),
            "most": round(max(speeds)),
            "unit": "sentences/s",
            "ratio": round(statistics.median(speeds) / base, 2),
        }
        for name, speeds in measured.items()
    ]
    for name, (value, unit) in built.items():
        rows.append({"what": name, "median": value, "least": value, "most": value, "unit": unit, "ratio": ""})
    _OUTPUT.mkdir(exist_ok=True)
    with (_OUTPUT / "word_replacement.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]:
        print("{what:<32} {median:>10} {least:>10} {most:>10}  {unit:<12} {ratio:>6}".format(**row))


def _run(python: str, part: str, data: Path, lexicon: Path) -> dict:
    """Run one part in a process of its own, on one core."""
    command = [python, __file__, "--part", part, "--data", str(data), "--lexicon", str(lexicon)]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, env=os.environ | limits, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _peer_python() -> str:
    """An interpreter that has OpusTrainer."""
    folder = _OUTPUT / "opustrainer-environment"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", _PEER], check=True)
        (folder / "complete").touch()
    return str(python)


def _captions(data: Path, language: str) -> list[str]:
    with gzip.open(data / "multi30k" / f"train.{language}.gz", "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def _languages(data: Path) -> dict:
    from types import SimpleNamespace

    files = (data / "muse").iterdir()
    codes = sorted({code for file in files for code in file.name.split(".")[0].split("-")})
    return {code: SimpleNamespace(code=code, codes={"muse": code}, segmentation="space") for code in codes}


def _build(data: Path, lexicon: Path) -> dict[str, tuple[float, str]]:
    import resource

    from lingualift.configuration.lexicons import MuseDictionary
    from lingualift.lexicons import Lexicon, build_lexicon

    start = time.perf_counter()
    dictionary = MuseDictionary(reader="muse", path="muse")
    build_lexicon(dictionary, languages=_languages(data), data=data, out=lexicon)
    seconds = time.perf_counter() - start
    # Kilobytes on Linux.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start = time.perf_counter()
    Lexicon.open(lexicon).translations("dog", "en")
    opening = time.perf_counter() - start
    return {
        "building MUSE, 49 files": (round(seconds, 1), "s"),
        "building MUSE, peak memory": (round(memory, 2), "GB"),
        "opening it, and one look-up": (round(1000 * opening, 1), "ms"),
    }


def _replacer(data: Path, lexicon: Path) -> dict[str, float]:
    import numpy as np

    from lingualift.lexicons import Lexicon
    from lingualift.replacement import Replacer

    sentences, opened, language = _captions(data, "en"), Lexicon.open(lexicon), _languages(data)["en"]
    start = time.perf_counter()
    replace = Replacer(opened, "en", language, to=opened.languages, rate=_RATE, seed=17)
    for first in range(0, len(sentences), _BATCH):
        batch = sentences[first : first + _BATCH]
        replace(batch, np.arange(first, first + len(batch)))
    return {"sentences": len(sentences), "seconds": time.perf_counter() - start}


def _words(data: Path, lexicon: Path) -> dict[str, float]:
    import numpy as np

    from lingualift.lexicons import Lexicon
    from lingualift.replacement import replace_words

    # A tenth of the text: the speed is the same, and the wait is not.
    sentences, opened = _captions(data, "en")[::10], Lexicon.open(lexicon)
    rng = np.random.default_rng(17)
    start = time.perf_counter()
    for sentence in sentences:
        words = sentence.lower().split(" ")
        " ".join(replace_words(words, opened, language="en", to=opened.languages, rate=_RATE, rng=rng))
    return {"sentences": len(sentences), "seconds": time.perf_counter() - start}


def _opustrainer(data: Path, lexicon: Path) -> dict[str, float]:
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


_PARTS = {"build": _build, "replacer": _replacer, "words": _words, "peer": _opustrainer}


if __name__ == "__main__":
    main()
