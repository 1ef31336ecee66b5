"""Text in records: JSON, Parquet and saved data sets."""

import itertools
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lingualift.errors import InputError, RecordNumber
from lingualift.files import files_below, open_bytes, read_bytes, read_json
from lingualift.readers.archives import broken_file_errors, broken_table_errors
from lingualift.readers.batches import BAD_ROW, BATCH_ROWS, EMPTY_LINE, NOT_JSON, NOT_UTF8, Batch, batches_of
from lingualift.readers.lines import LineStream

logger = logging.getLogger(__name__)

# Documents are longer than lines.
_JSON_ROWS = 2048
# As many bad rows as a table may have at any size.
_FEW_RECORDS = 10
# The JSON files of a saved data set.
_DESCRIPTIONS = ("dataset_dict.json", "dataset_info.json", "state.json")
# What the parser raises: also on numbers of thousands of digits, and on brackets within brackets within brackets.
_NOT_READ = (ValueError, RecursionError)


def read_json_records(files: Sequence[Path], fields: Sequence[str | int]) -> Iterator[Batch]:
    """The fields of JSON objects: one a line, or all in one array.

    A field's dots descend into nested objects. What is no string is a missing cell; a line that is empty or no object
    is a bad row, and the first such one of each file that is not empty is logged.

    Raises:
        InputError: an array that is no JSON, with the line, or a file that ends within a record; or of the first records
            of a file most are no objects, or none has any of the fields.
    """
    for path in files:
        records = iter(_json_records(path))
        first = list(itertools.islice(records, _JSON_ROWS))
        _check_records(first, fields, path)
        rows = (
            (line, [_json_cell(record, field) for field in fields])
            for line, record in _tell_of_first(itertools.chain(first, records))
        )
        yield from batches_of(rows, path, len(fields), size=_JSON_ROWS)


def read_parquet(files: Sequence[Path], fields: Sequence[str | int]) -> Iterator[Batch]:
    """The fields of Parquet files, a batch of rows at a time."""
    for path in files:
        yield from _parquet_batches(path, fields)


def _parquet_batches(path: Path, fields: Sequence[str | int]) -> Iterator[Batch]:
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(path, "no such file")
    row = 0
    with broken_table_errors(path, lambda: row), pq.ParquetFile(path) as file:
        roots = _roots(fields, file.schema_arrow, path)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=roots):
            yield _arrow_batch(pa.table(batch), fields, path, row)
            row += len(batch)


