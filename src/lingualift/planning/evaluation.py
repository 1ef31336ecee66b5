"""Scores, tables and figures: the files and settings of their jobs."""

from typing import Any

from lingualift.configuration.evaluation import RATES, find_metric
from lingualift.planning.base import plain
from lingualift.planning.systems import SystemPlan


class EvaluationPlan(SystemPlan):
    """What is measured of the translations, and how it is shown."""

    def score_settings(self, system: str, benchmark: str) -> dict[str, Any]:
        """The metrics that any table or figure asks of a system on a benchmark."""
        asked = dict.fromkeys(
            metric
            for entry in (*self.configuration.tables.values(), *self.configuration.figures.values())
            if system in entry.systems and benchmark in entry.benchmarks
            for metric in (entry.metrics if hasattr(entry, "metrics") else (entry.metric,))
        )
        return {
            "system": system,
            "benchmark": benchmark,
            "metrics": {
                name: plain(find_metric(name, self.configuration.metrics)) for name in asked if name not in RATES
            },
            "limit": self.configuration.benchmarks[benchmark].limit,
        }

    def scores(self, section: str, name: str) -> list[str]:
        """The score files that a table or figure shows."""
        entry = getattr(self.configuration, section)[name]
        return [f"scores/{system}/{benchmark}.csv" for system in entry.systems for benchmark in entry.benchmarks]

    def table_settings(self, name: str) -> dict[str, Any]:
        return {
            "table": plain(self.configuration.tables[name]),
            "resource": {code: self.run.languages[code].resource for code in self.languages},
        }

    def figure_settings(self, name: str) -> dict[str, Any]:
        return {
            "figure": plain(self.configuration.figures[name]),
            "families": {code: self.run.languages[code].family for code in self.languages},
        }
