"""The course of a training, and the composition of a mixture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingualift.errors import InputError
from lingualift.figures.style import COLOURS, new_figure, styled
from lingualift.files import open_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What is drawn: the log's key, its name, what one of its units is in the figure's, and the least that an axis ends at.
_PANELS = (
    ("loss", "Loss", 1, None),
    ("learning_rate", "Learning rate", 1, None),
    ("tokens_per_second", "Tokens / s", 1, 0),
    ("data_wait_share", "Waiting for\ndata (%)", 100, 2),
    ("memory_mb", "Memory (GB)", 1e-3, 0),
)


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
    figure, all_axes = new_figure(6.4, 1.0 + 1.4 * len(panels), rows=len(panels))
    for axes, (key, name, scale, top), colour in zip(all_axes, panels, COLOURS, strict=False):
        points = [(step, scale * line[key]) for step, line in sorted(lines.items()) if line.get(key) is not None]
        # A single point has no line to be seen by.
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, marker="o" if len(points) < 3 else None)
        held_out = [(step, line["held_out_loss"]) for step, line in sorted(lines.items()) if "held_out_loss" in line]
        if key == "loss" and held_out:
            axes.lines[0].set_label("training")
            axes.plot(
                *zip(*held_out, strict=True), color=COLOURS[len(panels)], linewidth=1.4, marker="o", label="held out"
            )
            axes.legend(frameon=False)
        axes.set_ylabel(name)
        axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        if key == "learning_rate":
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
        if top is not None:
            axes.set_ylim(0, max(top, axes.get_ylim()[1]))
    all_axes[-1].set_xlabel("Step")
    all_axes[0].set_title(title, loc="left")
    figure.align_ylabels(all_axes)
    return figure


@styled
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
    figure, (axes,) = new_figure(6.4, height)
    starts = dict.fromkeys(codes, 0.0)
    for number, (component, languages) in enumerate(card.items()):
        widths = [100 * languages.get(code, 0.0) / whole for code in codes]
        share = sum(widths)
        axes.barh(
            range(len(codes)),
            widths,
            left=[starts[code] for code in codes],
            height=0.8,
            color=COLOURS[number % len(COLOURS)],
            # Past the last colour, a pattern tells components apart.
            hatch=("", "///", "...", "xxx")[number // len(COLOURS) % 4],
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