def read_saved_dataset(folder: Path, fields: Sequence[str | int], *, split: str | None) -> Iterator[Batch]:
    """The fields of a data set that ``save_to_disk`` wrote, read by memory map.

    Raises:
        InputError: there is no such folder, split or column; or one of its files is broken.
    """
    import datasets

    if not folder.is_dir():
        raise InputError(folder, "no such folder")
    for file in files_below(folder):
        if file.name in _DESCRIPTIONS and not isinstance(read_json(file), dict):
            raise InputError(file, "not a JSON object")
    try:
        dataset = datasets.load_from_disk(str(folder))
    except (AttributeError, LookupError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        place = next((file for file in files_below(folder) if file.suffix == ".arrow" and _is_broken(file)), folder)
        raise InputError(place, f"not a saved data set, broken or cut short: {error}") from error
    if isinstance(dataset, datasets.DatasetDict):
        if split not in dataset:
            raise InputError(folder, f"no split '{split}'; there is {', '.join(dataset)}")
        dataset = dataset[split]
    _roots(fields, dataset.features.arrow_schema, folder)
    row = 0
    with broken_table_errors(folder, lambda: row):
        for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
            yield _arrow_batch(table, fields, folder, row)
            row += len(table)


def _is_broken(file: Path) -> bool:
    """Whether a file of a saved data set cannot be mapped."""
    try:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            stream.read_all()
    except (OSError, pa.ArrowException):
        return True
    return False


def _json_records(path: Path) -> Iterator[tuple[int, Any]]:
    """Numbers and records: objects, cells of bad rows, or errors that say why a record is no object."""
    with open_bytes(path) as file, broken_file_errors(path, lambda: 1):
        # Not read(), which fails where fewer can be had: that is for the reader of all to say, with the line.
        start = file.read1(256).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        for number, record in enumerate(_parse_array(read_bytes(path), path), 1):
            yield RecordNumber(number), _object(record, path, RecordNumber(number))
        return
    with LineStream(path) as stream:
        while len(lines := stream.take(BATCH_ROWS)):
            first = stream.line - len(lines) + 1
            for number, line in enumerate(lines.to_pylist(), first):
                yield number, _parse(line, path, number) if line.strip() else BAD_ROW[EMPTY_LINE]


def _parse_array(content: bytes, path: Path) -> Any:
    """The records of an array; a string with a byte that is no UTF-8 comes out as one that cannot be encoded."""
    try:
        try:
            return json.loads(content)
        except UnicodeDecodeError:
            # Some bad records, not a broken file.
            return json.loads(content.decode("utf-8-sig", errors="surrogateescape"))
    except json.JSONDecodeError as error:
        raise InputError(path, f"not JSON: {error.msg}", line=error.lineno) from error
    except _NOT_READ as error:
        raise InputError(path, f"not JSON that can be read: {error}") from error


def _parse(line: bytes, path: Path, number: int) -> Any:
    """The record of a line.

    Raises:
        InputError: the line, the last one, is cut short.
    """
    try:
        record = json.loads(line)
    except _NOT_READ as error:
        not_text = isinstance(error, UnicodeDecodeError)
        if not line.endswith(b"\n") and not (not_text and line.rstrip().endswith(b"}")):
            raise InputError(path, f"ends within a record, cut short: {_reason(error)}", line=number) from error
        # One bad line, not a broken file.
        return BAD_ROW[NOT_UTF8] if not_text else InputError(path, f"not JSON: {_reason(error)}", line=number)
    return _object(record, path, number)


def _reason(error: Exception) -> str:
    """What is wrong with a line; that it is the first of what was parsed would pass for its place in the file."""
    return f"{error.msg} (column {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else str(error)


def _object(record: Any, path: Path, number: int) -> Any:
    if isinstance(record, dict):
        return record
    return InputError(path, f"a JSON {type(record).__name__}, not an object", line=number)


def _check_records(records: Sequence[tuple[int, Any]], fields: Sequence[str | int], path: Path) -> None:
    """See that the first records of a file are what is asked for; a few that are not are bad rows, and counted.

    Raises:
        InputError: most of them are no objects, or none has any of the fields.
    """
    objects = [(line, record) for line, record in records if isinstance(record, dict)]
    errors = [record for _, record in records if isinstance(record, InputError)]
    if len(errors) > len(objects):
        raise errors[0]
    if len(objects) <= _FEW_RECORDS or any(_json_cell(it, field) is not None for _, it in objects for field in fields):
        return
    line, record = objects[0]
    missing = ", ".join(repr(field) for field in fields)
    raise InputError(
        path, f"no text in the field {missing}; the record has: {', '.join(record) or 'nothing'}", line=line
    )


def _tell_of_first(records: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """The records, the first error among them logged."""
    told = False
    for line, record in records:
        if isinstance(record, InputError) and not told:
            logger.warning("%s (dropped and counted, as are any more in this file)", record)
            told = True
        yield line, record


def _json_cell(record: Any, field: str | int) -> bytes | None:
    if not isinstance(record, dict):
        return record if isinstance(record, bytes) else BAD_ROW[NOT_JSON]
    value = record.get(field)
    if value is None and isinstance(field, str) and "." in field:
        value = record
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
        return None
    # JSON can spell half a surrogate pair, which is no text.
    return value.encode("utf-8", errors="surrogatepass")


def _roots(fields: Sequence[str | int], schema: pa.Schema, path: Path) -> list[str]:
    """The top-level columns that fields are in."""
    roots = []
    for field in fields:
        name = str(field)
        root = name if name in schema.names else name.split(".")[0]
        if root not in schema.names:
            raise InputError(path, f"no column '{root}'; there is {', '.join(schema.names)}")
        roots.append(root)
    return list(dict.fromkeys(roots))


def _arrow_batch(table: pa.Table, fields: Sequence[str | int], path: Path, row: int) -> Batch:
    columns = tuple(_arrow_column(table, str(field), path) for field in fields)
    numbers = [RecordNumber(number) for number in range(row + 1, row + len(table) + 1)]
    return Batch(columns=columns, files=(path,) * len(fields), lines=numbers)


def _arrow_column(table: pa.Table, field: str, path: Path) -> pa.Array:
    if field in table.column_names:
        column = table[field]
    else:
        root, *inner = field.split(".")
        column = table[root]
        for part in inner:
            if not pa.types.is_struct(column.type) or column.type.get_field_index(part) < 0:
                raise InputError(path, f"no column '{field}': '{root}' is {column.type}")
            column = pc.struct_field(column, part)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if not any(test(column.type) for test in text):
        raise InputError(path, f"column '{field}' holds {column.type}, not text")
    return column.cast(pa.large_binary())
