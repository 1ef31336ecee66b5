"""The pictures of a figure of the configuration."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.configuration.evaluation import Figure as FigureEntry
from lingualift.errors import LingualiftError
from lingualift.figures.comparisons import per_language, seen_unseen
from lingualift.figures.counts import count_above
from lingualift.figures.matrices import direction_matrix, pair_heatmap
from lingualift.figures.style import write_figure
from lingualift.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_LABELS = {"spbleu": "spBLEU", "bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "comet": "COMET"}


def draw_figure(
    scores: "pd.DataFrame",
    figure: FigureEntry,
    *,
    families: Mapping[str, str],
    out: Path,
    seen: Collection[str] | None = None,
) -> list[Path]:
    """Draw the pictures that an entry of the configuration asks for, each as ``.png`` and ``.svg``.

    They are named ``<system>.<benchmark>`` (direction_matrix; the colours mean the same in all of them),
    ``<benchmark>`` (count_above), ``<benchmark>.<centre>`` (per_language), the same with all benchmarks of the figure
    joined by ``+`` (seen_unseen: one picture of them all) or ``<system>.<baseline>.<benchmark>`` (pair_heatmap).

    Args:
        scores: as ``lingualift.tables.read_scores`` gives them.
        families: language families by code, of all languages of the run.
        out: a folder; appears when it is whole.
        seen: the languages that were trained on, for ``seen_unseen``.

    Raises:
        LingualiftError: there is no score of the metric, or none that a picture shows; or one picture would show two
            scores of a system in the same direction, of two benchmarks.
    """
    chosen = scores[(scores["metric"] == figure.metric) & scores["score"].notna()]
    if chosen.empty:
        raise LingualiftError(f"no score of {figure.metric}")
    chosen = chosen[chosen["system"].isin(figure.systems)]
    written: list[Path] = []
    with atomic_path(out) as part:
        part.mkdir()
        for name, picture in _pictures(chosen, figure, families, seen):
            written += write_figure(picture, part / name)
    return [out / path.name for path in written]


def _pictures(
    scores: "pd.DataFrame", figure: FigureEntry, families: Mapping[str, str], seen: Collection[str] | None
) -> Iterator[tuple[str, "Figure"]]:
    if figure.kind == "direction_matrix":
        yield from _matrices(scores, figure, families)
        return
    if figure.kind == "seen_unseen":
        yield from _seen_unseen(scores, figure, seen)
        return
    for benchmark in figure.benchmarks:
        rows = scores[scores["benchmark"] == benchmark]
        if absent := [system for system in figure.systems if system not in set(rows["system"])]:
            raise LingualiftError(f"no score of {figure.metric} of {absent[0]} on {benchmark}")
        options = {"languages": figure.languages, "label": _LABELS.get(figure.metric, figure.metric)}
        if figure.kind == "count_above":
            draw = partial(count_above, rows, systems=figure.systems, centre=figure.centre, threshold=figure.threshold)
            yield benchmark, draw(title=benchmark, **options)
        elif figure.kind == "pair_heatmap":
            system, baseline = figure.systems
            options["languages"] = figure.heatmap_languages(families)
            title = f"{system} minus {baseline} on {benchmark}"
            yield f"{system}.{baseline}.{benchmark}", pair_heatmap(rows, system, baseline, title=title, **options)
        else:
            for centre in figure.centre:
                if not ((rows["source"] == centre) | (rows["target"] == centre)).any():
                    raise LingualiftError(f"no score of {figure.metric} from or into {centre} on {benchmark}")
                options |= {"centre": centre, "title": f"{benchmark}, around {centre}"}
                yield f"{benchmark}.{centre}", per_language(rows, systems=figure.systems, **options)


def _seen_unseen(
    scores: "pd.DataFrame", figure: FigureEntry, seen: Collection[str] | None
) -> Iterator[tuple[str, "Figure"]]:
    """One picture a centre of all benchmarks, which share no direction: FLORES-101, say, and FLORES-200 beyond it."""
    if seen is None:
        raise LingualiftError("seen_unseen has to know which languages were trained on")
    rows = scores[scores["benchmark"].isin(figure.benchmarks)]
    for benchmark in figure.benchmarks:
        there = set(rows.loc[rows["benchmark"] == benchmark, "system"])
        if absent := [system for system in figure.systems if system not in there]:
            raise LingualiftError(f"no score of {figure.metric} of {absent[0]} on {benchmark}")
    around = rows[rows["source"].isin(figure.centre) | rows["target"].isin(figure.centre)]
    if (twice := around.duplicated(["system", "source", "target"])).any():
        row = around[twice].iloc[0]
        raise LingualiftError(
            f"{row['system']} has two scores of {row['source']}-{row['target']}, of {' and '.join(figure.benchmarks)}: "
            "draw a figure of each, or leave the language out of one of these benchmarks"
        )
    for centre in figure.centre:
        own = around[(around["source"] == centre) | (around["target"] == centre)]
        if own.empty:
            raise LingualiftError(f"no score of {figure.metric} from or into {centre} on {figure.benchmarks[0]}")
        if not own.duplicated(["source", "target"]).any():
            raise LingualiftError(
                f"{' and '.join(figure.systems)} share no direction from or into {centre} on "
                f"{' and '.join(figure.benchmarks)}: there is nothing to compare"
            )
        picture = seen_unseen(
            own,
            *figure.systems,
            seen=seen,
            centre=centre,
            languages=figure.languages,
            title=f"{' and '.join(figure.benchmarks)}, around {centre}",
            label=_LABELS.get(figure.metric, figure.metric),
        )
        yield f"{'+'.join(figure.benchmarks)}.{centre}", picture


def _matrices(
    scores: "pd.DataFrame", figure: FigureEntry, families: Mapping[str, str]
) -> Iterator[tuple[str, "Figure"]]:
    limits = (0.0, float(scores["score"].max()) or 1.0)
    for system in figure.systems:
        for benchmark in figure.benchmarks:
            rows = scores[(scores["system"] == system) & (scores["benchmark"] == benchmark)]
            picture = direction_matrix(
                rows,
                title=f"{system} on {benchmark}",
                label=_LABELS.get(figure.metric, figure.metric),
                families=families,
                languages=figure.languages,
                limits=limits,
            )
            yield f"{system}.{benchmark}", picture
