"""From hypotheses to scores: a row per direction and metric, each with its signature."""

import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from lingualift.configuration.evaluation import Metric, split_direction
from lingualift.errors import InputError, LingualiftError
from lingualift.files import fingerprint, read_json, write_csv
from lingualift.manifests import Manifest
from lingualift.metrics import RATE_SIGNATURES, Scorer, check_metrics, provenance, rates
from lingualift.pools import in_parallel
from lingualift.stores import ResultStore

logger = logging.getLogger(__name__)

COLUMNS = ("system", "benchmark", "source", "target", "metric", "score", "signature", "segments")

Pair = tuple[str, str]

# But for the tab, which is white space like any other.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class Stretch(NamedTuple):
    """Lines of a file that belong to one direction: from a byte up to another."""

    path: str
    start: int
    end: int


class Segments(NamedTuple):
    """The texts of one direction, line by line."""

    sources: list[str]
    hypotheses: list[str]
    references: list[str]


@dataclass(frozen=True)
class Hypotheses:
    """The hypotheses of a system on a benchmark: where they are, read a direction at a time, by any process.

    Attributes:
        folder: the benchmark's.
        files: of JSON lines of direction, sentence and hypothesis.
        stretches: direction → its lines, sorted by direction.
        limit: how many of the first sentences were translated; all if None.
    """

    folder: Path
    files: Sequence[str | Path]
    stretches: Mapping[Pair, Sequence[Stretch]]
    limit: int | None = None

    @classmethod
    def open(cls, files: Sequence[str | Path], benchmark_folder: str | Path, *, limit: int | None = None) -> Self:
        """Find the directions of some files.

        Raises:
            InputError: a file has a line that is no JSON object with a direction.
            LingualiftError: a direction is not between two languages of the benchmark.
        """
        folder = Path(benchmark_folder)
        languages = sorted({code for table in _tables(folder) for code in table["languages"]})
        found = {split_direction(name, languages): at for name, at in find_directions(files).items()}
        return cls(folder, list(files), dict(sorted(found.items())), limit)

    def read(self, pair: Pair) -> Segments:
        """The texts of one direction.

        Raises:
            LingualiftError: the benchmark has no such direction, or a sentence has not exactly one hypothesis.
        """
        sources, references = benchmark_sentences(self.folder, *pair, limit=self.limit)
        hypotheses = read_hypotheses(self.stretches[pair], len(references), direction="-".join(pair))
        return Segments(sources, hypotheses, references)

    def manifest(self, settings: Mapping[str, Any]) -> Manifest:
        """The account of scores of these hypotheses, begun."""
        manifest = Manifest("scores", settings)
        for path in self.files:
            manifest.add_input(path)
        return manifest


def benchmark_sentences(
    folder: str | Path, source: str, target: str, *, limit: int | None = None
) -> tuple[list[str], list[str]]:
    """Sources and references of one direction of a canonical benchmark.

    Args:
        folder: the benchmark's folder: ``manifest.json`` and ``tables/<name>.arrow``.
        limit: how many of the first sentences to take; all by default.

    Returns:
        The rows that have both sides, in their order; sentences are numbered among them.

    Raises:
        LingualiftError: the benchmark has no such direction.
    """
    table = _table_of(Path(folder), source, target)
    columns = _columns(Path(folder) / "tables" / f"{table['name']}.arrow", (source, target), limit)
    return columns[source], columns[target]


def benchmark_sources(
    folder: str | Path, directions: Iterable[Pair], *, limit: int | None = None
) -> dict[Pair, list[str]]:
    """The sources of some directions, see :func:`benchmark_sentences`."""
    return {pair: benchmark_sentences(folder, *pair, limit=limit)[0] for pair in directions}


