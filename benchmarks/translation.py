"""Beam-4 translation: sentences a second, against transformers' generate in batches of eight.

    python benchmarks/translation.py --data ../shared/data --model results/multi30k/models/lifted-alpaca

The sentences are the first ``--sentences`` of Multi30k's test_2016_flickr, the directions ``--directions``; both sides
ask the same model with the same prompt on the same cores. They take turns, and the table gives medians; loading and
converting the model are off the clock, for both. Without ``--model`` and without that of the multi30k run, a small
model is trained first, which takes some minutes.

- **Translator**: ours, as the workflow runs it, with CTranslate2, the default engine of a CPU: sentences of like
  length together, in batches of 32, the beginning that all prompts share computed once.
- **generate, batch 8**: transformers, in the order of the file and without sorting, as LLaMAX's released script
  decodes. No answer may be longer than the longest that ours would allow in the same batch.

Beside the speeds stand the share of equal translations and the scores of both. It fails where these are more than 0.1
apart.
"""

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import (
    MULTI30K,
    Row,
    arguments_parser,
    caption_reader,
    import_multi30k,
    language_names,
    main_or_part,
    report,
    run_part,
    short_prompt,
    speed_rows,
)

_OURS, _PEER = "Translator", "generate, batch 8"
_PARTS = {_OURS: "ours", _PEER: "peer"}
_DEFAULT_MODEL = Path("results/multi30k/models/lifted-alpaca")
_SET = "test_2016_flickr.{language}.gz"
_BATCH = 8
_APART = 0.1


