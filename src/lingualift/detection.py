"""Off-target analysis: in which language outputs are written, by a language detector.

A detector knows some languages only. A rate of a language that it does not know is unknown, and shown as such: its
outputs would be counted as another language's, and a rate of 0 would say that none was in the right language.
"""

import functools
import importlib.metadata
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lingualift.arrow_tables import open_table
from lingualift.configuration.evaluation import OFF_TARGET, OffTarget
from lingualift.errors import LingualiftError
from lingualift.files import checksum, fingerprint
from lingualift.languages import Language
from lingualift.manifests import Manifest
from lingualift.pools import in_parallel
from lingualift.scoring import Hypotheses, Pair, benchmark_sentences, result_store, write_scores
from lingualift.stores import ResultStore
from lingualift.writing import in_script

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

# fastText's lid.176 names languages by ISO 639-1, or by 639-3 where that has none; but these otherwise.
_LID176 = {"gsw": "als", "als": "sq", "kmr": "ku", "nob": "no", "fil": "tl"}

# References that are looked at, and the percentage below which their language is doubted.
_REFERENCES, _FEW = 100, 50
# At import, where every language of a test set is looked at: so many are enough where this percentage is in it, fewer
# where many tables have the language, but not so few.
_GLANCE, _SURE, _LEAST = 25, 80, 10
# It takes two thirds of FLORES' Traditional Chinese for Korean.
_MISTAKEN = "zh-tw"

Counts = dict[str, int]


class Detector(Protocol):
    """What says in which language a text is."""

    @property
    def signature(self) -> str:
        """The detector, its version, and what else its answers depend on."""
        ...

    def label(self, language: Language) -> str | None:
        """The detector's own name of a language; None if it does not know it."""
        ...

    def detect(self, sentences: Sequence[str]) -> list[str | None]:
        """The name of the likeliest language of each sentence; None where there is nothing to tell it from."""
        ...


class LangDetect:
    """langdetect, the detector of the paper: 55 languages; it draws n-grams at random, here from a fixed seed.

    Its answer to a sentence depends on the sentence and the seed alone.

    Source: LLaMAX, section 4.2, Tables 7 and 13.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @property
    def signature(self) -> str:
        return f"detector:langdetect|version:{importlib.metadata.version('langdetect')}|seed:{self.seed}"

    def label(self, language: Language) -> str | None:
        return language.codes.get("langdetect")

    def detect(self, sentences: Sequence[str]) -> list[str | None]:
        from langdetect import LangDetectException

        factory = _langdetect_factory()
        found: list[str | None] = []
        for sentence in sentences:
            detector = factory.create()
            # Each has a generator of its own, seeded when it starts.
            detector.seed = self.seed
            detector.append(sentence)
            try:
                label = detector.detect()
            except LangDetectException:
                label = detector.UNKNOWN_LANG
            found.append(None if label == detector.UNKNOWN_LANG else label)
        return found


class FastText:
    """fastText's language identification, from the file ``lid.176.bin`` or ``lid.176.ftz``.

    Raises:
        LingualiftError: the file is not there, or the package is not.

    Source: Joulin et al. 2016.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise LingualiftError(
                f"{path}: no such file: fastText's model for language identification "
                "(lid.176.bin of https://fasttext.cc/docs/en/language-identification.html)"
            )
        self._known = {_plain(label) for label in _fasttext_model(self.path).get_labels()}

    @property
    def signature(self) -> str:
        return f"detector:fasttext|model:{self.path.name}|checksum:{checksum(self.path)[:12]}"

    def label(self, language: Language) -> str | None:
        # The three letters first: two may stand for several languages, as ku does.
        names = (_LID176.get(language.iso639_3, language.iso639_3), language.code)
        return next((name for name in names if name in self._known), None)

    def detect(self, sentences: Sequence[str]) -> list[str | None]:
        # A line is a text for fastText; blank ones it would give to some language, too.
        lines = [" ".join(sentence.split()) for sentence in sentences]
        full = [line for line in lines if line]
        labels = dict(zip(full, _fasttext_model(self.path).predict(full)[0] if full else (), strict=True))
        return [_plain(labels[line][0]) if labels.get(line) else None for line in lines]


