"""From hypotheses to scores: a row per direction and metric, each with its signature."""

import csv
import json
import multiprocessing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from lingualift.configuration.evaluation import Metric, split_direction
from lingualift.errors import InputError, LingualiftError
from lingualift.files import atomic_path, checksum, fingerprint, read_json
from lingualift.manifests import Manifest
from lingualift.metrics import Scorer, check_metrics, rates
from lingualift.stores import RecordStore

COLUMNS = ("system", "benchmark", "source", "target", "metric", "score", "signature", "segments")


class Stretch(NamedTuple):
    """Lines of a file that belong to one direction: from a byte up to another."""

    path: str
    start: int
    end: int


@dataclass(frozen=True)
class _Work:
    """What every worker needs beside its directions."""

    folder: Path
    metrics: Mapping[str, Metric]
    limit: int | None


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
) -> Manifest:
    """Score every direction that the files hold, by each metric, with copy rate, empty rate and length ratio beside.

    Args:
        hypotheses_files: JSON lines of direction, sentence and hypothesis; each direction complete.
        metrics: by the name that tables call them.
        out: the CSV file of scores, see ``COLUMNS``; a row per direction and metric, sorted by direction.
        system: the system's name, as written into the rows; ``benchmark`` likewise.
        limit: how many of the first sentences of the benchmark were translated.
        workers: processes.
        state: a folder for the scores made so far, so that a killed run goes on where it was.

    Returns:
        The manifest of the scores.

    Raises:
        InputError: a file has a bad line.
        LingualiftError: a direction is not complete, or not in the benchmark; a tokenizer is not there.
    """
    check_metrics(metrics.values())
    manifest = Manifest("scores", {name: metric.model_dump() for name, metric in metrics.items()})
    for path in hypotheses_files:
        manifest.add_input(path)
    languages = benchmark_languages(benchmark_folder)
    stretches = {split_direction(name, languages): found for name, found in find_directions(hypotheses_files).items()}
    work = _Work(Path(benchmark_folder), metrics, limit)
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        store = stack.enter_context(_state_store(state, manifest, work)) if state is not None else None
        if store is not None:
            rows = {split_direction(record["direction"], languages): record["rows"] for record in store}
        remaining = {pair: found for pair, found in stretches.items() if pair not in rows}
        for done in _scored(work, remaining, workers):
            if store is not None:
                store.append({"direction": "-".join(pair), "sentence": 0, "rows": new} for pair, new in done.items())
            rows.update(done)
    heads = {pair: {"system": system, "benchmark": benchmark, "source": pair[0], "target": pair[1]} for pair in rows}
    write_scores((heads[pair] | row for pair in sorted(rows) for row in rows[pair]), out)
    manifest.counts.update(directions=len(rows), segments=sum(row[0]["segments"] for row in rows.values()))
    return manifest


def write_scores(rows: Iterable[Mapping[str, Any]], out: str | Path) -> None:
    """Write rows of scores as CSV, atomically; figures in full precision."""
    with atomic_path(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def benchmark_languages(folder: str | Path) -> list[str]:
    """The language codes of a canonical benchmark, sorted."""
    return sorted({code for table in _tables(Path(folder)) for code in table["languages"]})


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


def _state_store(state: str | Path, manifest: Manifest, work: _Work) -> RecordStore:
    """The store of exactly this work: other hypotheses, references or metrics have another."""
    models = [checksum(m.tokenizer[4:]) for m in work.metrics.values() if (m.tokenizer or "").startswith("spm:")]
    key = fingerprint([manifest.settings, manifest.inputs, models, work.limit, checksum(work.folder / "manifest.json")])
    return RecordStore(Path(state) / f"{key}.jsonl", ("rows",))


Rows = dict[tuple[str, str], list[dict[str, Any]]]


def _scored(work: _Work, stretches: Mapping[tuple[str, str], list[Stretch]], workers: int) -> Iterator[Rows]:
    """Score groups of directions that share a target, as they come."""
    by_target: dict[str, list[tuple[str, list[Stretch]]]] = defaultdict(list)
    for (source, target), found in sorted(stretches.items()):
        by_target[target].append((source, found))
    # Small enough that every worker gets some, large enough that references are seldom prepared twice.
    size = max(1, -(-len(stretches) // (4 * workers)))
    groups = [
        (target, sources[start : start + size])
        for target, sources in by_target.items()
        for start in range(0, len(sources), size)
    ]
    if workers == 1 or len(groups) <= 1:
        yield from (_score_group(work, *group) for group in groups)
        return
    # Forked, not spawned: a spawned worker would run the calling script again.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        futures = [pool.submit(partial(_score_group, work), *group) for group in groups]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _score_group(work: _Work, target: str, sources: Sequence[tuple[str, list[Stretch]]]) -> Rows:
    """The rows of the directions into one target."""
    try:
        scorers: dict[str, dict[str, Scorer]] = {}
        return {
            (source, target): _score_direction(work, source, target, stretches, scorers)
            for source, stretches in sources
        }
    except InputError as error:
        # An error of more than one argument does not survive the way back from a worker.
        raise LingualiftError(str(error)) from error


def _score_direction(
    work: _Work, source: str, target: str, stretches: Sequence[Stretch], scorers: dict[str, dict[str, Scorer]]
) -> list[dict[str, Any]]:
    sources, references = benchmark_sentences(work.folder, source, target, limit=work.limit)
    hypotheses = read_hypotheses(stretches, len(references), direction=f"{source}-{target}")
    # Bilingual tables have references of their own, and so has each source where rows lack a side; the references of
    # a multi-way table without gaps serve all sources.
    table = _table_of(work.folder, source, target)
    whole = all(count == table["rows"] for count in table.get("valid", {}).values())
    key = table["name"] if whole else f"{table['name']} {source}"
    if key not in scorers:
        scorers.clear()
        scorers[key] = {name: Scorer(metric, target, references) for name, metric in work.metrics.items()}
    rows = [
        {"metric": name, "score": scorer.score(hypotheses), "signature": scorer.signature}
        for name, scorer in scorers[key].items()
    ]
    for name, value in rates(sources, hypotheses, references).items():
        rows.append({"metric": name, "score": value, "signature": ""})
    return [row | {"segments": len(references)} for row in rows]


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
