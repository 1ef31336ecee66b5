"""The pictures of a figure of the configuration."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingualift.configuration.evaluation import Figure as FigureEntry
from lingualift.errors import LingualiftError
from lingualift.figures.comparisons import MAX_TOGETHER, per_language, seen_unseen
from lingualift.figures.counts import count_above
from lingualift.figures.matrices import direction_matrix, pair_heatmap
from lingualift.figures.style import note_below, notes_of, write_figure
from lingualift.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    # Its name, it, and the scores that it shows.
    _Picture = tuple[str, Figure, pd.DataFrame]

_LABELS = {"spbleu": "spBLEU", "bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "comet": "COMET"}


def draw_figure(
    scores: "pd.DataFrame",
    figure: FigureEntry,
    *,
    families: Mapping[str, str],
    out: Path,
    seen: Collection[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Draw the pictures that an entry of the configuration asks for, each as ``.png`` and ``.svg``.

    They are named ``<system>.<benchmark>`` (direction_matrix; the colours mean the same in all of them),
    ``<benchmark>`` (count_above), ``<benchmark>.<centre>`` (per_language), the same with all benchmarks of the figure
    joined by ``+`` (seen_unseen: one picture of them all; of more languages than a page has room for, two of each,
    ``….from`` the centre language and ``….into`` it) or ``<system>.<baseline>.<benchmark>`` (pair_heatmap).

    Args:
        scores: as ``lingualift.tables.read_scores`` gives them.
        families: language families by code, of all languages of the run.
        out: a folder; appears when it is whole.
        seen: the languages that were trained on, for ``seen_unseen``.

    Returns:
        What a manifest says of each picture, by its name: ``signatures``, how many of a system's directions have which;
        ``languages``, where they stand in an order, in it, also those not named; ``notes``, its small print.

    Raises:
        LingualiftError: there is no score of the metric, or none that a picture shows; or one picture would show two
            scores of a system in the same direction, of two benchmarks.
    """
    chosen = scores[(scores["metric"] == figure.metric) & scores["score"].notna()]
    if chosen.empty:
        raise LingualiftError(f"no score of {figure.metric}")
    chosen = chosen[chosen["system"].isin(figure.systems)]
    told: dict[str, dict[str, Any]] = {}
    with atomic_path(out) as part:
        part.mkdir()
        for name, picture, rows in _pictures(chosen, figure, families, seen):
            found = signatures(rows, figure.systems)
            note_below(picture, *_signature_notes(_LABELS.get(figure.metric, figure.metric), found))
            write_figure(picture, part / name)
            told[name] = {**picture.account, "signatures": found, "notes": notes_of(picture)}
    return told


def signatures(rows: "pd.DataFrame", systems: Collection[str]) -> dict[str, dict[str, int]]:
    """By system and signature of its scores how many directions have it, the most frequent first.

    Args:
        rows: scores of one metric; an empty signature counts as ``none``.
    """
    found: dict[str, dict[str, int]] = {}
    for system in systems:
        own = Counter(signature or "none" for signature in rows.loc[rows["system"] == system, "signature"])
        if own:
            found[system] = dict(sorted(own.items(), key=lambda item: (-item[1], item[0])))
    return found


