"""Systems beside each other: counts of good directions, and scores language by language."""

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from lingualift.figures.style import COLOURS, MARKERS, new_figure, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    # Its name, its scores by language and system, and the groups of languages of each of its rows.
    _Panel = tuple[str, pd.DataFrame, list[list[tuple[str, pd.DataFrame]]]]

# Blue, vermilion, green …: the colours that stand apart most come first, yellow is too light for a marker.
_INKS = tuple(COLOURS[number] for number in (0, 5, 2, 3, 1, 4, 7))
# The second of two systems, and the first: dark on light.
_LIFTED, _BASE = COLOURS[0], COLOURS[1]
# Inches; languages side by side that are told apart at that width; empty places between two groups of them.
_PAGE, _ROW_HEIGHT, _MOST, _GAP = 7.0, 1.55, 54, 5
_SMALL = 7  # points
# Of a note above axes: points of its letters and lines, letters that a page is wide.
_NOTE, _NOTE_LINE, _NOTE_WIDTH = 7.5, 10, 105
# A count over fewer of a centre's directions would say nothing about the system.
_COVERAGE = 0.9


def count_directions(
    scores: "pd.DataFrame", *, centre: Sequence[str], threshold: float = 10.0, languages: Sequence[str] = ()
) -> "pd.DataFrame":
    """How many directions from and into each centre language score above a threshold.

    Args:
        scores: rows with ``system``, ``source``, ``target`` and ``score``, each direction once a system.
        languages: what X runs over; all if empty.

    Returns:
        Columns ``system``, ``centre``, ``outward`` (c→X), ``inward`` (X→c), and of how many each:
        ``num_outward``, ``num_inward``; no row for a system without a score around the centre.

    Source: LLaMAX, Figure 1.
    """
    import pandas as pd

    rows = []
    for code in centre:
        for system, own in scores.dropna(subset="score").groupby("system", sort=False):
            outward, inward = _around(own, code, languages)
            if len(outward) + len(inward):
                counts = [int((part > threshold).sum()) for part in (outward, inward)]
                rows.append((system, code, *counts, len(outward), len(inward)))
    return pd.DataFrame(rows, columns=["system", "centre", "outward", "inward", "num_outward", "num_inward"])


@styled
def count_above(
    scores: "pd.DataFrame",
    *,
    systems: Sequence[str],
    centre: Sequence[str],
    threshold: float = 10.0,
    languages: Sequence[str] = (),
    title: str = "",
    label: str = "spBLEU",
) -> "Figure":
    """Directions into a centre language against those from it that score above a threshold; a marker a system.

    Args:
        scores: rows with ``system``, ``source``, ``target`` and ``score``, each direction once a system.
        centre: a colour for each; a system that has a score in fewer than nine tenths of a centre's directions is not
            shown there.
        languages: what X runs over; all if empty.

    Source: LLaMAX, Figure 1.
    """
    from matplotlib.lines import Line2D

    counts = count_directions(scores, centre=centre, threshold=threshold, languages=languages)
    counts = counts[counts["system"].isin(systems)]
    whole = counts.groupby("centre")[["num_outward", "num_inward"]].transform("max")
    counts = counts[(counts[["num_outward", "num_inward"]] >= _COVERAGE * whole).all(axis=1)]
    figure, (axes,) = new_figure(6.1, 4.6)
    most = max([1, *counts["num_outward"], *counts["num_inward"]])
    # Points in the same place are drawn one inside the other.
    below = counts[::-1].groupby(["outward", "inward"]).cumcount()[::-1]
    axes.plot([0, most], [0, most], color="0.8", linewidth=0.8, zorder=0)
    for row, number in zip(counts.itertuples(), below, strict=True):
        axes.scatter(
            row.outward,
            row.inward,
            s=58 * (1 + 1.4 * number),
            marker=MARKERS[systems.index(row.system) % len(MARKERS)],
            color=_INKS[centre.index(row.centre) % len(_INKS)],
            edgecolor="white",
            linewidth=0.7,
            clip_on=False,
            zorder=3,
        )
    axes.set_xlim(-0.02 * most, most)
    axes.set_ylim(-0.02 * most, most)
    axes.set_aspect("equal")
    # No half directions, however few there are.
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"Directions LG→X above {threshold:g} {label}")
    axes.set_ylabel(f"Directions X→LG above {threshold:g} {label}")
    axes.set_title(title, loc="left", fontsize=11)
    marks = [
        Line2D([], [], linestyle="", marker=MARKERS[place % len(MARKERS)], color="0.25", label=system)
        for place, system in enumerate(systems)
    ]
    inks = [
        Line2D([], [], linestyle="", marker="s", markersize=8, color=_INKS[place % len(_INKS)], label=code)
        for place, code in enumerate(centre)
    ]
    style = {"frameon": False, "alignment": "left"}
    figure.legend(handles=marks, title="System", loc="outside right upper", **style)
    # Beside the other: two legends at one edge would each take room of its own.
    axes.legend(handles=inks, title="LG", loc="lower right", ncols=2 if len(inks) > 4 else 1, **style)
    return figure


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
    score of both are left out. More of them than a page is wide stand in several rows, on one scale. Where the systems
    share no language, axes say so.

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
        panels.append((name, panel, _rows(groups)))
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
                axes.scatter(xs, part[base], s=13, marker="s", color=_BASE, label=base if not codes else None, zorder=2)
                axes.scatter(xs, part[lifted], s=15, color=_LIFTED, label=lifted if not codes else None, zorder=3)
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
    _same_scales(all_axes, panels)
    _heading(figure, all_axes, title, num_columns=2)
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
        panels.append((name, panel, _rows([("", panel)])))
    figure, all_axes = _new_rows(panels, height=2.7, more=0.6)
    free = iter(all_axes)
    for (name, _, rows), note in zip(panels, notes, strict=True):
        for number, ((_, part),) in enumerate(rows):
            axes, xs = next(free), list(range(len(part)))
            axes.vlines(xs, part.min(axis=1), part.max(axis=1), color="0.85", linewidth=1.0, zorder=1)
            for place, system in enumerate(systems):
                if system in part:
                    style = {"marker": MARKERS[place % len(MARKERS)], "color": _INKS[place % len(_INKS)]}
                    axes.scatter(xs, part[system], s=14, label=system, zorder=2, **style)
            if not number:
                axes.annotate(
                    "\n".join(note),
                    (0.0, 1.0),
                    (0, 3),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    fontsize=_NOTE,
                    linespacing=_NOTE_LINE / _NOTE,
                    va="bottom",
                )
            _language_axis(axes, xs, list(part.index), f"{name}, {label}")
    _same_scales(all_axes, panels)
    _heading(figure, all_axes, title, num_columns=min(len(systems), 3), lines=len(notes[0]))
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
        fontsize=_NOTE,
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


