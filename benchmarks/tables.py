"""Summarising scores: 10,302 directions × 6 systems × 8 metrics into all tables of the paper, on one core.

    python benchmarks/tables.py

The scores are random figures for all directions of 102 languages, written off the clock as the workflow writes them, a
file a system. Each round reads all of them and makes, with CSV, Markdown and LaTeX: the averages around every language
(Table 4), those of the benchmark (Table 5), the off-target rates (Tables 7 and 13), direct beside through English
(Table 8), and a row for each of the 10,302 directions with marks of significance. Part by part, in seconds.
"""

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import Row, arguments_parser, main_or_part, report, run_part

SYSTEMS = ("Base", "Lifted", "Lifted-en", "Lifted-MUSE", "Lifted-PanLex", "NLLB")
SCORES = ("spbleu", "chrf++", "comet")
METRICS = (*SCORES, "copy_rate", "empty_rate", "length_ratio", "R_source", "R_X")
ENTRIES: dict[str, dict[str, Any]] = {
    "table 4": {"layout": "centre", "metrics": SCORES},
    "table 5": {"layout": "benchmarks", "metrics": SCORES, "centre": ("l0",)},
    "tables 7 and 13": {"layout": "off-target", "centre": ("l0", "l1")},
    "table 8": {"layout": "pivot", "metrics": SCORES, "pivots": {"Lifted": "Lifted-en"}, "through": "l0"},
    "all directions": {"metrics": SCORES, "baseline": "Base"},
}


def main() -> None:
    """Measure in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=3, data=False)
    parser.add_argument("--languages", type=int, default=102, help="how many; %(default)s by default")
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), num_languages=arguments.languages)
        for _ in range(arguments.repetitions):
            for what, value in run_part(__file__, "summarise", one_core=True, folder=folder).items():
                seconds.setdefault(what, []).append(value)
    rows = [Row(what=what, unit="s", values=values, digits=1) for what, values in seconds.items()]
    num_directions = arguments.languages * (arguments.languages - 1)
    report("tables", rows, notes=[f"{num_directions:,} directions, {len(SYSTEMS)} systems, {len(METRICS)} metrics"])


def prepare(folder: Path, *, num_languages: int) -> None:
    """Write the scores of each system, and comparisons of each with the first."""
    import numpy as np
    import pandas as pd

    from lingualift.scoring import COLUMNS

    rng = np.random.default_rng(17)
    codes = [f"l{number}" for number in range(num_languages)]
    pairs = list(itertools.permutations(codes, 2))
    compared = []
    for system in SYSTEMS:
        rows = [(system, "flores101", *pair, metric) for pair in pairs for metric in METRICS]
        frame = pd.DataFrame(rows, columns=list(COLUMNS[:5]))
        frame["score"], frame["signature"], frame["segments"] = rng.uniform(0, 100, len(frame)), "random", 1012
        # The rates of every tenth target are not known.
        unknown = (frame["metric"] == "R_X") & frame["target"].str.endswith("9")
        frame["score"] = frame["score"].mask(unknown)
        frame.to_csv(folder / f"{system}.csv", index=False)
        if system != SYSTEMS[0]:
            rows = [("-".join(pair), system, SYSTEMS[0], metric) for pair in pairs for metric in SCORES]
            compared.append(pd.DataFrame(rows, columns=["direction", "system", "baseline", "metric"]))
    together = pd.concat(compared, ignore_index=True)
    together["p"] = rng.uniform(0, 0.2, len(together))
    together.to_csv(folder / "significance.csv", index=False)


def summarise(folder: str) -> dict[str, float]:
    """Read the scores and write every table; seconds by part, and in all."""
    from lingualift.configuration.evaluation import Table
    from lingualift.tables import build_table, read_scores, read_significance, write_table

    seconds: dict[str, float] = {}

    @contextmanager
    def clock(what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[what] = time.perf_counter() - start

    with clock("reading"):
        scores = read_scores([Path(folder) / f"{system}.csv" for system in SYSTEMS])
        significance = read_significance([Path(folder) / "significance.csv"])
    resource = {code: "high" if number % 4 == 0 else "low" for number, code in enumerate(sorted(set(scores["source"])))}
    for what, entry in ENTRIES.items():
        with clock(what):
            table = Table.model_validate({"systems": SYSTEMS, "benchmarks": ["flores101"], **entry})
            marks = significance if table.baseline else None
            built = build_table(scores, table, resource=resource, significance=marks)
            write_table(built, Path(folder) / "table")
    return {**seconds, "in all": sum(seconds.values())}


if __name__ == "__main__":
    main_or_part(main, {"summarise": summarise})
