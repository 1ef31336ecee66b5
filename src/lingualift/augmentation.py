"""Pseudo-parallel text: a corpus whose source sides have words of other languages in them (LLaMAX, section 2.1)."""

import contextlib
import functools
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from lingualift.configuration.lexicons import Augmentation
from lingualift.errors import InputError
from lingualift.files import atomic_path, fingerprint, link_or_copy, read_json, remove, write_csv, write_json
from lingualift.lexicons import Lexicon
from lingualift.manifests import Manifest, load_manifest
from lingualift.randomness import Permutation, hashes, seed_of
from lingualift.replacement import Coverage, Replacer, count_words
from lingualift.segmentation import Segmented

if TYPE_CHECKING:
    import pyarrow as pa

# Languages whose look-ups are remembered at a time.
_NUM_REPLACERS = 16


@dataclass(frozen=True)
class _Part:
    """The rows of one table in one pair of languages: a unit of work, done once even if the job is killed."""

    table: str
    source: str
    target: str
    columns: tuple[str, str]
    directed: bool
    max_ratio: float | None

    @property
    def monolingual(self) -> bool:
        return self.source == self.target

    @property
    def ways(self) -> list[tuple[str, str]]:
        """The directions its rows may take."""
        forth = (self.source, self.target)
        return [forth] if self.directed or self.monolingual else [forth, forth[::-1]]

    def file(self, way: tuple[str, str]) -> str:
        """The file of one direction in the work folder."""
        return f"{self.table}.{'-'.join(way)}.arrow"


def augment_corpus(
    augmentation: Augmentation,
    *,
    corpus_folder: Path,
    lexicon_folder: Path,
    languages: Mapping[str, Segmented],
    codes: Sequence[str],
    seed: int,
    out: Path,
    work: Path,
    version: int = 1,
) -> Manifest:
    """Replace words in the source sides of a corpus; write a corpus of the same form.

    Of a parallel corpus each row takes one of the two directions of its language pair with probability one half; the
    tables are one a direction, ``s-t``, with the columns ``source`` (changed), ``target`` (as it was) and ``line``
    (the row in the table it came from). Of a monolingual corpus the tables are ``s-s``: changed and original. Beside
    them lies ``coverage.csv``: for each language the counts of :class:`~lingualift.replacement.Coverage`, those of
    sentences too that are dropped because the lexicon lacks their language.

    Pairs of absurd length, by the corpus' own ratio, are dropped and counted. What the corpus itself had dropped before
    is noted in the manifest, ``dropped_before``.

    Args:
        languages: by code; how each is segmented.
        codes: the languages of the run; the others of the corpus are passed over.
        seed: the run's; all draws are a function of it, the corpus, the language pair and the row.
        out: the new corpus, a folder; appears when it is whole.
        work: a folder where finished tables wait, so that a killed job goes on where it was.
        version: the stage's; what another version left in ``work`` is not gone on with.

    Raises:
        InputError: the corpus or the lexicon cannot be read, or there is nothing to augment.

    Source: LLaMAX, section 2.1, step 2.
    """
    settings = {**augmentation.model_dump(mode="json"), "languages": list(codes), "version": version}
    manifest = Manifest("corpus", settings, seed=seed)
    corpus, lexicon = load_manifest(corpus_folder / "manifest.json"), Lexicon.open(lexicon_folder)
    if "tables" not in corpus:
        raise InputError(corpus_folder / "manifest.json", "not the manifest of a corpus: it lists no tables")
    for folder in (corpus_folder, lexicon_folder):
        manifest.add_input(folder / "manifest.json")
    # Tables of another seed, corpus or lexicon are not taken for ours.
    work = work / fingerprint([settings, seed, sorted(manifest.inputs.values())])
    parts = _parts(corpus["tables"], augmentation, set(codes))
    if not parts:
        raise InputError(corpus_folder, "has no table in the languages and pairs asked for")
    replacers = _Replacers(augmentation, lexicon, languages, _choices(augmentation, lexicon, lexicon_folder, codes))
    accounts = []
    for part in tqdm(parts, desc="Augmenting", unit="pair"):
        done = work / f"{part.table}.{part.source}-{part.target}.json"
        if not _is_done(done):
            write_json(_augment_part(part, corpus_folder, augmentation, replacers, seed, work), done)
        accounts.append(read_json(done))
    coverage: dict[str, Coverage] = {}
    for account in accounts:
        manifest.dropped.update(account["dropped"])
        for code, counts in account["coverage"].items():
            coverage.setdefault(code, Coverage()).add(Coverage(**counts))
    with atomic_path(out) as folder:
        (folder / "tables").mkdir(parents=True)
        tables = _publish([table for account in accounts for table in account["tables"]], work, folder / "tables")
        manifest.details.update(
            tables=tables,
            coverage=_coverage_rows(coverage),
            dropped_before={augmentation.source: corpus.get("dropped", {})},
        )
        manifest.counts["pairs"] = sum(table["rows"] for table in tables)
        for counts in coverage.values():
            manifest.counts.update(asdict(counts))
        coverage = manifest.details["coverage"]
        write_csv(coverage, folder / "coverage.csv", list(coverage[0]) if coverage else ["language"])
        manifest.save(folder / "manifest.json")
    remove(work)
    return manifest


