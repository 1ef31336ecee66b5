"""Scores, tables and figures: the files and settings of their jobs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lingualift.configuration.corpus_base import Corpus
from lingualift.configuration.evaluation import (
    BUILT_IN_METRICS,
    OFF_TARGET,
    RATES,
    AnyMetric,
    Comet,
    Figure,
    Metric,
    OffTarget,
    Table,
    find_metric,
)
from lingualift.configuration.systems import CausalModel, Pivot, PublishedScores
from lingualift.errors import LingualiftError
from lingualift.planning.base import plain
from lingualift.planning.systems import SystemPlan

# Stands for all metrics of sacrebleu where comparisons are made.
SACREBLEU = "sacrebleu"

_Kind = TypeVar("_Kind", Metric, Comet, OffTarget)


class EvaluationPlan(SystemPlan):
    """What is measured of the translations, and how it is shown."""

    def score_settings(self, system: str, benchmark: str) -> dict[str, Any]:
        """The metrics of sacrebleu that any table or figure asks of a system on a benchmark."""
        return self._scored(system, benchmark, Metric)

    def language_settings(self, system: str, benchmark: str) -> dict[str, Any]:
        """The rates of detected languages that any table or figure asks of a system on a benchmark."""
        codes = self.configuration.benchmarks[benchmark].test.languages_covered(self.languages, self.run.languages)
        facts, names = self._facts(codes, "name", "iso639_3", "scripts"), self._codes(codes, "langdetect")
        return {
            **self._scored(system, benchmark, OffTarget),
            "languages": {code: facts[code] | names[code] for code in codes},
        }

    def _scored(self, system: str, benchmark: str, kind: type[_Kind]) -> dict[str, Any]:
        asked = dict.fromkeys(
            metric
            for entry in (*self.configuration.tables.values(), *self.configuration.figures.values())
            if system in entry.systems and benchmark in entry.benchmarks
            for metric in _metrics(entry)
        )
        return {
            "system": system,
            "benchmark": benchmark,
            "metrics": {name: self._located(entry) for name, entry in self._of_kind(asked, kind).items()},
            "limit": self.configuration.benchmarks[benchmark].limit,
        }

    def comet_metrics(self) -> list[str]:
        """The metrics that COMET computes."""
        return [name for name, entry in self.configuration.metrics.items() if isinstance(entry, Comet)]

    def comet_settings(self, metric: str, system: str, benchmark: str) -> dict[str, Any]:
        return {
            "system": system,
            "benchmark": benchmark,
            "metric": metric,
            "comet": self._located(self.configuration.metrics[metric]),
            "limit": self.configuration.benchmarks[benchmark].limit,
        }

    def comet_files(self, metric: str) -> list[str]:
        """The files of a checkpoint and of its encoder, those that are there."""
        entry = self._comet(metric)
        checkpoint = self.run.data / entry.checkpoint
        files = [checkpoint / "hparams.yaml", checkpoint / "checkpoints" / "model.ckpt"]
        if entry.encoder is not None:
            # Its weights are in the checkpoint.
            encoder = self.run.data / entry.encoder
            files += sorted(path for pattern in ("*.json", "*.model") for path in encoder.glob(pattern))
        return [str(path) for path in files if path.is_file()]

    def metric_files(self, settings: Mapping[str, Any]) -> list[str]:
        """The files that the metrics of a job name, tokenizers' and detectors' models: those that are there."""
        named = dict.fromkeys(
            entry.get("model") or str(entry.get("tokenizer", "")).partition("spm:")[2]
            for entry in settings["metrics"].values()
        )
        return [path for path in named if path and Path(path).is_file()]

    def comet_devices(self, metric: str) -> int:
        return self._comet(metric).devices

    def _comet(self, metric: str) -> Comet:
        entry = self.configuration.metrics[metric]
        assert isinstance(entry, Comet)
        return entry

    def published_settings(self, system: str) -> dict[str, Any]:
        entry = self.configuration.systems[system]
        assert isinstance(entry, PublishedScores)
        scores = {metric: str(self.run.data / path) for metric, path in entry.scores.items()}
        return {"system": system, **plain(entry), "scores": scores, "signature": entry.signature}

    def published_files(self, system: str) -> list[str]:
        """The files of published scores, those that are there."""
        return [path for path in self.published_settings(system)["scores"].values() if Path(path).is_file()]

    def scores(self, section: str, name: str) -> list[str]:
        """The score files that a table or figure shows."""
        entry = getattr(self.configuration, section)[name]
        found = [
            file
            for system in entry.systems
            for benchmark in entry.benchmarks
            for file in self._score_files(system, benchmark, _metrics(entry))
        ]
        return list(dict.fromkeys(found))

    def _score_files(self, system: str, benchmark: str, metrics: Iterable[str]) -> list[str]:
        entry = self.configuration.systems[system]
        if isinstance(entry, PublishedScores):
            return [f"published/{system}.csv"] if entry.benchmark == benchmark else []
        places = [f"{system}/{benchmark}{part}.csv" for part in self.parts(benchmark, system)]
        found = []
        # The rates stand beside every score: COMET alone cannot see a source that was copied.
        if self._of_kind(metrics, Metric) or self._of_kind(metrics, Comet) or set(metrics) & set(RATES):
            found.append("scores")
        if self._of_kind(metrics, OffTarget):
            found.append("off_target")
        found += [f"comet/{metric}" for metric in self._of_kind(metrics, Comet)]
        return [f"{kind}/{place}" for kind in found for place in places]

    def published_tables(self, table: str) -> list[str]:
        """The table of a paper, of ``config/published``, that stands beside a table."""
        name = self.configuration.tables[table].published
        return [name] if name else []

    def judges(self) -> list[str]:
        """What comparisons are made by: all metrics of sacrebleu together, and each that COMET computes."""
        return [SACREBLEU, *self.comet_metrics()]

    def comparisons(self, table: str) -> list[str]:
        """The comparisons with the baseline of a table; of published scores there is nothing to resample."""
        entry = self.configuration.tables[table]
        translating = [name for name in entry.systems if not self._is_published(name)]
        if entry.baseline not in translating:
            return []
        judges = [SACREBLEU] if self._of_kind(entry.metrics, Metric) else []
        return [
            f"comparisons/{judge}/{system}/{entry.baseline}/{benchmark}{part}.csv"
            for judge in (*judges, *self._of_kind(entry.metrics, Comet))
            for system in translating
            for benchmark in entry.benchmarks
            if system != entry.baseline
            for part in self.parts(benchmark, system, entry.baseline)
        ]

    def comparison_settings(self, judge: str, system: str, baseline: str, benchmark: str) -> dict[str, Any]:
        """The metrics that any table compares two systems by.

        Raises:
            LingualiftError: no table compares them by a metric of sacrebleu, and the judge is none of COMET's.
        """
        asked = dict.fromkeys(
            metric
            for table in self.configuration.tables.values()
            if table.baseline == baseline and system in table.systems and benchmark in table.benchmarks
            for metric in table.metrics
        )
        metrics = self._of_kind(asked, Metric) if judge == SACREBLEU else {}
        if judge == SACREBLEU and not metrics:
            raise LingualiftError(
                f"no table compares {system} with {baseline} on {benchmark} by a metric of sacrebleu: one would have "
                f"both systems, that benchmark, such a metric and `baseline: {baseline}`"
            )
        return {
            "system": system,
            "baseline": baseline,
            "benchmark": benchmark,
            "metrics": {name: self._located(entry) for name, entry in metrics.items()},
            "comet": [] if judge == SACREBLEU else [judge],
            "limit": self.configuration.benchmarks[benchmark].limit,
        }

    def comparison_inputs(
        self, judge: str, system: str, baseline: str, benchmark: str, part: str = ""
    ) -> dict[str, Any]:
        """The hypotheses of two systems, or of a part of them, and the scores of their segments by COMET."""

        def segments(name: str) -> list[str]:
            parts = [part] if part else self.parts(benchmark, name)
            return [] if judge == SACREBLEU else [f"comet/{judge}/{name}/{benchmark}{it}.jsonl" for it in parts]

        return {
            "hypotheses": self.hypotheses(system, benchmark, part),
            "baseline_hypotheses": self.hypotheses(baseline, benchmark, part),
            "segments": segments(system),
            "baseline_segments": segments(baseline),
        }

    def _of_kind(self, metrics: Iterable[str], kind: type[_Kind]) -> dict[str, _Kind]:
        """Those of some metrics that are of one kind; rates, and what is known by published scores alone, are none."""
        known = {*self.configuration.metrics, *BUILT_IN_METRICS, *OFF_TARGET}
        entries = {name: find_metric(name, self.configuration.metrics) for name in metrics if name in known}
        return {name: entry for name, entry in entries.items() if isinstance(entry, kind)}

    def _is_published(self, system: str) -> bool:
        return isinstance(self.configuration.systems[system], PublishedScores)

    def _located(self, entry: AnyMetric) -> dict[str, Any]:
        """A metric's settings, with the files that it names where they are."""
        settings = plain(entry)
        settings.pop("devices", None)
        for key in {"checkpoint", "encoder", "model"} & settings.keys():
            settings[key] = str(self.run.data / settings[key])
        tokenizer = settings.get("tokenizer", "")
        if tokenizer.startswith("spm:"):
            settings["tokenizer"] = f"spm:{self.run.data / tokenizer.removeprefix('spm:')}"
        return settings

    def place(self, section: str, name: str) -> str:
        """The place of a table or figure in the configuration, from ``01``: a report sorts by text."""
        return f"{1 + list(getattr(self.configuration, section)).index(name):02d}"

    def table_settings(self, name: str) -> dict[str, Any]:
        table = self.configuration.tables[name]
        rates = self._of_kind(table.metrics, OffTarget)
        kinds = {metric: entry.name for metric, entry in rates.items() if entry.name != metric}
        settings = {
            "table": plain(table),
            "resource": {code: self.run.languages[code].resource for code in self.languages},
        }
        return settings | ({"kinds": kinds} if kinds else {})

    def figure_settings(self, name: str) -> dict[str, Any]:
        figure = self.configuration.figures[name]
        settings = {
            "figure": plain(figure),
            "families": {code: self.run.languages[code].family for code in self.languages},
        }
        return settings | ({"seen": self.seen(figure)} if figure.kind == "seen_unseen" else {})

    def seen(self, figure: Figure) -> list[str]:
        """The languages that the models of a figure were trained on by this run, in any stage.

        Of a system that this run has not trained, those of LLaMAX.
        """
        found: set[str] = set()
        for system in figure.systems:
            entry = self.configuration.systems[system]
            if isinstance(entry, Pivot):
                entry = self.configuration.systems[entry.system]
            if isinstance(entry, CausalModel):
                found.update(*map(self._mixed_languages, self._stages(entry.model)))
        if not found:
            found = {code for code in self.languages if self.run.languages[code].seen}
        return [code for code in self.languages if code in found]

    def _stages(self, model: str) -> list[str]:
        """The mixtures that a model and those below it were trained on."""
        entry = self.configuration.models[model]
        below = self._stages(entry.from_) if entry.from_ else []
        return [*below, *([entry.stage.mixture] if entry.stage else [])]

    def _mixed_languages(self, mixture: str) -> set[str]:
        """The languages of the text of a mixture."""
        found: set[str] = set()
        for component in self.configuration.mixtures[mixture].components:
            augmentation = self.configuration.augmentations.get(component.augmentation or "")
            corpus = self.configuration.corpora[augmentation.source if augmentation else str(component.corpus)]
            if corpus.kind == "instructions":
                # It is not said in which language they are.
                continue
            languages = list(component.languages or corpus.languages or self.languages)
            if isinstance(corpus, Corpus):
                covered = corpus.languages_covered(self.languages, self.run.languages)
                languages = [code for code in languages if code in covered]
            if component.directions is not None:
                languages = [code for pair in component.directions.expand(languages) for code in pair]
            found.update(languages)
        return found


def _metrics(entry: Table | Figure) -> tuple[str, ...]:
    return entry.metrics if isinstance(entry, Table) else (entry.metric,)
