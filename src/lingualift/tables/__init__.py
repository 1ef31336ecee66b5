"""Tables of scores: systems × metrics, a row per direction or averages, laid out as the papers' tables are.

An empty cell is a score that nobody has, never a zero.
"""

from lingualift.tables.additions import add_published, add_significance, read_significance
from lingualift.tables.layouts import (
    benchmark_table,
    build_table,
    centre_table,
    direction_table,
    off_target_table,
    pivot_table,
)
from lingualift.tables.printing import ScoreTable, write_table
from lingualift.tables.rows import read_scores

__all__ = [
    "ScoreTable",
    "add_published",
    "add_significance",
    "benchmark_table",
    "build_table",
    "centre_table",
    "direction_table",
    "off_target_table",
    "pivot_table",
    "read_scores",
    "read_significance",
    "write_table",
]