def _parts(tables: Sequence[Mapping[str, Any]], augmentation: Augmentation, codes: set[str]) -> list[_Part]:
    """The language pairs of every table, in a stable order."""
    wanted = {frozenset(pair.split("-")) for pair in augmentation.pairs or ()}
    parts = []
    for table in tables:
        covered = [code for code in table["languages"] if code in codes]
        if len(table["languages"]) == 1:
            pairs = [(code, code) for code in covered]
        else:
            pairs = list(itertools.combinations(covered, 2))
        for source, target in pairs:
            if not wanted or frozenset((source, target)) in wanted:
                columns = ("source", "target") if table.get("directed") else (source, target)
                # Of text that came in as pairs these are gone; a multi-way table still has them.
                max_ratio = table.get("max_length_ratio")
                parts.append(_Part(table["name"], source, target, columns, bool(table.get("directed")), max_ratio))
    return parts


def _choices(augmentation: Augmentation, lexicon: Lexicon, folder: Path, codes: Sequence[str]) -> list[str]:
    """The languages to draw from: those asked for, or those of the run that the lexicon covers."""
    if augmentation.to is None:
        return [code for code in codes if code in lexicon]
    missing = [code for code in augmentation.to if code not in lexicon]
    if missing:
        raise InputError(
            folder, f"the lexicon does not cover {', '.join(missing)}; it has {', '.join(lexicon.languages)}"
        )
    return list(augmentation.to)


class _Replacers:
    """One replacer a language and pair, those of the last languages kept."""

    def __init__(
        self, augmentation: Augmentation, lexicon: Lexicon, languages: Mapping[str, Segmented], to: Sequence[str]
    ) -> None:
        self._augmentation, self.lexicon, self._languages, self._to = augmentation, lexicon, languages, to
        self._of = functools.lru_cache(_NUM_REPLACERS)(self._make)

    def __call__(self, code: str, seed: int) -> Replacer:
        """The replacer of a language, with a fresh account of its coverage."""
        replacer = self._of(code)
        replacer.seed, replacer.coverage = seed, Coverage()
        return replacer

    def lacking(self, code: str, sentences: Sequence[str]) -> Coverage:
        """The account of sentences whose language the lexicon lacks."""
        return count_words(sentences, self._languages[code], lower=self._augmentation.lower)

    def _make(self, code: str) -> Replacer:
        augmentation = self._augmentation
        return Replacer(
            self.lexicon,
            code,
            self._languages[code],
            to=self._to,
            rate=augmentation.rate,
            seed=0,
            lower=augmentation.lower,
            strip_punctuation=augmentation.strip_punctuation,
        )


def _augment_part(
    part: _Part, corpus: Path, augmentation: Augmentation, replacers: _Replacers, seed: int, work: Path
) -> dict[str, Any]:
    """Write the tables of one part into ``work``; return their entries, dropped rows and coverage."""
    import pyarrow as pa

    from lingualift.arrow_tables import TableWriter
    from lingualift.readers.batches import LENGTH_RATIO

    columns = {"source": pa.string(), "target": pa.string(), "line": pa.int64()}
    path = corpus / "tables" / f"{part.table}.arrow"
    place = seed_of(seed, "augment", augmentation.source, part.table, part.source, part.target)
    replace = {way: replacers(way[0], seed_of(place, *way)) for way in part.ways if way[0] in replacers.lexicon}
    lacking = {way: Coverage() for way in part.ways if way not in replace}
    dropped: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        paths = {way: stack.enter_context(atomic_path(work / part.file(way))) for way in replace}
        writers = {way: stack.enter_context(TableWriter(path, columns)) for way, path in paths.items()}
        for lines, texts in _sampled_rows(path, part, augmentation.sample, place):
            fair = _fair(texts, part.max_ratio)
            if not fair.all():
                dropped[f"{LENGTH_RATIO} ({part.source}-{part.target})"] += int((~fair).sum())
                lines, texts = lines[fair], tuple(text.filter(pa.array(fair)) for text in texts)
            way_of_row = hashes(place, lines) % np.uint64(len(part.ways))
            for number, way in enumerate(part.ways):
                here = np.flatnonzero(way_of_row == number)
                source, target = (text.take(here) for text in (texts if number == 0 else texts[::-1]))
                if way not in replace:
                    if len(here):
                        dropped[f"{way[0]} is not in the lexicon"] += len(here)
                        lacking[way].add(replacers.lacking(way[0], source.to_pylist()))
                    continue
                changed = pa.array(replace[way](source.to_pylist(), lines[here]), pa.string())
                writers[way].add([changed, target.cast(pa.string()), pa.array(lines[here])])
    tables = [
        {
            "name": "-".join(way),
            "file": part.file(way),
            "languages": list(way),
            "rows": writer.num_rows,
            "valid": dict.fromkeys(way, writer.num_rows),
            "pairs": {"-".join(way): writer.num_rows},
            "directed": True,
            "loss": "all" if part.monolingual else "target",
        }
        for way, writer in writers.items()
    ]
    coverage = lacking | {way: replacer.coverage for way, replacer in replace.items()}
    return {
        "tables": tables,
        "dropped": dict(dropped),
        "coverage": {way[0]: asdict(counts) for way, counts in coverage.items()},
    }


