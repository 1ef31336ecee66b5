"""Heat maps: the matrix of all directions, and the difference of two systems."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lingualift.configuration.evaluation import PAPER_LANGUAGES
from lingualift.figures.style import new_figure, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Up to here every cell has its figure printed; beyond, languages stand by family.
MAX_PRINTED = 20


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

    Args:
        scores: rows with ``source``, ``target`` and ``score``, each direction once.
        label: what the colours mean.
        families: language families by code; more than 20 languages are grouped by them.
        languages: what to show, in this order; all with scores, sorted, if empty.
        limits: lowest and highest value of the colours, to compare figures; from the scores by default.
    """
    import numpy as np

    codes = list(languages) or sorted({*scores["source"], *scores["target"]})
    large = len(codes) > MAX_PRINTED
    if large and families:
        codes = _by_family(codes, families)
    values = scores.pivot(index="source", columns="target", values="score")
    values = values.reindex(index=codes, columns=codes).to_numpy(dtype=float)
    low, high = limits or (0.0, float(np.nanmax(values, initial=0.0)) or 1.0)
    side = max(3.2, 0.42 * len(codes) + 1.4) if not large else max(6.0, 0.105 * len(codes) + 1.6)
    figure, (axes,) = new_figure(side + 0.9, side)
    _style_matrix(axes, codes, large=large)
    image = axes.imshow(values, cmap=_colour_map(), vmin=low, vmax=high, interpolation="nearest")
    if large:
        _draw_families(axes, codes, families or {})
    else:
        _print_cells(axes, values, image.to_rgba(values))
    bar = figure.colorbar(image, ax=axes, fraction=0.025 if large else 0.04, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)
    axes.set_title(title, loc="left", pad=40 if large and families else 10, fontsize=11)
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
    side = max(3.2, 0.5 * len(languages) + 1.4)
    figure, (axes,) = new_figure(side + 1.1, side)
    large = len(languages) > MAX_PRINTED
    _style_matrix(axes, languages, large=large)
    image = axes.imshow(gap, cmap=_colour_map("BrBG"), vmin=-most, vmax=most, interpolation="nearest")
    if not large:
        _print_cells(axes, gap, image.to_rgba(gap), sign="+")
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label(f"{label}: {system} ahead (+) or behind (−)")
    bar.outline.set_visible(False)
    axes.set_title(title, loc="left", pad=10, fontsize=11)
    return figure


def _colour_map(name: str = "viridis") -> Any:
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad="0.85" if name != "viridis" else "0.93")


def _by_family(codes: Sequence[str], families: Mapping[str, str]) -> list[str]:
    """Large families first, so that the many small ones come together at the end."""
    sizes: dict[str, int] = {}
    for code in codes:
        family = families.get(code, "")
        sizes[family] = sizes.get(family, 0) + 1
    return sorted(codes, key=lambda code: (-sizes[families.get(code, "")], families.get(code, ""), code))


def _style_matrix(axes: "Axes", codes: Sequence[str], *, large: bool) -> None:
    size = 9 if not large else 5.5
    axes.set_xticks(range(len(codes)), codes, fontsize=size, rotation=90 if large else 0)
    axes.set_yticks(range(len(codes)), codes, fontsize=size)
    axes.tick_params(length=0, pad=2)
    axes.set_xlabel("Target")
    axes.set_ylabel("Source")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _print_cells(axes: "Axes", values: Any, colours: Any, *, sign: str = "-") -> None:
    import numpy as np

    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        # Relative luminance decides which ink is read best.
        luminance = colours[row, column, :3] @ (0.2126, 0.7152, 0.0722)
        ink = "white" if luminance < 0.5 else "black"
        axes.text(column, row, f"{value:{sign}.1f}".replace("-", "−"), ha="center", va="center", color=ink, fontsize=8)


def _draw_families(axes: "Axes", codes: Sequence[str], families: Mapping[str, str]) -> None:
    """White lines between families, and the names of those with room for one above the matrix."""
    start = 0
    for place in range(1, len(codes) + 1):
        if place < len(codes) and families.get(codes[place]) == families.get(codes[start]):
            continue
        if place < len(codes):
            axes.axhline(place - 0.5, color="white", linewidth=0.8)
            axes.axvline(place - 0.5, color="white", linewidth=0.8)
        name = families.get(codes[start], "")
        if name and place - start >= 4:
            middle = (start + place - 1) / 2
            axes.annotate(
                name,
                (middle, -0.5),
                (0, 4),
                textcoords="offset points",
                ha="left",
                va="bottom",
                fontsize=6.5,
                rotation=30,
            )
        start = place
