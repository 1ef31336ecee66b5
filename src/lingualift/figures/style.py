"""How every figure looks, and how it is written: as PNG and SVG, the same bytes for the same figures."""

import functools
import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from lingualift.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Arguments = ParamSpec("_Arguments")

# Inches: the text of an A4 page, and the width of a figure, to which a rim is added as it is written.
PAGE, WIDTH = (6.3, 9.2), 6.2
# Points: no letter is smaller on that page.
SMALLEST = 5.5
# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
# Blue, vermilion, green …: the colours that stand apart most come first, yellow is too light for a marker.
INKS = tuple(COLOURS[number] for number in (0, 5, 2, 3, 1, 4, 7))
# Of values, and of differences from none: lightness alone tells them apart, or two hues that nobody confuses.
SEQUENTIAL, DIVERGING = "viridis", "BrBG"
# Told apart in print without colour. As many as share no factor with the inks: a pair of both comes again after 77.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p")
# Of a note above axes: points of its letters and of its lines; of small print below a picture.
NOTE, NOTE_LINE = 7.5, 10
FOOT, FOOT_LINE = 6.5, 8.5
_TITLE = 11
_RIM = 0.03
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "hatch.linewidth": 0.5,
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
        _settle(figure)
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
            path = stem.with_name(stem.name + suffix)
            with atomic_path(path) as part:
                look = {"bbox_inches": "tight", "pad_inches": _RIM, "facecolor": "white"}
                figure.savefig(part, format=suffix[1:], metadata=metadata, **look)
            written.append(path)
    return written


def _settle(figure: "Figure") -> None:
    """Lay it out for the last time: when it is cut out, its legend would else move to the edge of what is left."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 0, 1, 1), transform=figure.transFigure)


def new_figure(
    width: float, height: float, *, rows: int = 1, columns: int = 1, share: bool = True
) -> tuple["Figure", list["Axes"]]:
    """A figure outside of pyplot's global state, so that none is kept and no window is wanted.

    Args:
        width: inches, as the height.
        rows: axes, one below the other; ``columns`` side by side.
        share: they share one horizontal axis.

    Returns:
        The figure, whose ``account`` takes what its manifest says of it, and its axes, row by row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.account = {}
    axes = figure.subplots(rows, columns, sharex=share and rows * columns > 1, squeeze=False)
    return figure, list(axes.flat)


def set_title(axes: "Axes", title: str, *, pad: float = 6) -> None:
    """The title of a figure, in several lines where a page is not wide enough for one.

    Args:
        pad: points between the title and the axes.
    """
    axes.set_title("\n".join(wrapped(title, _TITLE)), loc="left", fontsize=_TITLE, pad=pad)


def wrapped(text: str, size: float, *, width: float = WIDTH - 0.5) -> list[str]:
    """Lines of letters of a size in points that are not wider than a width in inches."""
    return textwrap.wrap(text, max(12, round(width * 130 / size)), break_on_hyphens=False)


def num_legend_columns(labels: Sequence[str], *, size: float = 9) -> int:
    """How many columns of a legend fit side by side on a page."""
    longest = max((len(label) for label in labels), default=0)
    return max(1, min(len(labels), int(WIDTH / (0.5 + longest * size / 120))))


def label_step(pitch: float, *, size: float = SMALLEST) -> int:
    """Every how many-th of labels of a size can be written, ``pitch`` points from each other, so that none is hidden."""
    return max(1, math.ceil(1.15 * size / pitch - 1e-9))


def note_below(figure: "Figure", *notes: str) -> None:
    """Small print below a picture, where the one that stands there ends; ``notes_of`` gives it back."""
    width, height = figure.get_size_inches()
    above = sum(text.get_text().count("\n") + 1 for text in figure.texts if text.get_gid() == "note")
    for note in notes:
        lines = wrapped(note, FOOT, width=max(width, WIDTH - 1))
        place = -(above * FOOT_LINE + 4) / 72 / height
        style = {"fontsize": FOOT, "linespacing": FOOT_LINE / FOOT, "va": "top", "color": "0.25"}
        figure.text(0.05 / width, place, "\n".join(lines), gid="note", **style)
        above += len(lines)


def notes_of(figure: "Figure") -> list[str]:
    """The small print below a picture, without its line breaks."""
    return [text.get_text().replace("\n", " ") for text in figure.texts if text.get_gid() == "note"]


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
