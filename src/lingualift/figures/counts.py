"""How many directions of a language are good: systems beside each other."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lingualift.figures.style import INKS, MARKERS, NOTE_LINE, new_figure, note_above, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    # Centre, way, how many directions a system has, how many there are.
    _Side = tuple[str, str, int, int]

_SIDES = ("LG→X", "X→LG")
# Letters of a note that the square is wide.
_WIDTH = 66


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

    Args:
        scores: rows with ``system``, ``source``, ``target`` and ``score``, each direction once a system.
        centre: a colour for each; a system with less than half of a centre's directions that another has, from it or
            into it, is not shown there. A note names it, and those that are counted over fewer directions than others.
        languages: what X runs over; all if empty.

    Source: LLaMAX, Figure 1.
    """
    from matplotlib.lines import Line2D

    counts = count_directions(scores, centre=centre, threshold=threshold, languages=languages)
    counts, told = _covering(counts[counts["system"].isin(systems)], systems, centre)
    note = [line for text in told for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)]
    figure, (axes,) = new_figure(6.1, 4.6 + NOTE_LINE / 72 * len(note))
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
            color=INKS[centre.index(row.centre) % len(INKS)],
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
    axes.set_xlabel(f"Directions {_SIDES[0]} above {threshold:g} {label}")
    axes.set_ylabel(f"Directions {_SIDES[1]} above {threshold:g} {label}")
    axes.set_title(title, loc="left", fontsize=11, pad=6 + NOTE_LINE * len(note))
    note_above(axes, note)
    marks = [
        Line2D([], [], linestyle="", marker=MARKERS[place % len(MARKERS)], color="0.25", label=system)
        for place, system in enumerate(systems)
        if system in set(counts["system"])
    ]
    inks = [
        Line2D([], [], linestyle="", marker="s", markersize=8, color=INKS[place % len(INKS)], label=code)
        for place, code in enumerate(centre)
        if code in set(counts["centre"])
    ]
    style = {"frameon": False, "alignment": "left"}
    if marks:
        figure.legend(handles=marks, title="System", loc="outside right upper", **style)
        # Beside the other: two legends at one edge would each take room of its own.
        axes.legend(handles=inks, title="LG", loc="lower right", ncols=2 if len(inks) > 4 else 1, **style)
    return figure


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