def score_hypotheses(
    hypotheses_files: Sequence[str | Path],
    *,
    benchmark_folder: str | Path,
    metrics: Mapping[str, Metric],
    out: str | Path,
    system: str,
    benchmark: str,
    limit: int | None = None,
    workers: int = 1,
    state: str | Path | None = None,
    shared: str | Path | None = None,
    version: int = 1,
) -> Manifest:
    """Score every direction that the files hold, by each metric, with copy rate, empty rate and length ratio beside.

    Args:
        hypotheses_files: JSON lines of direction, sentence and hypothesis; each direction complete.
        metrics: by the name that tables call them.
        out: the CSV file of scores, see ``COLUMNS``; a row per direction and metric, sorted by direction.
        system: the system's name, as written into the rows; ``benchmark`` likewise.
        limit: how many of the first sentences of the benchmark were translated.
        workers: processes.
        state: a folder for the score of each direction by each metric, so that a killed run goes on where it was, and
            later ones score what is new alone.
        shared: a folder that holds ``state`` and those of other benchmarks and parts of this system: what was scored
            there is not scored again.
        version: the stage's; what another version left in ``state`` is not gone on with.

    Returns:
        The manifest of the scores; with the number of hypotheses that hold control characters, by a warning.

    Raises:
        InputError: a file has a bad line.
        LingualiftError: a direction is not complete, or not in the benchmark; a tokenizer is not there.
    """
    check_metrics(metrics.values())
    hypotheses = Hypotheses.open(hypotheses_files, benchmark_folder, limit=limit)
    manifest = hypotheses.manifest({name: metric.model_dump() for name, metric in metrics.items()})
    rows: dict[Pair, list[dict[str, Any]]] = {}
    controls: dict[Pair, list[int]] = {}
    with ExitStack() as stack:
        judges = []
        for name, metric in metrics.items():
            key = [name, metric.model_dump(mode="json")]
            kept = stack.enter_context(result_store(state, key, shared=shared, pairs=hypotheses.stretches))
            judges.append(_Judge(name, metric, kept, fingerprint([version, provenance([metric])])))
        groups = _groups(hypotheses, workers)
        for group in in_parallel(partial(_score_group, hypotheses, judges), groups, workers):
            for judge in judges:
                judge.kept.add(
                    ("-".join(pair), *found.new[judge.name]) for pair, found in group.items() if judge.name in found.new
                )
            rows.update((pair, found.rows) for pair, found in group.items())
            controls.update((pair, found.controls) for pair, found in group.items() if found.controls)
        head = {"system": system, "benchmark": benchmark}
        write_scores(
            (head | {"source": pair[0], "target": pair[1]} | row for pair in sorted(rows) for row in rows[pair]), out
        )
    manifest.counts.update(directions=len(rows), segments=sum(row[0]["segments"] for row in rows.values()))
    if controls:
        count, first = sum(map(len, controls.values())), min(controls)
        logger.warning(
            "%d hypotheses hold control characters (a NUL byte, say), the first is sentence %d of %s: they are scored "
            "as they are",
            *(count, controls[first][0], "-".join(first)),
        )
        manifest.counts["hypotheses with control characters"] = count
    return manifest


def result_store(
    state: str | Path | None, judge: object, *, shared: str | Path | None = None, pairs: Iterable[Pair] = ()
) -> ResultStore:
    """The store of what some judge, JSON-like, finds of each direction; nothing is kept if ``state`` is None.

    Args:
        shared: a folder of many such states, however deep: what this judge has found there is looked up, too.
        pairs: the directions that are looked up there.
    """
    if state is None:
        return ResultStore(None)
    own = Path(state) / f"{fingerprint(judge)}.jsonl"
    others = [] if shared is None else [path for path in sorted(Path(shared).rglob(own.name)) if path != own]
    return ResultStore(own, others=others, directions=map("-".join, pairs))


def write_scores(rows: Iterable[Mapping[str, Any]], out: str | Path) -> None:
    """Write rows of scores as CSV, see ``COLUMNS``, atomically; figures in full precision."""
    write_csv(rows, out, COLUMNS)


def find_directions(files: Iterable[str | Path]) -> dict[str, list[Stretch]]:
    """Where the lines of each direction are, in one pass, so that workers read them by themselves.

    Raises:
        InputError: a line is not a JSON object with a direction.
    """
    found: dict[str, list[Stretch]] = defaultdict(list)
    for path in files:
        position = start = 0
        current: str | None = None
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    direction = json.loads(line)["direction"]
                except (ValueError, KeyError, TypeError) as error:
                    raise InputError(path, "not a JSON object with a direction", line=number) from error
                if direction != current:
                    if current is not None:
                        found[current].append(Stretch(str(path), start, position))
                    current, start = direction, position
                position += len(line)
        if current is not None:
            found[current].append(Stretch(str(path), start, position))
    return dict(found)


