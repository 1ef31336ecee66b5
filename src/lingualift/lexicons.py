"""Lexicons: every word of the dictionaries with its translations into all languages (LLaMAX, section 2.1, step 1).

A lexicon is a folder that opens in no time, whatever its size: the words of a language are a trie, their
translations arrays, all of them mapped into memory and read as they are needed.

    manifest.json              what went in, what was dropped, the languages and their numbers of words
    entities.csv               distinct words and translations of each language and source
    entries.tsv                the first entries, for people: hello_en  bonjour_fr  hallo_de  你好_zh
    words/<language>.marisa    the words; a word's number is its key in the trie
    edges/<language>.*.npy     offsets (word to groups), languages and starts (of the groups), targets
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lingualift.configuration.lexicons import Dictionary
from lingualift.errors import InputError
from lingualift.files import atomic_path, write_csv
from lingualift.languages import Written
from lingualift.lexicon_readers import Links, normalise, read_links
from lingualift.manifests import Manifest, load_manifest

if TYPE_CHECKING:
    import marisa_trie

# Lines of entries.tsv.
_NUM_ENTRIES = 2_000
_ARRAYS = ("offsets", "languages", "starts", "targets")


@dataclass(frozen=True)
class Edges:
    """The translations of one language's words, grouped by language.

    Word ``w`` has the groups ``offsets[w]:offsets[w + 1]``; group ``g`` is of language ``languages[g]`` (its place in
    :attr:`Lexicon.languages`) and holds the words ``targets[starts[g]:starts[g + 1]]`` of it, in alphabetical order.
    """

    offsets: np.ndarray
    languages: np.ndarray
    starts: np.ndarray
    targets: np.ndarray


class Lexicon:
    """Words and their translations; made by :func:`build_lexicon`, opened by :meth:`open`."""

    def __init__(self, folder: Path, *, words: Mapping[str, int], hops: int) -> None:
        self.folder, self.hops = folder, hops
        self.sizes = dict(words)
        self.languages = list(words)
        self._index = {code: place for place, code in enumerate(self.languages)}
        self._tries: dict[str, marisa_trie.Trie] = {}
        self._edges: dict[str, Edges] = {}

    @classmethod
    def open(cls, folder: str | Path) -> "Lexicon":
        """Open the lexicon in ``folder``.

        Raises:
            InputError: there is none, or what is there is not one.
        """
        path = Path(folder) / "manifest.json"
        manifest = load_manifest(path)
        if manifest.get("kind") != "lexicon":
            raise InputError(path, "not the manifest of a lexicon")
        return cls(Path(folder), words=manifest["words"], hops=manifest["settings"]["hops"])

    def __len__(self) -> int:
        """The number of words, all languages together."""
        return sum(self.sizes.values())

    def __contains__(self, language: object) -> bool:
        return language in self._index

    def index(self, language: str) -> int:
        """The place of ``language`` in :attr:`languages`.

        Raises:
            KeyError: the lexicon does not cover it.
        """
        if language not in self._index:
            raise KeyError(f"{self.folder} has no language {language!r}; it has {', '.join(self.languages)}")
        return self._index[language]

    def words(self, language: str) -> "marisa_trie.Trie":
        """The words of a language, mapped into memory: ``words(language).get(word)`` is a word's number.

        Raises:
            KeyError: the lexicon does not cover ``language``.
        """
        if language not in self._tries:
            import marisa_trie

            self.index(language)
            trie = marisa_trie.Trie()
            trie.mmap(str(self.folder / "words" / f"{language}.marisa"))
            self._tries[language] = trie
        return self._tries[language]

    def edges(self, language: str) -> Edges:
        """The direct translations of a language's words, mapped into memory.

        Raises:
            KeyError: the lexicon does not cover ``language``.
        """
        if language not in self._edges:
            self.index(language)
            paths = [self.folder / "edges" / f"{language}.{name}.npy" for name in _ARRAYS]
            self._edges[language] = Edges(*(np.load(path, mmap_mode="r") for path in paths))
        return self._edges[language]

    def neighbours(self, language: str, number: int) -> Iterator[tuple[int, np.ndarray]]:
        """The direct translations of one word: the place of a language, and the numbers of its words."""
        edges = self.edges(language)
        for group in range(int(edges.offsets[number]), int(edges.offsets[number + 1])):
            yield int(edges.languages[group]), edges.targets[edges.starts[group] : edges.starts[group + 1]]

    def translation_numbers(self, language: str, number: int) -> dict[int, list[int]]:
        """The translations of one word over one or, in a lexicon of two hops, also two edges.

        Returns:
            From the place of a language to the numbers of its words: the direct ones first, then those through
            another language in order of that language. Never the word's own language.
        """
        direct = {place: words.tolist() for place, words in self.neighbours(language, number)}
        if self.hops == 1:
            return direct
        own = self.index(language)
        # A dictionary as an ordered set.
        found = {place: dict.fromkeys(words) for place, words in direct.items()}
        for place, words in direct.items():
            for word in words:
                for further, targets in self.neighbours(self.languages[place], word):
                    if further != own:
                        found.setdefault(further, {}).update(dict.fromkeys(targets.tolist()))
        return {place: list(found[place]) for place in sorted(found)}

    def translations(self, word: str, language: str) -> dict[str, list[str]]:
        """The translations of a word by language; empty if the lexicon does not know it.

        Args:
            word: in any case and Unicode form.

        Raises:
            KeyError: the lexicon does not cover ``language``.
        """
        number = self.words(language).get(normalise(word))
        if number is None:
            return {}
        return {
            self.languages[place]: [self.words(self.languages[place]).restore_key(target) for target in targets]
            for place, targets in self.translation_numbers(language, number).items()
        }


def build_lexicon(
    dictionary: Dictionary, *, languages: Mapping[str, Written], data: Path, out: Path, version: int = 1
) -> Manifest:
    """Build the lexicon of a dictionary into the folder ``out``, which appears when it is whole.

    Args:
        languages: the languages to cover, by code; the others of the dictionary are passed over, and so are words in
            another script than their language's.
        data: where a relative ``dictionary.path`` starts.
        version: the stage's, for the manifest.

    Raises:
        InputError: a file is missing, broken or not what its reader expects, or no pair of words is left.

    Source: LLaMAX, section 2.1, step 1; hops, appendix F.
    """
    manifest = Manifest("lexicon", {**dictionary.model_dump(mode="json"), "version": version})
    builder = _Builder(bidirectional=dictionary.bidirectional)
    for links in read_links(dictionary, languages=languages, data=data, manifest=manifest):
        if not dictionary.keep_identical:
            links, num_dropped = _without_identical(links)
            manifest.dropped["the same in both languages"] += num_dropped
        if links.sources:
            builder.add(links)
            manifest.counts["pairs"] += len(links.sources)
    if not builder.vocabularies:
        raise InputError(data / dictionary.path, "no pair of words in the languages of this run")
    with atomic_path(out) as part:
        (part / "words").mkdir(parents=True)
        (part / "edges").mkdir()
        entities, first = builder.save(part)
        write_csv(entities, part / "entities.csv", list(entities[0]))
        manifest.counts["translations"] = sum(row["edges"] for row in entities if row["source"] == "all")
        manifest.counts["words"] = sum(row["entities"] for row in entities if row["source"] == "all")
        manifest.details["words"] = {row["language"]: row["entities"] for row in entities if row["source"] == "all"}
        lexicon = Lexicon(part, words=manifest.details["words"], hops=1)
        with (part / "entries.tsv").open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in _entries(lexicon, *first))
        manifest.save(part / "manifest.json")
    return manifest


def _without_identical(links: Links) -> tuple[Links, int]:
    pairs = [pair for pair in zip(links.sources, links.targets, strict=True) if pair[0] != pair[1]]
    kept = replace(links, sources=[source for source, _ in pairs], targets=[target for _, target in pairs])
    return kept, len(links.sources) - len(pairs)


class _Builder:
    """Gathers word pairs as numbers and sorts them into a lexicon."""

    def __init__(self, *, bidirectional: bool) -> None:
        self.bidirectional = bidirectional
        # A word's number while building is the order in which it was first seen.
        self.vocabularies: dict[str, defaultdict[str, int]] = {}
        # By source language: the target language and two parallel arrays of numbers.
        self._edges: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = defaultdict(list)
        # By language and origin: the numbers of its words, and how many edges they have.
        self._seen: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        self._num_edges: dict[tuple[str, str], int] = defaultdict(int)

    def add(self, links: Links) -> None:
        sides = {}
        for code, words in ((links.source, links.sources), (links.target, links.targets)):
            vocabulary = self.vocabularies.get(code)
            if vocabulary is None:
                vocabulary = self.vocabularies[code] = defaultdict()
                vocabulary.default_factory = vocabulary.__len__
            sides[code] = np.fromiter(map(vocabulary.__getitem__, words), np.uint32, count=len(words))
        pair = np.unique(np.stack([sides[links.source], sides[links.target]]), axis=1)
        for code, other, way in ((links.source, links.target, True), (links.target, links.source, self.bidirectional)):
            numbers, others = pair if code == links.source else pair[::-1]
            self._seen[code, links.origin].append(np.unique(numbers))
            if way:
                self._edges[code].append((other, numbers, others))
                self._num_edges[code, links.origin] += len(numbers)

    def save(self, folder: Path) -> tuple[list[dict[str, Any]], tuple[str, list[str]]]:
        """Write tries and edges; return the rows of entities.csv, and the largest language with its first words."""
        import marisa_trie

        codes = sorted(self.vocabularies)
        largest = max(codes, key=lambda code: len(self.vocabularies[code]))
        # From the number while building to alphabetical rank, and from rank to key in the trie.
        ranks, keys, first = {}, {}, []
        for code in codes:
            vocabulary = self.vocabularies[code]
            words = sorted(vocabulary)
            trie = marisa_trie.Trie(words)
            trie.save(str(folder / "words" / f"{code}.marisa"))
            seen = np.fromiter(map(vocabulary.__getitem__, words), np.uint32, count=len(words))
            ranks[code] = np.empty(len(words), np.uint32)
            ranks[code][seen] = np.arange(len(words), dtype=np.uint32)
            keys[code] = np.fromiter(map(trie.__getitem__, words), np.uint32, count=len(words))
            if code == largest:
                first = list(vocabulary)[:_NUM_ENTRIES]
            # The strings are the bulk of the memory, and no more needed.
            self.vocabularies[code] = defaultdict(int)
        rows = []
        for code in codes:
            edges = _group(self._edges.pop(code, []), codes, len(ranks[code]), ranks, keys, code)
            for name in _ARRAYS:
                np.save(folder / "edges" / f"{code}.{name}.npy", getattr(edges, name))
            for (language, origin), seen in self._seen.items():
                if language == code:
                    count = len(np.unique(np.concatenate(seen)))
                    num_edges = self._num_edges[language, origin]
                    rows.append({"language": code, "source": origin, "entities": count, "edges": num_edges})
            total = {"language": code, "source": "all", "entities": len(ranks[code]), "edges": len(edges.targets)}
            rows.append(total)
        return rows, (largest, first)


def _group(
    links: list[tuple[str, np.ndarray, np.ndarray]],
    codes: list[str],
    num_words: int,
    ranks: Mapping[str, np.ndarray],
    keys: Mapping[str, np.ndarray],
    source: str,
) -> Edges:
    """Sort one language's edges by word, language and alphabetical rank, without doubles."""
    empty = [np.empty(0, np.uint32)]
    words = keys[source][ranks[source][np.concatenate([*empty, *(numbers for _, numbers, _ in links)])]]
    targets = np.concatenate([*empty, *(ranks[other][others] for other, _, others in links)])
    places = np.concatenate([*empty, *(np.full(len(n), codes.index(o), np.uint32) for o, n, _ in links)])
    order = np.lexsort((targets, places, words))
    words, places, targets = words[order], places[order], targets[order]
    if len(words):
        new_word = np.r_[True, words[1:] != words[:-1]]
        new_group = new_word | np.r_[True, places[1:] != places[:-1]]
        new = new_group | np.r_[True, targets[1:] != targets[:-1]]
        words, places, targets, new_group = words[new], places[new], targets[new], new_group[new]
    else:
        new_group = np.empty(0, bool)
    starts = np.flatnonzero(new_group)
    offsets = np.zeros(num_words + 1, np.uint32)
    np.cumsum(np.bincount(words[starts], minlength=num_words), out=offsets[1:])
    for place in np.unique(places):
        here = places == place
        targets[here] = keys[codes[place]][targets[here]]
    return Edges(
        offsets=offsets,
        languages=places[starts].astype(np.uint16),
        starts=np.append(starts, len(targets)).astype(np.uint32),
        targets=targets,
    )


def _entries(lexicon: Lexicon, language: str, words: Iterable[str]) -> Iterator[str]:
    for word in words:
        translations = lexicon.translations(word, language)
        if translations:
            named = [f"{target}_{code}" for code, targets in translations.items() for target in targets]
            yield "\t".join([f"{word}_{language}", *named])