def main() -> None:
    """Translate in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=3)
    parser.add_argument("--model", type=Path, help=f"a model folder; by default {_DEFAULT_MODEL}, if it is there")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--directions", nargs="+", default=["en-de", "fr-en"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    speeds: dict[str, list[float]] = {_OURS: [], _PEER: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or (_DEFAULT_MODEL if _DEFAULT_MODEL.is_dir() else None)
        if model is None:
            model = folder / "model"
            run_part(__file__, "train", folder=folder, data=arguments.data)
        given = prepare(folder, model, arguments.data, arguments.directions, arguments.sentences)
        for turn in range(arguments.repetitions):
            answers = {}
            for what, part in _PARTS.items():
                result = run_part(__file__, part, **given, threads=arguments.threads)
                speeds[what].append(sum(map(len, result["answers"].values())) / result["seconds"])
                answers[what] = result["answers"]
            print(f"round {turn + 1}: {speeds[_OURS][-1] / speeds[_PEER][-1]:.2f}", flush=True)
        references = texts(folder / "test", [pair.split("-")[1] for pair in arguments.directions], arguments.sentences)
    rows = speed_rows(speeds, peer=_PEER, unit="sentences/s", digits=1)
    scores = {what: score(found, references) for what, found in answers.items()}
    for metric in ("BLEU", "chrF++"):
        rows += [Row(what=f"{what}: {metric}", unit="", values=[scores[what][metric]], digits=2) for what in _PARTS]
    apart = max(abs(scores[_OURS][metric] - scores[_PEER][metric]) for metric in scores[_OURS])
    equal = share_equal(answers[_OURS], answers[_PEER])
    report("translation", rows, notes=[f"equal translations: {equal:.1%}", f"scores apart: at most {apart:.3f}"])
    if apart > _APART:
        sys.exit(f"the scores are {apart:.3f} apart, more than {_APART} (of few sentences they vary by more than that)")


def prepare(folder: Path, model: Path, data: Path, directions: Sequence[str], sentences: int) -> dict[str, Any]:
    """Import the test set and convert the model: the arguments of both sides."""
    from lingualift.engines import convert_to_ctranslate2

    import_multi30k(data, folder / "test", files=_SET)
    convert_to_ctranslate2(model, folder / "converted")
    return {"folder": folder, "model": model, "directions": list(directions), "sentences": sentences}


def texts(corpus: Path, languages: Sequence[str], sentences: int) -> dict[str, list[str]]:
    """The first sentences of each language."""
    from lingualift.corpora import open_table

    table = open_table(corpus, "multiway").slice(0, sentences)
    return {code: table.column(code).to_pylist() for code in languages}


def ours(folder: str, model: str, directions: list[str], sentences: int, threads: int) -> dict[str, Any]:
    """Translate by the package."""
    translator = _translator(Path(model), Path(folder) / "converted", threads)
    sources = texts(Path(folder) / "test", MULTI30K, sentences)
    start, answers = time.perf_counter(), {}
    for direction in directions:
        source, target = direction.split("-")
        found = [""] * len(sources[source])
        for numbers, prompts, longest in translator.plan(sources[source], source, target):
            for number, answer in zip(numbers, translator.answer(prompts, longest), strict=True):
                found[number] = answer
        answers[direction] = found
    return {"seconds": time.perf_counter() - start, "answers": answers}


def peer(folder: str, model: str, directions: list[str], sentences: int, threads: int) -> dict[str, Any]:
    """Translate by transformers alone, in the order of the file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    causal = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    # What decides how long answers may be is ours; worked out before the clock starts.
    limits = _limits(_translator(Path(model), None, threads), Path(folder) / "test", directions, sentences)
    sources, prompt, names = texts(Path(folder) / "test", MULTI30K, sentences), short_prompt(), language_names()
    start, answers = time.perf_counter(), {}
    for direction in directions:
        source, target = direction.split("-")
        found: list[str] = []
        for first in range(0, len(sources[source]), _BATCH):
            part = sources[source][first : first + _BATCH]
            prompts = [prompt.translate(text, names[source], names[target]) for text in part]
            inputs = tokenizer(prompts, return_tensors="pt", padding=True)
            with torch.inference_mode():
                out = causal.generate(
                    input_ids=inputs["input_ids"],
                    attention_mask=inputs["attention_mask"],
                    max_new_tokens=max(limits[direction][first : first + _BATCH]),
                    num_beams=4,
                    do_sample=False,
                )
            new = out[:, inputs["input_ids"].shape[1] :]
            found += [" ".join(text.split()) for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
        answers[direction] = found
    return {"seconds": time.perf_counter() - start, "answers": answers}


def _translator(model: Path, converted: Path | None, threads: int) -> Any:
    """The package's translator; without a converted model one that only plans."""
    from lingualift.configuration.systems import CausalModel
    from lingualift.engines import CTranslate2Engine
    from lingualift.tokenization import load_tokenizer
    from lingualift.translation import Translator

    system = CausalModel(model="model")
    engine: Any = CTranslate2Engine(converted, model, system, threads=threads) if converted else None
    return Translator(engine, load_tokenizer(model), system, short_prompt(), language_names())


def _limits(translator: Any, corpus: Path, directions: Sequence[str], sentences: int) -> dict[str, list[int]]:
    sources, limits = texts(corpus, MULTI30K, sentences), {}
    for direction in directions:
        source, target = direction.split("-")
        limits[direction] = [0] * len(sources[source])
        for numbers, _, longest in translator.plan(sources[source], source, target):
            for number in numbers:
                limits[direction][number] = longest
    return limits


def score(answers: dict[str, list[str]], references: dict[str, list[str]]) -> dict[str, float]:
    """BLEU (13a) and chrF++, the mean over directions."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics = {"BLEU": BLEU(), "chrF++": CHRF(word_order=2)}
    return {
        name: statistics.mean(
            metric.corpus_score(found, [references[direction.split("-")[1]]]).score
            for direction, found in answers.items()
        )
        for name, metric in metrics.items()
    }


def share_equal(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> float:
    """The share of sentences that both translate alike."""
    same = [a == b for direction in ours for a, b in zip(ours[direction], theirs[direction], strict=True)]
    return sum(same) / len(same)


def train_model(
    folder: str, data: str, *, vocabulary: int = 4_000, hidden: int = 128, layers: int = 2, steps: int = 300
) -> None:
    """Train a small model on filled-in translation prompts, into ``model``."""
    logging.disable(logging.WARNING)
    from lingualift.configuration.models import Recipe, Scratch
    from lingualift.packing import pack_mixture
    from lingualift.tokenization import load_tokenizer, train_tokenizer
    from lingualift.training import train

    here = Path(folder)
    corpus = import_multi30k(Path(data), here / "train")
    settings = {"format": "instruction", "loss": "response", "prompt": "short", "packing": "whole", "isolate": True}
    reader, mixture = caption_reader(corpus, sample=0.1, block=256, **settings)
    train_tokenizer(reader, vocabulary=vocabulary, max_entries=20_000, out=here / "tokenizer")
    tokenizer = load_tokenizer(here / "tokenizer")
    pack_mixture(reader, tokenizer, mixture, out=here / "packed", work=here / "packed.work")
    train(
        blocks=here / "packed",
        tokenizer=tokenizer,
        recipe=Recipe(learning_rate=3e-3, batch=16, max_steps=steps, checkpoint_every=100_000),
        scratch=Scratch(vocabulary=vocabulary, hidden=hidden, layers=layers),
        out=here / "model",
        state=here / "state",
        seed=17,
    )


if __name__ == "__main__":
    main_or_part(main, {"ours": ours, "peer": peer, "train": train_model})
