"""Importing corpora: raw files of any format in, one checked and memory-mappable form out.

The form, a folder: ``tables/<name>.arrow``, Arrow IPC files of ``large_string`` columns named by language, null where
a cell was dropped; and ``manifest.json``, whose ``tables`` say for each its name, languages, rows, valid cells by
language, good pairs by "<a>-<b>", whether it is directed (columns source and target), and what the loss is on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from lingualift.arrow_tables import TableWriter, open_table
from lingualift.configuration.corpora import AnyCorpus
from lingualift.configuration.corpus_base import INSTRUCTION_FIELDS, INSTRUCTIONS, MULTIWAY, ParallelCorpus, TableSource
from lingualift.errors import InputError
from lingualift.files import atomic_path, checksum, files_below, fingerprint, link_or_copy, read_json, write_json
from lingualift.languages import Coded
from lingualift.manifests import Manifest, load_manifest
from lingualift.pools import in_parallel
from lingualift.readers import read_table
from lingualift.readers.batches import EMPTY, LENGTH_RATIO, MISSING, Batch, Cleaned, clean, good_pair_mask

__all__ = ["TableWriter", "corpus_tables", "good_pair_mask", "import_corpus", "open_table"]

# So few dropped rows are no sign of a broken table, whatever their share: pairs of LLaMAX's data have as few as 8 rows.
_FEW = 10


def import_corpus(
    corpus: AnyCorpus,
    *,
    languages: Sequence[str],
    table: Mapping[str, Coded],
    data: Path,
    out: Path,
    work: Path,
    workers: int = 1,
    strict: bool = False,
    version: int = 1,
    inspect: Callable[[Path, list[dict[str, Any]]], dict[str, Any]] | None = None,
) -> Manifest:
    """Import a corpus into the folder ``out``, atomically.

    A finished table waits in ``work``; an import that was killed goes on after the last of them, as long as neither
    the settings nor the raw files have changed.

    Args:
        languages: the run's languages; the corpus' own subset of them is imported.
        table: all languages, by code.
        data: the folder that the corpus' path starts from.
        work: a folder of this corpus alone, on the same file system as ``out`` if linking is to save a copy.
        workers: how many tables to read at a time.
        strict: for benchmarks: a bad row is an error and none is dropped; text stays as it was published, but for white
            space at both ends, where that of corpora is put into NFC.
        version: the stage's; what another version left in ``work`` is not gone on with.
        inspect: what looks at the tables of the folder that it is given, and says what the manifest is to have of them.

    Raises:
        InputError: a missing or broken file, sides that are not aligned, too many bad rows (more than ten, and
            than the corpus' ``max_dropped``), or any when ``strict``; with file and line.
        LingualiftError: the corpus has none of the languages.
    """
    sources = corpus.tables(languages, table, data)
    manifest = Manifest("corpus", corpus.model_dump(mode="json") | {"strict": strict, "version": version})
    for source in sources:
        _require_files(source)
    work.mkdir(parents=True, exist_ok=True)
    states: dict[str, dict[str, Any]] = {}
    for source in sources:
        if state := _finished(corpus, source, work, strict, version):
            states[source.name] = state
    todo = [source for source in sources if source.name not in states]
    states |= _import_tables(corpus, todo, work, strict, version, workers)

    manifest.details |= {"corpus_kind": corpus.kind, "tables": [states[source.name]["table"] for source in sources]}
    for source in sources:
        state = states[source.name]
        manifest.counts.update({"tables": 1, "rows read": state["read"], "rows": state["table"]["rows"]})
        manifest.dropped.update(state["dropped"])
        manifest.inputs.update(state["inputs"])
    with atomic_path(out) as part:
        (part / "tables").mkdir(parents=True)
        for source in sources:
            link_or_copy(work / f"{source.name}.arrow", part / "tables" / f"{source.name}.arrow")
        if inspect:
            manifest.details |= inspect(part, manifest.details["tables"])
        manifest.save(part / "manifest.json")
    return manifest


def corpus_tables(folder: str | Path) -> list[dict[str, Any]]:
    """What the tables of an imported corpus are, from its manifest."""
    return load_manifest(Path(folder) / "manifest.json")["tables"]


def _import_tables(
    corpus: AnyCorpus, sources: list[TableSource], work: Path, strict: bool, version: int, workers: int
) -> dict[str, dict[str, Any]]:
    """Import what is not finished, perhaps in several processes."""
    run = partial(_import_table, corpus, work=work, strict=strict, version=version)
    results = in_parallel(lambda source: (source.name, run(source)), sources, workers)
    return dict(tqdm(results, total=len(sources), desc="importing", unit="table", disable=not sources))


def _import_table(corpus: AnyCorpus, source: TableSource, work: Path, strict: bool, version: int) -> dict[str, Any]:
    """Read one table into ``work`` and note what came of it beside it."""
    before = _state_name(corpus, source, strict, version)
    path, notes = work / f"{source.name}.arrow", work / f"{source.name}.json"
    # First, or notes of other settings might be found beside the new table.
    notes.unlink(missing_ok=True)
    names = INSTRUCTION_FIELDS if source.name == INSTRUCTIONS else source.languages
    account = _Account(corpus, source, strict)
    with atomic_path(path) as part, TableWriter(part, names) as writer:
        for batch in _window(read_table(corpus, source), *corpus.rows_of(source.languages)):
            writer.add(account.sift(batch))
        account.check()
    inputs = {str(file): checksum(file) for file in _raw_files(source)}
    state = {
        "fingerprint": before,
        "read": account.read,
        "table": account.entry(),
        "dropped": dict(account.dropped),
        "inputs": inputs,
    }
    write_json(state, notes)
    return state


def _window(batches: Iterable[Batch], skip: int, limit: int | None) -> Iterator[Batch]:
    """The rows behind the first ``skip``, at most ``limit`` of them; nothing behind these is read."""
    for batch in batches:
        passed = min(skip, len(batch))
        skip -= passed
        if passed:
            columns = tuple(column.slice(passed) for column in batch.columns)
            batch = replace(batch, columns=columns, lines=batch.lines[passed:])
        if limit is not None:
            batch = batch.head(limit)
            limit -= len(batch)
        if len(batch):
            yield batch
        if limit == 0:
            return


class _Account:
    """Sifts the rows of one table and counts what stays and what goes: rows, cells and pairs of a multi-way one."""

    def __init__(self, corpus: AnyCorpus, source: TableSource, strict: bool) -> None:
        self.source, self.strict = source, strict
        self.max_characters = None if strict else corpus.max_characters
        # Records may be of either kind.
        has_ratio = isinstance(corpus, ParallelCorpus) and corpus.kind == "parallel" and not strict
        self.max_ratio = corpus.max_length_ratio if has_ratio else None
        self.max_dropped = corpus.max_dropped
        self.skipped, _ = corpus.rows_of(source.languages)
        self.instructions = source.name == INSTRUCTIONS
        self.multiway = source.name == MULTIWAY
        self.names = INSTRUCTION_FIELDS if self.instructions else source.languages
        self.read = self.rows = 0
        self.dropped: Counter[str] = Counter()
        self.valid = np.zeros(len(self.names), dtype=np.int64)
        self.pairs: Counter[str] = Counter()
        self._lost = np.zeros(len(self.names), dtype=np.int64)
        self._first: dict[str, tuple[Path, int]] = {}

    def sift(self, batch: Batch) -> list[pa.Array]:
        """The good rows of a batch; of a multi-way one all rows, their bad cells null."""
        self.read += len(batch)
        columns = [
            clean(
                column,
                null_reason=batch.null_reason,
                max_characters=self.max_characters,
                missing=batch.missing,
                normalise=not self.strict,
            )
            for column in batch.columns
        ]
        if self.instructions:
            columns = [_allow_empty(c) if name == "input" else c for name, c in zip(self.names, columns, strict=True)]
        if self.strict:
            self._refuse(batch, columns)
        if self.multiway:
            return self._sift_cells(batch, columns)
        return self._sift_rows(batch, columns)

    def check(self) -> None:
        """Refuse a table of which too much was lost: more than ``max_dropped`` and than a few rows.

        Raises:
            InputError: with the commonest reason and the first line dropped for it.
        """
        if not self.read:
            behind = f" behind the first {self.skipped:,} rows" if self.skipped else ""
            raise InputError(self.source.files[0], f"holds no text{behind}")
        worst = int(self._lost.argmax())
        lost = int(self._lost[worst])
        if lost <= max(self.max_dropped * self.read, _FEW if self.max_dropped else 0):
            return
        ours = [key for key in self.dropped if not self.multiway or key.endswith(f"({self.names[worst]})")]
        reason = max(ours, key=lambda key: self.dropped[key])
        path, line = self._first[reason]
        raise InputError(
            path,
            f"{lost:,} of {self.read:,} rows dropped, more than max_dropped = {self.max_dropped}; "
            f"mostly: {reason}, {self.dropped[reason]:,} times, here first",
            line=line,
        )

    def entry(self) -> dict[str, Any]:
        """The table's entry in the manifest."""
        languages = list(self.source.languages)
        valid = dict.fromkeys(languages, self.rows)
        if not self.instructions:
            valid = dict(zip(languages, self.valid.tolist(), strict=True))
        return {
            "name": self.source.name,
            "languages": languages,
            "rows": self.rows,
            "valid": valid,
            "pairs": {}
            if self.instructions
            else {"-".join(p): self.pairs["-".join(p)] for p in combinations(languages, 2)},
            "max_length_ratio": self.max_ratio,
            "directed": False,
            "loss": "all",
        }

    def _refuse(self, batch: Batch, columns: list[Cleaned]) -> None:
        wrong = [~column.valid & ~_missing(column) for column in columns]
        bad = [(int(np.flatnonzero(cells)[0]), index) for index, cells in enumerate(wrong) if cells.any()]
        if bad:
            row, index = min(bad)
            raise InputError(batch.files[index], f"{columns[index].reason(row)}", line=batch.lines[row])

    def _sift_cells(self, batch: Batch, columns: list[Cleaned]) -> list[pa.Array]:
        self.rows += len(batch)
        for index, column in enumerate(columns):
            for reason, cells in column.bad.items():
                self._note(f"{reason} ({self.names[index]})", cells, batch, index)
            self._lost[index] += (~column.valid & ~_missing(column)).sum()
        lengths = np.stack([column.lengths for column in columns])
        self.valid += (lengths > 0).sum(axis=1)
        for first in range(len(columns) - 1):
            sides = lengths[first], lengths[first + 1 :]
            there, good = (good_pair_mask(*sides, ratio).sum(axis=1) for ratio in (None, self.max_ratio))
            for second, (num_there, num_good) in enumerate(zip(there.tolist(), good.tolist(), strict=True), first + 1):
                pair = f"{self.names[first]}-{self.names[second]}"
                self.pairs[pair] += num_good
                # Of a row that stays this pair alone is lost: no row that ``max_dropped`` counts.
                if num_good < num_there:
                    self.dropped[f"{LENGTH_RATIO} ({pair})"] += num_there - num_good
        return [column.text for column in columns]

    def _sift_rows(self, batch: Batch, columns: list[Cleaned]) -> list[pa.Array]:
        good = np.ones(len(batch), dtype=bool)
        missing = np.logical_or.reduce([_missing(column) for column in columns])
        for index, column in enumerate(columns):
            for reason, cells in column.bad.items():
                # A row is dropped once, for the first thing wrong with it.
                self._note(f"{reason} ({self.names[index]})", cells & good, batch, index)
                good &= ~cells
        if len(columns) == 2:
            fair = good_pair_mask(columns[0].lengths, columns[1].lengths, self.max_ratio)
            self._note(f"{LENGTH_RATIO} ({'-'.join(self.names)})", good & ~fair, batch, 0)
            good &= fair
            self.pairs["-".join(self.names)] += int(good.sum())
        kept = int(good.sum())
        self.rows += kept
        self.valid += kept
        self._lost += int((~good & ~missing).sum())
        texts = [column.text for column in columns]
        return texts if kept == len(batch) else [text.filter(pa.array(good)) for text in texts]

    def _note(self, key: str, cells: np.ndarray, batch: Batch, index: int) -> None:
        if count := int(cells.sum()):
            self.dropped[key] += count
            self._first.setdefault(key, (batch.files[index], batch.lines[int(cells.argmax())]))


def _missing(column: Cleaned) -> np.ndarray:
    """Which cells the corpus itself says it has no text for: no fault of theirs."""
    return column.bad.get(MISSING, np.zeros(len(column.lengths), dtype=bool))


def _allow_empty(column: Cleaned) -> Cleaned:
    """The column with its empty cells good: an instruction without input."""
    empty = column.bad.get(EMPTY)
    if empty is None:
        return column
    texts = np.where(empty, "", None)
    filled = pa.array(texts.tolist(), pa.large_string())
    bad = {reason: cells for reason, cells in column.bad.items() if reason != EMPTY}
    return Cleaned(pc.coalesce(column.text, filled), column.lengths, bad)


def _raw_files(source: TableSource) -> list[Path]:
    """The files themselves, where a source may be a folder."""
    return [file for path in source.files for file in files_below(path)]


def _require_files(source: TableSource) -> None:
    for path in source.files:
        if not path.exists():
            raise InputError(path, f"no such file, wanted for '{source.name}'")


def _state_name(corpus: AnyCorpus, source: TableSource, strict: bool, version: int) -> str:
    """What a table depends on; `languages` and `pairs` only choose tables, rows by language are those of its own."""
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in _raw_files(source)]
    settings = corpus.model_dump(mode="json", exclude={"languages", "pairs", "max_dropped", "limit", "skip"})
    rows = corpus.rows_of(source.languages)
    return fingerprint([version, settings, rows, source.name, source.languages, source.fields, strict, stats])


def _finished(corpus: AnyCorpus, source: TableSource, work: Path, strict: bool, version: int) -> dict[str, Any] | None:
    """What an earlier import noted of a table, if it still holds."""
    path = work / f"{source.name}.json"
    if not (path.is_file() and (work / f"{source.name}.arrow").is_file()):
        return None
    state = read_json(path)
    return state if state["fingerprint"] == _state_name(corpus, source, strict, version) else None
