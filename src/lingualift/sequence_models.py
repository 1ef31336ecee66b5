"""Translation models of transformers, each told in its own way what to translate into what.

M2M-100 and NLLB begin the source with a token of its language and are made to begin the target with one; MADLAD-400
reads ``<2de>`` before the source; Marian reads ``>>deu<<``, or translates one pair alone; Aya-101 is asked in words.

Source: LLaMAX, appendix C.2 and Table 14 (Madlad).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import FAMILIES, TranslationModel
from lingualift.engines import forget_decoding
from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.languages import Language
from lingualift.marian import marian_codes, mark_of, marks_in
from lingualift.translation import NAMES, PACE, batches_by_length, longest_answer, model_key, names_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_FAMILIES_BY_TYPE = {"nllb-moe": "nllb", "t5": "madlad", "mt5": "aya", "umt5": "aya", "marian": "marian"}
# What belongs to a model, not to the search: without it Marian would answer with padding, or without an end.
_KEPT = (
    "decoder_start_token_id",
    "bad_words_ids",
    "forced_eos_token_id",
    "pad_token_id",
    "eos_token_id",
    "bos_token_id",
)


class Question(NamedTuple):
    """One sentence for the encoder, and what the decoder has to begin with."""

    tokens: list[int]
    forced: int | None


def detect_family(folder: str | Path | None) -> str:
    """Which family of translation models a folder holds, by its ``config.json``.

    Raises:
        LingualiftError: no such folder, or a model of another kind.
        InputError: its ``config.json`` is missing or broken.
    """
    folder = _existing(folder)
    kind = read_json(folder / "config.json").get("model_type")
    if kind == "m2m_100":
        # NLLB's dense models are of the same class; their tokenizers tell them apart.
        settings = folder / "tokenizer_config.json"
        named = str(read_json(settings).get("tokenizer_class", "")) if settings.is_file() else ""
        return "nllb" if named.startswith("Nllb") else "m2m100"
    if kind not in _FAMILIES_BY_TYPE:
        raise LingualiftError(
            f"{folder}: a model of type {kind!r} is not known for translating: set `family` to one of "
            f"{', '.join(FAMILIES)}, or make it a causal system with `model`"
        )
    return _FAMILIES_BY_TYPE[kind]


def is_translation_model(folder: str | Path) -> bool:
    """Whether a folder holds an encoder-decoder model, by its ``config.json``.

    Raises:
        InputError: its ``config.json`` is missing or broken.
    """
    config = read_json(Path(folder) / "config.json")
    return bool(config.get("is_encoder_decoder")) or config.get("model_type") in ("m2m_100", *_FAMILIES_BY_TYPE)


def codes_in(languages: Mapping[str, Language], column: str) -> dict[str, str]:
    """Our code → a model's code, for those of some languages that the model has."""
    return {code: language.codes[column] for code, language in languages.items() if column in language.codes}


def told_codes(
    table: Mapping[str, Language], codes: Sequence[str], family: str, column: str | None = None
) -> dict[str, str]:
    """Our code → what models of a family are told, for those of some languages that they have.

    Args:
        table: all languages.
        column: of languages.tsv, instead of the family's own.
    """
    if family == "marian" and column is None:
        return marian_codes(table, codes)
    return codes_in({code: table[code] for code in codes}, column or FAMILIES[family].column)


