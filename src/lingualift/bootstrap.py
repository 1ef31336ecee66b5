"""Paired bootstrap resampling between systems, by sacrebleu's own draws, statistics and p-values.

sacrebleu counts a corpus anew for every resample. Here each sentence's statistics are added up by one matrix product
over all resamples, and BLEU and chrF are computed for all of them at once; a system is counted once a direction,
however many it is compared with. Scores, means, intervals and p-values are those of ``sacrebleu --paired-bs``.

Source: Koehn 2004; sacrebleu 2.6, ``sacrebleu.significance``.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lingualift.comet_metric import SegmentScores, read_segment_scores
from lingualift.configuration.evaluation import Metric
from lingualift.errors import LingualiftError
from lingualift.files import fingerprint, write_csv
from lingualift.manifests import Manifest
from lingualift.metrics import Scorer, check_metrics, provenance
from lingualift.pools import in_parallel
from lingualift.scoring import Hypotheses, Pair, Segments, result_store
from lingualift.stores import ResultStore

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

COMPARISON_COLUMNS = (
    "benchmark",
    "direction",
    "system",
    "baseline",
    "metric",
    "score",
    "baseline_score",
    "difference",
    "low",
    "high",
    "p",
    "signature",
)
# sacrebleu's own: its seed is that of SACREBLEU_SEED, where that is not set.
SEED, SAMPLES = 12345, 1000
LEVEL = 0.05


class Resampled(NamedTuple):
    """One system on one test set: its score, and that of each resample of the test set."""

    score: float
    samples: "Array"


class Comparison(NamedTuple):
    """A system against another: the difference of their scores, its 95 % interval, and the p-value."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class _Work:
    """What every worker needs beside its direction.

    Attributes:
        segment_scores: metric → system → direction → a score a sentence.
        pairs: (system, baseline).
        origin: what determines the rows of a direction beside its texts.
    """

    hypotheses: Mapping[str, Hypotheses]
    metrics: Mapping[str, Metric]
    segment_scores: Mapping[str, Mapping[str, SegmentScores]]
    pairs: Sequence[tuple[str, str]]
    samples: int
    seed: int
    origin: Sequence[Any]

    @property
    def directions(self) -> list[Pair]:
        """All directions, those of one target behind each other: a worker prepares its references once."""
        return sorted({pair for of in self.hypotheses.values() for pair in of.stretches}, key=lambda pair: pair[::-1])


def resample(scorer: Scorer, hypotheses: Sequence[str], *, samples: int = SAMPLES, seed: int = SEED) -> Resampled:
    """Score hypotheses by a metric of sacrebleu, on the test set and on every resample of it.

    Args:
        scorer: the metric with its references prepared.
        hypotheses: one a reference.
        samples: how many resamples.
        seed: of the draws; the same for systems that are to be compared.
    """
    import numpy as np

    statistics = scorer.statistics(hypotheses)
    # Whole numbers far below 2**53: exact. sacrebleu goes on in float32.
    sums = (_draws(len(statistics), samples, seed) @ np.array(statistics, dtype=np.float64)).astype(np.float32)
    function = _chrf_of if hasattr(scorer.formula, "char_order") else _bleu_of
    return Resampled(scorer.score_of(statistics), function(sums, scorer.formula))


def resample_means(segments: Sequence[float], *, samples: int = SAMPLES, seed: int = SEED) -> Resampled:
    """As ``resample``, for a metric whose score is the mean over segments, such as COMET."""
    import numpy as np

    values = np.array(segments, dtype=np.float64)
    return Resampled(float(values.mean()), _draws(len(values), samples, seed) @ values / len(values))


def compare(system: Resampled, baseline: Resampled) -> Comparison:
    """The paired test between two systems that were resampled with the same seed.

    Returns:
        The p-value is sacrebleu's; but 1 for two that never differ, where sacrebleu gives the least that there is.
        The interval of the difference leaves out as many resamples at either end as sacrebleu's intervals do.
    """
    import numpy as np
    from sacrebleu.significance import _compute_p_value

    difference = system.score - baseline.score
    differences = np.sort(system.samples - baseline.samples)
    out = len(differences) // 40
    bounds = float(differences[out]), float(differences[-out - 1])
    if difference == 0 and not differences.any():
        return Comparison(0.0, 0.0, 0.0, 1.0)
    distances = np.abs(system.samples - baseline.samples)
    return Comparison(difference, *bounds, _compute_p_value(distances - distances.mean(), abs(difference)))


