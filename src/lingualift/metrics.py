"""Corpus-level metrics of sacrebleu: what is tokenised is tokenised once a reference, not once a direction."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lingualift.configuration.evaluation import Metric
from lingualift.errors import InputError, LingualiftError
from lingualift.files import checksum

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU, CHRF
    from sentencepiece import SentencePieceProcessor

# The files that sacrebleu keeps its SentencePiece models in.
_FLORES_MODELS = {"flores101": "sacrebleu_tokenizer_spm.model", "flores200": "flores200sacrebleuspm"}
# sacrebleu's tokenizer for targets that 13a cannot split into words; it knows zh, ja and ko itself.
_AUTO_TOKENIZERS = {
    "zh": "zh",
    **dict.fromkeys(("zhtrad", "yue", "wuu"), "zh"),
    "ja": "ja-mecab",
    "ko": "ko-mecab",
    **dict.fromkeys(("bo", "dz", "km", "lo", "my", "shn", "th"), "char"),
}

# What is counted by ``rates``; the number is raised when that changes.
RATE_SIGNATURES = {
    "copy_rate": "rates:1|copy:equal to the source but for case and outer white space",
    "empty_rate": "rates:1|empty:nothing but white space",
    "length_ratio": "rates:1|length:characters of all hypotheses over all references, without outer white space",
}


class Scorer:
    """One metric for one test set in one target language: references are prepared once, then serve all sources.

    Args:
        metric: the metric and its tokenizer.
        target: the target language's code, for ``tokenizer: auto``.
        references: one reference a segment.

    Raises:
        LingualiftError: the tokenizer's model or library is not there.
    """

    def __init__(self, metric: Metric, target: str, references: Sequence[str]) -> None:
        from sacrebleu.metrics import BLEU, CHRF

        self._model: SentencePieceProcessor | None = None
        if metric.name in ("chrf", "chrf++"):
            self._metric = CHRF(word_order=2 if metric.name == "chrf++" else 0, references=[list(references)])
        elif metric.name == "bleu":
            tokenizer = _bleu_tokenizer(metric, target)
            try:
                self._metric = BLEU(tokenize=tokenizer, force=True, references=[list(references)])
            except (ImportError, RuntimeError) as error:
                raise LingualiftError(
                    f"BLEU with the tokenizer {tokenizer} (target {target}): pip install 'sacrebleu[{tokenizer[:2]}]'"
                ) from error
        else:
            path, name = _sentencepiece_file(str(metric.tokenizer))
            self._model = _sentencepiece_model(path)
            self._metric = BLEU(tokenize="none", force=True, references=[self._pieces(references)])
            self._metric.tokenizer_signature = name

    def score(self, hypotheses: Sequence[str]) -> float:
        """The corpus-level score of one hypothesis a reference, in [0, 100]."""
        return self._metric.corpus_score(self._prepared(hypotheses), None).score

    def statistics(self, hypotheses: Sequence[str]) -> list[list[float]]:
        """What each hypothesis adds to the sums that the score is computed from: whole numbers, a row a sentence."""
        return self._metric._extract_corpus_statistics(self._prepared(hypotheses), None)

    def score_of(self, statistics: Sequence[Sequence[float]]) -> float:
        """The score of hypotheses with these statistics."""
        return self._metric._aggregate_and_compute(statistics).score

    @property
    def formula(self) -> "BLEU | CHRF":
        """sacrebleu's metric: how a score follows from sums of statistics."""
        return self._metric

    @property
    def signature(self) -> str:
        """sacrebleu's signature: references, case, tokenizer, smoothing, version."""
        return self._metric.get_signature().format()

    def _prepared(self, hypotheses: Sequence[str]) -> Sequence[str]:
        return hypotheses if self._model is None else self._pieces(hypotheses)

    def _pieces(self, sentences: Sequence[str]) -> list[str]:
        # As sacrebleu does it for one line.
        pieces = self._model.encode([sentence.rstrip() for sentence in sentences], out_type=str)
        return [" ".join(line) for line in pieces]


def check_metrics(metrics: Iterable[Metric]) -> None:
    """See that the tokenizers' models are there, before any work starts.

    Raises:
        LingualiftError: which file belongs where.
    """
    for metric in metrics:
        if metric.name == "spbleu":
            _sentencepiece_file(str(metric.tokenizer))


def provenance(metrics: Iterable[Metric]) -> list[str]:
    """What shapes scores beside the settings of their metrics: sacrebleu's version, what is in the tokenizers' models.

    Raises:
        LingualiftError: a tokenizer's model is not there.
    """
    files = [_sentencepiece_file(str(metric.tokenizer))[0] for metric in metrics if metric.name == "spbleu"]
    return [metadata.version("sacrebleu"), *map(checksum, files)]


def rates(sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """What a learned metric does not see; signed by ``RATE_SIGNATURES``.

    Returns:
        ``copy_rate``: percentage of hypotheses that are their source, but for case and outer white space;
        ``empty_rate``: percentage of blank hypotheses; ``length_ratio``: characters of all hypotheses over
        characters of all references.
    """
    copies = sum(
        source.strip().lower() == hypothesis.strip().lower()
        for source, hypothesis in zip(sources, hypotheses, strict=True)
    )
    empty = sum(not hypothesis.strip() for hypothesis in hypotheses)
    length = sum(len(reference.strip()) for reference in references)
    return {
        "copy_rate": 100 * copies / len(hypotheses),
        "empty_rate": 100 * empty / len(hypotheses),
        "length_ratio": sum(len(hypothesis.strip()) for hypothesis in hypotheses) / max(length, 1),
    }


def score_segments(
    hypotheses: Sequence[str], references: Sequence[str], metrics: Mapping[str, Metric], *, target: str
) -> dict[str, tuple[float, str]]:
    """Score and signature of one set of hypotheses by each metric, for a use outside of ``score_hypotheses``."""
    scorers = {name: Scorer(metric, target, references) for name, metric in metrics.items()}
    return {name: (scorer.score(hypotheses), scorer.signature) for name, scorer in scorers.items()}


def _bleu_tokenizer(metric: Metric, target: str) -> str:
    return _AUTO_TOKENIZERS.get(target, "13a") if metric.tokenizer == "auto" else str(metric.tokenizer)


def sentencepiece_path(tokenizer: str) -> Path:
    """Where sacrebleu keeps the SentencePiece model of ``flores101`` or ``flores200``, there or not."""
    # Read at every call: the variable may be set after sacrebleu was imported.
    folder = Path(os.environ.get("SACREBLEU") or Path.home() / ".sacrebleu") / "models"
    return folder / _FLORES_MODELS[tokenizer]


def _sentencepiece_file(tokenizer: str) -> tuple[Path, str]:
    """The model file of a tokenizer of spBLEU and its name in signatures."""
    if tokenizer.startswith("spm:"):
        path = Path(tokenizer.removeprefix("spm:"))
        if not path.is_file():
            raise InputError(path, "no such file: the SentencePiece model that a metric names")
        # A colon or a bar would break the signature's own syntax.
        return path, f"spm-{path.stem.replace(':', '_').replace('|', '_')}-{checksum(path)[:8]}"
    path = sentencepiece_path(tokenizer)
    if not path.is_file():
        raise LingualiftError(
            f"spBLEU's tokenizer {tokenizer} is not there: put its SentencePiece model at {path}, "
            "or set SACREBLEU to the folder that has models/ in it"
        )
    return path, tokenizer


@lru_cache(maxsize=4)
def _sentencepiece_model(path: Path) -> "SentencePieceProcessor":
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(path))
