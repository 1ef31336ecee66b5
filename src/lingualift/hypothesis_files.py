"""Translations that others made: their files, checked line by line, become hypotheses like our own."""

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lingualift.errors import InputError
from lingualift.files import atomic_path, open_bytes
from lingualift.manifests import Manifest
from lingualift.readers.archives import broken_file_errors


def import_hypotheses(
    files: Mapping[str, str | Path],
    sizes: Mapping[str, int],
    *,
    by_direction: bool,
    out: str | Path,
    limit: int | None = None,
) -> Manifest:
    """Read the translations of some directions and write ``out``, JSON lines of direction, sentence and hypothesis.

    Args:
        files: direction → its file; a name with ``.jsonl`` holds an object a line, any other plain text.
        sizes: direction → how many sentences the benchmark has.
        by_direction: each file holds one direction; otherwise its lines say which.
        limit: how many of the first sentences to take over; a file may hold these alone.

    Raises:
        InputError: a file is missing or broken, holds a NUL or is not UTF-8, has too few or too many lines, or lines
            of another form; with the line.
    """
    manifest = Manifest("hypotheses", {"files": {direction: str(path) for direction, path in files.items()}})
    for path in dict.fromkeys(map(Path, files.values())):
        if path.is_file():
            manifest.add_input(path)
    shared: dict[Path, dict[str, list[str]]] = {}
    with atomic_path(out) as part, part.open("w", encoding="utf-8") as written:
        for direction, size in sorted(sizes.items()):
            path = Path(files[direction])
            if by_direction:
                found = read_direction(path, size, limit=limit)
            else:
                if path not in shared:
                    here = {it: sizes[it] for it in sizes if Path(files[it]) == path}
                    shared[path] = _read_directions(path, here, limit)
                found = shared[path].pop(direction)
            for sentence, hypothesis in enumerate(found):
                record = {"direction": direction, "sentence": sentence, "hypothesis": hypothesis}
                written.write(json.dumps(record, ensure_ascii=False) + "\n")
            manifest.counts.update(directions=1, sentences=len(found), empty=sum(not text.strip() for text in found))
    return manifest


def read_direction(path: str | Path, num_sentences: int, *, limit: int | None = None) -> list[str]:
    """The translations in the file of one direction, in the order of the benchmark's sentences.

    Args:
        num_sentences: how many sentences the benchmark has.
        limit: how many of the first sentences to take; the file may hold these alone.

    Raises:
        InputError: see :func:`import_hypotheses`.
    """
    path = Path(path)
    if ".jsonl" in path.name:
        numbered = ((line, _sentence(record, path, line), record) for line, record in _records(path))
        texts = ((line, at, record["hypothesis"]) for line, at, record in numbered)
        return _in_order(texts, num_sentences, limit, path)
    found = list(_lines(path))
    if len(found) not in _allowed(num_sentences, limit):
        raise InputError(path, f"{len(found)} lines, but {_expected(num_sentences, limit)}")
    return found[:limit]


def _read_directions(path: Path, sizes: Mapping[str, int], limit: int | None) -> dict[str, list[str]]:
    """The translations of some directions in a file whose lines say which direction they are of."""
    found: dict[str, list[tuple[int, int | None, str]]] = {direction: [] for direction in sizes}
    for line, record in _records(path):
        if not isinstance(record.get("direction"), str):
            raise InputError(path, "no `direction`, but the file is that of all directions", line=line)
        if record["direction"] in found:
            found[record["direction"]].append((line, _sentence(record, path, line), record["hypothesis"]))
    return {it: _in_order(found[it], size, limit, path, direction=it) for it, size in sizes.items()}


def _in_order(
    found: Iterator[tuple[int, int | None, str]] | Sequence[tuple[int, int | None, str]],
    num_sentences: int,
    limit: int | None,
    path: Path,
    *,
    direction: str = "",
) -> list[str]:
    """Translations by their sentence's number, or in the order they come in where they have none."""
    texts: dict[int, str] = {}
    lines = 0
    for line, sentence, text in found:
        at = lines if sentence is None else sentence
        lines += 1
        if at in texts:
            raise InputError(path, f"a second translation of sentence {at}", line=line)
        texts[at] = text
    allowed = _allowed(num_sentences, limit)
    # Of a file of any other length it is said what a whole one lacks.
    wanted = lines if lines in allowed else num_sentences
    absent = [at for at in range(wanted) if at not in texts]
    if absent or lines != wanted:
        what = f" of {direction}" if direction else ""
        first = f"; sentence {absent[0]} has none" if absent else ""
        raise InputError(path, f"{lines} translations{what}, but {_expected(num_sentences, limit)}{first}")
    return [texts[at] for at in range(wanted)][:limit]


def _allowed(num_sentences: int, limit: int | None) -> set[int]:
    """How many translations there may be: of the whole benchmark, or of those sentences alone that are taken."""
    return {num_sentences, num_sentences if limit is None else min(limit, num_sentences)}


def _expected(num_sentences: int, limit: int | None) -> str:
    taken = "" if limit is None else f", of which `limit` takes {limit}"
    return f"the benchmark has {num_sentences} sentences in this direction{taken}"


def _sentence(record: Mapping[str, Any], path: Path, line: int) -> int | None:
    sentence = record.get("sentence")
    if sentence is not None and (type(sentence) is not int or sentence < 0):
        raise InputError(path, f"`sentence` is {sentence!r}, not a number from 0 on", line=line)
    return sentence


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file, each with its line."""
    for line, text in enumerate(_lines(path), start=1):
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(path, f"not JSON: {error.msg}", line=line) from error
        if not isinstance(record, dict) or not isinstance(record.get("hypothesis"), str):
            raise InputError(path, "not an object with the text `hypothesis`", line=line)
        record["hypothesis"] = _checked(record["hypothesis"], path, line)
        yield line, record


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file. They end at line feeds alone, as those of the test sets do."""
    line = 0
    with open_bytes(path) as file, broken_file_errors(path, lambda: line + 1):
        for line, raw in enumerate(file, start=1):
            raw = raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                message = f"not UTF-8: byte 0x{raw[error.start]:02x} at column {error.start + 1}, {error.reason}"
                raise InputError(path, message, line=line) from error
            yield _checked(text.removesuffix("\n").removesuffix("\r"), path, line)


def _checked(text: str, path: Path, line: int) -> str:
    if "\0" in text:
        raise InputError(path, "a NUL byte: the file is broken, or not plain text", line=line)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(path, "half of a surrogate pair, which is no text", line=line)
    return text