def _rows(groups: "Sequence[tuple[str, pd.DataFrame]]") -> "list[list[tuple[str, pd.DataFrame]]]":
    """Groups of languages as rows of a page: all in one where they fit, else each in rows of its own, evenly filled."""
    groups = [(name, part) for name, part in groups if len(part)]
    if sum(len(part) for _, part in groups) + _GAP * (len(groups) - 1) <= _MOST:
        return [groups]
    rows = []
    for name, part in groups:
        size = -(-len(part) // -(-len(part) // _MOST))
        rows += [[(name, part.iloc[start : start + size])] for start in range(0, len(part), size)]
    return rows


def _new_rows(panels: "Sequence[_Panel]", *, height: float = 2.9, more: float = 0.5) -> tuple["Figure", list["Axes"]]:
    """A figure of a page's width with axes for every row of every panel.

    Args:
        height: of a panel of one row, inches; rows of panels that have more are lower.
        more: for title and legend.
    """
    number = sum(len(rows) for _, _, rows in panels)
    each = height if number == len(panels) else _ROW_HEIGHT
    return new_figure(_PAGE, each * number + more, rows=number, share=False)


def _same_scales(all_axes: "Sequence[Axes]", panels: "Sequence[_Panel]") -> None:
    """Where a panel has several rows: the same scores in all of its rows, the same room a language in all of the figure."""
    if len(all_axes) == len(panels):
        return
    right = max(axes.get_xlim()[1] for axes in all_axes)
    free = iter(all_axes)
    for _, _, rows in panels:
        own = [next(free) for _ in rows]
        limits = [axes.get_ylim() for axes in own]
        for axes in own:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
            axes.set_xlim(-1.5, right)
            axes.tick_params(axis="x", labelsize=_SMALL)


def _around(scores: "pd.DataFrame", code: str, languages: Sequence[str]) -> tuple["pd.Series", "pd.Series"]:
    """The scores from a language by target, and into it by source."""
    outward = scores[scores["source"] == code].set_index("target")["score"]
    inward = scores[scores["target"] == code].set_index("source")["score"]
    if not languages:
        return outward, inward
    return outward[outward.index.isin(languages)], inward[inward.index.isin(languages)]


def _panels(
    scores: "pd.DataFrame", systems: Sequence[str], centre: str, languages: Sequence[str]
) -> list[tuple[str, "pd.DataFrame"]]:
    """Scores by language and system, from the centre language and into it, as far as there are any."""
    import pandas as pd

    scores = scores.dropna(subset="score")
    parts = [_around(scores[scores["system"] == system], centre, languages) for system in systems]
    found = []
    for name, columns in ((f"{centre}→X", [p[0] for p in parts]), (f"X→{centre}", [p[1] for p in parts])):
        panel = pd.concat(columns, axis=1, keys=systems).sort_index()
        if len(panel):
            found.append((name, panel))
    return found


def _language_axis(axes: "Axes", places: Sequence[float], codes: Sequence[str], label: str) -> None:
    size = _SMALL if len(codes) > 30 else 9
    axes.set_xticks(places, codes, rotation=90 if len(codes) > 15 else 0, fontsize=size)
    axes.tick_params(axis="x", length=0, pad=2, labelbottom=True)
    axes.set_xlim(min(places, default=0) - 1.5, max(places, default=0) + 1.5)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel(label)


def _heading(figure: "Figure", all_axes: "Sequence[Axes]", title: str, *, num_columns: int, lines: int = 1) -> None:
    """The title above, the legend below all axes, where no marker can run into it.

    Args:
        lines: of the note between the title and the first axes.
    """
    all_axes[0].set_title(title, loc="left", fontsize=11, pad=6 + _NOTE_LINE * lines)
    handles: dict[str, object] = {}
    for axes in all_axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    style = {"frameon": False, "ncols": num_columns, "markerscale": 1.6}
    figure.legend(list(handles.values()), list(handles), loc="outside lower left", **style)
