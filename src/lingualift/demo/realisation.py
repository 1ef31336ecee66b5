"""How a sentence is said in each of the demo's languages: word order and agreement."""

from lingualift.demo.grammar import Grammar
from lingualift.demo.meaning import Clause, NounPhrase, Sentence

_GENDERS = ("m", "f", "n")


class Realiser:
    """Says sentences in all of the demo's languages.

    Args:
        grammar: where the small words are (determiners, numbers, adverbs).
    """

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar

    def __call__(self, sentence: Sentence) -> dict[str, str]:
        """Say a sentence.

        Returns:
            The sentence by language code, with a capital letter where the script has them and a full stop.
        """
        return {
            "en": _finish(" and ".join(self._english(clause) for clause in sentence) + "."),
            "de": _finish(" und ".join(self._german(clause) for clause in sentence) + "."),
            "zh": "，".join(self._chinese(clause) for clause in sentence) + "。",
            # Two subjects side by side are set against each other with «а».
            "ru": _finish(", а ".join(self._russian(clause) for clause in sentence) + "."),
        }

    def question(self, clause: Clause) -> str:
        """Ask in English whether a clause with a verb, which is not negated, is so."""
        words = ["do" if clause.is_plural else "does", self._english_subjects(clause), *self._adverb(clause, "en")]
        words += [clause.verb.en[1], *self._english_rest(clause)]
        return _finish(_words(*words, clause.time and clause.time.forms["en"]) + "?")

    def english_phrase(self, phrase: NounPhrase) -> str:
        """Say a noun phrase in English."""
        noun = phrase.noun.en[phrase.is_plural]
        return _words(phrase.determiner, phrase.adjective and phrase.adjective.en, noun)

    def _english(self, clause: Clause) -> str:
        words = [clause.time and clause.time.forms["en"], self._english_subjects(clause)]
        if clause.verb is None:
            words.append("are" if clause.is_plural else "is")
        elif clause.is_negated:
            words += ["do not" if clause.is_plural else "does not", clause.verb.en[1]]
        else:
            words += [*self._adverb(clause, "en"), clause.verb.en[clause.is_plural]]
        return _words(*words, *self._english_rest(clause))

    def _english_subjects(self, clause: Clause) -> str:
        return " and ".join(map(self.english_phrase, clause.subjects))

    def _english_rest(self, clause: Clause) -> list[str | None]:
        objects = " and ".join(map(self.english_phrase, clause.objects))
        return [objects, clause.quality and clause.quality.en, clause.place and clause.place.forms["en"]]

    def _german(self, clause: Clause) -> str:
        subjects = " und ".join(self._german_phrase(phrase) for phrase in clause.subjects)
        verb = clause.verb.de[clause.is_plural] if clause.verb else "sind" if clause.is_plural else "ist"
        # The verb comes second, whatever comes first.
        opening = [clause.time.forms["de"], verb, subjects] if clause.time else [subjects, verb]
        objects = " und ".join(self._german_phrase(phrase, is_accusative=True) for phrase in clause.objects)
        return _words(
            *opening,
            *self._adverb(clause, "de"),
            objects,
            "nicht" if clause.is_negated else None,
            clause.quality and clause.quality.de[0],
            clause.place and clause.place.forms["de"],
        )

    def _german_phrase(self, phrase: NounPhrase, *, is_accusative: bool = False) -> str:
        gender, nominative, accusative, *plural = phrase.noun.de
        if phrase.is_plural:
            return _words(self._grammar.numbers[phrase.determiner]["de"], plural[0])
        is_den = is_accusative and gender == "m"
        return _words(
            self._grammar.determiners[phrase.determiner]["de"][3 if is_den else _GENDERS.index(gender)],
            phrase.adjective and phrase.adjective.de[2 if is_den else 1],
            accusative if is_accusative else nominative,
        )

    def _chinese(self, clause: Clause) -> str:
        parts = [clause.time and clause.time.forms["zh"], "和".join(map(self._chinese_phrase, clause.subjects))]
        parts += [*self._adverb(clause, "zh"), clause.place and clause.place.forms["zh"]]
        parts.append(clause.quality and clause.quality.zh[1])
        if clause.verb:
            parts += ["不" if clause.is_negated else None, clause.verb.zh]
        return "".join(filter(None, [*parts, "和".join(map(self._chinese_phrase, clause.objects))]))

    def _chinese_phrase(self, phrase: NounPhrase) -> str:
        noun, *measure = phrase.noun.zh
        parts = [phrase.adjective.zh[0] if phrase.adjective else "", noun]
        if phrase.is_plural:
            parts[:0] = [self._grammar.numbers[phrase.determiner]["zh"], measure[0]]
        elif phrase.determiner == "this":
            parts[:0] = [self._grammar.determiners["this"]["zh"], measure[0]]
        return "".join(parts)

    def _russian(self, clause: Clause) -> str:
        verb = clause.verb and clause.verb.ru[clause.is_plural]
        quality = clause.quality and clause.quality.ru[_GENDERS.index(clause.subjects[0].noun.ru[0])]
        return _words(
            clause.time and clause.time.forms["ru"],
            " и ".join(self._russian_phrase(phrase) for phrase in clause.subjects),
            *self._adverb(clause, "ru"),
            "не" if clause.is_negated else None,
            verb,
            quality,
            " и ".join(self._russian_phrase(phrase, is_accusative=True) for phrase in clause.objects),
            clause.place and clause.place.forms["ru"],
        )

    def _russian_phrase(self, phrase: NounPhrase, *, is_accusative: bool = False) -> str:
        gender, nominative, accusative, *counted = phrase.noun.ru
        form = _GENDERS.index(gender)
        if phrase.is_plural:
            return _words(self._grammar.numbers[phrase.determiner]["ru"][form], counted[0])
        if is_accusative and gender == "f":
            form = 3
        elif is_accusative and gender == "m" and phrase.noun.is_animate:
            form = 4
        return _words(
            self._grammar.determiners["this"]["ru"][form] if phrase.determiner == "this" else None,
            phrase.adjective and phrase.adjective.ru[form],
            accusative if is_accusative else nominative,
        )

    def _adverb(self, clause: Clause, language: str) -> list[str]:
        return [self._grammar.adverbs[clause.adverb][language]] if clause.adverb else []


def _words(*words: str | None) -> str:
    return " ".join(word for word in words if word)


def _finish(text: str) -> str:
    return text[0].upper() + text[1:]
