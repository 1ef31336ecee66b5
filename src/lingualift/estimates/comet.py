"""What COMET takes on GPUs: its encoder's passes over sources, hypotheses and references."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lingualift.estimates.devices import Device
from lingualift.estimates.testsets import benchmark_sentences
from lingualift.planning import Plan

# XLM-R large, the encoder of wmt22-comet-da (Conneau et al. 2020; Rei et al. 2022). Of its 0.56 G weights the 0.26 G of
# embeddings are looked up; a token is multiplied with those of the layers, 12 x width x width each.
_LAYERS, _WIDTH = 24, 1024
# Source, hypothesis, reference, each embedded apart.
_TEXTS = 3


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The bill of one metric of COMET, over all systems and benchmarks.

    Attributes:
        segments: hypotheses, at the most: equal ones are scored once, equal texts mostly embedded once.
    """

    metric: str
    systems: tuple[str, ...]
    benchmarks: tuple[str, ...]
    segments: int
    device_hours: float


def encoder_flops(length: float) -> float:
    """Floating-point operations of one token of a text of ``length`` tokens: a forward pass."""
    return 2 * 12 * _LAYERS * _WIDTH**2 + 4 * _LAYERS * _WIDTH * length


def scorings(plan: Plan, results: Path, *, device: Device, utilisation: float, length: float) -> list[Scoring]:
    """The bill of COMET, a line a metric that a table or figure shows.

    Args:
        results: the folder of the run; test sets that are there are counted.
        utilisation: share of the peak, in the metric's precision, that the encoder reaches.
        length: tokens of a sentence.
    """
    found: dict[str, dict[tuple[str, str], int]] = {}
    for metric, system, benchmark in _asked(plan):
        segments = len(plan.translated_directions(system, benchmark)) * benchmark_sentences(plan, benchmark, results)[0]
        found.setdefault(metric, {})[system, benchmark] = segments
    return [_scoring(plan, metric, each, device, utilisation, length) for metric, each in found.items()]


def _asked(plan: Plan) -> list[tuple[str, str, str]]:
    """Metric, system and benchmark of all files of COMET's scores."""
    shown = [("tables", name) for name in plan.configuration.tables]
    shown += [("figures", name) for name in plan.configuration.figures]
    files = dict.fromkeys(file for section, name in shown for file in plan.scores(section, name))
    # comet/<metric>/<system>/<benchmark>, and then perhaps the number of a part
    parts = [file.removesuffix(".csv").split("/") for file in files]
    return list(dict.fromkeys((part[1], part[2], part[3]) for part in parts if part[0] == "comet"))


def _scoring(
    plan: Plan,
    metric: str,
    segments: Mapping[tuple[str, str], int],
    device: Device,
    utilisation: float,
    length: float,
) -> Scoring:
    precision = getattr(plan.configuration.metrics[metric], "precision", "float32")
    peak = device.peak if precision == "float16" else device.peak_in("float32")
    work = sum(segments.values()) * _TEXTS * length * encoder_flops(length)
    return Scoring(
        metric=metric,
        systems=tuple(dict.fromkeys(system for system, _ in segments)),
        benchmarks=tuple(dict.fromkeys(benchmark for _, benchmark in segments)),
        segments=sum(segments.values()),
        device_hours=work / (peak * utilisation) / 3600,
    )