def compare_systems(
    hypotheses_files: Mapping[str, Sequence[str | Path]],
    *,
    pairs: Sequence[tuple[str, str]],
    benchmark_folder: str | Path,
    benchmark: str,
    metrics: Mapping[str, Metric],
    out: str | Path,
    segment_scores: Mapping[str, Mapping[str, Sequence[str | Path]]] | None = None,
    limit: int | None = None,
    samples: int = SAMPLES,
    seed: int = SEED,
    workers: int = 1,
    state: str | Path | None = None,
    shared: str | Path | None = None,
    version: int = 1,
) -> Manifest:
    """Compare systems in every direction that both of a pair have.

    Args:
        hypotheses_files: by system: JSON lines of direction, sentence and hypothesis; each direction complete.
        pairs: (system, baseline).
        benchmark: its name, as written into the rows.
        metrics: of sacrebleu, by the name that tables call them.
        out: the CSV file of comparisons, see ``COMPARISON_COLUMNS``; sorted by direction.
        segment_scores: metric → system → files of segment scores that ``score_with_comet`` wrote.
        limit: how many of the first sentences of the benchmark were translated.
        samples: how many resamples.
        seed: of the draws.
        workers: processes.
        state: a folder for the rows of each direction, so that a killed run goes on where it was, and later ones
            compare what is new alone.
        shared: a folder that holds ``state`` and those of other benchmarks and parts of these systems: what was
            compared there is not compared again.
        version: the stage's; what another version left in ``state`` is not gone on with.

    Returns:
        The manifest, with the directions won, tied and lost by each system.

    Raises:
        InputError: a file has a bad line.
        LingualiftError: a direction is not complete, or not in the benchmark; a system has no file; a tokenizer is not
            there.
    """
    check_metrics(metrics.values())
    systems = dict.fromkeys(name for pair in pairs for name in pair)
    files = {system: _of(hypotheses_files, system, "hypotheses") for system in systems}
    segments = {
        name: {system: _of(paths, system, f"segment scores of {name}") for system in systems}
        for name, paths in (segment_scores or {}).items()
    }
    settings = {name: metric.model_dump() for name, metric in metrics.items()}
    manifest = Manifest("comparisons", {"metrics": settings, "samples": samples}, seed=seed)
    for paths in (*files.values(), *(paths for of in segments.values() for paths in of.values())):
        for path in paths:
            manifest.add_input(path)
    scores = {
        name: {system: read_segment_scores(*paths) for system, paths in of.items()} for name, of in segments.items()
    }
    signatures = {name: [it.signature for it in of.values()] for name, of in scores.items()}
    work = _Work(
        {system: Hypotheses.open(paths, benchmark_folder, limit=limit) for system, paths in files.items()},
        metrics,
        scores,
        pairs,
        samples,
        seed,
        [version, provenance(metrics.values()), settings, pairs, samples, seed, signatures],
    )
    with result_store(state, [settings, pairs], shared=shared, pairs=work.directions) as kept:
        compared = _compare_directions(work, kept, workers)
    rows = [{"benchmark": benchmark} | row for _, found in sorted(compared.items()) for row in found]
    write_csv(rows, out, COMPARISON_COLUMNS)
    manifest.counts.update(directions=len({row["direction"] for row in rows}), comparisons=len(rows))
    manifest.details["outcomes"] = summarise(rows)
    return manifest


def outcome(comparison: Mapping[str, Any]) -> str:
    """``won``, ``tied`` or ``lost``: whether a row's system is better, p < 0.05, as good as the baseline, or worse."""
    if float(comparison["p"]) >= LEVEL or float(comparison["difference"]) == 0:
        return "tied"
    return "won" if float(comparison["difference"]) > 0 else "lost"


def mark(comparison: Mapping[str, Any]) -> str:
    """What stands behind a score in a table: ``*`` where it differs from the baseline's."""
    return "" if outcome(comparison) == "tied" else "*"