class SequenceTranslator:
    """A translation model, with the methods that ``translate_directions`` asks of a translator.

    Args:
        model: an encoder-decoder model, on its device.
        tokenizer: the model's own.
        system: how it is decoded.
        family: one of ``FAMILIES``.
        names: our code → the model's code (``told_codes``), or the English name for a family that is told names.
        prompt: for the families that are asked in words.
        column: where in languages.tsv the codes come from, for errors.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        system: TranslationModel,
        *,
        family: str,
        names: Mapping[str, str],
        prompt: Prompt | None = None,
        column: str = "",
    ) -> None:
        if FAMILIES[family].prompt and prompt is None:
            raise LingualiftError(f"a model of the family {family} is asked in words: give it a `prompt`")
        self.model, self.tokenizer, self.system = model, tokenizer, system
        self.family, self.names, self.prompt, self.column = family, dict(names), prompt, column
        self._longest = _positions(model, tokenizer)
        self._ask = {"m2m100": self._ask_m2m100, "nllb": self._ask_nllb, "marian": self._ask_marian}.get(
            family, self._ask_in_words
        )

    def plan(
        self, sentences: Sequence[str], source: str, target: str
    ) -> Iterator[tuple[list[int], list[Question], int]]:
        """The batches of some sentences, those of like length together; a function of all the sentences.

        Yields:
            The numbers of the sentences of a batch, what the model is asked, and the longest answer allowed.

        Raises:
            LingualiftError: the model does not know one of the languages.
        """
        if not sentences:
            return
        asked, forced = self._ask(list(sentences), source, target)
        questions = [Question(tokens, forced) for tokens in asked]
        sizes = [len(ids) for ids in self.tokenizer(list(sentences), add_special_tokens=False)["input_ids"]]
        caps = [self._cap(size) for size in sizes]
        lengths = [len(question.tokens) for question in questions]
        for numbers, cap in batches_by_length(caps, lengths, self.system.batch):
            yield numbers, [questions[number] for number in numbers], cap

    def settings(self, *languages: str) -> list[object]:
        """What determines the translations, beside the weights and the sentences."""
        return _settings(self.system, self.family, names_of(self.names, languages), self.prompt)

    def answer(self, prompts: Sequence[Question], longest: int) -> list[str]:
        """The translations that answer some questions of one direction, each on one line."""
        import torch

        widest = max(len(question.tokens) for question in prompts)
        ids = torch.full((len(prompts), widest), self._pad)
        mask = torch.zeros_like(ids)
        for row, question in enumerate(prompts):
            ids[row, : len(question.tokens)] = torch.tensor(question.tokens)
            mask[row, : len(question.tokens)] = 1
        device = self.model.device
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=longest,
                num_beams=self.system.beam,
                length_penalty=self.system.length_penalty,
                do_sample=False,
                **({} if prompts[0].forced is None else {"forced_bos_token_id": prompts[0].forced}),
            )
        return [self._read(row, prompts[0].forced) for row in out.tolist()]

    @property
    def _pad(self) -> int:
        return self.tokenizer.pad_token_id

    def _cap(self, size: int) -> int:
        cap = longest_answer(size, self.system)
        # The decoder begins with a token that is not the answer's.
        return cap if self._longest is None else min(cap, self._longest - 1)

    def _read(self, row: list[int], forced: int | None) -> str:
        """The text of one row that ``generate`` gave; its first token is the decoder's start."""
        tokens = row[1:]
        if forced is not None and tokens[:1] == [forced]:
            tokens = tokens[1:]
        if self.tokenizer.eos_token_id in tokens:
            tokens = tokens[: tokens.index(self.tokenizer.eos_token_id)]
        if self.family == "m2m100":
            # Whether these count as special, and are left out of the text, depends on the files of the model.
            marks = set(self.tokenizer.lang_code_to_id.values())
            tokens = [token for token in tokens if token not in marks]
        if self.prompt is not None:
            return self.prompt.decode(self.tokenizer, tokens)
        return " ".join(self.tokenizer.decode(tokens, skip_special_tokens=True).split())

    def _ask_m2m100(self, sentences: list[str], source: str, target: str) -> tuple[list[list[int]], int | None]:
        known = self.tokenizer.lang_code_to_id
        ours, theirs = (self._code(code, known.__contains__) for code in (source, target))
        self.tokenizer.src_lang = ours
        return self._encode(sentences), known[theirs]

    def _ask_nllb(self, sentences: list[str], source: str, target: str) -> tuple[list[list[int]], int | None]:
        # Added tokens alone: a code of another data set may be a piece of a word.
        known = self.tokenizer.get_added_vocab()
        ours, theirs = (self._code(code, known.__contains__) for code in (source, target))
        self.tokenizer.src_lang = ours
        return self._encode(sentences), known[theirs]

    def _ask_marian(self, sentences: list[str], source: str, target: str) -> tuple[list[list[int]], int | None]:
        # Not its `supported_language_codes`: they are none where the two sides have a vocabulary each.
        marks = marks_in(self.tokenizer.encoder)
        if not marks:
            return self._encode(sentences), None
        codes = self._code(target, lambda codes: mark_of(codes, marks) is not None)
        return self._encode([f">>{mark_of(codes, marks)}<< {text}" for text in sentences]), None

    def _ask_in_words(self, sentences: list[str], source: str, target: str) -> tuple[list[list[int]], int | None]:
        assert self.prompt is not None
        if self.family == "madlad":
            unknown = (None, self.tokenizer.unk_token_id)
            self._code(target, lambda code: self.tokenizer.convert_tokens_to_ids(f"<2{code}>") not in unknown)
        # The prompt of MADLAD-400 leaves the source unsaid: a language that it reads may have no code here.
        names = self.names.get(source, source), self._name(target)
        asked = self._encode([self.prompt.translate(text, *names) for text in sentences])
        if self.family == "madlad" and (mark := self.tokenizer.convert_tokens_to_ids(f"<2{names[1]}>")) not in asked[0]:
            raise LingualiftError(
                f"{self.tokenizer.name_or_path}: the tokenizer takes <2{names[1]}> (token {mark}) apart, "
                "so the model would not be told what to translate into: use the tokenizer.json it was published with"
            )
        return asked, None

    def _encode(self, texts: list[str]) -> list[list[int]]:
        asked = self.tokenizer(texts)["input_ids"]
        if self._longest is None or (most := max(map(len, asked))) <= self._longest:
            return asked
        logger.warning(
            "%d of %d sentences are longer than the %d tokens that the model reads (%d the longest): their ends are cut",
            sum(len(ids) > self._longest for ids in asked),
            len(asked),
            self._longest,
            most,
        )
        return self.tokenizer(texts, truncation=True, max_length=self._longest)["input_ids"]

    def _name(self, code: str) -> str:
        if code not in self.names:
            where = f"fill the column '{self.column}' of config/languages.tsv" if self.column else "name it"
            raise LingualiftError(
                f"the translation model has no code for {code!r}: leave the language out of its directions, or {where}"
            )
        return self.names[code]

    def _code(self, code: str, known: Callable[[str], bool]) -> str:
        name = self._name(code)
        if not known(name):
            where = f"column '{self.column}' of config/languages.tsv" if self.column else "the codes given"
            raise LingualiftError(
                f"{self.tokenizer.name_or_path}: the model ({self.family}) does not know {name!r}, its code for "
                f"{code!r} in {where}: leave the language out of its directions, or set `codes` to another column"
            )
        return name


