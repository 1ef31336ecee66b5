"""The demo's dictionaries: every form of every word, as MUSE lists them."""

from collections.abc import Iterable, Iterator

from lingualift.demo.grammar import Adjective, Grammar, Noun, Verb

_TARGETS = ("de", "zh", "ru")


def dictionary(grammar: Grammar, target: str) -> list[str]:
    """List the English words with their translations.

    Args:
        grammar: the words.
        target: code of the language translated into.

    Returns:
        One line a pair, ``word translation``, lower-case, sorted; no word holds a space.
    """
    if target not in _TARGETS:
        raise KeyError(target)
    pairs = [pair for noun in grammar.nouns.values() for pair in _noun_pairs(noun, target)]
    pairs += [pair for adjective in grammar.adjectives.values() for pair in _adjective_pairs(adjective, target)]
    pairs += [pair for verb in grammar.verbs.values() for pair in _verb_pairs(verb, target)]
    pairs += [
        (phrase.word["en"], phrase.word[target]) for phrase in (*grammar.places.values(), *grammar.times.values())
    ]
    pairs += [(entry["en"], entry[target]) for entry in (*grammar.adverbs.values(), *grammar.particles.values())]
    pairs += [pair for entry in grammar.numbers.values() for pair in _product([entry["en"]], entry[target])]
    pairs += _product(["this"], grammar.determiners["this"][target])
    return sorted({f"{word} {translation}".lower() for word, translation in pairs})


def _noun_pairs(noun: Noun, target: str) -> Iterator[tuple[str, str]]:
    singular, *plural = noun.en
    if target == "zh":
        yield from _product(noun.en, noun.zh[:1])
    else:
        _, nominative, accusative, *counted = noun.de if target == "de" else noun.ru
        yield from _product([singular], [nominative, accusative])
        yield from _product(plural, counted)


def _adjective_pairs(adjective: Adjective, target: str) -> Iterator[tuple[str, str]]:
    forms = {"de": adjective.de, "zh": adjective.zh[2:], "ru": adjective.ru}[target]
    return _product([adjective.en], forms)


def _verb_pairs(verb: Verb, target: str) -> Iterator[tuple[str, str]]:
    # Of "looks for" the dictionary has the verb.
    singular, plural = (form.split()[0] for form in verb.en)
    if target == "zh":
        yield from _product([singular, plural], verb.zh)
    else:
        forms = verb.de if target == "de" else verb.ru
        yield from ((singular, forms[0]), (plural, forms[1]))


def _product(words: Iterable[str], translations: str | Iterable[str]) -> Iterator[tuple[str, str]]:
    translations = [translations] if isinstance(translations, str) else list(translations)
    return ((word, translation) for word in words for translation in translations)
