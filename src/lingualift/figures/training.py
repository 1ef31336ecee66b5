"""The course of a training, and the composition of a mixture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingualift.errors import InputError
from lingualift.figures.style import COLOURS, SMALLEST, WIDTH, new_figure, num_legend_columns, set_title, styled
from lingualift.files import open_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is drawn: the log's key, its name, what one of its units is in the figure's, and the least that an axis ends at.
_PANELS = (
    ("loss", "Loss", 1, None),
    ("learning_rate", "Learning rate", 1, None),
    ("tokens_per_second", "Tokens / s", 1, 0),
    ("data_wait_share", "Waiting for\ndata (%)", 100, 2),
    ("memory_mb", "Memory (GB)", 1e-3, 0),
)
# Of components, beside their colours: as many as share no factor with these.
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")
# Languages of a column of bars with large letters, and the most on a page; columns side by side.
_ROOMY, _MOST, _MOST_COLUMNS = 32, 60, 4
_LEGEND = 8  # points


@styled
def training_curve(log: str | Path, *, title: str = "") -> "Figure":
    """Loss, also on held-out blocks where it was measured, learning rate, speed, waiting and memory against steps.

    Args:
        log: JSON lines with ``step`` and any of ``loss``, ``held_out_loss``, ``learning_rate``,
            ``tokens_per_second``, ``data_wait_share``, ``memory_mb`` (MB). Where a resumed run logged a step again, the later line counts.

    Raises:
        InputError: a line is not a JSON object with a step, or there is none.
    """
    lines = _read_log(Path(log))
    panels = [panel for panel in _PANELS if any(panel[0] in line for line in lines.values())] or _PANELS[:1]
    figure, all_axes = new_figure(WIDTH, 1.0 + 1.4 * len(panels), rows=len(panels))
    for axes, (key, name, scale, top), colour in zip(all_axes, panels, COLOURS, strict=False):
        points = [(step, scale * line[key]) for step, line in sorted(lines.items()) if line.get(key) is not None]
        # A single point has no line to be seen by.
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, marker="o" if len(points) < 3 else None)
        held_out = [(step, line["held_out_loss"]) for step, line in sorted(lines.items()) if "held_out_loss" in line]
        if key == "loss" and held_out:
            axes.lines[0].set_label("training")
            style = {"linewidth": 1.4, "linestyle": "--", "marker": "o", "color": COLOURS[len(panels)]}
            axes.plot(*zip(*held_out, strict=True), label="held out", **style)
            axes.legend(frameon=False)
        axes.set_ylabel(name)
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        if key == "learning_rate":
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
        if top is not None:
            axes.set_ylim(0, max(top, axes.get_ylim()[1]))
    all_axes[-1].set_xlabel("Step")
    set_title(all_axes[0], title)
    figure.align_ylabels(all_axes)
    return figure


@styled
def composition_figure(card: Mapping[str, Mapping[str, float]], *, title: str = "") -> "Figure":
    """Shares of tokens: a horizontal bar per language, stacked by component, the largest on top.

    More languages than a page is high stand in columns, on one scale.

    Args:
        card: tokens by component, then language; any unit, shown as percentages of the whole.
    """
    totals: dict[str, float] = {}
    for languages in card.values():
        for code, tokens in languages.items():
            totals[code] = totals.get(code, 0.0) + tokens
    whole = sum(totals.values()) or 1.0
    codes = sorted(totals, key=lambda code: (totals[code], code))
    shares = {
        component: {code: 100 * languages.get(code, 0.0) / whole for code in codes}
        for component, languages in card.items()
    }
    labels = [f"{component} ({sum(own.values()):.1f} %)" for component, own in shares.items()]
    num_columns = min(_MOST_COLUMNS, max(1, -(-len(codes) // _MOST)))
    rows = -(-len(codes) // num_columns)
    crowded = rows > _ROOMY
    legend_columns = num_legend_columns(labels, size=_LEGEND)
    height = (0.118 if crowded else 0.22) * max(rows, 2) + 0.9 + 0.16 * -(-len(labels) // legend_columns)
    figure, all_axes = new_figure(WIDTH, min(9.0, height), columns=num_columns)
    for number, axes in enumerate(all_axes):
        end = len(codes) - number * rows
        _stack_bars(axes, codes[max(0, end - rows) : end], shares, labels, crowded=crowded, rows=rows)
    all_axes[0].set_xlim(0, (1.12 + 0.12 * (num_columns - 1)) * 100 * max(totals.values(), default=1.0) / whole)
    all_axes[0].set_xlabel("Share of tokens (%)")
    set_title(all_axes[0], title)
    if card:
        # Below the axes, where no bar can run into it.
        handles = all_axes[0].get_legend_handles_labels()
        figure.legend(*handles, frameon=False, loc="outside lower left", ncols=legend_columns, fontsize=_LEGEND)
    return figure


def _stack_bars(
    axes: "Axes",
    codes: Sequence[str],
    shares: Mapping[str, Mapping[str, float]],
    labels: Sequence[str],
    *,
    crowded: bool,
    rows: int,
) -> None:
    """The bars of one column, from below.

    Args:
        shares: by component and language.
        crowded: small letters, and figures with two decimals.
        rows: of a full column, so that bars are as high in all of them.
    """
    starts = dict.fromkeys(codes, 0.0)
    for number, (own, label) in enumerate(zip(shares.values(), labels, strict=True)):
        axes.barh(
            range(len(codes)),
            [own[code] for code in codes],
            left=list(starts.values()),
            height=0.8,
            color=COLOURS[number % len(COLOURS)],
            # Components are told apart without colour, too.
            hatch=_HATCHES[number % len(_HATCHES)],
            edgecolor="white",
            linewidth=0.3,
            label=label,
        )
        starts = {code: start + own[code] for code, start in starts.items()}
    size = max(SMALLEST, min(7, 400 / rows)) if crowded else 9
    style = {"textcoords": "offset points", "va": "center", "fontsize": size}
    # Of many languages some are small.
    decimals = 2 if crowded else 1
    for place, code in enumerate(codes):
        tiny = 0 < starts[code] < 0.5 * 10**-decimals
        text = f"< {10**-decimals:g}" if tiny else f"{starts[code]:.{decimals}f}"
        axes.annotate(text, (starts[code], place), (3, 0), **style)
    axes.set_yticks(range(len(codes)), codes, fontsize=size)
    axes.set_ylim(len(codes) - rows - 0.6, len(codes) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


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
