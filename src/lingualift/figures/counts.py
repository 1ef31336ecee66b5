"""How many directions of a language are good: systems beside each other."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lingualift.figures.style import INKS, MARKERS, SMALLEST, WIDTH, new_figure, note_below, set_title, styled

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    # Centre, way, how many directions a system has, how many there are.
    _Side = tuple[str, str, int, int]

_SIDES = ("LG→X", "X→LG")
# Points: a marker across, with its rim; a letter beside it.
_MARKER, _LETTER = 9.0, 0.62 * SMALLEST
# Letters of a line of the legend.
_LEGEND_WIDTH = 22


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
            outward, inward = around(own, code, languages)
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

    A colour, and its code beside the marker, say which centre language. Of markers that would hide each other each is
    moved aside, and a line leads to its place.

    Args:
        scores: rows with ``system``, ``source``, ``target`` and ``score``, each direction once a system.
        centre: a system with less than half of a centre's directions that another has, from it or into it, is not shown
            there. A note names it, and those that are counted over fewer directions than others.
        languages: what X runs over; all if empty.

    Source: LLaMAX, Figure 1.
    """
    counts = count_directions(scores, centre=centre, threshold=threshold, languages=languages)
    counts, notes = _covering(counts[counts["system"].isin(systems)], systems, centre)
    figure, (axes,) = new_figure(WIDTH, 4.5)
    most = max([1, *counts["num_outward"], *counts["num_inward"]])
    axes.plot([0, most], [0, most], color="0.8", linewidth=0.8, zorder=0)
    axes.set_xlim(-0.04 * most, 1.04 * most)
    axes.set_ylim(-0.04 * most, 1.04 * most)
    axes.set_aspect("equal")
    # No half directions, however few there are.
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"Directions {_SIDES[0]} above {threshold:g} {label}")
    axes.set_ylabel(f"Directions {_SIDES[1]} above {threshold:g} {label}")
    set_title(axes, title)
    marks = {system: MARKERS[systems.index(system) % len(MARKERS)] for system in systems}
    inks = {code: INKS[place % len(INKS)] for place, code in enumerate(centre)}
    shown = (set(counts["system"]), set(counts["centre"]))
    _legend(figure, {k: v for k, v in marks.items() if k in shown[0]}, {k: v for k, v in inks.items() if k in shown[1]})
    # Where the axes are, only the layout knows.
    figure.draw_without_rendering()
    if _draw_counts(axes, counts, marks, inks):
        notes = [*notes, "Of markers that would hide each other each is moved aside; a line leads to its place."]
    note_below(figure, *notes)
    return figure


