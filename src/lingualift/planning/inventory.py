"""What is not there of what a run reads, and what is odd about it: said before anything runs."""

import os
from collections.abc import Iterator
from pathlib import Path

from lingualift.configuration.corpus_base import Corpus
from lingualift.configuration.evaluation import Comet, Metric, OffTarget
from lingualift.configuration.language_checks import own_languages
from lingualift.configuration.lexicons import Dictionary
from lingualift.configuration.loading import read_yaml
from lingualift.configuration.schema import Benchmark
from lingualift.configuration.systems import CausalModel, PublishedScores, TranslationModel
from lingualift.errors import InputError, LingualiftError
from lingualift.metrics import sentencepiece_path
from lingualift.planning.data import DataPlan
from lingualift.planning.evaluation import EvaluationPlan


class Inventory(DataPlan, EvaluationPlan):
    """What a run needs from outside and does not have."""

    def missing_data(self) -> dict[str, list[str]]:
        """For each corpus, benchmark, dictionary, base model, system and metric, what is not there.

        A metric counts if a table or figure shows it. What a rule downloads is not missing.
        """
        missing: dict[str, list[str]] = {}
        for section in ("corpora", "benchmarks"):
            for name, entry in getattr(self.configuration, section).items():
                corpus = entry.test if isinstance(entry, Benchmark) else entry
                if isinstance(corpus, Corpus) and not self._is_fetched(corpus):
                    files = self._files(corpus) or [self.run.data / corpus.pattern]
                    missing[f"{section}.{name}"] = [str(path) for path in files if not path.exists()]
        for name, dictionary in self.configuration.dictionaries.items():
            missing[f"dictionaries.{name}"] = self._missing_words(dictionary)
        for name, model in self.configuration.models.items():
            if model.path is not None:
                missing[f"models.{name}"] = _missing_model(self.run.data / model.path)
        missing |= self.missing_systems()
        for name, system in self.configuration.systems.items():
            if isinstance(system, TranslationModel):
                folder = self._any_folder(system)
                missing[f"systems.{name}"] += _missing_model(folder) if folder is not None else []
            elif isinstance(system, PublishedScores):
                files = self.published_settings(name)["scores"].values()
                missing[f"systems.{name}"] = [file for file in files if not Path(file).is_file()]
        for name in self._shown_metrics():
            missing[f"metrics.{name}"] = self._missing_metric(name)
        return {name: list(dict.fromkeys(files)) for name, files in missing.items() if files}

    def _missing_words(self, dictionary: Dictionary) -> list[str]:
        path = self.run.data / dictionary.path
        if not path.exists():
            return [str(path)]
        there = self._dictionary_files(dictionary)
        return [] if there else [str(path / getattr(dictionary, "files", "*"))]

    def _shown_metrics(self) -> list[str]:
        """The metrics that translations are scored by, for any table or figure."""
        entries = (*self.configuration.tables.values(), *self.configuration.figures.values())
        scored = [it for it in entries if any(not self._is_published(system) for system in it.systems)]
        return list(dict.fromkeys(name for it in scored for name in getattr(it, "metrics", None) or (it.metric,)))

    def _missing_metric(self, name: str) -> list[str]:
        paths: list[Path] = []
        for metric in self._of_kind([name], Metric).values():
            if metric.name == "spbleu":
                own = str(metric.tokenizer).partition("spm:")[2]
                paths = [self.run.data / own if own else sentencepiece_path(str(metric.tokenizer))]
        for metric in self._of_kind([name], OffTarget).values():
            paths = [self.run.data / metric.model] if metric.model else []
        for metric in self._of_kind([name], Comet).values():
            checkpoint = self.run.data / metric.checkpoint
            paths = [checkpoint / "hparams.yaml", checkpoint / "checkpoints" / "model.ckpt"]
            encoder = self.run.data / metric.encoder if metric.encoder else _named_encoder(paths[0])
            paths += [encoder / "config.json"] if encoder else []
        return [str(path) for path in paths if not path.is_file()]

    def remarks(self) -> dict[str, str]:
        """What is left out, and what is odd but may be meant: by entry, in words.

        Raises:
            LingualiftError: see :meth:`left_out`.
        """
        try:
            left_out = self.left_out()
        except InputError:
            raise
        except LingualiftError as error:
            lines = str(error).splitlines()
            raise LingualiftError("\n".join(f"{self.run.file}: {line}" for line in lines)) from error
        said = {**self._left_out_text(), **left_out}
        for name, remark in self._other_prompts():
            said[f"systems.{name}"] = remark
        return said

    def _left_out_text(self) -> dict[str, str]:
        """The pairs and columns of corpora and benchmarks that are of other languages than the run's."""
        found: dict[str, list[str]] = {}
        for place, code in own_languages(self.configuration):
            if code not in self.languages:
                section, name, key, *_ = place
                entry = getattr(self.configuration, str(section))[name]
                given = getattr(entry.test if isinstance(entry, Benchmark) else entry, str(key))
                what = "-".join(given[place[3]]) if key == "pairs" else "-".join(given) if key == "pair" else code
                found.setdefault(f"{section}.{name}", []).append(f"{what}")
        said = {}
        for entry, all_of_them in found.items():
            first, *others = dict.fromkeys(all_of_them)
            more = f" and {len(others)} more" if others else ""
            said[entry] = f"left out, as the run lacks a language: {first}{more}"
        return said

    def _other_prompts(self) -> Iterator[tuple[str, str]]:
        """Systems that are asked in another form than their model was last tuned to answer."""
        for name, system in self.configuration.systems.items():
            if not isinstance(system, CausalModel):
                continue
            tuned = next((it for it in reversed(self._stages(system.model)) if self._asks(it)), None)
            if tuned is None:
                continue
            mixture = self.configuration.mixtures[tuned]
            mine, theirs = self.run.prompts[system.prompt], self.run.prompts[mixture.prompt]
            keys = ["with_input", "without_input"]
            if any(it.format == "instruction" for it in mixture.components):
                keys.append("translation")
            # In a chat the form is the tokenizer's.
            if not mine.chat and any(getattr(mine, key) != getattr(theirs, key) for key in keys):
                yield (
                    name,
                    f"asks with the prompt {system.prompt!r}; its model was tuned with {mixture.prompt!r} "
                    f"(mixtures.{tuned})",
                )

    def _asks(self, mixture: str) -> bool:
        """Whether a mixture teaches to answer a prompt."""
        components = self.configuration.mixtures[mixture].components
        return any(it.format == "instruction" or self._kind(it) == "instructions" for it in components)


def _named_encoder(settings: Path) -> Path | None:
    """The folder of the encoder that COMET's settings name; None where they are not there, or it is in the hub's cache."""
    if not settings.is_file():
        return None
    values = read_yaml(settings)
    name = values.get("pretrained_model") if isinstance(values, dict) else None
    if not name:
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = not Path(name).is_dir() and isinstance(try_to_load_from_cache(name, "config.json"), str)
    return None if cached else Path(name)


def _missing_model(folder: Path) -> list[str]:
    """What a model's folder lacks of what is read from it: all of it, its configuration, or its weights."""
    if not folder.is_dir():
        return [str(folder)]
    config = folder / "config.json"
    return [
        *([] if config.is_file() else [str(config)]),
        *([] if any(folder.glob("*.safetensors")) else [os.path.join(folder, "*.safetensors")]),
    ]
