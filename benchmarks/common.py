"""What the benchmarks share: parts in processes of their own, medians and ratios, tables, and the text they run on.

Nothing but the standard library is imported at the top: a part may run in an environment that has not the package.
"""

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lingualift.configuration.mixtures import Mixture
    from lingualift.entries import EntryReader

OUTPUT = Path(__file__).parent / "output"
# A comma between digits.
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
MULTI30K = ("en", "de", "fr", "cs")
SEED = 17


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a benchmark's table.

    Attributes:
        values: what was measured, one a round.
        ratios: against the peer in the same round, above 1 where ours is the better; empty where there is no peer.
        digits: after the point.
    """

    what: str
    unit: str
    values: Sequence[float]
    ratios: Sequence[float] = field(default=())
    digits: int = 0

    def cells(self) -> dict[str, str]:
        """The line as it is printed: the median, the range, and the median of the ratios with its range."""
        middle, least, most = (f"{f(self.values):,.{self.digits}f}" for f in (statistics.median, min, max))
        ratio = f"{statistics.median(self.ratios):.2f}" if self.ratios else ""
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}" if len(self.ratios) > 1 else ""
        named = {"what": self.what, "unit": self.unit, "median": middle, "least": least, "most": most}
        return {**named, "ratio": ratio, "range of the ratio": spread}


def speed_rows(speeds: Mapping[str, Sequence[float]], *, peer: str, unit: str, digits: int = 0) -> list[Row]:
    """A row for each of several that took turns, each compared with the peer of its round; more is better."""
    rows = []
    for what, values in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(values, speeds[peer], strict=True)]
        rows.append(Row(what=what, unit=unit, values=values, ratios=ratios if what != peer else (), digits=digits))
    return rows


def report(name: str, rows: Sequence[Row], *, notes: Sequence[str] = ()) -> None:
    """Print the table as Markdown, then the notes; write it to ``output/<name>.csv``."""
    cells = [row.cells() for row in rows]
    write_csv(name, cells)
    print(f"\n{markdown(cells)}\n")
    for note in notes:
        print(f"- {note}")


def write_csv(name: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table to ``output/<name>.csv``, its numbers as machines read them."""
    OUTPUT.mkdir(exist_ok=True)
    with (OUTPUT / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _THOUSANDS.sub("", value) for key, value in row.items()} for row in rows)


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table whose source is a table, too; the first column to the left, the others to the right."""
    lines = [dict(zip(rows[0], rows[0], strict=True)), *rows]
    widths = {key: max(3, *(len(line[key]) for line in lines)) for key in rows[0]}
    first = next(iter(widths))
    rule = {key: "-" * width if key == first else "-" * (width - 1) + ":" for key, width in widths.items()}
    return "\n".join(
        "| " + " | ".join(line[k].ljust(w) if k == first else line[k].rjust(w) for k, w in widths.items()) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def arguments_parser(doc: str | None, *, repetitions: int, data: bool = True) -> argparse.ArgumentParser:
    """The options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if data:
        parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of sample data")
    parser.add_argument("--repetitions", type=int, default=repetitions, help="rounds; %(default)s by default")
    return parser


def main_or_part(main: Callable[[], None], parts: Mapping[str, Callable[..., Any]]) -> None:
    """Run a benchmark, or the part of it that :func:`run_part` asks this process for."""
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(parts[sys.argv[2]](**json.loads(sys.argv[3]))))
    else:
        main()


def part_command(script: str, part: str, arguments: Mapping[str, Any], *, python: str = sys.executable) -> list[str]:
    """The command that runs one part of a benchmark."""
    return [python, script, "--part", part, json.dumps(arguments, default=str)]


def run_part(script: str, part: str, *, python: str = sys.executable, one_core: bool = False, **arguments: Any) -> Any:
    """Run one part of a benchmark in a process of its own, so that nothing is left of the part before.

    Args:
        script: the benchmark's file.
        one_core: keep the process, and what it starts, to one core.
        arguments: the part's; JSON-like, or paths.

    Returns:
        What the part returned, through JSON.
    """
    environment = dict(os.environ)
    if one_core:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = part_command(script, part, arguments, python=python)
    keep = _to_one_core if one_core and hasattr(os, "sched_setaffinity") else None
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True, preexec_fn=keep)
    return json.loads(done.stdout.splitlines()[-1])


def _to_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def import_multi30k(
    data: Path, folder: Path, *, files: str = "train.{language}.gz", languages: Sequence[str] = MULTI30K
) -> Path:
    """Import captions of Multi30k, aligned over all languages, into ``folder``."""
    from lingualift.configuration.corpora import MultiwayCorpus
    from lingualift.corpora import import_corpus

    corpus = MultiwayCorpus(reader="multiway", path="multi30k", files=files)
    import_corpus(
        corpus, languages=languages, table=_table(languages), data=data, out=folder, work=Path(f"{folder}.work")
    )
    return folder


def caption_reader(
    corpus: Path, *, languages: Sequence[str] = MULTI30K, seed: int = SEED, **settings: Any
) -> tuple["EntryReader", "Mixture"]:
    """The pairs of an imported corpus as the entries of a mixture, in its training order.

    Args:
        settings: of the mixture, or of its one component: ``format``, ``sample``, ``loss``.
    """
    from lingualift.configuration.mixtures import Mixture
    from lingualift.corpora import corpus_tables
    from lingualift.entries import EntryReader
    from lingualift.mixing import plan_mixture

    component = {"corpus": "captions"} | {key: settings.pop(key) for key in ("format", "sample") if key in settings}
    mixture = Mixture.model_validate({"components": [component], "small_pairs": None, **settings})
    plan = plan_mixture(mixture, tables={"captions": corpus_tables(corpus)}, languages=languages, seed=seed)
    names = {code: language.name for code, language in _table(languages).items()}
    return EntryReader(plan, folders={"captions": corpus}, prompt=short_prompt(), names=names), mixture


def short_prompt() -> Any:
    """The prompt of few tokens that our small models are asked with."""
    import yaml

    from lingualift.configuration.prompts import Prompt

    text = (Path(__file__).parents[1] / "config" / "prompts.yaml").read_text(encoding="utf-8")
    return Prompt.model_validate(yaml.safe_load(text)["short"])


def language_names(languages: Sequence[str] = MULTI30K) -> dict[str, str]:
    """The English name of each language."""
    return {code: language.name for code, language in _table(languages).items()}


def _table(languages: Sequence[str]) -> dict[str, Any]:
    from lingualift.languages import load_languages

    table = load_languages(Path(__file__).parents[1] / "config" / "languages.tsv")
    return {code: table[code] for code in languages}