def off_target(
    hypotheses: Sequence[str], source: str, target: str, detector: Detector, languages: Mapping[str, Language]
) -> dict[str, float | None]:
    """How many outputs of a direction are in the language of the source, and how many in that of the target.

    Args:
        source: the source language's code; ``target`` likewise.
        languages: by code.

    Returns:
        ``R_source`` and ``R_X``: percentages of all outputs, blank and undetected ones included; None for a
        language that the detector does not know.

    Source: LLaMAX, Tables 7 and 13.
    """
    counts = _count(detector.detect(hypotheses))
    rates = (_rate(counts, detector.label(languages[code])) for code in (source, target))
    return dict(zip(OFF_TARGET, rates, strict=True))


def load_detector(entry: OffTarget) -> Detector:
    """The detector that a metric names.

    Raises:
        LingualiftError: its file or its package is not there.
    """
    return FastText(str(entry.model)) if entry.detector == "fasttext" else LangDetect(entry.seed)


def score_off_target(
    hypotheses_files: Sequence[str | Path],
    *,
    benchmark_folder: str | Path,
    rates: Mapping[str, tuple[str, Detector]],
    languages: Mapping[str, Language],
    out: str | Path,
    system: str,
    benchmark: str,
    limit: int | None = None,
    workers: int = 1,
    state: str | Path | None = None,
    shared: str | Path | None = None,
    version: int = 1,
) -> Manifest:
    """Rates of every direction that the files hold.

    Args:
        hypotheses_files: JSON lines of direction, sentence and hypothesis; each direction complete.
        rates: by the name that tables call them: ``R_source`` or ``R_X``, and the detector. Several rates of one
            detector are one pass over the outputs.
        out: the CSV file of scores, see ``scoring.COLUMNS``; a row a direction and rate, sorted. The score of a rate
            that is not known is empty.
        system: the system's name, as written into the rows; ``benchmark`` likewise.
        limit: how many of the first sentences of the benchmark were translated.
        workers: processes.
        state: a folder for what each detector found of each direction, so that a killed run goes on where it was, and
            later ones look at what is new alone.
        shared: a folder that holds ``state`` and those of other benchmarks and parts of this system: what was looked
            at there is not looked at again.
        version: the stage's; what another version left in ``state`` is not gone on with.

    Returns:
        The manifest of the scores; with how many references are in their language, as a detector that knows it takes
        them, and in its script, by a warning where few are.

    Raises:
        InputError: a file has a bad line.
        LingualiftError: a direction is not complete, or not in the benchmark.
    """
    hypotheses = Hypotheses.open(hypotheses_files, benchmark_folder, limit=limit)
    detectors = {detector.signature: detector for _, detector in rates.values()}
    manifest = hypotheses.manifest({"detectors": list(detectors)})
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        kept = {
            name: stack.enter_context(result_store(state, name, shared=shared, pairs=hypotheses.stretches))
            for name in detectors
        }
        counted: dict[Pair, dict[str, Counts]] = {}
        work = partial(_count_languages, hypotheses, detectors, kept, version)
        for pair, found in in_parallel(work, list(hypotheses.stretches), workers):
            for name, (basis, counts) in found.items():
                if kept[name].get("-".join(pair), basis) is None:
                    kept[name].add([("-".join(pair), basis, counts)])
            counted[pair] = {name: counts for name, (_, counts) in found.items()}
    for pair in hypotheses.stretches:
        head = {"system": system, "benchmark": benchmark, "source": pair[0], "target": pair[1]}
        for metric, (rate, detector) in rates.items():
            counts = counted[pair][detector.signature]
            value = _rate(counts, detector.label(languages[dict(zip(OFF_TARGET, pair, strict=True))[rate]]))
            row = {"metric": metric, "score": "" if value is None else value, "signature": detector.signature}
            rows.append(head | row | {"segments": sum(counts.values())})
        manifest.counts.update(directions=1, segments=sum(counts.values()), undetected=counts.get("", 0))
    write_scores(rows, out)
    looked_at = partial(_own_references, hypotheses, detectors.values(), languages)
    own: dict[str, dict[str, float]] = {"language": {}, "script": {}}
    for target, shares in in_parallel(
        looked_at, list({pair[1]: pair for pair in hypotheses.stretches}.values()), workers
    ):
        for kind, share in shares.items():
            own[kind][target] = share
    manifest.details |= {f"references_in_their_{kind}": dict(sorted(shares.items())) for kind, shares in own.items()}
    return manifest