def _legend(figure: "Figure", marks: dict[str, Any], inks: dict[str, str]) -> None:
    """Beside the axes: what markers mean, and, by patches that nobody takes for points, what colours do."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if not marks:
        return
    heads = [Line2D([], [], linestyle="", label=head) for head in ("System", "LG")]
    names = {name: "\n".join(textwrap.wrap(name, _LEGEND_WIDTH)) for name in marks}
    points = [
        Line2D([], [], linestyle="", marker=mark, color="0.25", label=names[name]) for name, mark in marks.items()
    ]
    patches = [Patch(color=ink, label=code) for code, ink in inks.items()]
    legend = figure.legend(
        handles=[heads[0], *points, heads[1], *patches],
        frameon=False,
        loc="outside right upper",
        handlelength=1.4,
        ncols=1 + (len(points) + len(patches)) // 20,
    )
    for place in (0, 1 + len(points)):
        legend.get_texts()[place].set_fontweight("bold")


def _draw_counts(axes: "Axes", counts: "pd.DataFrame", marks: dict[str, Any], inks: dict[str, str]) -> bool:
    """A marker and a code for each count, none over another; whether any was moved."""
    import numpy as np
    from matplotlib.patheffects import withStroke

    places = counts[["outward", "inward"]].to_numpy(dtype=float)
    if not len(places):
        return False
    # In points, from the corner of the axes.
    to_points = axes.transData.frozen()
    scale = 72 / axes.figure.dpi
    corner, far = scale * axes.bbox.min, scale * axes.bbox.max
    true = scale * to_points.transform(places)
    # To the right of a marker is the code of its language.
    letters = _LETTER * np.array([len(code) for code in counts["centre"]])
    boxes = np.stack([_MARKER + letters, np.full(len(true), _MARKER)], axis=1)
    shift = np.stack([letters / 2, np.zeros(len(true))], axis=1)
    moved = spread(true + shift, boxes, low=corner, high=far) - shift
    far_off = np.hypot(*(moved - true).T) > 0.5
    drawn = np.where(far_off[:, None], to_points.inverted().transform(moved / scale), places)
    for row, place, at, off in zip(counts.itertuples(), places, drawn, far_off, strict=True):
        if off:
            axes.plot(*zip(place, at, strict=True), color="0.45", linewidth=0.6, zorder=2)
            axes.plot(*place, marker=".", markersize=2.5, color="0.2", zorder=2)
        style = {"edgecolor": "white", "linewidth": 0.6, "clip_on": False, "zorder": 3}
        axes.scatter(*at, s=56, marker=marks[row.system], color=inks[row.centre], **style)
        style = {
            "va": "center",
            "fontsize": SMALLEST,
            "zorder": 4,
            "path_effects": [withStroke(linewidth=1.5, foreground="w")],
        }
        axes.annotate(row.centre, at, (_MARKER / 2, 0), textcoords="offset points", **style)
    return bool(far_off.any())


def spread(places: "np.ndarray", boxes: "np.ndarray", *, low: "np.ndarray", high: "np.ndarray") -> "np.ndarray":
    """Boxes moved apart until none lies over another, and little further; there is no chance in it.

    Args:
        places: their middles, number x 2.
        boxes: their widths and heights, number x 2.
        low: the corner that they stay above, x and y; ``high`` the one they stay below.

    Returns:
        Their new middles; where there is no room for all of them, some lie over others.
    """
    import numpy as np

    places = places.astype(float).copy()
    halves = boxes / 2
    reach = halves[:, None] + halves[None]
    order = np.sign(np.arange(len(places))[:, None] - np.arange(len(places))[None])
    for _ in range(400):
        apart = places[:, None] - places[None]
        over = reach - np.abs(apart)
        touching = (over > 1e-3).all(axis=2)
        np.fill_diagonal(touching, False)
        if not touching.any():
            break
        # Away from each other, each half of the way; up and down unless it is far, as then neither covers where the other
        # was. Of two in one place, the later one goes up.
        upwards = over[..., 1] <= 2 * over[..., 0]
        side = np.where(apart == 0, order[..., None], np.sign(apart))
        step = np.where(np.stack([~upwards, upwards], axis=2), 0.5 * side * over, 0.0)
        places += 0.7 * np.where(touching[..., None], step, 0.0).sum(axis=1)
        places = np.clip(places, low + halves, np.maximum(high - halves, low + halves))
    return places


def _covering(
    counts: "pd.DataFrame", systems: Sequence[str], centre: Sequence[str]
) -> tuple["pd.DataFrame", list[str]]:
    """Without counts over less than half of a centre's directions either way; and what is said of them and of others.

    Args:
        counts: as ``count_directions`` gives them.

    Returns:
        The counts, and notes: which are left out, which are over fewer directions than another system's, and which
        centre languages nobody has a score of.
    """
    numbers = counts.set_index(["centre", "system"])[["num_outward", "num_inward"]]
    wholes = numbers.groupby(level="centre", sort=False).max()
    out: dict[str, list[_Side]] = {}
    fewer: dict[str, list[_Side]] = {}
    for code, *whole in wholes.itertuples():
        for system in systems:
            has = numbers.loc[(code, system)] if (code, system) in numbers.index else (0, 0)
            sides = list(zip((code, code), _SIDES, has, whole, strict=True))
            if few := [side for side in sides if 2 * side[2] < side[3]]:
                out.setdefault(system, []).extend(few)
                counts = counts[(counts["system"] != system) | (counts["centre"] != code)]
            elif less := [side for side in sides if side[2] < side[3]]:
                fewer.setdefault(system, []).extend(less)
    notes = [
        f"{words}: " + ", ".join(f"{system}{_told(own, len(wholes))}" for system, own in said.items())
        for words, said in (
            ("not shown, with less than half of the directions", out),
            ("counted over fewer directions than others", fewer),
        )
        if said
    ]
    lacking = [code for code in centre if code not in wholes.index]
    return counts, [*notes, *([f"no score from or into {', '.join(lacking)}"] if lacking else [])]


def _told(sides: "Sequence[_Side]", num_centres: int) -> str:
    """Of how many directions a system has a score: `` around en, de (X→LG 3–5 of 101)``, without what holds of all."""
    codes, ways, parts, wholes = (list(dict.fromkeys(column)) for column in zip(*sides, strict=True))
    where = f" around {', '.join(codes)}" if len(codes) < num_centres else ""
    way = f"{ways[0]} " if len(ways) == 1 else ""
    return f"{where} ({way}{_span(parts)} of {_span(wholes)})"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low}–{high}"


def around(scores: "pd.DataFrame", code: str, languages: Sequence[str]) -> tuple["pd.Series", "pd.Series"]:
    """The scores from a language by target, and into it by source."""
    outward = scores[scores["source"] == code].set_index("target")["score"]
    inward = scores[scores["target"] == code].set_index("source")["score"]
    if not languages:
        return outward, inward
    return outward[outward.index.isin(languages)], inward[inward.index.isin(languages)]
