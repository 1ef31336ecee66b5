"""Figures: the matrix of directions, the course of a training, the composition of a mixture.

Every figure is written as PNG and SVG, the same bytes for the same figures.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from lingualift.configuration.evaluation import Figure as FigureEntry
from lingualift.errors import InputError, LingualiftError
from lingualift.files import atomic_path, open_bytes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Arguments = ParamSpec("_Arguments")

# Up to here every cell has its figure printed; beyond, languages stand by family.
MAX_PRINTED = 20
# Okabe and Ito's colours, told apart by colour-blind readers too.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "lingualift",
    "svg.fonttype": "path",
    "figure.dpi": 100,
    "savefig.dpi": 200,
}


def _styled(draw: "Callable[_Arguments, Figure]") -> "Callable[_Arguments, Figure]":
    """Draw in our style, whatever the reader's own matplotlib settings are."""

    @functools.wraps(draw)
    def wrapper(*args: _Arguments.args, **keywords: _Arguments.kwargs) -> "Figure":
        import matplotlib as mpl

        with mpl.rc_context(_STYLE):
            return draw(*args, **keywords)

    return wrapper


@_styled
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
    figure, (axes,) = _figure(side + 0.9, side)
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


@_styled
def training_curve(log: str | Path, *, title: str = "") -> "Figure":
    """Loss, learning rate and tokens per second against steps.

    Args:
        log: JSON lines with ``step`` and any of ``loss``, ``learning_rate``, ``tokens_per_second``. Where a
            resumed run logged a step again, the later line counts.

    Raises:
        InputError: a line is not a JSON object with a step, or there is none.
    """
    lines = _read_log(Path(log))
    panels = [("loss", "Loss"), ("learning_rate", "Learning rate"), ("tokens_per_second", "Tokens / s")]
    panels = [(key, name) for key, name in panels if any(key in line for line in lines.values())] or panels[:1]
    figure, all_axes = _figure(6.4, 1.0 + 1.7 * len(panels), rows=len(panels))
    for axes, (key, name), colour in zip(all_axes, panels, _COLOURS, strict=False):
        points = [(step, line[key]) for step, line in sorted(lines.items()) if line.get(key) is not None]
        # A single point has no line to be seen by.
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, marker="o" if len(points) < 3 else None)
        axes.set_ylabel(name)
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        if key == "learning_rate":
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
        if key == "tokens_per_second":
            axes.set_ylim(bottom=0)
    all_axes[-1].set_xlabel("Step")
    all_axes[0].set_title(title, loc="left")
    figure.align_ylabels(all_axes)
    return figure


@_styled
def composition_figure(card: Mapping[str, Mapping[str, float]], *, title: str = "") -> "Figure":
    """Shares of tokens: a horizontal bar per language, stacked by component, the largest on top.

    Args:
        card: tokens by component, then language; any unit, shown as percentages of the whole.
    """
    totals: dict[str, float] = {}
    for languages in card.values():
        for code, tokens in languages.items():
            totals[code] = totals.get(code, 0.0) + tokens
    whole = sum(totals.values()) or 1.0
    codes = sorted(totals, key=lambda code: (totals[code], code))
    crowded = len(codes) > 40
    height = 1.3 + (0.13 if crowded else 0.26) * max(len(codes), 2)
    figure, (axes,) = _figure(6.4, height)
    starts = dict.fromkeys(codes, 0.0)
    for number, (component, languages) in enumerate(card.items()):
        widths = [100 * languages.get(code, 0.0) / whole for code in codes]
        share = sum(widths)
        axes.barh(
            range(len(codes)),
            widths,
            left=[starts[code] for code in codes],
            height=0.8,
            color=_COLOURS[number % len(_COLOURS)],
            # Past the last colour, a pattern tells components apart.
            hatch=("", "///", "...", "xxx")[number // len(_COLOURS) % 4],
            edgecolor="white",
            linewidth=0.3,
            label=f"{component} ({share:.1f} %)",
        )
        starts = {code: starts[code] + width for code, width in zip(codes, widths, strict=True)}
    if not crowded:
        for place, code in enumerate(codes):
            axes.annotate(f"{starts[code]:.1f}", (starts[code], place), (3, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(codes)), codes, fontsize=6.5 if crowded else 9)
    axes.set_ylim(-0.6, len(codes) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 1.12 * max(starts.values(), default=1.0))
    axes.set_xlabel("Share of tokens (%)")
    axes.set_title(title, loc="left")
    if card:
        # Below the axes, where no bar can run into it.
        figure.legend(frameon=False, loc="outside lower left", ncols=3)
    return figure


def write_figure(figure: "Figure", stem: str | Path) -> list[Path]:
    """Write ``<stem>.png`` and ``<stem>.svg``, without date or version in them.

    Returns:
        The two files.
    """
    import matplotlib as mpl

    stem = Path(stem)
    written = []
    with mpl.rc_context(_STYLE):
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
            path = stem.with_name(stem.name + suffix)
            with atomic_path(path) as part:
                figure.savefig(part, format=suffix[1:], metadata=metadata, bbox_inches="tight", facecolor="white")
            written.append(path)
    return written


def _figure(width: float, height: float, *, rows: int = 1) -> tuple["Figure", list["Axes"]]:
    """A figure outside of pyplot's global state, so that none is kept and no window is wanted."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=rows > 1, squeeze=False)[:, 0]
    return figure, list(axes)


def _colour_map() -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"].with_extremes(bad="0.93")


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


def _print_cells(axes: "Axes", values: Any, colours: Any) -> None:
    import numpy as np

    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        # Relative luminance decides which ink is read best.
        luminance = colours[row, column, :3] @ (0.2126, 0.7152, 0.0722)
        ink = "white" if luminance < 0.5 else "black"
        axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=ink, fontsize=8)


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


def _read_log(path: Path) -> dict[int, dict[str, Any]]:
    lines: dict[int, dict[str, Any]] = {}
    with open_bytes(path) as file:
        for number, text in enumerate(file, start=1):
            try:
                line = json.loads(text)
                lines[int(line["step"])] = {**lines.get(int(line["step"]), {}), **line}
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(path, "not a JSON object with a step", line=number) from error
    if not lines:
        raise InputError(path, "no step was logged")
    return lines


def draw_figure(scores: "pd.DataFrame", figure: FigureEntry, *, families: Mapping[str, str], out: Path) -> list[Path]:
    """Draw the pictures that an entry of the configuration asks for, ``<system>.<benchmark>.png`` and ``.svg``.

    The colours mean the same in all of them.

    Args:
        scores: as ``lingualift.tables.read_scores`` gives them.
        families: language families by code.
        out: a folder; appears when it is whole.

    Raises:
        LingualiftError: there is no score of the metric.
    """
    chosen = scores[scores["metric"] == figure.metric]
    if chosen.empty:
        raise LingualiftError(f"no score of {figure.metric}")
    limits = (0.0, float(chosen["score"].max()) or 1.0)
    written: list[Path] = []
    with atomic_path(out) as part:
        part.mkdir()
        for system in figure.systems:
            for benchmark in figure.benchmarks:
                rows = chosen[(chosen["system"] == system) & (chosen["benchmark"] == benchmark)]
                title = f"{system} on {benchmark}"
                picture = direction_matrix(rows, title=title, label=figure.metric, families=families, limits=limits)
                written += write_figure(picture, part / f"{system}.{benchmark}")
    return [out / path.name for path in written]
