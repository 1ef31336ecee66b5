"""Languages as entries name them: those there are, those of the run, those that a corpus has."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lingualift.configuration.corpus_base import ROW_COUNTS, PairedCorpus
from lingualift.configuration.messages import Mistake, Place, nearest, shortened
from lingualift.configuration.schema import Configuration, TranslatedCorpus
from lingualift.configuration.systems import Pivot

if TYPE_CHECKING:
    from lingualift.configuration.loading import Run

_SIDES = ("source", "target")
_HOW = "docs/how-to-add.md says how to add one"


def check_known(run: "Run") -> Iterator[Mistake]:
    """Codes and columns that the table of languages lacks, and languages that are there twice."""
    file, ours = run.configuration.languages_file, run.configuration.languages
    for number, code in enumerate(ours):
        if code not in run.languages:
            yield ("languages", number), f"no language {code!r} in {file}{nearest(code, run.languages)}; {_HOW}"
        if code in ours[:number]:
            yield ("languages", number), f"language {code!r} is there twice"
    for place, code in own_languages(run.configuration):
        if code not in run.languages:
            hint = nearest(code, ours) or nearest(code, run.languages)
            yield place, f"no language {code!r} in {file}{hint}; {_HOW}"
    columns = {column for language in run.languages.values() for column in language.codes}
    for place, column in _columns(run.configuration):
        if column not in columns:
            there = f"{nearest(column, columns)}; there are: {shortened(sorted(columns), shown=40)}"
            yield place, f"no column {column!r} in {file}{there}"


def _columns(configuration: Configuration) -> Iterator[tuple[Place, str]]:
    """Every column of the table of languages that an entry reads its codes in, and where it says so."""
    entries: list[tuple[Place, Any]] = [
        *configuration.texts().items(),
        *((("dictionaries", name), it) for name, it in configuration.dictionaries.items()),
        *((("systems", name), it) for name, it in configuration.systems.items()),
    ]
    for place, entry in entries:
        if (column := getattr(entry, "codes", None)) is not None:
            yield (*place, "codes"), column


def own_languages(configuration: Configuration) -> Iterator[tuple[Place, str]]:
    """The languages that corpora and benchmarks say to have, of the run or not, and where."""
    for place, entry in configuration.texts().items():
        if language := getattr(entry, "language", None):
            yield (*place, "language"), language
        for code in getattr(entry, "columns", None) or ():
            if code not in _SIDES:
                yield (*place, "columns", code), code
        if isinstance(entry, PairedCorpus):
            yield from (((*place, "pair", number), code) for number, code in enumerate(entry.pair or ()))
            for number, pair in enumerate(entry.pairs or ()):
                yield from (((*place, "pairs", number, side), code) for side, code in enumerate(pair))


def check_languages(run: "Run") -> Iterator[Mistake]:
    """Languages that an entry names and the run, or the corpus that is asked for them, has not."""
    yield from _foreign_languages(run.configuration)
    yield from _lacking_languages(run)
    yield from _lacking_dictionaries(run)
    yield from _uncounted(run)


def _foreign_languages(configuration: Configuration) -> Iterator[Mistake]:
    """Languages that an entry names and the run has not."""
    ours = configuration.languages
    for place, code in _named_languages(configuration):
        if code not in ours:
            yield place, f"{code!r} is not a language of the run{nearest(code, ours)}; there are: {shortened(ours)}"


def _named_languages(configuration: Configuration) -> Iterator[tuple[Place, str]]:
    """Every language that an entry names in a list, and where."""
    lists: list[tuple[Place, Sequence[str] | None]] = []
    for name, corpus in configuration.corpora.items():
        lists.append((("corpora", name, "languages"), getattr(corpus, "languages", None)))
        for key in ROW_COUNTS:
            if isinstance(rows := getattr(corpus, key, None), dict):
                yield from ((("corpora", name, key, code), code) for code in rows)
    for name, benchmark in configuration.benchmarks.items():
        lists.append((("benchmarks", name, "languages"), getattr(benchmark.test, "languages", None)))
    for name, dictionary in configuration.dictionaries.items():
        lists.append((("dictionaries", name, "languages"), dictionary.languages))
        for number, pair in enumerate(getattr(dictionary, "pairs", None) or ()):
            yield from ((("dictionaries", name, "pairs", number), code) for code in pair.split("-"))
    for name, augmentation in configuration.augmentations.items():
        lists.append((("augmentations", name, "to"), augmentation.to))
        for number, pair in enumerate(augmentation.pairs or ()):
            yield from ((("augmentations", name, "pairs", number), code) for code in pair.split("-"))
    for name, mixture in configuration.mixtures.items():
        for number, component in enumerate(mixture.components):
            lists.append((("mixtures", name, "components", number, "languages"), component.languages))
    for name, table in configuration.tables.items():
        lists.append((("tables", name, "languages"), table.languages))
        lists.append((("tables", name, "centre"), table.centre))
        if table.layout == "pivot":
            yield ("tables", name, "through"), table.through
    for name, figure in configuration.figures.items():
        lists.append((("figures", name, "centre"), figure.centre))
        lists.append((("figures", name, "languages"), figure.languages))
    for name, system in configuration.systems.items():
        if isinstance(system, Pivot):
            yield ("systems", name, "pivot"), system.pivot
    for place, codes in lists:
        yield from (((*place, number), code) for number, code in enumerate(codes or ()))


def _lacking_languages(run: "Run") -> Iterator[Mistake]:
    """Languages that are asked of a corpus that lacks them, and corpora that have none of the run's."""
    ours = run.configuration.languages
    covered: dict[tuple[str, str], list[str]] = {}
    for at, corpus in run.configuration.texts().items():
        if isinstance(corpus, TranslatedCorpus):
            covered[at] = list(corpus.languages or ours)
            continue
        if corpus.kind == "instructions":
            continue
        has = covered[at] = corpus.languages_covered(ours, run.languages)
        if not has:
            yield at, f"it has none of the run's languages: {shortened(ours)}"
            continue
        asked = [("languages", number, code) for number, code in enumerate(getattr(corpus, "languages", None) or ())]
        counts = {key: rows for key in ROW_COUNTS if isinstance(rows := getattr(corpus, key), dict)}
        asked += [(key, code, code) for key, rows in counts.items() for code in rows]
        for *place, code in asked:
            if code in ours and code not in has:
                yield (*at, *place), _lack(code, has)
    for name, mixture in run.configuration.mixtures.items():
        for number, component in enumerate(mixture.components):
            has = covered.get(("corpora", component.corpus or ""), list(ours))
            for place, code in enumerate(component.languages or ()):
                if code in ours and code not in has:
                    yield ("mixtures", name, "components", number, "languages", place), _lack(code, has)