def read_hypotheses(stretches: Iterable[Stretch], num_sentences: int, *, direction: str) -> list[str]:
    """The hypotheses of one direction in the order of its sentences.

    Raises:
        LingualiftError: a sentence has none, more than one, or is not in the benchmark.
    """
    hypotheses: list[str | None] = [None] * num_sentences
    for path, start, end in stretches:
        with Path(path).open("rb") as file:
            file.seek(start)
            for line in filter(None, file.read(end - start).split(b"\n")):
                record = json.loads(line)
                sentence = record["sentence"]
                if not 0 <= sentence < num_sentences:
                    raise LingualiftError(f"{path}: {direction} has {num_sentences} sentences, but here is {sentence}")
                if hypotheses[sentence] is not None:
                    raise LingualiftError(f"{path}: {direction}, sentence {sentence} has a second hypothesis")
                hypotheses[sentence] = record["hypothesis"]
    missing = [sentence for sentence, hypothesis in enumerate(hypotheses) if hypothesis is None]
    if missing:
        raise LingualiftError(
            f"{direction}: {len(missing)} of {num_sentences} sentences have no hypothesis, the first is {missing[0]}"
        )
    return hypotheses  # type: ignore[return-value]


def _groups(hypotheses: Hypotheses, workers: int) -> list[list[Pair]]:
    """Directions that share references, so that these are prepared once; once a share of a worker where they are more.

    The largest come first: all workers end at about the same time.
    """
    alike: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in hypotheses.stretches:
        alike[_table_of(hypotheses.folder, *pair)["name"], pair[1]].append(pair)
    share = max(1, -(-len(hypotheses.stretches) // workers))
    groups = [group[start : start + share] for group in alike.values() for start in range(0, len(group), share)]
    return sorted(groups, key=len, reverse=True)


class _Judge(NamedTuple):
    """A metric, by the name that tables call it, the rows that are kept of it, and what determines them beside texts."""

    name: str
    metric: Metric
    kept: ResultStore
    origin: str


class _Scored(NamedTuple):
    """What was found of a direction.

    Attributes:
        rows: of all metrics and rates.
        new: those of metrics that had not been kept, with what they were worked out from.
        controls: sentences whose hypotheses hold control characters.
    """

    rows: list[dict[str, Any]]
    new: dict[str, tuple[str, dict[str, Any]]]
    controls: list[int]


def _score_group(hypotheses: Hypotheses, judges: Sequence[_Judge], pairs: Sequence[Pair]) -> dict[Pair, _Scored]:
    """The rows of some directions into one target, out of one table."""
    scorers: dict[str, dict[str, Scorer]] = {}
    return {pair: _score_direction(hypotheses, judges, pair, scorers) for pair in pairs}


def _score_direction(
    hypotheses: Hypotheses, judges: Sequence[_Judge], pair: Pair, scorers: dict[str, dict[str, Scorer]]
) -> _Scored:
    segments = hypotheses.read(pair)
    # Bilingual tables have references of their own, and so has each source where rows lack a side; the references of
    # a multi-way table without gaps serve all sources.
    table = _table_of(hypotheses.folder, *pair)
    whole = all(count == table["rows"] for count in table.get("valid", {}).values())
    key = table["name"] if whole else f"{table['name']} {pair[0]}"
    if key not in scorers:
        scorers.clear()
        scorers[key] = {}
    texts = fingerprint([segments.hypotheses, segments.references])
    rows: list[dict[str, Any]] = []
    new = {}
    for judge in judges:
        basis = fingerprint([judge.origin, texts])
        row = judge.kept.get("-".join(pair), basis)
        if row is None:
            if judge.name not in scorers[key]:
                scorers[key][judge.name] = Scorer(judge.metric, pair[1], segments.references)
            scorer = scorers[key][judge.name]
            row = {"metric": judge.name, "score": scorer.score(segments.hypotheses), "signature": scorer.signature}
            new[judge.name] = basis, row
        rows.append(row)
    for name, value in rates(*segments).items():
        rows.append({"metric": name, "score": value, "signature": RATE_SIGNATURES[name]})
    controls = [number for number, text in enumerate(segments.hypotheses) if _CONTROL.search(text)]
    return _Scored([row | {"segments": len(segments.references)} for row in rows], new, controls)


@cache
def _tables(folder: Path) -> list[dict[str, Any]]:
    return read_json(folder / "manifest.json")["tables"]


def _table_of(folder: Path, source: str, target: str) -> dict[str, Any]:
    """The table of a direction: its own where each direction has one (WMT), else one that holds both languages."""
    holding = [table for table in _tables(folder) if source != target and {source, target} <= set(table["languages"])]
    for table in sorted(holding, key=lambda table: table["languages"] != [source, target]):
        return table
    raise LingualiftError(f"{folder}: the benchmark has no direction {source}-{target}")


def _columns(path: Path, languages: Sequence[str], limit: int | None) -> dict[str, list[str]]:
    import pyarrow as pa

    if not path.is_file():
        raise InputError(path, "no such file, but the benchmark's manifest names it")
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all().select(list(languages)).drop_null().slice(0, limit)
        return {code: table.column(code).to_pylist() for code in languages}
