"""Memory against the size of the corpus: importing, planning, packing and reading blocks.

    python benchmarks/memory.py --largest 10000000

Text is generated: of N lines half are monolingual, half are two aligned files of N/4 lines, for N = 100,000, ten times
as many, and so on up to ``--largest``. Each stage is a process of its own, with two workers where it has workers. Its
memory is sampled from /proc every 20 ms, over the process and all that it started:

- **anonymous**: RssAnon, what no file stands behind: it is what can run out. Pages that processes share are counted
  for each of them, so that the figure is rather too high.
- **resident**: VmRSS, with the pages of mapped files; the system takes these back when it needs the room.

Memory is flat if a column says the same from top to bottom.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from common import (
    MULTI30K,
    arguments_parser,
    language_names,
    main_or_part,
    markdown,
    part_command,
    short_prompt,
    write_csv,
)

_LANGUAGES = MULTI30K[:2]
_STAGES = ("import", "plan", "pack", "read")
_WORKERS = 2
_BLOCK = 256
_BATCH = 64


def main() -> None:
    """Run every stage on every size and print the table."""
    parser = arguments_parser(__doc__, repetitions=1, data=False)
    parser.add_argument("--smallest", type=int, default=100_000, help="lines of the smallest corpus")
    parser.add_argument("--largest", type=int, default=10_000_000, help="lines of the largest corpus")
    arguments = parser.parse_args()
    rows, lines = [], arguments.smallest
    while lines <= arguments.largest:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(Path(folder), lines)
        print(markdown(rows[-len(_STAGES) :]), flush=True)
        lines *= 10
    write_csv("memory", rows)
    print(f"\n{markdown(rows)}")


def measure(folder: Path, lines: int) -> list[dict[str, str]]:
    """Generate a corpus and run every stage on it."""
    generate(folder / "raw", lines)
    rows = []
    for stage in _STAGES:
        start = time.perf_counter()
        anonymous, resident = watch(part_command(__file__, stage, {"folder": folder}))
        seconds = time.perf_counter() - start
        cells = {"anonymous, MB": f"{anonymous:,.0f}", "resident, MB": f"{resident:,.0f}", "seconds": f"{seconds:,.1f}"}
        rows.append({"stage": stage, "lines": f"{lines:,}", **cells})
    return rows


def watch(command: Sequence[str], *, every: float = 0.02) -> tuple[float, float]:
    """Run a command; the peaks of its anonymous and its resident memory, of all its processes together, in MB.

    Raises:
        RuntimeError: the command failed.
    """
    anonymous = resident = 0
    # A file, since a pipe that nobody reads fills up with progress bars.
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            sizes = [_sizes(number) for number in _tree(process.pid)]
            anonymous = max(anonymous, sum(size["RssAnon"] for size in sizes))
            resident = max(resident, sum(size["VmRSS"] for size in sizes))
            time.sleep(every)
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {errors.read()}")
    return anonymous / 1024, resident / 1024


def _tree(root: int) -> Iterator[int]:
    """A process and all that it started."""
    yield root
    try:
        children = " ".join(path.read_text() for path in Path(f"/proc/{root}/task").glob("*/children"))
    except OSError:  # It has just ended.
        return
    for child in children.split():
        yield from _tree(int(child))


def _sizes(process: int) -> dict[str, int]:
    """RssAnon and VmRSS of a process, in kB; nothing if it has just ended."""
    sizes = {"RssAnon": 0, "VmRSS": 0}
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return sizes
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in sizes:
            sizes[name] = int(rest.split()[0])
    return sizes


def generate(folder: Path, lines: int) -> None:
    """Write made-up text: ``mono.en`` and the aligned ``pair.en``, ``pair.de``."""
    folder.mkdir(parents=True)
    for name, count, seed in (("mono.en", lines // 2, 1), ("pair.en", lines // 4, 2), ("pair.de", lines // 4, 3)):
        with (folder / name).open("w", encoding="utf-8") as file:
            sentences = _sentences(seed)
            for start in range(0, count, 10_000):
                file.writelines(islice(sentences, min(10_000, count - start)))


def _sentences(seed: int) -> Iterator[str]:
    """Lines of eight to sixteen words out of some 20,000, without end."""
    import numpy as np

    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, size)) for size in rng.integers(2, 11, 20_000)]
    phrases = [
        " ".join(words[number] for number in numbers[:size])
        for numbers, size in zip(rng.integers(0, len(words), (20_000, 8)), rng.integers(4, 9, 20_000), strict=True)
    ]
    while True:
        for first, second in rng.integers(0, len(phrases), (10_000, 2)).tolist():
            yield f"{phrases[first]} {phrases[second]}\n"


def import_text(folder: str) -> None:
    """Import both corpora."""
    from pydantic import TypeAdapter

    from lingualift.configuration.corpora import AnyCorpus
    from lingualift.corpora import import_corpus
    from lingualift.languages import load_languages

    languages = load_languages(Path(__file__).parents[1] / "config" / "languages.tsv")
    for name, entry in {
        "mono": {"reader": "lines", "path": "raw/mono.en", "language": "en"},
        "pair": {"reader": "multiway", "path": "raw", "files": "pair.{language}"},
    }.items():
        import_corpus(
            TypeAdapter(AnyCorpus).validate_python(entry),
            languages=list(_LANGUAGES),
            table={code: languages[code] for code in _LANGUAGES},
            data=Path(folder),
            out=Path(folder) / name,
            work=Path(folder) / f"{name}.work",
            workers=_WORKERS,
        )


def plan(folder: str) -> None:
    """Plan the mixture of both."""
    from lingualift.corpora import corpus_tables
    from lingualift.mixing import plan_mixture

    tables = {name: corpus_tables(Path(folder) / name) for name in ("mono", "pair")}
    plan_mixture(_mixture(), tables=tables, languages=_LANGUAGES, seed=17).save(Path(folder) / "plan.json")


def pack(folder: str) -> None:
    """Learn a tokenizer and pack the mixture."""
    from lingualift.packing import pack_mixture
    from lingualift.tokenization import load_tokenizer, train_tokenizer

    reader = _reader(Path(folder))
    train_tokenizer(reader, vocabulary=4_000, max_entries=20_000, out=Path(folder) / "tokenizer")
    pack_mixture(
        reader,
        load_tokenizer(Path(folder) / "tokenizer"),
        _mixture(),
        out=Path(folder) / "packed",
        work=Path(folder) / "packing",
        workers=_WORKERS,
    )


def read(folder: str, steps: int = 300) -> None:
    """Read batches of blocks in training order, from all over the mixture."""
    from lingualift.blocks import PackedBlocks

    blocks = PackedBlocks(Path(folder) / "packed", batch=_BATCH, max_steps=steps, seed=17)
    for step in range(blocks.steps):
        blocks.batch_of(range(step * _BATCH, (step + 1) * _BATCH))


def _mixture() -> Any:
    from lingualift.configuration.mixtures import Mixture

    components = [{"corpus": "mono"}, {"corpus": "pair", "format": "connected"}]
    return Mixture.model_validate({"components": components, "small_pairs": None, "block": _BLOCK})


def _reader(folder: Path) -> Any:
    from lingualift.entries import EntryReader
    from lingualift.mixing import MixturePlan

    return EntryReader(
        MixturePlan.load(folder / "plan.json"),
        folders={name: folder / name for name in ("mono", "pair")},
        prompt=short_prompt(),
        names=language_names(_LANGUAGES),
    )


PARTS = {"import": import_text, "plan": plan, "pack": pack, "read": read}


if __name__ == "__main__":
    main_or_part(main, PARTS)