def _sampled_rows(
    path: Path, part: _Part, sample: int | float | None, seed: int
) -> Iterator[tuple[np.ndarray, tuple["pa.Array", "pa.Array"]]]:
    """The rows that have both sides, or a random sample of them: line numbers and texts, a batch at a time.

    A share is one of these rows. A number is exact: where a pair of absurd length is drawn, so is one row more.
    """
    if sample is None:
        yield from _rows(path, part)
        return
    num_rows, unfair = 0, [np.empty(0, np.int64)]
    for lines, texts in _rows(path, part):
        unfair.append(num_rows + np.flatnonzero(~_fair(texts, part.max_ratio)))
        num_rows += len(lines)
    shuffle, start = Permutation(num_rows, seed_of(seed, "sample")), 0
    if isinstance(sample, int):
        places = np.sort(shuffle(np.concatenate(unfair)))
        # Before each so many fair ones have come up: it is passed over if that is not all of them.
        size = sample + int(np.count_nonzero(places - np.arange(len(places)) < sample))
    else:
        size = round(sample * num_rows)
    for lines, texts in _rows(path, part):
        kept = np.flatnonzero(shuffle(np.arange(start, start + len(lines))) < size)
        start += len(lines)
        yield lines[kept], (texts[0].take(kept), texts[1].take(kept))


def _fair(texts: tuple["pa.Array", "pa.Array"], max_ratio: float | None) -> np.ndarray:
    """Which pairs are of like length: neither side more than ``max_ratio`` times as long as the other."""
    import pyarrow.compute as pc

    from lingualift.readers.batches import good_pair_mask

    if max_ratio is None:
        return np.ones(len(texts[0]), bool)
    return good_pair_mask(*(pc.utf8_length(text).to_numpy(zero_copy_only=False) for text in texts), max_ratio)


def _rows(path: Path, part: _Part) -> Iterator[tuple[np.ndarray, tuple["pa.Array", "pa.Array"]]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        with pa.memory_map(str(path)) as file:
            reader, start = pa.ipc.open_file(file), 0
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                texts = [batch.column(name) for name in part.columns]
                kept = np.flatnonzero(pc.and_(pc.is_valid(texts[0]), pc.is_valid(texts[1])).to_numpy(False))
                yield start + kept, (texts[0].take(kept), texts[1].take(kept))
                start += batch.num_rows
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(path, f"not a table of a corpus: {error}") from error


def _is_done(note: Path) -> bool:
    """Whether a part's note and its tables are there: one that was killed while it tidied up left notes alone."""
    return note.is_file() and all(
        (note.parent / table["file"]).is_file() for table in read_json(note)["tables"] if table["rows"]
    )


def _publish(tables: Sequence[Mapping[str, Any]], work: Path, folder: Path) -> list[dict[str, Any]]:
    """Put the finished tables that have rows into ``folder``; return their entries."""
    names = Counter(table["name"] for table in tables if table["rows"])
    published = []
    for table in tables:
        if not table["rows"]:
            continue
        # Two tables of the corpus may hold the same pair of languages.
        name = table["name"] if names[table["name"]] == 1 else table["file"].removesuffix(".arrow")
        link_or_copy(work / table["file"], folder / f"{name}.arrow")
        published.append({**{key: value for key, value in table.items() if key != "file"}, "name": name})
    return published


def _coverage_rows(coverage: Mapping[str, Coverage]) -> list[dict[str, Any]]:
    return [
        {
            "language": code,
            **asdict(counts),
            "known_share": round(counts.known / max(counts.words, 1), 4),
            "replaced_share": round(counts.replaced / max(counts.words, 1), 4),
            "same_share": round(counts.same / max(counts.words, 1), 4),
        }
        for code, counts in sorted(coverage.items())
    ]
