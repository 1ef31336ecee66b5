"""What a Marian model translates, as its files say: one pair, or into the languages that its vocabulary marks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lingualift.files import read_json
from lingualift.languages import Language

Direction = tuple[str, str]


def marian_codes(table: Mapping[str, Language], codes: Iterable[str]) -> dict[str, str]:
    """What Marian models may mark some languages by: Tatoeba's code or ISO 639-3, with or without the script.

    Models differ: ``>>cmn_Hans<<``, ``>>cmn<<`` and ``>>zho<<`` are all Chinese. Where rows share a code of ISO 639-3,
    it is, without a script, only of those in the script of the first.

    Args:
        table: all languages.

    Returns:
        Our code → theirs, the most exact first, spaces between.
    """
    alike: dict[str, list[Language]] = {}
    for language in table.values():
        alike.setdefault(language.iso639_3, []).append(language)

    def candidates(language: Language) -> Iterable[str]:
        family = alike[language.iso639_3]
        shared = dict.fromkeys([*(it.codes["tatoeba"] for it in family if "tatoeba" in it.codes), language.iso639_3])
        yield from (f"{code}_{language.script}" for code in shared)
        if language.script == family[0].script:
            yield from shared

    return {code: " ".join(candidates(table[code])) for code in codes}


def marks_in(vocabulary: Iterable[str]) -> set[str]:
    """The languages that a vocabulary has marks for, such as ``>>deu<<``; none if the model translates one pair."""
    return {piece[2:-2] for piece in vocabulary if piece.startswith(">>") and piece.endswith("<<")}


def mark_of(codes: str, marks: set[str]) -> str | None:
    """The first of some codes, spaces between, that is a mark."""
    return next((code for code in codes.split() if code in marks), None)


def marian_directions(
    folder: Path, directions: Iterable[Direction], names: Mapping[str, str], table: Mapping[str, Language]
) -> list[Direction]:
    """Those of some directions that a model can translate: all, where its files do not say or are not there.

    A model with marks translates into these, and needs no code for the source. One without translates the pair that
    its tokenizer names (``source_lang`` and ``target_lang``); a name that is no language's, such as ``mul``, is any.

    Args:
        names: as of :func:`marian_codes`.
        table: all languages.

    Raises:
        InputError: a file is broken.
    """
    files = (folder / name for name in ("vocab.json", "tokenizer_config.json"))
    vocabulary, settings = (read_json(file) if file.is_file() else {} for file in files)
    marks = marks_in(vocabulary)

    def languages_of(side: str) -> set[str]:
        """Our codes of what the tokenizer calls one side."""
        name = settings.get(side)
        meant = {it.iso639_3 for ours, it in table.items() if name in (ours, it.iso639_3, it.codes.get("tatoeba", ""))}
        return {code for code, it in table.items() if it.iso639_3 in meant} or set(table)

    sources = languages_of("source_lang")
    targets = {code for code in names if mark_of(names[code], marks)} if marks else languages_of("target_lang")
    return [(source, target) for source, target in directions if source in sources and target in targets]
