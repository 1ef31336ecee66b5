"""COMET scores: segments a second, against comet-score, on one file with repeated hypotheses.

    python benchmarks/comet_scores.py --data ../shared/data

COMET runs in the environment that ``snakemake build_comet_environment`` makes, or by the interpreter that ``--python``
names. The segments are sentences of NTREX (German into English), the hypotheses the references with words lost and
doubled; ``--repeated`` of the lines are lines before them once more, as where many systems or many directions are
scored. Both sides score the same lines by the same checkpoint on the same cores, each in a process of its own that loads
the model, in turn. Without ``--checkpoint`` the model is one of COMET-22's class with random weights and its tokenizer
learnt from the text: its scores mean nothing, but take as long to compute as others of its size.

- **comet_scoring**: ours, with an empty cache: every text is embedded once, in batches of like length.
- **comet-score**: the command of unbabel-comet, with its own cache of embeddings and its sorting by length, kept from
  changing to float16: there its own scores differ from batch size to batch size.
- **comet-score, float16**: as it comes; ``--half`` adds it.

The benchmark fails where a score of the first two differs by 1e-6, and counts those that comet-score prints otherwise:
float32 leaves the seventh digit to chance, so a score on the edge between two printed ones may go either way, also from
one batch size of comet-score to another.
"""

import gzip
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from common import SEED, arguments_parser, main_or_part, report, run_part, speed_rows

_OURS, _PEER, _HALF = "comet_scoring", "comet-score", "comet-score, float16"
_ROOT = Path(__file__).parents[1]
_SCRIPT = _ROOT / "src" / "lingualift" / "comet_scoring.py"


