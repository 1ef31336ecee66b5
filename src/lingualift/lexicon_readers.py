"""Reading dictionaries: every publisher's format becomes word pairs between two of our languages, in their scripts."""

import csv
import io
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath

from lingualift.configuration.lexicons import (
    Dictionary,
    MuseDictionary,
    PanlexBliDictionary,
    PanlexCsvDictionary,
    PanlexSwadeshDictionary,
    TsvDictionary,
)
from lingualift.errors import InputError
from lingualift.files import BROKEN_ARCHIVE, COMPRESSED, broken_archive, files_below, open_bytes
from lingualift.languages import Coded, Written
from lingualift.manifests import Manifest
from lingualift.readers.members import decode, members
from lingualift.writing import in_script

PairFiles = MuseDictionary | TsvDictionary | PanlexBliDictionary

# For each concept its words, in one of the data set's languages (its code) and one of ours.
_Column = tuple[str, str, list[list[str]]]

_COMPRESSED = f"(?:{'|'.join(map(re.escape, COMPRESSED))})?"
_PAIR_COLUMNS = ("source_language", "source", "target_language", "target")
# Rows of a table held at a time.
_CHUNK = 500_000


@dataclass(frozen=True)
class Links:
    """Word pairs between two languages: ``sources[i]`` and ``targets[i]`` translate each other.

    ``origin`` is the file or list they come from, for the statistics.
    """

    origin: str
    source: str
    target: str
    sources: Sequence[str]
    targets: Sequence[str]


def normalise(text: str) -> str:
    """The form in which words are stored and looked up: lower-case, NFC, no blanks around."""
    return unicodedata.normalize("NFC", text.lower()).strip()


def read_links(
    dictionary: Dictionary, *, languages: Mapping[str, Written], data: Path, manifest: Manifest
) -> Iterator[Links]:
    """Read a dictionary; note inputs, counts and dropped lines in ``manifest``.

    Words of another script than their language's are dropped, of a pair file with the pair; Chinese words are put into
    Simplified or Traditional characters, whichever their language has.

    Args:
        languages: the languages of the run by code; others in the dictionary are passed over.
        data: where a relative ``dictionary.path`` starts.

    Raises:
        InputError: a file is missing or broken, or does not hold what its reader expects.
    """
    codebook = _codebook(dictionary, languages)
    path = data / dictionary.path
    match dictionary:
        case MuseDictionary() | TsvDictionary() | PanlexBliDictionary():
            links = _read_pair_files(dictionary, path, codebook, manifest)
        case PanlexSwadeshDictionary():
            return _read_swadesh(dictionary, path, codebook, languages, manifest)
        case PanlexCsvDictionary():
            return _read_table(dictionary, path, codebook, languages, manifest)
    return (_in_scripts(pairs, languages, manifest) for pairs in links)


def dictionary_files(dictionary: Dictionary, *, languages: Mapping[str, Coded], data: Path) -> list[Path]:
    """The files that :func:`read_links` would open, and no others of their folder; those that are there.

    Raises:
        InputError: none of the languages is known to the dictionary.
    """
    path, wanted = data / dictionary.path, _wanted(dictionary, _codebook(dictionary, languages))
    return [file for file in files_below(path) if file == path or file.suffix == ".zip" or wanted(file)]


def _wanted(dictionary: Dictionary, codebook: Mapping[str, list[str]]) -> Callable[[PurePath], bool]:
    """Which files of a folder hold words in our languages."""
    match dictionary:
        case MuseDictionary() | TsvDictionary() | PanlexBliDictionary():
            pairs_of = _pairs_by_name(dictionary, codebook)
            return lambda file: bool(pairs_of(file.name))
        case PanlexSwadeshDictionary():
            return lambda file: file.parent.name in dictionary.lists and file.suffix == ".txt" and file.stem in codebook
        case PanlexCsvDictionary():
            return lambda file: False


def _codebook(dictionary: Dictionary, languages: Mapping[str, Coded]) -> dict[str, list[str]]:
    """From the data set's codes to ours; two of ours may share one of theirs (zh and zhtrad)."""
    wanted = set(dictionary.languages) if dictionary.languages else set(languages)
    codebook: dict[str, list[str]] = {}
    for code, language in sorted(languages.items()):
        theirs = language.codes.get(dictionary.codes) if dictionary.codes else code
        if theirs and code in wanted:
            codebook.setdefault(theirs, []).append(code)
    if not codebook:
        raise InputError(dictionary.path, f"none of the languages has a code in the column {dictionary.codes!r}")
    return codebook


def _ours(codebook: Mapping[str, list[str]], source: str, target: str) -> Iterator[tuple[str, str]]:
    """Our language pairs for a pair of their codes; none where the two are one language."""
    if source != target:
        yield from itertools.product(codebook.get(source, ()), codebook.get(target, ()))