class DirectionTranslators:
    """A model for every direction, such as Marian's pairs; one is in memory at a time.

    Args:
        load: makes the translator of one direction.
        settings: what determines the translations of one direction, its model's weights with it; or of all, without.
    """

    def __init__(self, load: Callable[[str, str], SequenceTranslator], settings: Callable[..., list[object]]) -> None:
        self._load, self._settings = load, settings
        self._current: SequenceTranslator | None = None
        self._pair: tuple[str, str] | None = None

    def plan(
        self, sentences: Sequence[str], source: str, target: str
    ) -> Iterator[tuple[list[int], list[Question], int]]:
        """As ``SequenceTranslator.plan``; from here on ``answer`` is that of this direction's model."""
        if self._current is None or self._pair != (source, target):
            self._current = None
            self._current, self._pair = self._load(source, target), (source, target)
        yield from self._current.plan(sentences, source, target)

    def settings(self, *languages: str) -> list[object]:
        """What determines the translations, beside the sentences; of a direction its model's weights, too."""
        return self._settings(*languages)

    def answer(self, prompts: Sequence[Question], longest: int) -> list[str]:
        """The translations that answer some questions of the direction planned last."""
        assert self._current is not None
        return self._current.answer(prompts, longest)


def load_sequence_translator(
    *,
    system: TranslationModel,
    data: str | Path,
    names: Mapping[str, str],
    family: str | None = None,
    prompt: Prompt | None = None,
    column: str = "",
) -> SequenceTranslator | DirectionTranslators:
    """A translator from the folder that a system names, or from one folder a direction.

    Args:
        data: what the system's folder is relative to.
        names: our code → the model's code (``told_codes``), or the English name for a family that is told names.
        family: what all its models have to be of.
        prompt: for madlad and aya.
        column: where in languages.tsv the codes come from, for errors.

    Raises:
        LingualiftError: there is no such model, it is of another family, or it is not one of safetensors that
            transformers can read.
    """

    def load(folder: Path) -> SequenceTranslator:
        found = detect_family(folder) if system.family == "auto" else system.family
        if family not in (None, found):
            raise LingualiftError(f"{folder}: a model of the family {found}, but others of this system are {family}")
        model, tokenizer = load_sequence_model(folder, precision=system.precision)
        words = prompt if FAMILIES[found].prompt else None
        return SequenceTranslator(model, tokenizer, system, family=found, names=names, prompt=words, column=column)

    if not system.by_direction:
        return load(Path(data) / system.translator)

    def settings(*languages: str) -> list[object]:
        weights = [model_key(Path(data) / system.folder(*languages))] if languages else []
        return [*_settings(system, family or system.family, names_of(names, languages), prompt), *weights]

    return DirectionTranslators(lambda *pair: load(Path(data) / system.folder(*pair)), settings)


def load_sequence_model(
    folder: str | Path, *, precision: str = "float32"
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """A translation model and its tokenizer from a local folder: safetensors only, no network, no code of its own.

    Raises:
        LingualiftError: no such folder, or no such model or tokenizer in it.
    """
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    folder = _existing(folder)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **options)
        model = AutoModelForSeq2SeqLM.from_pretrained(
            str(folder), use_safetensors=True, dtype=getattr(torch, precision), **options
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LingualiftError(
            f"{folder}: no translation model in safetensors, with its tokenizer, that transformers can read "
            f"({(str(error).splitlines() or [type(error).__name__])[0]}); `translator` says where a model is"
        ) from error
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise LingualiftError(f"{folder}: the tokenizer lacks a pad or an end-of-sequence token")
    forget_decoding(model, keep=_KEPT)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def _settings(system: TranslationModel, family: str, names: Mapping[str, str], prompt: Prompt | None) -> list[object]:
    asked = prompt.model_dump(mode="json") if prompt else None
    return [system.model_dump(mode="json", exclude={"translator", *PACE, *NAMES}), family, dict(names), asked]


def _existing(folder: str | Path | None) -> Path:
    if not folder or not Path(folder).is_dir():
        raise LingualiftError(f"{folder or 'translation model'}: no such model folder; `translator` says where it is")
    return Path(folder)


def _positions(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """How many tokens the model has positions for; None for relative positions (T5)."""
    if not hasattr(model.config, "max_position_embeddings") or model.config.model_type in ("t5", "mt5", "umt5"):
        return None
    return min(model.config.max_position_embeddings, tokenizer.model_max_length)