def main() -> None:
    """Score in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=3)
    parser.add_argument("--python", type=Path, default=_built(), help="the interpreter of COMET's environment")
    parser.add_argument("--checkpoint", type=Path, help="the folder of a model of COMET-22's class")
    parser.add_argument("--segments", type=int, default=1000)
    parser.add_argument("--repeated", type=float, default=0.3)
    parser.add_argument("--batch", type=int, default=16, help="for both; %(default)s, as comet-score, by default")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--half", action="store_true", help="time comet-score as it comes, too")
    arguments = parser.parse_args()
    if arguments.python is None:
        parser.error("COMET's environment is not there: make it by `snakemake build_comet_environment`, or --python")
    sides: dict[str, Callable[..., list[float]]] = {_OURS: ours, _PEER: peer}
    if arguments.half:
        sides[_HALF] = partial(peer, half=True)
    speeds: dict[str, list[float]] = {what: [] for what in sides}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = repeated_segments(arguments.data, arguments.segments, arguments.repeated)
        model = arguments.checkpoint
        if model is None:
            model = folder / "model"
            (folder / "text").write_text("\n".join(text for line in lines for text in line), encoding="utf-8")
            run_part(__file__, "checkpoint", python=str(arguments.python), text=folder / "text", out=model)
        options = {"python": arguments.python, "batch": arguments.batch, "gpus": arguments.gpus}
        for turn in range(arguments.repetitions):
            scores = {}
            for what, side in sides.items():
                here = folder / f"{turn}-{what}"
                here.mkdir()
                start = time.perf_counter()
                scores[what] = side(lines, model, here, threads=arguments.threads, **options)
                speeds[what].append(len(lines) / (time.perf_counter() - start))
            print(f"round {turn + 1}: {speeds[_OURS][-1] / speeds[_PEER][-1]:.2f}", flush=True)
            if not all(abs(a - b) < 1e-6 for a, b in zip(scores[_OURS], scores[_PEER], strict=True)):
                raise SystemExit("the scores differ")
    share = 1 - len(set(lines)) / len(lines)
    equal = sum(f"{a:.4f}" == f"{b:.4f}" for a, b in zip(scores[_OURS], scores[_PEER], strict=True))
    notes = [f"lines that stand twice: {share:.0%}; equal scores, as printed: {equal} of {len(lines)}"]
    report("comet_scores", speed_rows(speeds, peer=_PEER, unit="segments/s", digits=1), notes=notes)


def _built() -> Path | None:
    """The interpreter of the environment that the workflow builds, if it has been built."""
    found = sorted(_ROOT.glob("results/environments/comet-*/bin/python"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def repeated_segments(data: Path, count: int, repeated: float, *, seed: int = SEED) -> list[tuple[str, str, str]]:
    """Source, hypothesis and reference; a share of the lines are others once more."""
    texts = []
    for name in ("ref.deu", "src.eng"):
        with gzip.open(data / "ntrex128" / f"newstest2019-{name}.txt.gz", "rt", encoding="utf-8") as file:
            texts.append([line.strip() for line in file])
    rng = random.Random(seed)
    fresh = round(count * (1 - repeated))
    lines = [
        (source, " ".join(word for word in reference.split() for _ in range(rng.choice((0, 1, 1, 1, 1, 2)))), reference)
        for source, reference in list(zip(*texts, strict=True))[:fresh]
    ]
    lines += rng.choices(lines, k=count - fresh)
    rng.shuffle(lines)
    return lines


def ours(
    lines: Sequence[tuple[str, str, str]],
    model: Path,
    folder: Path,
    *,
    python: Path,
    batch: int,
    gpus: int,
    threads: int,
) -> list[float]:
    """Scores by the package."""
    from lingualift.comet_segments import load_scores, write_segments

    write_segments([("de-en", *zip(*lines, strict=True))], folder)
    job = {"folder": folder, "cache": folder / "cache", "checkpoint": model}
    job |= {"batch": batch, "gpus": gpus, "threads": threads}
    command = [str(python), "-P", str(_SCRIPT), json.dumps(job, default=str)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return load_scores(folder).tolist()


def peer(
    lines: Sequence[tuple[str, str, str]],
    model: Path,
    folder: Path,
    *,
    python: Path,
    batch: int,
    gpus: int,
    threads: int,
    half: bool = False,
) -> list[float]:
    """Scores by comet-score, in float32 or, as it comes, in half of that."""
    names = ("sources", "translations", "references")
    for name, column in zip(names, zip(*lines, strict=True), strict=True):
        (folder / name).write_text("".join(f"{text}\n" for text in column), encoding="utf-8")
    options = [f"--{name}={folder / name}" for name in names]
    keep = "" if half else "import torch; torch.nn.Module.half = lambda self: self; "
    command = [
        *(str(python), "-P", "-c", keep + "from comet.cli.score import score_command; score_command()"),
        *(*options, f"--model={model}/checkpoints/model.ckpt", f"--batch_size={batch}", f"--gpus={gpus}", "--quiet"),
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, f"--to_json={folder / 'json'}"], check=True, env=environment, **quiet)
    (found,) = json.loads((folder / "json").read_text(encoding="utf-8")).values()
    return [segment["COMET"] for segment in found]


def make_checkpoint(
    text: str, out: str, *, hidden: int = 256, layers: int = 6, vocabulary: int = 4000, seed: int = SEED
) -> dict[str, Any]:
    """Write a model of COMET-22's class with random weights, as a published one lies in its folder.

    Its encoder is a small XLM-R whose tokenizer is learnt from the lines of ``text``; it lies in ``encoder``.
    Runs in COMET's environment.
    """
    import sentencepiece
    import torch
    import yaml
    from comet.models import RegressionMetric
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast

    torch.manual_seed(seed)
    encoder, folder = Path(out) / "encoder", Path(out)
    encoder.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        input=text,
        model_prefix=str(encoder / "sentencepiece.bpe"),
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    tokenizer = XLMRobertaTokenizerFast(str(encoder / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(encoder)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
        max_position_embeddings=514,
        pad_token_id=tokenizer.pad_token_id,
        # Wider than at the start of training, so that scores differ between texts.
        initializer_range=0.1,
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(encoder)
    options = {
        "encoder_model": "XLM-RoBERTa",
        "pretrained_model": str(encoder.absolute()),
        "layer_transformation": "sparsemax",
        "layer_norm": False,
        "hidden_sizes": [3 * hidden, hidden],
    }
    model = RegressionMetric(**options)
    (folder / "checkpoints").mkdir()
    torch.save(
        {
            "state_dict": model.state_dict(),
            "hyper_parameters": dict(model.hparams),
            "hparams_name": "kwargs",
            "pytorch-lightning_version": "2.0.0",
            "epoch": 0,
            "global_step": 0,
        },
        folder / "checkpoints" / "model.ckpt",
    )
    settings = options | {"class_identifier": "regression_metric"}
    (folder / "hparams.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return {"parameters": sum(parameter.numel() for parameter in model.parameters())}


if __name__ == "__main__":
    main_or_part(main, {"checkpoint": make_checkpoint})