def summarise(comparisons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The directions that each system won, tied and lost against each baseline, by each metric."""
    counts: dict[tuple[str, str, str], dict[str, int]] = {}
    for row in comparisons:
        key = (row["system"], row["baseline"], row["metric"])
        counts.setdefault(key, {"won": 0, "tied": 0, "lost": 0})[outcome(row)] += 1
    heads = ("system", "baseline", "metric")
    return [dict(zip(heads, key, strict=True)) | count for key, count in sorted(counts.items())]


def _of(files: Mapping[str, Any], system: str, what: str) -> Any:
    if system not in files:
        raise LingualiftError(f"a comparison names {system}, but there are no {what} of it")
    return files[system]


def _compare_directions(work: _Work, kept: ResultStore, workers: int) -> dict[Pair, list[dict[str, Any]]]:
    """The rows of each direction; those that are new are kept as they come."""
    compared: dict[Pair, list[dict[str, Any]]] = {}
    for pair, basis, found in in_parallel(functools.partial(_compare_direction, work, kept), work.directions, workers):
        if kept.get("-".join(pair), basis) is None:
            kept.add([("-".join(pair), basis, found)])
        compared[pair] = found
    return compared


def _compare_direction(work: _Work, kept: ResultStore, pair: Pair) -> tuple[Pair, str, list[dict[str, Any]]]:
    """The rows of one direction, and what they were worked out from."""
    direction = "-".join(pair)
    segments = {system: of.read(pair) for system, of in work.hypotheses.items() if pair in of.stretches}
    means = {
        name: {system: scores[direction] for system, scores in of.items() if direction in scores}
        for name, of in work.segment_scores.items()
    }
    texts = {system: [of.hypotheses, of.references] for system, of in segments.items()}
    basis = fingerprint([work.origin, texts, {name: {s: list(v) for s, v in of.items()} for name, of in means.items()}])
    rows = kept.get(direction, basis)
    return pair, basis, _rows(work, pair, segments, means) if rows is None else rows


def _rows(
    work: _Work,
    pair: Pair,
    segments: Mapping[str, Segments],
    means: Mapping[str, Mapping[str, Sequence[float]]],
) -> list[dict[str, Any]]:
    """The rows of one direction, from each system's texts, and from segment scores by metric and system."""
    options = {"samples": work.samples, "seed": work.seed}
    tail = f"|bs:{work.samples}|seed:{work.seed}"
    found: dict[str, tuple[dict[str, Resampled], str]] = {}
    if work.metrics and any({*names} <= segments.keys() for names in work.pairs):
        references = next(iter(segments.values())).references
        for name, metric in work.metrics.items():
            scorer = _prepared(metric, pair[1], tuple(references))
            resampled = {system: resample(scorer, of.hypotheses, **options) for system, of in segments.items()}
            found[name] = resampled, scorer.signature + tail
    for name, scores in means.items():
        found[name] = (
            {system: resample_means(values, **options) for system, values in scores.items()},
            " / ".join(dict.fromkeys(it.signature or "segments" for it in work.segment_scores[name].values())) + tail,
        )
    return [
        {
            "direction": "-".join(pair),
            "system": system,
            "baseline": baseline,
            "metric": name,
            "score": of[system].score,
            "baseline_score": of[baseline].score,
            **compare(of[system], of[baseline])._asdict(),
            "signature": signature,
        }
        for name, (of, signature) in found.items()
        for system, baseline in work.pairs
        if {system, baseline} <= of.keys()
    ]


@functools.lru_cache(maxsize=8)
def _prepared(metric: Metric, target: str, references: tuple[str, ...]) -> Scorer:
    return Scorer(metric, target, references)


@functools.lru_cache(maxsize=4)
def _draws(count: int, samples: int, seed: int) -> "Array":
    """How often each sentence stands in each resample: samples x sentences; sacrebleu's draws for this seed."""
    import numpy as np

    places = np.random.default_rng(seed).choice(count, size=(samples, count), replace=True)
    places += count * np.arange(samples)[:, None]
    return np.bincount(places.ravel(), minlength=samples * count).reshape(samples, count).astype(np.float64)


def _bleu_of(sums: "Array", metric: Any) -> "Array":
    """BLEU of each row of sums: lengths of hypothesis and reference, matches and totals of each order.

    In float32 up to the precisions, in float64 from there, as sacrebleu's own arithmetic turns out.
    """
    import numpy as np

    if (metric.smooth_method, metric.effective_order) != ("exp", False):
        raise NotImplementedError("BLEU with another smoothing than sacrebleu's default")
    order = metric.max_ngram_order
    lengths, correct, total = sums[:, :2].astype(np.float64), sums[:, 2 : 2 + order], sums[:, 2 + order :]
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty = np.where(
            lengths[:, 0] < lengths[:, 1],
            np.where(lengths[:, 0] > 0, np.exp(1 - lengths[:, 1] / lengths[:, 0]), 0.0),
            1.0,
        )
        # Each order without a match halves the precision once more; orders after an empty one are not reached.
        smooth = np.cumprod(np.where(correct == 0, np.float32(2), np.float32(1)), axis=1, dtype=np.float32)
        precisions = np.where(correct == 0, 100 / (smooth * total), 100 * correct / total)
        reached = np.cumprod(total > 0, axis=1).astype(bool)
        logarithms = np.log(precisions.astype(np.float64), where=reached, out=np.full(precisions.shape, -9999999999.0))
    scores = penalty * np.exp(_added(logarithms) / order)
    return np.where(correct.any(axis=1), scores, 0.0)


def _chrf_of(sums: "Array", metric: Any) -> "Array":
    """chrF of each row of sums: counts in hypothesis and reference and matches, of each order; all in float32."""
    import numpy as np

    if metric.eps_smoothing:
        raise NotImplementedError("chrF with another smoothing than sacrebleu's default")
    hypothesis, reference, match = (sums[:, start::3] for start in range(3))
    counted = (hypothesis > 0) & (reference > 0)
    factor = np.float32(metric.beta**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        orders = np.maximum(counted.sum(axis=1), 1).astype(np.float32)
        precision = _added(np.where(counted, match / hypothesis, np.float32(0))) / orders
        recall = _added(np.where(counted, match / reference, np.float32(0))) / orders
        scores = (1 + factor) * precision * recall / (factor * precision + recall)
    return 100 * np.where(precision + recall > 0, scores, np.float32(0))


def _added(columns: "Array") -> "Array":
    """The sum of each row, from left to right, as a loop has it."""
    total = columns[:, 0].copy()
    for place in range(1, columns.shape[1]):
        total += columns[:, place]
    return total