def _lacking_dictionaries(run: "Run") -> Iterator[Mistake]:
    """Dictionaries that have fewer than two of the run's languages."""
    for name, it in run.configuration.dictionaries.items():
        wanted = [code for code in it.languages or run.configuration.languages if code in run.languages]
        has = [code for code in wanted if it.codes is None or it.codes in run.languages[code].codes]
        if len(has) < 2:
            yield (
                ("dictionaries", name, "codes"),
                f"the column {it.codes!r} of {run.configuration.languages_file} has codes of {shortened(has)} of "
                f"{shortened(wanted)}: a dictionary is between two languages or more",
            )


def _uncounted(run: "Run") -> Iterator[Mistake]:
    """Languages of whose sentences LLaMAX's data has none, in a corpus that has as many as that."""
    for name, corpus in run.configuration.corpora.items():
        for key in (key for key in ROW_COUNTS if getattr(corpus, key, None) == "mono"):
            covered = corpus.languages_covered(run.configuration.languages, run.languages)
            none = [code for code in covered if not run.languages[code].mono]
            if none:
                yield (
                    ("corpora", name, key),
                    f"{run.configuration.languages_file} has no sentences (mono) of {shortened(none)}: leave them out "
                    "of 'languages', or give numbers by language",
                )


def _lack(code: str, has: Sequence[str]) -> str:
    return f"the corpus has no {code!r}; it has: {shortened(has)}"