def _in_scripts(links: Links, languages: Mapping[str, Written], manifest: Manifest) -> Links:
    """Both sides as their languages write them, without the pairs that hold a word of another script."""
    sources = in_script(links.sources, languages[links.source].scripts)
    targets = in_script(links.targets, languages[links.target].scripts)
    if None in sources or None in targets:
        pairs = [(left, right) for left, right in zip(sources, targets, strict=True) if left and right]
        manifest.dropped["another script"] += len(sources) - len(pairs)
        sources, targets = [left for left, _ in pairs], [right for _, right in pairs]
    return replace(links, sources=sources, targets=targets)


# Word pairs, one file a pair of languages.


def _read_pair_files(
    dictionary: PairFiles, path: Path, codebook: Mapping[str, list[str]], manifest: Manifest
) -> Iterator[Links]:
    pairs_of = _pairs_by_name(dictionary, codebook)
    wanted = set(dictionary.pairs or ())
    found = set()
    for name, place, read in members(path, manifest):
        pairs = pairs_of(name)
        found.update("-".join(pair) for pair in pairs)
        if pairs:
            sources, targets = _parse_pairs(read(), place, manifest)
            manifest.counts["files"] += 1
        for source, target in pairs:
            yield Links(PurePosixPath(name).name, source, target, sources, targets)
    if wanted - found:
        raise InputError(path, f"no file like {dictionary.files} for {', '.join(sorted(wanted - found))}")
    if not found:
        raise InputError(path, f"no file like {dictionary.files} for the languages of this run")


def _pairs_by_name(dictionary: PairFiles, codebook: Mapping[str, list[str]]) -> Callable[[str], list[tuple[str, str]]]:
    """The pairs of our languages that a file of a name is wanted for."""
    pattern = _file_pattern(dictionary.files)
    wanted = set(dictionary.pairs) if dictionary.pairs else None

    def pairs_of(name: str) -> list[tuple[str, str]]:
        match = pattern.fullmatch(name)
        pairs = _ours(codebook, match["source"], match["target"]) if match else ()
        return [pair for pair in pairs if wanted is None or "-".join(pair) in wanted]

    return pairs_of


def _parse_pairs(content: bytes, place: str, manifest: Manifest) -> tuple[list[str], list[str]]:
    """Two columns by tab or, on a line without one, by blanks.

    Raises:
        InputError: most lines are not two columns, with the first of them; or there is not one pair.
    """
    # A whole file is lowered and composed at once: ten times as fast as word by word, and the same.
    lines = unicodedata.normalize("NFC", decode(content, place).lower()).split("\n")
    if not lines[-1]:
        lines.pop()
    sources, targets, bad = [], [], []
    for number, line in enumerate(lines, 1):
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) != 2:
            bad.append(number)
            manifest.dropped["not two columns" if columns and line.strip() else "empty line"] += 1
            continue
        source, target = columns[0].strip(), columns[1].strip()
        if not source or not target:
            manifest.dropped["empty word"] += 1
            continue
        sources.append(source)
        targets.append(target)
    manifest.counts["lines"] += len(lines)
    if len(bad) > len(lines) / 2:
        raise InputError(place, "not a list of word pairs: most lines are not two columns", line=bad[0])
    if not sources:
        raise InputError(place, "holds no word pair")
    return sources, targets


def _file_pattern(template: str) -> re.Pattern[str]:
    pattern, seen = "", set()
    for part in re.split(r"(\{source\}|\{target\}|\*)", template):
        if part == "*":
            pattern += r"[^/]*"
        elif part in ("{source}", "{target}"):
            name = part[1:-1]
            pattern += f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+?)"
            seen.add(name)
        else:
            pattern += re.escape(part)
    if len(seen) < 2:
        raise InputError(template, "a pattern of file names needs {source} and {target}")
    return re.compile(rf"(?:.*/)?{pattern}{_COMPRESSED}")


# Concept lists.


def _read_swadesh(
    dictionary: PanlexSwadeshDictionary,
    path: Path,
    codebook: Mapping[str, list[str]],
    languages: Mapping[str, Written],
    manifest: Manifest,
) -> Iterator[Links]:
    lists: dict[str, dict[str, list[list[str]]]] = {name: {} for name in dictionary.lists}
    wanted = _wanted(dictionary, codebook)
    for _, place, read in members(path, manifest):
        if wanted(file := PurePosixPath(place)):
            lines = decode(read(), place).rstrip("\n").split("\n")
            lists[file.parent.name][file.stem] = [_words(line.split("\t"), manifest) for line in lines]
            manifest.counts["files"] += 1
            manifest.counts["lines"] += len(lines)
    for name, concepts in lists.items():
        if not concepts:
            raise InputError(path, f"no list {name} for the languages of this run")
        yield from _link_concepts(name, _written(concepts, codebook, languages, manifest))


