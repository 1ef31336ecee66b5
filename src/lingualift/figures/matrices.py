"""Heat maps: the matrix of all directions, and the difference of two systems."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lingualift.configuration.evaluation import PAPER_LANGUAGES
from lingualift.figures.style import (
    DIVERGING,
    SEQUENTIAL,
    SMALLEST,
    WIDTH,
    label_step,
    new_figure,
    note_below,
    set_title,
    styled,
    wrapped,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# Up to here every cell has its figure printed; beyond, languages stand by family.
MAX_PRINTED = 20
# Inches: the matrix on a page beside its labels; one of a few languages with its cells; what stands above and below.
_SIDE, _CELL, _REST = 5.1, 0.45, 1.6
# Points: the names of families, and the room that one needs above the matrix, where they stand aslant.
_FAMILY, _FAMILY_ROOM = 6.5, 13.0


@styled
def direction_matrix(
    scores: "pd.DataFrame",
    *,
    title: str = "",
    label: str = "spBLEU",
    families: Mapping[str, str] | None = None,
    languages: Sequence[str] = (),
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """A heat map of one system and metric: a row per source, a column per target; grey where there is no score.

    It fits on a page. The names of many languages stand on both sides in turn; of more than these have room for, every
    second or third is named, and a note says so.

    Args:
        scores: rows with ``source``, ``target`` and ``score``, each direction once.
        label: what the colours mean.
        families: language families by code; more than 20 languages are grouped by them.
        languages: what to show, in this order; all with scores, sorted, if empty.
        limits: lowest and highest value of the colours, to compare figures; from the scores by default.
    """
    import numpy as np

    codes = list(languages) or sorted({*scores["source"], *scores["target"]})
    if families and len(codes) > MAX_PRINTED:
        codes = _by_family(codes, families)
    values = scores.pivot(index="source", columns="target", values="score")
    values = values.reindex(index=codes, columns=codes).to_numpy(dtype=float)
    low, high = limits or (0.0, float(np.nanmax(values, initial=0.0)) or 1.0)
    grouped = families if len(codes) > MAX_PRINTED else None
    figure, axes, cell = _new_matrix(codes, top=0.75 if grouped else 0.0)
    image = axes.imshow(values, cmap=_colour_map(), vmin=low, vmax=high, interpolation="nearest")
    pad = 6.0
    if grouped:
        pad += _draw_families(figure, axes, codes, grouped, cell)
    elif len(codes) <= MAX_PRINTED:
        _print_cells(axes, values, image.to_rgba(values), cell)
    _colour_bar(figure, axes, image, label)
    set_title(axes, title, pad=pad)
    return figure


@styled
def pair_heatmap(
    scores: "pd.DataFrame",
    system: str,
    baseline: str,
    *,
    languages: Sequence[str] = PAPER_LANGUAGES,
    title: str = "",
    label: str = "spBLEU",
) -> "Figure":
    """By how much a system is better than another: a row per source, a column per target; grey where one has no score.

    Green is for the system and brown for the other, as far as each is ahead.

    Args:
        scores: rows with ``system``, ``source``, ``target`` and ``score``, each direction once a system.
        languages: in the order of rows and columns.

    Source: LLaMAX, Figure 7.
    """
    import numpy as np

    values = scores.pivot(index="system", columns=["source", "target"], values="score")
    difference = values.loc[system] - values.loc[baseline]
    gap = difference.unstack("target").reindex(index=languages, columns=languages).to_numpy(dtype=float)
    most = float(np.nanmax(np.abs(gap), initial=0.0)) or 1.0
    figure, axes, cell = _new_matrix(languages)
    image = axes.imshow(gap, cmap=_colour_map(DIVERGING), vmin=-most, vmax=most, interpolation="nearest")
    if len(languages) <= MAX_PRINTED:
        _print_cells(axes, gap, image.to_rgba(gap), cell, sign="+")
    _colour_bar(figure, axes, image, f"{label}: {system} ahead (+) or behind (−)")
    set_title(axes, title)
    return figure


def _new_matrix(codes: Sequence[str], *, top: float = 0.0) -> tuple["Figure", "Axes", float]:
    """Axes for a matrix with its labels, and the points from one row to the next.

    Args:
        top: inches for what stands above the labels.
    """
    side = min(_SIDE, max(1.6, _CELL * len(codes))) if len(codes) <= MAX_PRINTED else _SIDE
    cell = 72 * side / max(len(codes), 1)
    figure, (axes,) = new_figure(min(WIDTH, max(3.6, side + 0.9)), side + _REST + top)
    figure.account["languages"] = list(codes)
    _label_matrix(figure, axes, codes, cell)
    axes.set_xlabel("Target")
    axes.set_ylabel("Source")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes, cell


def _label_matrix(figure: "Figure", axes: "Axes", codes: Sequence[str], cell: float) -> None:
    """The languages beside rows and columns: on one side, or on both in turn, or not all."""
    step = label_step(cell)
    both = step > 1
    if step > 2:
        # Either side has every second of them.
        step = label_step(2 * cell)
        note_below(
            figure,
            f"Every {_ordinal(step)} language is named, left and right, below and above in turn; "
            "manifest.json has all of them in this order.",
        )
    elif both:
        step = 1
        note_below(figure, "Languages are named left and right, below and above in turn.")
    size = min(9.0, max(SMALLEST, 0.75 * cell * step * (2 if both else 1)))
    upright = cell < 0.68 * size * max(map(len, codes), default=0)
    places = range(0, len(codes), step)
    for axis, rotation in ((axes.xaxis, 90 if upright else 0), (axes.yaxis, 0)):
        sides = [(places[::2], False), (places[1::2], True)] if both else [(places, False)]
        for own, minor in sides:
            labels = [codes[place] for place in own]
            axis.set_ticks(list(own), labels, minor=minor, fontsize=size, rotation=rotation)
    axes.tick_params(which="both", length=0, pad=2)
    axes.tick_params(axis="x", which="minor", labeltop=both, labelbottom=False)
    axes.tick_params(axis="y", which="minor", labelright=both, labelleft=False)


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _colour_map(name: str = SEQUENTIAL) -> Any:
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad="0.85" if name != SEQUENTIAL else "0.93")


def _colour_bar(figure: "Figure", axes: "Axes", image: "AxesImage", label: str) -> None:
    """Below the matrix, where it takes no width from it."""
    bar = figure.colorbar(image, ax=axes, location="bottom", fraction=0.03, pad=0.02, aspect=40)
    bar.set_label("\n".join(wrapped(label, 9, width=figure.get_size_inches()[0] - 0.5)))
    bar.outline.set_visible(False)


def _by_family(codes: Sequence[str], families: Mapping[str, str]) -> list[str]:
    """Large families first, so that the many small ones come together at the end."""
    sizes: dict[str, int] = {}
    for code in codes:
        family = families.get(code, "")
        sizes[family] = sizes.get(family, 0) + 1
    return sorted(codes, key=lambda code: (-sizes[families.get(code, "")], families.get(code, ""), code))


def _print_cells(axes: "Axes", values: Any, colours: Any, cell: float, *, sign: str = "-") -> None:
    """The figure of each cell, as large as five letters have room for."""
    import numpy as np

    size = min(8.0, max(SMALLEST, cell / 3.3))
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        # Relative luminance, of linear light, decides which ink is read best: from 0.18 on black has more contrast.
        light = np.where((rgb := colours[row, column, :3]) <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        ink = "white" if light @ (0.2126, 0.7152, 0.0722) < 0.18 else "black"
        text = f"{value:{sign}.1f}".replace("-", "−")
        axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)


def _draw_families(
    figure: "Figure", axes: "Axes", codes: Sequence[str], families: Mapping[str, str], cell: float
) -> float:
    """White lines between families; their names above the matrix, of those without room for one below the picture.

    Args:
        cell: points from one row to the next.

    Returns:
        How many points above the matrix the names of languages and families take.
    """
    start, rise = 0, 0.0
    # Above the languages that stand there, upright.
    above = 6 + (0.65 * SMALLEST * max(map(len, codes)) if label_step(cell) > 1 else 0)
    unnamed = []
    for place in range(1, len(codes) + 1):
        if place < len(codes) and families.get(codes[place]) == families.get(codes[start]):
            continue
        if place < len(codes):
            for line in (axes.axhline, axes.axvline):
                line(place - 0.5, color="white", linewidth=min(0.6, cell / 8))
        name = families.get(codes[start], "")
        if name and (place - start) * cell >= _FAMILY_ROOM:
            axes.annotate(
                name,
                ((start + place - 1) / 2, -0.5),
                (0, above),
                textcoords="offset points",
                ha="left",
                va="bottom",
                fontsize=_FAMILY,
                rotation=30,
            )
            rise = max(rise, above + 8 + 0.3 * _FAMILY * len(name))
        elif name:
            unnamed.append(f"{name} ({place - start})")
        start = place
    if unnamed:
        note_below(
            figure, f"Families without a name above, in their order and with their languages: {', '.join(unnamed)}."
        )
    return rise
