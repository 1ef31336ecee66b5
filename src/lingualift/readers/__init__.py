"""Readers: the raw files of a corpus as batches of rows, lazily, with their line numbers."""

from collections.abc import Iterator

from lingualift.configuration.corpora import AnyCorpus
from lingualift.configuration.corpus_base import TableSource
from lingualift.errors import InputError
from lingualift.readers.batches import Batch
from lingualift.readers.lines import read_in_step, read_lines, read_separated
from lingualift.readers.memories import read_tmx
from lingualift.readers.records import read_json_records, read_parquet, read_saved_dataset


def read_table(corpus: AnyCorpus, source: TableSource) -> Iterator[Batch]:
    """Read one table of a corpus, a batch at a time.

    Raises:
        InputError: a file that is missing or broken, with the line, or that is a folder.
    """
    if corpus.reader != "datasets" and (folder := next((it for it in source.files if it.is_dir()), None)):
        raise InputError(folder, "is a folder, not a file: give `files`, or a pattern that matches files alone")
    match corpus.reader:
        case "lines":
            return read_lines(source.files)
        case "aligned" | "multiway" | "flores" | "ntrex" | "tatoeba":
            return read_in_step(source.files)
        case "tsv":
            return read_separated(
                source.files,
                source.fields,
                separator=corpus.separator,
                header=corpus.header,
                missing=corpus.missing_texts,
            )
        case "jsonl" | "alpaca":
            return read_json_records(source.files, source.fields)
        case "parquet":
            return read_parquet(source.files, source.fields)
        case "datasets":
            return read_saved_dataset(source.files[0], source.fields, split=corpus.split)
        case "tmx":
            return read_tmx(source.files, source.fields, source.languages)