def check_languages(
    folder: str | Path,
    tables: Iterable[Mapping[str, Any]],
    labels: Mapping[str, str],
    *,
    scripts: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Look whether the texts of an imported benchmark are in the languages that they should be in: langdetect, scripts.

    The first lines of each language are looked at, of each table that has it: by langdetect a hundred, where the first
    of them leave a doubt. Simplified Chinese may be taken for Traditional, of which langdetect is not asked.

    Args:
        folder: the benchmark's, with its tables.
        tables: what they are, see :mod:`lingualift.corpora`.
        labels: our code → langdetect's, for those of the languages that it knows.
        scripts: our code → ISO 15924, for those of the languages whose writing is to be looked at.

    Returns:
        For the manifest: the percentage in each of these languages, and in its scripts, of the table with the fewest. A
        warning tells of those with fewer than half.
    """
    tables, detector, scripts = list(tables), LangDetect(seed), scripts or {}
    shared = Counter(code for table in tables for code in table["languages"])
    found: dict[str, dict[str, float]] = {"script": {}, "language": {}}
    for table in tables:
        for code in table["languages"]:
            label, written = labels.get(code, _MISTAKEN), scripts.get(code, ())
            if label == _MISTAKEN and not written:
                continue
            lines = _first_lines(open_table(folder, table["name"])[code])
            if len(lines) < _LEAST:
                continue
            shares = {"script": share_in_scripts(lines, written)} if written else {}
            if label != _MISTAKEN:
                glance = lines[: max(_LEAST, min(_GLANCE, _REFERENCES // shared[code]))]
                if (share := _share_in(label, glance, detector)) < _SURE:
                    share = _share_in(label, lines, detector)
                shares["language"] = share
            for kind, share in shares.items():
                found[kind][code] = min(share, found[kind].get(code, 100.0))
            _tell_doubts(f"{code} of '{table['name']}'", shares, len(lines), written)
    return {f"in_their_{kind}": dict(sorted(of.items())) for kind, of in found.items() if of or kind == "language"}


def share_in_scripts(texts: Sequence[str], scripts: Sequence[str]) -> float:
    """How many texts have at least half of their letters in some scripts (ISO 15924), in per cent."""
    letters = [[letter for letter in text if letter.isalpha()] for text in texts]
    different = sorted({letter for each in letters for letter in each})
    strange = {letter for letter, kept in zip(different, in_script(different, scripts), strict=True) if kept is None}
    return 100 * sum(2 * sum(letter in strange for letter in each) <= len(each) for each in letters) / len(letters)


def _first_lines(column: "pa.ChunkedArray") -> list[str]:
    """The first texts of a column, passing over cells without one."""
    found: list[str] = []
    for chunk in column.chunks:
        found += chunk.drop_null()[: _REFERENCES - len(found)].to_pylist()
        if len(found) == _REFERENCES:
            break
    return found


def _share_in(label: str, lines: Sequence[str], detector: LangDetect) -> float:
    """How many lines are in a language, in per cent; ``zh-cn`` and ``zh-tw`` are one."""
    names = [name or "" for name in detector.detect(lines)]
    return 100 * sum(name.partition("-")[0] == label.partition("-")[0] for name in names) / len(lines)


def _own_references(
    hypotheses: Hypotheses, detectors: Iterable[Detector], languages: Mapping[str, Language], pair: Pair
) -> tuple[str, dict[str, float]]:
    """How many of a target's first references, in per cent, are in its ``script`` and ``language``, if these are known."""
    language = languages[pair[1]]
    limit = min(_REFERENCES, hypotheses.limit or _REFERENCES)
    references = benchmark_sentences(hypotheses.folder, *pair, limit=limit)[1]
    shares = {}
    if scripts := getattr(language, "scripts", ()):
        shares["script"] = share_in_scripts(references, scripts)
    if detector := next((it for it in detectors if it.label(language) is not None), None):
        shares["language"] = _rate(_count(detector.detect(references)), detector.label(language)) or 0.0
    _tell_doubts(f"references in {language.name}", shares, len(references), scripts)
    return pair[1], shares


def _tell_doubts(what: str, shares: Mapping[str, float], count: int, scripts: Sequence[str]) -> None:
    """Warn where few of the first texts are in the script of their language; or else, in the language."""
    if kind := next((kind for kind in ("script", "language") if shares.get(kind, 100.0) < _FEW), None):
        taken = f"in its script ({' '.join(scripts)})" if kind == "script" else "taken for it"
        say = "%s: %.0f %% of the first %d are %s: are they in another language?"
        logger.warning(say, what, shares[kind], count, taken)


def _count(labels: Iterable[str | None]) -> Counts:
    """How often each language was detected; the empty name stands for none."""
    return dict(sorted(Counter(label or "" for label in labels).items()))


def _rate(counts: Counts, label: str | None) -> float | None:
    return None if label is None else 100 * counts.get(label, 0) / sum(counts.values())


def _count_languages(
    hypotheses: Hypotheses,
    detectors: Mapping[str, Detector],
    kept: Mapping[str, ResultStore],
    version: int,
    pair: Pair,
) -> tuple[Pair, dict[str, tuple[str, Counts]]]:
    """The languages of the outputs of one direction, as each detector tells them, and what they were counted from."""
    texts = hypotheses.read(pair).hypotheses
    basis = fingerprint([version, texts])
    different = list(dict.fromkeys(texts))
    found = {}
    for signature, detector in detectors.items():
        counts = kept[signature].get("-".join(pair), basis)
        if counts is None:
            labels = dict(zip(different, detector.detect(different), strict=True))
            counts = _count(labels[text] for text in texts)
        found[signature] = basis, counts
    return pair, found


@functools.cache
def _langdetect_factory() -> Any:
    """What makes detectors, with the profiles of all languages; read once a process, in the same order everywhere."""
    import numpy as np
    from langdetect.detector import Detector as ListDetector
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    class ArrayDetector(ListDetector):
        """The same arithmetic, to the last bit, on all languages at once."""

        def _init_probability(self) -> Any:
            return np.full(len(self.langlist), 1.0 / len(self.langlist))

        def _update_lang_prob(self, prob: Any, word: str, alpha: float) -> bool:
            prob *= alpha / self.BASE_FREQ + self.word_lang_prob_map[word]
            return True

        def _normalize_prob(self, prob: Any) -> float:
            # numpy adds in another order than a loop.
            prob /= sum(prob.tolist())
            return float(prob.max())

    class Factory(DetectorFactory):
        def _create_detector(self) -> ListDetector:
            return ArrayDetector(self)

    factory = Factory()
    factory.load_json_profile([path.read_text(encoding="utf-8") for path in sorted(Path(PROFILES_DIRECTORY).iterdir())])
    factory.word_lang_prob_map = {word: np.array(row) for word, row in factory.word_lang_prob_map.items()}
    return factory


@functools.lru_cache(maxsize=2)
def _fasttext_model(path: Path) -> Any:
    try:
        import fasttext
    except ImportError as error:
        raise LingualiftError(
            "language identification by fastText needs its package: pip install fasttext-wheel"
        ) from error
    return fasttext.load_model(str(path))


def _plain(label: str) -> str:
    return label.removeprefix("__label__")
