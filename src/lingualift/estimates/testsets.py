"""How many sentences a benchmark has, before it is imported."""

from pathlib import Path

from lingualift.configuration.corpora import AlignedCorpus, FloresCorpus, MultiwayCorpus, TatoebaCorpus
from lingualift.configuration.schema import Benchmark
from lingualift.errors import LingualiftError
from lingualift.files import open_bytes, read_json
from lingualift.planning import Plan

# FLORES-101's devtest; others are of like size.
_USUAL = 1012
# Tables whose lines are counted, at the most.
_COUNTED = 200


def benchmark_sentences(plan: Plan, name: str, results: Path) -> tuple[int, str]:
    """Sentences of one direction: as imported, as its files have lines, or as many as FLORES-101 has.

    Returns:
        Their number, and what is to be said of it where it is only taken.
    """
    entry = plan.configuration.benchmarks[name]
    manifest = results / "benchmarks" / name / "manifest.json"
    if manifest.is_file():
        rows = max(table["rows"] for table in read_json(manifest)["tables"])
    else:
        rows = _num_lines(plan, entry)
    if rows is not None:
        return min(rows, entry.limit or rows), ""
    known = isinstance(entry.test, FloresCorpus) or (entry.limit is not None and entry.limit <= _USUAL)
    note = f"{name} is taken to have {_USUAL:,} sentences a direction, as FLORES-101 has: its files do not tell"
    return min(_USUAL, entry.limit or _USUAL), "" if known else note


def _num_lines(plan: Plan, benchmark: Benchmark) -> int | None:
    """Rows of the largest table of a benchmark; None where it is not there, or is not read by lines."""
    test = benchmark.test
    if not isinstance(test, MultiwayCorpus | AlignedCorpus | TatoebaCorpus):
        return None
    try:
        tables = test.tables(plan.languages, plan.run.languages, plan.run.data)
    except LingualiftError:
        return None
    first = [next((path for path in table.files if path.is_file()), None) for table in tables]
    counts = []
    for path in first[:_COUNTED]:
        if path is not None:
            with open_bytes(path) as file:
                counts.append(sum(1 for _ in file))
    return max(counts, default=None)
