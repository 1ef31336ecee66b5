"""How every figure looks, and how it is written: as PNG and SVG, the same bytes for the same figures."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from lingualift.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Arguments = ParamSpec("_Arguments")

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
# Blue, vermilion, green …: the colours that stand apart most come first, yellow is too light for a marker.
INKS = tuple(COLOURS[number] for number in (0, 5, 2, 3, 1, 4, 7))
# Told apart in print without colour.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Of a note above axes: points of its letters and of its lines.
NOTE, NOTE_LINE = 7.5, 10
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


def styled(draw: "Callable[_Arguments, Figure]") -> "Callable[_Arguments, Figure]":
    """Draw in our style, whatever the reader's own matplotlib settings are."""

    @functools.wraps(draw)
    def wrapper(*args: _Arguments.args, **keywords: _Arguments.kwargs) -> "Figure":
        import matplotlib as mpl

        with mpl.rc_context(_STYLE):
            return draw(*args, **keywords)

    return wrapper


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


def new_figure(width: float, height: float, *, rows: int = 1, share: bool = True) -> tuple["Figure", list["Axes"]]:
    """A figure outside of pyplot's global state, so that none is kept and no window is wanted.

    Args:
        rows: axes, one below the other.
        share: they share one horizontal axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=share and rows > 1, squeeze=False)[:, 0]
    return figure, list(axes)


def note_above(axes: "Axes", lines: Sequence[str]) -> None:
    """A note in small letters between the title and the axes."""
    axes.annotate(
        "\n".join(lines),
        (0.0, 1.0),
        (0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=NOTE,
        linespacing=NOTE_LINE / NOTE,
        va="bottom",
    )
