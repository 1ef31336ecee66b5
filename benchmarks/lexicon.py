"""Lexicons: building that of all 49 MUSE files and opening it, seconds and memory.

    python benchmarks/lexicon.py --data ../shared/data

On one core, in a process of its own each time. Opening is what every job that replaces words begins with: the lexicon
is opened in a fresh process and one word is looked up; imports are off the clock. There is no peer. Aims: built in less
than 60 s and 2 GB, opened in less than 0.2 s.
"""

import resource
import tempfile
import time
from pathlib import Path

from common import Row, arguments_parser, main_or_part, report, run_part

from lingualift.languages import Language, load_languages


def main() -> None:
    """Build and open, some times over, and print the table."""
    arguments = arguments_parser(__doc__, repetitions=3).parse_args()
    built, opened = [], []
    for _ in range(arguments.repetitions):
        with tempfile.TemporaryDirectory() as folder:
            built.append(run_part(__file__, "build", one_core=True, data=arguments.data, out=Path(folder) / "lexicon"))
            opened.append(run_part(__file__, "open", one_core=True, folder=Path(folder) / "lexicon"))
    rows = [
        Row(what="building MUSE, 49 files", unit="s", values=[part["seconds"] for part in built], digits=1),
        Row(what="building, peak memory", unit="MB", values=[part["memory"] for part in built]),
        Row(what="opening, and one look-up", unit="ms", values=[1000 * part["seconds"] for part in opened], digits=1),
        Row(what="opening, peak memory", unit="MB", values=[part["memory"] for part in opened]),
    ]
    report("lexicon", rows)


def muse_languages(data: Path) -> dict[str, Language]:
    """The languages of the MUSE files, by code."""
    theirs = {code for file in (data / "muse").iterdir() for code in file.name.split(".")[0].split("-")}
    table = load_languages(Path(__file__).parents[1] / "config" / "languages.tsv")
    return {code: language for code, language in table.items() if language.codes.get("muse") in theirs}


def build(data: str, out: str) -> dict[str, float]:
    """Build the lexicon of all files; seconds and peak memory."""
    from lingualift.configuration.lexicons import MuseDictionary
    from lingualift.lexicons import build_lexicon

    start = time.perf_counter()
    dictionary = MuseDictionary(reader="muse", path="muse")
    build_lexicon(dictionary, languages=muse_languages(Path(data)), data=Path(data), out=Path(out))
    return {"seconds": time.perf_counter() - start, "memory": _peak_memory()}


def open_one(folder: str) -> dict[str, float]:
    """Open a lexicon and look up one word; seconds and peak memory."""
    from lingualift.lexicons import Lexicon

    start = time.perf_counter()
    Lexicon.open(Path(folder)).translations("dog", "en")
    return {"seconds": time.perf_counter() - start, "memory": _peak_memory()}


def _peak_memory() -> float:
    """In MB; the system counts in kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main_or_part(main, {"build": build, "open": open_one})
