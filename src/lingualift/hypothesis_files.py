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
    files: Mapping[str, str | Path], sizes: Mapping[str, int], *, by_direction: bool, out: str | Path
) -> Manifest:
    """Read the translations of some directions and write ``out``, JSON lines of direction, sentence and hypothesis.

    Args:
        files: direction → its file; a name with ``.jsonl`` holds an object a line, any other plain text.
        sizes: direction → how many sentences the benchmark has.
        by_direction: each file holds one direction; otherwise its lines say which.

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
                found = read_direction(path, size)
            else:
                if path not in shared:
                    shared[path] = _read_directions(path, {it: sizes[it] for it in sizes if Path(files[it]) == path})
                found = shared[path].pop(direction)
            for sentence, hypothesis in enumerate(found):
                record = {"direction": direction, "sentence": sentence, "hypothesis": hypothesis}
                written.write(json.dumps(record, ensure_ascii=False) + "\n")
            manifest.counts.update(directions=1, sentences=size, empty=sum(not text.strip() for text in found))
    return manifest


def read_direction(path: str | Path, num_sentences: int) -> list[str]:
    """The translations in the file of one direction, in the order of the benchmark's sentences.

    Raises:
        InputError: see :func:`import_hypotheses`.
    """
    path = Path(path)
    if ".jsonl" in path.name:
        numbered = ((line, _sentence(record, path, line), record) for line, record in _records(path))
        return _in_order(((line, at, record["hypothesis"]) for line, at, record in numbered), num_sentences, path)
    found = list(_lines(path))
    if len(found) != num_sentences:
        raise InputError(path, f"{len(found)} lines, but the benchmark has {num_sentences} sentences in this direction")
    return found


def _read_directions(path: Path, sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """The translations of some directions in a file whose lines say which direction they are of."""
    found: dict[str, list[tuple[int, int | None, str]]] = {direction: [] for direction in sizes}
    for line, record in _records(path):
        if not isinstance(record.get("direction"), str):
            raise InputError(path, "no `direction`, but the file is that of all directions", line=line)
        if record["direction"] in found:
            found[record["direction"]].append((line, _sentence(record, path, line), record["hypothesis"]))
    return {it: _in_order(found[it], size, path, direction=it) for it, size in sizes.items()}


def _in_order(
    found: Iterator[tuple[int, int | None, str]] | Sequence[tuple[int, int | None, str]],
    num_sentences: int,
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
    there = [texts[at] for at in range(num_sentences) if at in texts]
    if lines != num_sentences or len(there) != num_sentences:
        what = f" of {direction}" if direction else ""
        absent = next((f"; sentence {at} has none" for at in range(num_sentences) if at not in texts), "")
        raise InputError(
            path,
            f"{lines} translations{what}, but the benchmark has {num_sentences} sentences in this direction{absent}",
        )
    return there


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
    return text
