"""Figures: of directions and systems, of the course of a training, of the composition of a mixture.

Every figure is written as PNG and SVG, the same bytes for the same figures.
"""

from lingualift.figures.comparisons import per_language, seen_unseen
from lingualift.figures.counts import count_above, count_directions
from lingualift.figures.drawing import draw_figure
from lingualift.figures.matrices import direction_matrix, pair_heatmap
from lingualift.figures.style import write_figure
from lingualift.figures.training import composition_figure, training_curve

__all__ = [
    "composition_figure",
    "count_above",
    "count_directions",
    "direction_matrix",
    "draw_figure",
    "pair_heatmap",
    "per_language",
    "seen_unseen",
    "training_curve",
    "write_figure",
]
