"""Systems beside each other, language by language."""

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from lingualift.figures.counts import around
from lingualift.figures.style import (
    COLOURS,
    INKS,
    MARKERS,
    NOTE,
    NOTE_LINE,
    SMALLEST,
    WIDTH,
    label_step,
    new_figure,
    note_above,
    note_below,
    num_legend_columns,
    set_title,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    # Its name, its scores by language and system, and the groups of languages of each of its rows.
    _Panel = tuple[str, pd.DataFrame, list[list[tuple[str, pd.DataFrame]]]]

# The second of two systems, and the first: dark on light.
_LIFTED, _BASE = COLOURS[0], COLOURS[1]
# Inches: a row of languages, and all rows of a page.
_ROW_HEIGHT, _ROWS_HEIGHT = 1.55, 7.9
# Languages side by side that are told apart; empty places between two groups of them; rows that fit on a page.
_MOST, _GAP, _MOST_ROWS = 54, 5, 6
# Up to here those from a centre language and those into it have room on one page.
MAX_TOGETHER = 2 * _MOST
# Of the systems of one language, places: as far from each other as shows each, where scores are alike.
_DODGE = 0.5
# Inches of a row that are not for languages.
_BESIDE = 0.6
_SMALL = 6.5  # points
# Letters of a note above axes.
_NOTE_WIDTH = 92


@styled
def seen_unseen(
    scores: "pd.DataFrame",
    base: str,
    lifted: str,
    *,
    seen: Collection[str],
    centre: str = "en",
    languages: Sequence[str] = (),
    title: str = "",
    label: str = "spBLEU",
) -> "Figure":
    """Two systems, language by language: from and into a centre language, languages that were not trained on apart.

    Languages stand in the order of the base's scores, a line from the base to the lifted system; those without a
    score of both are left out. More of them than a page is wide stand in several rows, on one scale; more than these
    have room for, closer, and then not all are named, as a note says. Where the systems share no language, axes say so.

    Args:
        scores: rows with ``system``, ``source``, ``target`` and ``score``, each direction once a system.
        seen: the languages that were trained on.
        languages: only these; all if empty.

    Source: LLaMAX, Figure 4.
    """
    panels = []
    for name, panel in _panels(scores, [base, lifted], centre, languages):
        panel = panel.dropna().sort_values([base, lifted])
        groups = [("seen in training", panel[panel.index.isin(seen)]), ("unseen", panel[~panel.index.isin(seen)])]
        panels.append((name, panel, groups))
    panels = _in_rows(panels)
    figure, all_axes = _new_rows(panels)
    free = iter(all_axes)
    for name, panel, rows in panels:
        told: set[str] = set()
        for row in rows:
            axes, start, codes, places = next(free), 0.0, [], []
            for group, part in row:
                xs = [start + number for number in range(len(part))]
                if group == "unseen":
                    axes.axvspan(xs[0] - 1.2, xs[-1] + 1.2, color="0.94", zorder=0, linewidth=0)
                axes.vlines(xs, part[base], part[lifted], color="0.7", linewidth=1.1, zorder=1)
                for system, side, style in ((base, -1, {"s": 13, "marker": "s"}), (lifted, 1, {"s": 15})):
                    style |= {"color": _BASE if system == base else _LIFTED, "zorder": 3, "clip_on": False}
                    aside = [x + side * _DODGE / 3 for x in xs]
                    axes.scatter(aside, part[system], label=system if not codes else None, **style)
                if group not in told:
                    whole = panel[panel.index.isin(seen) == (group != "unseen")]
                    _tell_means(axes, f"{group} ({len(whole)})", whole[base], whole[lifted], xs, right=bool(codes))
                    told.add(group)
                codes += list(part.index)
                places += xs
                start = xs[-1] + _GAP
            _language_axis(axes, places, codes, f"{name}, {label}")
            if not codes:
                text = "no language that both systems have a score of"
                axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
                axes.set_yticks([])
    _same_scales(figure, all_axes, panels)
    _heading(figure, all_axes, title)
    return figure


@styled
def per_language(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    centre: str,
    languages: Sequence[str] = (),
    title: str = "",
    label: str = "spBLEU",
) -> "Figure":
    """Several systems, language by language, from and into a centre language; a marker and a colour a system.

    Languages stand in the order of the best score that any system has, in several rows where they are more than a page
    is wide. Of the two, from and into, a system stands not in that one where it has less than half of the languages that
    another has, as in tables: a note says so. Means are over the languages that all systems there have.

    Args:
        scores: rows with ``system``, ``source``, ``target`` and ``score``, each direction once a system.
        languages: only these; all if empty.

    Source: LLaMAX, Figure 5.
    """
    panels, notes = [], []
    for name, panel in _panels(scores, systems, centre, languages):
        panel, left_out = _standing(panel)
        notes.append(textwrap.wrap(_shared_means(panel), _NOTE_WIDTH) + textwrap.wrap(left_out, _NOTE_WIDTH))
        panel = panel.loc[panel.max(axis=1).sort_values(ascending=False, kind="stable").index]
        panels.append((name, panel, [("", panel)]))
    panels = _in_rows(panels)
    figure, all_axes = _new_rows(panels, height=2.7, more=0.6)
    free = iter(all_axes)
    for (name, _, rows), note in zip(panels, notes, strict=True):
        for number, ((_, part),) in enumerate(rows):
            axes, xs = next(free), list(range(len(part)))
            axes.vlines(xs, part.min(axis=1), part.max(axis=1), color="0.85", linewidth=1.0, zorder=1)
            for number_shown, system in enumerate(part):
                place = systems.index(system)
                style = {"marker": MARKERS[place % len(MARKERS)], "color": INKS[place % len(INKS)], "clip_on": False}
                aside = _DODGE * (number_shown / max(1, len(part.columns) - 1) - 0.5)
                axes.scatter([x + aside for x in xs], part[system], s=14, label=system, zorder=2, **style)
            if not number:
                note_above(axes, note)
            _language_axis(axes, xs, list(part.index), f"{name}, {label}")
    _same_scales(figure, all_axes, panels)
    _heading(figure, all_axes, title, lines=len(notes[0]))
    return figure


def _tell_means(
    axes: "Axes", what: str, base: "pd.Series", lifted: "pd.Series", xs: Sequence[float], *, right: bool
) -> None:
    """The means of a group of languages, above its first row; to the right where another group stands to the left."""
    axes.annotate(
        f"{what}: mean {base.mean():.1f} → {lifted.mean():.1f}",
        (xs[-1] + 1.2 if right else xs[0] - 0.5, 1.0),
        (0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=NOTE,
        ha="right" if right else "left",
        va="bottom",
    )


def _standing(panel: "pd.DataFrame") -> tuple["pd.DataFrame", str]:
    """Without the systems that have less than half of the languages that another has, and a note that says so."""
    counts = panel.count()
    few = counts[2 * counts < counts.max()]
    told = ", ".join(f"{system} ({count} of {counts.max()})" for system, count in few.items())
    note = f"not shown, with less than half of the languages: {told}" if told else ""
    return panel.drop(columns=few.index).dropna(how="all"), note


def _shared_means(panel: "pd.DataFrame") -> str:
    """The means of systems over the languages that all of them have."""
    shared = panel.dropna()
    if shared.empty:
        return "no language that all systems have"
    means = ", ".join(f"{system} {mean:.1f}" for system, mean in shared.mean().items())
    number = f"{len(shared)}" if len(shared) == len(panel) else f"{len(shared)} of {len(panel)}"
    return f"means of {number} languages: {means}"


def _in_rows(panels: "Sequence[tuple[str, pd.DataFrame, list[tuple[str, pd.DataFrame]]]]") -> "list[_Panel]":
    """The groups of languages of each panel as rows, of which all panels together have no more than fit on a page."""
    most = _MOST
    while True:
        found = [(name, panel, _rows(groups, most)) for name, panel, groups in panels]
        if sum(len(rows) for _, _, rows in found) <= _MOST_ROWS or most > max(len(panel) for _, panel, _ in panels):
            return found
        most += 6


def _rows(groups: "Sequence[tuple[str, pd.DataFrame]]", most: int) -> "list[list[tuple[str, pd.DataFrame]]]":
    """Groups of languages as rows of a page: all in one where they fit, else each in rows of its own, evenly filled."""
    groups = [(name, part) for name, part in groups if len(part)]
    if sum(len(part) for _, part in groups) + _GAP * (len(groups) - 1) <= most:
        return [groups]
    rows = []
    for name, part in groups:
        size = -(-len(part) // -(-len(part) // most))
        rows += [[(name, part.iloc[start : start + size])] for start in range(0, len(part), size)]
    return rows


def _new_rows(panels: "Sequence[_Panel]", *, height: float = 2.9, more: float = 0.5) -> tuple["Figure", list["Axes"]]:
    """A figure of a page's width, and no longer than one, with axes for every row of every panel.

    Args:
        height: of a panel of one row, inches; rows of panels that have more are lower.
        more: for title and legend.
    """
    number = sum(len(rows) for _, _, rows in panels)
    each = height if number == len(panels) else min(_ROW_HEIGHT, _ROWS_HEIGHT / number)
    figure, all_axes = new_figure(WIDTH, each * number + more, rows=number, share=False)
    figure.account["languages"] = {
        name: [code for row in rows for _, part in row for code in part.index] for name, _, rows in panels
    }
    return figure, all_axes


def _same_scales(figure: "Figure", all_axes: "Sequence[Axes]", panels: "Sequence[_Panel]") -> None:
    """Where a panel has several rows: the same scores in all of its rows, the same room a language in all of the figure.

    Low rows have their label in two lines. Languages that are too close for it are not all named.
    """
    if len(all_axes) == len(panels):
        return
    right = max(axes.get_xlim()[1] for axes in all_axes)
    step = label_step(72 * (WIDTH - _BESIDE) / (right + 1.5))
    low = figure.get_size_inches()[1] / len(all_axes) < 0.9 * _ROW_HEIGHT
    free = iter(all_axes)
    for _, _, rows in panels:
        own = [next(free) for _ in rows]
        limits = [axes.get_ylim() for axes in own]
        for axes in own:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
            axes.set_xlim(-1.5, right)
            if step > 1:
                labels = [label.get_text() for label in axes.get_xticklabels()]
                axes.set_xticks(axes.get_xticks()[::step], labels[::step])
            axes.tick_params(axis="x", labelsize=_SMALL if right < _MOST + 2 else SMALLEST)
            if low:
                axes.set_ylabel(axes.get_ylabel().replace(", ", "\n"), fontsize=7.5)
                axes.tick_params(axis="y", labelsize=7)
    if step > 1:
        note_below(figure, f"One of {step} languages is named; manifest.json has all of them in this order.")


def _panels(
    scores: "pd.DataFrame", systems: Sequence[str], centre: str, languages: Sequence[str]
) -> list[tuple[str, "pd.DataFrame"]]:
    """Scores by language and system, from the centre language and into it, as far as there are any."""
    import pandas as pd

    scores = scores.dropna(subset="score")
    parts = [around(scores[scores["system"] == system], centre, languages) for system in systems]
    found = []
    for name, columns in ((f"{centre}→X", [p[0] for p in parts]), (f"X→{centre}", [p[1] for p in parts])):
        panel = pd.concat(columns, axis=1, keys=systems).sort_index()
        if len(panel):
            found.append((name, panel))
    return found


def _language_axis(axes: "Axes", places: Sequence[float], codes: Sequence[str], label: str) -> None:
    size = _SMALL if len(codes) > 30 else 9
    # At 9 points a letter is up to 6 wide.
    upright = 6 * max(map(len, codes), default=0) * (len(codes) + 2) > 72 * (WIDTH - _BESIDE)
    axes.set_xticks(places, codes, rotation=90 if upright else 0, fontsize=size)
    axes.tick_params(axis="x", length=0, pad=2, labelbottom=True)
    axes.set_xlim(min(places, default=0) - 1.5, max(places, default=0) + 1.5)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel(label)


def _heading(figure: "Figure", all_axes: "Sequence[Axes]", title: str, *, lines: int = 1) -> None:
    """The title above, the legend below all axes, where no marker can run into it.

    Args:
        lines: of the note between the title and the first axes.
    """
    set_title(all_axes[0], title, pad=6 + NOTE_LINE * lines)
    handles: dict[str, object] = {}
    for axes in all_axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    style = {"frameon": False, "ncols": num_legend_columns(list(handles)), "markerscale": 1.6}
    figure.legend(list(handles.values()), list(handles), loc="outside lower left", **style)