def _written(
    concepts: Mapping[str, Sequence[Sequence[str]]],
    codebook: Mapping[str, list[str]],
    languages: Mapping[str, Written],
    manifest: Manifest,
) -> Iterator[_Column]:
    """The columns of our languages, without words of another script; one of the data set's may be several of ours."""
    for theirs, rows in concepts.items():
        for ours in codebook[theirs]:
            words = in_script(itertools.chain.from_iterable(rows), languages[ours].scripts)
            if num_dropped := words.count(None):
                manifest.dropped["another script"] += num_dropped
            left = iter(words)
            yield theirs, ours, [[word for word in itertools.islice(left, len(row)) if word] for row in rows]


def _link_concepts(origin: str, columns: Iterable[_Column]) -> Iterator[Links]:
    """Words of one concept translate each other, in every pair of languages that the data set tells apart."""
    for (one, source, lefts), (other, target, rights) in itertools.combinations(columns, 2):
        # A list may leave its last concepts out.
        rows = zip(lefts, rights, strict=False)
        pairs = [pair for left, right in rows for pair in itertools.product(left, right)] if one != other else []
        if pairs:
            yield Links(origin, source, target, *zip(*pairs, strict=True))


def _words(cells: Sequence[str], manifest: Manifest) -> list[str]:
    words = [normalise(cell) for cell in cells]
    kept = list(dict.fromkeys(word for word in words if word))
    if not kept:
        manifest.dropped["empty word"] += 1
    return kept


# Tables.


def _read_table(
    dictionary: PanlexCsvDictionary,
    path: Path,
    codebook: Mapping[str, list[str]],
    languages: Mapping[str, Written],
    manifest: Manifest,
) -> Iterator[Links]:
    if path.is_file():
        manifest.add_input(path)
    tabbed = ".tsv" in path.suffixes or ".tab" in path.suffixes
    style = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabbed else {"delimiter": ","}
    rows = None
    try:
        with io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(_decoded(file, path), strict=True, **style)
            header = [name.strip() for name in next(rows, [])]
            by_row = set(_PAIR_COLUMNS) <= set(header)
            if by_row:
                places = [header.index(name) for name in _PAIR_COLUMNS]
            else:
                places = [i for i, name in enumerate(header) if name in codebook]
            if len(places) < 2:
                expected = f"the columns {', '.join(_PAIR_COLUMNS)}, or one a language headed by its code"
                raise InputError(path, f"the header has neither {expected}", line=1)
            while chunk := list(itertools.islice(rows, _CHUNK)):
                whole = [[row[i] for i in places] for row in chunk if len(row) == len(header)]
                manifest.counts["lines"] += len(chunk)
                if len(whole) < len(chunk):
                    manifest.dropped["columns unlike the header"] += len(chunk) - len(whole)
                if by_row:
                    links = _link_rows(path.name, whole, codebook, manifest)
                    yield from (_in_scripts(pairs, languages, manifest) for pairs in links)
                else:
                    concepts = _concepts([header[i] for i in places], whole, dictionary.synonyms, manifest)
                    yield from _link_concepts(path.name, _written(concepts, codebook, languages, manifest))
    except csv.Error as error:
        raise InputError(path, f"not a table: {error}", line=rows.line_num if rows else 1) from error
    except BROKEN_ARCHIVE as error:
        raise broken_archive(path, error, line=rows.line_num + 1 if rows else 1) from error
    manifest.counts["files"] += 1


def _decoded(lines: Iterable[str], path: Path) -> Iterator[str]:
    """The lines of a file in which bytes that are no UTF-8 are escaped: the file decodes far ahead of its lines.

    Raises:
        InputError: there is such a byte, with the line.
    """
    for number, line in enumerate(lines, 1):
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) - 0xDC00
            raise InputError(path, f"not UTF-8: byte 0x{byte:02x}", line=number) from error
        yield line


def _link_rows(
    origin: str, rows: Sequence[Sequence[str]], codebook: Mapping[str, list[str]], manifest: Manifest
) -> Iterator[Links]:
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source_language, source, target_language, target in rows:
        key, words = (source_language.strip(), target_language.strip()), (normalise(source), normalise(target))
        if not all(words):
            manifest.dropped["empty word"] += 1
        elif key[0] in codebook and key[1] in codebook:
            pairs.setdefault(key, []).append(words)
    for key, words in sorted(pairs.items()):
        for source, target in _ours(codebook, *key):
            yield Links(origin, source, target, *zip(*words, strict=True))


def _concepts(
    names: Sequence[str], rows: Sequence[Sequence[str]], synonyms: str, manifest: Manifest
) -> dict[str, list[list[str]]]:
    """The words for each row's meaning, by column."""
    columns = zip(*rows, strict=True) if rows else [[]] * len(names)
    return {
        name: [_words(cell.split(synonyms), manifest) for cell in column]
        for name, column in zip(names, columns, strict=True)
    }