def _signature_notes(label: str, found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line for all systems where they have the same signatures, else one for each that differ."""
    alike: dict[frozenset[str], list[str]] = defaultdict(list)
    for system, own in found.items():
        alike[frozenset(own)].append(system)
    notes = []
    for systems in alike.values():
        whose = f" of {', '.join(systems)}" if len(alike) > 1 else ""
        notes.append(f"Signature of {label}{whose}: {'; '.join(found[systems[0]])}")
    return notes


def _pictures(
    scores: "pd.DataFrame", figure: FigureEntry, families: Mapping[str, str], seen: Collection[str] | None
) -> Iterator["_Picture"]:
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
            yield benchmark, draw(title=benchmark, **options), _around(rows, figure.centre)
        elif figure.kind == "pair_heatmap":
            system, baseline = figure.systems
            options["languages"] = figure.heatmap_languages(families)
            title = f"{system} minus {baseline} on {benchmark}"
            picture = pair_heatmap(rows, system, baseline, title=title, **options)
            yield f"{system}.{baseline}.{benchmark}", picture, _among(rows, options["languages"])
        else:
            for centre in figure.centre:
                if (own := _around(rows, [centre])).empty:
                    raise LingualiftError(f"no score of {figure.metric} from or into {centre} on {benchmark}")
                options |= {"centre": centre, "title": f"{benchmark}, around {centre}"}
                for end, part in _on_pages(own, centre):
                    yield f"{benchmark}.{centre}{end}", per_language(part, systems=figure.systems, **options), part


def _seen_unseen(scores: "pd.DataFrame", figure: FigureEntry, seen: Collection[str] | None) -> Iterator["_Picture"]:
    """One picture a centre of all benchmarks, which share no direction: FLORES-101, say, and FLORES-200 beyond it."""
    if seen is None:
        raise LingualiftError("seen_unseen has to know which languages were trained on")
    rows = scores[scores["benchmark"].isin(figure.benchmarks)]
    for benchmark in figure.benchmarks:
        there = set(rows.loc[rows["benchmark"] == benchmark, "system"])
        if absent := [system for system in figure.systems if system not in there]:
            raise LingualiftError(f"no score of {figure.metric} of {absent[0]} on {benchmark}")
    around = _around(rows, figure.centre)
    if (twice := around.duplicated(["system", "source", "target"])).any():
        row = around[twice].iloc[0]
        raise LingualiftError(
            f"{row['system']} has two scores of {row['source']}-{row['target']}, of {' and '.join(figure.benchmarks)}: "
            "draw a figure of each, or leave the language out of one of these benchmarks"
        )
    for centre in figure.centre:
        own = _around(around, [centre])
        if own.empty:
            raise LingualiftError(f"no score of {figure.metric} from or into {centre} on {figure.benchmarks[0]}")
        if not own.duplicated(["source", "target"]).any():
            raise LingualiftError(
                f"{' and '.join(figure.systems)} share no direction from or into {centre} on "
                f"{' and '.join(figure.benchmarks)}: there is nothing to compare"
            )
        draw = partial(
            seen_unseen,
            seen=seen,
            centre=centre,
            languages=figure.languages,
            title=f"{' and '.join(figure.benchmarks)}, around {centre}",
            label=_LABELS.get(figure.metric, figure.metric),
        )
        for end, part in _on_pages(own, centre):
            yield f"{'+'.join(figure.benchmarks)}.{centre}{end}", draw(part, *figure.systems), part


def _on_pages(rows: "pd.DataFrame", centre: str) -> Iterator[tuple[str, "pd.DataFrame"]]:
    """Scores around a language, from it and into it apart where there are too many for one page, and how these end."""
    sides = {".from": rows[rows["source"] == centre], ".into": rows[rows["target"] == centre]}
    if max(side.groupby(["source", "target"]).ngroups for side in sides.values()) <= MAX_TOGETHER:
        sides = {"": rows}
    yield from ((end, side) for end, side in sides.items() if len(side))


def _matrices(scores: "pd.DataFrame", figure: FigureEntry, families: Mapping[str, str]) -> Iterator["_Picture"]:
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
            yield f"{system}.{benchmark}", picture, _among(rows, figure.languages)


def _around(rows: "pd.DataFrame", centre: Collection[str]) -> "pd.DataFrame":
    """The directions from or into a centre language."""
    return rows[rows["source"].isin(centre) | rows["target"].isin(centre)]


def _among(rows: "pd.DataFrame", languages: Collection[str]) -> "pd.DataFrame":
    """The directions among languages; all if none are given."""
    return rows[rows["source"].isin(languages) & rows["target"].isin(languages)] if languages else rows
