"""Text in records: JSON, Parquet, saved data sets and translation memories."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lingualift.errors import InputError
from lingualift.files import open_bytes, read_bytes
from lingualift.readers.archives import broken_file_errors
from lingualift.readers.batches import BATCH_ROWS, NO_FIELD, NOT_A_PAIR, Batch
from lingualift.readers.lines import LineStream

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# Documents are longer than lines.
_JSON_ROWS = 2048
# As many bad rows as a table may have at any size.
_FEW_RECORDS = 10
# Bytes that are no UTF-8, to stand for text that cannot be encoded.
_NO_TEXT = b"\xff"


def read_json_records(files: Sequence[Path], fields: Sequence[str | int]) -> Iterator[Batch]:
    """The fields of JSON objects: one a line, or all in one array.

    A field's dots descend into nested objects. What is no string is a missing cell.

    Raises:
        InputError: a line is no JSON object, with the line; or none of the first records of a file has any of the fields.
    """
    for path in files:
        records = iter(_json_records(path))
        first = list(itertools.islice(records, _JSON_ROWS))
        _check_fields(first, fields, path)
        rows = (
            (line, [_json_cell(record, field) for field in fields]) for line, record in itertools.chain(first, records)
        )
        yield from _batches(rows, path, len(fields), size=_JSON_ROWS)


def read_parquet(files: Sequence[Path], fields: Sequence[str | int]) -> Iterator[Batch]:
    """The fields of Parquet files, a batch of rows at a time; line numbers are row numbers."""
    import pyarrow.parquet as pq

    for path in files:
        if not path.is_file():
            raise InputError(path, "no such file")
        row = 0
        with broken_file_errors(path, lambda row=row: row + 1), pq.ParquetFile(path) as file:
            roots = _roots(fields, file.schema_arrow, path)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=roots):
                yield _arrow_batch(pa.table(batch), fields, path, row)
                row += len(batch)


def read_saved_dataset(folder: Path, fields: Sequence[str | int], *, split: str | None) -> Iterator[Batch]:
    """The fields of a data set that ``save_to_disk`` wrote, read by memory map; line numbers are row numbers.

    Raises:
        InputError: there is no such folder, split or column.
    """
    import datasets

    if not folder.is_dir():
        raise InputError(folder, "no such folder")
    with broken_file_errors(folder, lambda: 1):
        dataset = datasets.load_from_disk(str(folder))
    if isinstance(dataset, datasets.DatasetDict):
        if split not in dataset:
            raise InputError(folder, f"no split '{split}'; there is {', '.join(dataset)}")
        dataset = dataset[split]
    _roots(fields, dataset.features.arrow_schema, folder)
    row = 0
    for table in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
        yield _arrow_batch(table, fields, folder, row)
        row += len(table)


def read_tmx(files: Sequence[Path], languages: Sequence[str | int]) -> Iterator[Batch]:
    """A column for each language of translation units, by their xml:lang.

    "en" also finds "en-GB", "ti_ER" finds "ti-ER". Inner tags count as text around a gap; runs of space become one space.

    Raises:
        InputError: broken XML, with the line.
    """
    for path in files:
        rows = ((line, [segments.get(str(code)) for code in languages]) for line, segments in _units(path, languages))
        yield from _batches(rows, path, len(languages), null_reason=NOT_A_PAIR)


def _units(path: Path, languages: Sequence[str | int]) -> Iterator[tuple[int, dict[str, bytes]]]:
    """The segments of each translation unit, by the codes asked for; memory does not grow."""
    from lxml import etree

    wanted = {_tag(str(code)): str(code) for code in languages}
    with open_bytes(path) as file:
        line = 1
        try:
            with broken_file_errors(path, lambda: line):
                # External entities and DTDs stay unread: a corpus may not make us open other files.
                options = {"load_dtd": False, "no_network": True, "resolve_entities": False}
                for _, unit in etree.iterparse(file, events=("end",), tag="{*}tu", **options):
                    line = unit.sourceline or line
                    segments: dict[str, bytes] = {}
                    for variant in unit.iterfind("{*}tuv"):
                        tag = _tag(variant.get(_XML_LANG) or variant.get("lang") or "")
                        code = wanted.get(tag) or wanted.get(tag.split("-")[0])
                        segment = variant.find("{*}seg")
                        if code is not None and segment is not None:
                            segments.setdefault(code, " ".join("".join(segment.itertext()).split()).encode())
                    yield line, segments
                    unit.clear()
                    while unit.getprevious() is not None:
                        del unit.getparent()[0]
        except etree.XMLSyntaxError as error:
            raise InputError(path, f"broken TMX: {error.msg}", line=error.lineno) from error


def _tag(code: str) -> str:
    """A language as both a file and a table of codes may spell it: case does not count, nor what joins its parts."""
    return code.lower().replace("_", "-")


def _json_records(path: Path) -> Iterator[tuple[int, Any]]:
    with open_bytes(path) as file, broken_file_errors(path, lambda: 1):
        # Not read(), which fails where fewer can be had: that is for the reader of all to say, with the line.
        start = file.read1(256).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        yield from enumerate(_parse_array(read_bytes(path), path), 1)
        return
    with LineStream(path) as stream:
        while len(lines := stream.take(BATCH_ROWS)):
            first = stream.line - len(lines) + 1
            for number, line in enumerate(lines.to_pylist(), first):
                if line.strip():
                    yield number, _parse(line, path, number)


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


def _parse(line: bytes, path: Path, number: int) -> Any:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(path, f"not JSON: {error.msg}", line=number) from error
    except UnicodeDecodeError:
        # One bad line, not a broken file: its cells are bytes that are no UTF-8.
        return _NO_TEXT
    if not isinstance(record, dict):
        raise InputError(path, f"a JSON {type(record).__name__}, not an object", line=number)
    return record


def _check_fields(records: Sequence[tuple[int, Any]], fields: Sequence[str | int], path: Path) -> None:
    """See that the fields are those of a file's records; a few records without them are bad rows, and counted."""
    objects = [(line, record) for line, record in records if isinstance(record, dict)]
    if len(objects) <= _FEW_RECORDS or any(_json_cell(it, field) is not None for _, it in objects for field in fields):
        return
    line, record = objects[0]
    missing = ", ".join(repr(field) for field in fields)
    raise InputError(
        path, f"no text in the field {missing}; the record has: {', '.join(record) or 'nothing'}", line=line
    )


def _json_cell(record: Any, field: str | int) -> bytes | None:
    if record is _NO_TEXT:
        return _NO_TEXT
    value = record.get(field) if isinstance(record, dict) else None
    if value is None and isinstance(field, str) and "." in field:
        value = record
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
        return None
    # JSON can spell half a surrogate pair, which is no text.
    return value.encode("utf-8", errors="surrogatepass")


def _batches(
    rows: Iterable[tuple[int, list[bytes | None]]],
    path: Path,
    width: int,
    *,
    size: int = BATCH_ROWS,
    null_reason: str = NO_FIELD,
) -> Iterator[Batch]:
    """Rows of Python objects, as batches."""
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, size)):
        columns = tuple(pa.array([cells[index] for _, cells in chunk], pa.large_binary()) for index in range(width))
        lines = [line for line, _ in chunk]
        yield Batch(columns=columns, files=(path,) * width, lines=lines, null_reason=null_reason)


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
    return Batch(columns=columns, files=(path,) * len(fields), lines=range(row + 1, row + len(table) + 1))


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
