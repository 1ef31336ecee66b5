"""The bill of a run: what each training and each translation takes, disk, jobs."""

import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lingualift.configuration.models import Recipe
from lingualift.configuration.schema import Benchmark
from lingualift.errors import LingualiftError
from lingualift.estimates.architectures import KNOWN, Architecture, of_base
from lingualift.estimates.devices import Device
from lingualift.estimates.memory import Memory, training_memory
from lingualift.estimates.tokens import Text, Tokens, mixture_tokens
from lingualift.files import read_json
from lingualift.planning import Plan

_HOUR = 3600
# Host memory of a process with torch and CUDA, before it has read anything.
_PROCESS = 3e9
# A line of a store: the sentence's number, its direction, a checksum, beside the text.
_STORE_LINE = 120


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What a bill is reckoned with.

    Attributes:
        utilisation: share of the peak that training reaches, counting the operations of the model alone.
        decoding: share of the peak that translation reaches; it waits for memory, not for arithmetic.
        nodes: machines of every training, in place of the recipe's.
        devices: devices of each of them, in place of the recipe's.
        rows: rows of corpora that are not there yet.
        tokens: tokens of mixtures, where they are known.
        shapes: the shape of bases that are not there yet, by name.
    """

    device: Device
    utilisation: float = 0.4
    decoding: float = 0.03
    nodes: int | None = None
    devices: int | None = None
    text: Text = field(default_factory=Text)
    rows: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, float] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)

    @property
    def checkpointed_utilisation(self) -> float:
        """With gradient checkpointing a fourth of the arithmetic is forward passes done again, not the model's own."""
        return 0.75 * self.utilisation


@dataclass(frozen=True, kw_only=True)
class Training:
    """The bill of one trained model.

    Attributes:
        hours: by the wall clock.
        evaluating: of these, for the loss on held-out blocks.
        disk: bytes of the model itself.
        host: bytes of memory of one node: each process reads the whole model in float32, and holds what is offloaded.
    """

    model: str
    architecture: Architecture
    recipe: Recipe
    block: int
    tokens: Tokens
    steps: int
    ranks: int
    flops: float
    hours: float
    evaluating: float
    memory: Memory
    fits: bool
    disk: float
    host: float

    @property
    def device_hours(self) -> float:
        return self.hours * self.ranks

    @property
    def tokens_a_second(self) -> float:
        """Of one device, while it trains."""
        seconds = (self.hours - self.evaluating) * self.ranks * _HOUR
        return self.steps * self.recipe.batch * self.block / max(seconds, 1e-9)


@dataclass(frozen=True, kw_only=True)
class Translating:
    """The bill of one system on one benchmark."""

    system: str
    benchmark: str
    directions: int
    sentences: int
    jobs: int
    device_hours: float
    disk: float


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a run takes; ``notes`` say what is not in it."""

    trainings: list[Training]
    translations: list[Translating]
    packed_disk: float
    assumptions: Assumptions
    notes: tuple[str, ...] = ()

    @property
    def device_hours(self) -> float:
        return sum(it.device_hours for it in (*self.trainings, *self.translations))

    @property
    def disk(self) -> float:
        """Bytes, with checkpoints, of which those of one training alone are there at a time in a row of stages."""
        kept = sum(it.disk for it in (*self.trainings, *self.translations))
        return kept + self.packed_disk + max((checkpoints(it) for it in self.trainings), default=0.0)


def bill(plan: Plan, assumptions: Assumptions, *, results: Path) -> Bill:
    """Work out the bill of a run.

    Args:
        results: the folder of the run; what is in it already is counted, not guessed.

    Raises:
        LingualiftError: a base whose shape cannot be known.
    """
    for name, shape in assumptions.shapes.items():
        if name not in plan.configuration.models:
            raise LingualiftError(f"--shape {name}={shape}: there is no model {name}")
        if shape not in KNOWN:
            raise LingualiftError(f"--shape {name}={shape}: known are {', '.join(KNOWN)}")
    for what, names, section in (
        ("--rows", assumptions.rows, plan.configuration.corpora),
        ("--tokens", assumptions.tokens, plan.configuration.mixtures),
    ):
        if unknown := sorted(set(names) - set(section)):
            raise LingualiftError(f"{what} {unknown[0]}: there is no such entry; there are {', '.join(section)}")
    packed = {pair: _tokens(plan, *pair, assumptions, results) for pair in plan.packed_mixtures}
    trainings = [_training(plan, name, packed, assumptions, results) for name in plan.trained_models()]
    translations, notes = [], []
    for system, asked in _asked(plan, assumptions, results):
        try:
            translations.append(_translating(plan, system, asked, assumptions, results))
        except LingualiftError as error:
            notes.append(f"translating with {system} is not in it: {error}")
    return Bill(
        trainings=trainings,
        translations=translations,
        packed_disk=sum(_shards(it, plan, *pair, results) for pair, it in packed.items()),
        assumptions=assumptions,
        notes=tuple(dict.fromkeys(notes)),
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Sentences that a system is to translate: a benchmark's, or those of a supplement."""

    name: str
    directions: int
    sentences: int
    jobs: int


def _asked(plan: Plan, assumptions: Assumptions, results: Path) -> Iterator[tuple[str, Asked]]:
    """What the systems with a model of their own translate: for every table and figure, and for supplements."""
    seen = set()
    for entry in (*plan.configuration.tables.values(), *plan.configuration.figures.values()):
        for system in getattr(entry, "systems", ()):
            model = getattr(plan.configuration.systems.get(system), "model", None)
            for name in getattr(entry, "benchmarks", ()) if model in plan.configuration.models else ():
                if (system, name) not in seen:
                    seen.add((system, name))
                    directions = len(plan.directions(name))
                    sentences = directions * _test_sentences(plan.configuration.benchmarks[name], name, results)
                    asked = Asked(name=name, directions=directions, sentences=sentences, jobs=plan.shards(name))
                    yield system, asked
    for name in plan.translated_corpora():
        # Of a pair without English both sides are translated.
        if name in assumptions.rows:
            corpus = plan.configuration.corpora[name]
            yield (
                corpus.system,
                Asked(name=name, directions=0, sentences=2 * assumptions.rows[name], jobs=plan.supplement_shards(name)),
            )


def _tokens(plan: Plan, mixture: str, owner: str, assumptions: Assumptions, results: Path) -> Tokens:
    given = assumptions.tokens.get(mixture)
    return mixture_tokens(plan, mixture, owner, results, text=assumptions.text, rows=assumptions.rows, given=given)


def _shape(plan: Plan, name: str, assumptions: Assumptions, results: Path) -> Architecture:
    owner = plan.tokenizer_owner(name)
    if owner in assumptions.shapes:
        return KNOWN[assumptions.shapes[owner]]
    return of_base(owner, plan.configuration.models[owner], plan.run.data, results)


def _training(
    plan: Plan, name: str, packed: Mapping[tuple[str, str], Tokens], assumptions: Assumptions, results: Path
) -> Training:
    stage = plan.configuration.models[name].stage
    assert stage is not None
    recipe, block = plan.configuration.recipes[stage.recipe], plan.configuration.mixtures[stage.mixture].block
    architecture = _shape(plan, name, assumptions, results)
    tokens = packed[stage.mixture, plan.tokenizer_owner(name)]
    devices = assumptions.devices or recipe.devices
    ranks = (assumptions.nodes or recipe.nodes) * devices
    held_out = recipe.evaluation.held_out(tokens.blocks) if recipe.evaluation else 0
    steps = max(1, -(-round((tokens.blocks - held_out) * recipe.epochs) // recipe.batch))
    steps = min(steps, recipe.max_steps or steps)
    flops = steps * recipe.batch * block * architecture.training_flops(block)
    share = assumptions.checkpointed_utilisation if recipe.gradient_checkpointing else assumptions.utilisation
    evaluations = -(-steps // recipe.evaluation.every) if recipe.evaluation else 0
    evaluating = evaluations * held_out * block * architecture.evaluation_flops(block)
    speed = assumptions.device.peak_in(recipe.precision) * ranks * _HOUR
    evaluating /= speed * assumptions.utilisation
    try:
        memory = training_memory(
            architecture,
            recipe,
            block=block,
            ranks=ranks,
            bfloat16=assumptions.device.computes_in_bfloat16(recipe.precision),
            liger=recipe.liger,
        )
    except ValueError as error:
        raise LingualiftError(f"{name}: {error}: choose other --nodes or --gpus-per-node") from None
    return Training(
        model=name,
        architecture=architecture,
        recipe=recipe,
        block=block,
        tokens=tokens,
        steps=steps,
        ranks=ranks,
        flops=flops,
        hours=flops / (speed * share) + evaluating,
        evaluating=evaluating,
        memory=memory,
        # What a GPU's runtime and fragmentation take.
        fits=memory.total + 2e9 < 0.95 * assumptions.device.memory,
        disk=4.0 * architecture.parameters,
        host=devices * (4.0 * architecture.parameters + memory.host + _PROCESS),
    )


def checkpoints(training: Training) -> float:
    """Bytes of the checkpoints that are kept of a training at the most, with the one that is being written.

    With that of the lowest held-out loss, and with what ZeRO's checkpoints need to go on on another number of ranks:
    the one that is gone on from has its universal form beside it.
    """
    recipe, weights = training.recipe, training.architecture.trained(training.recipe.lora)
    number = recipe.keep_checkpoints + 1 + (recipe.evaluation is not None and recipe.evaluation.keep == "best")
    # Weights and two moments in float32; DeepSpeed keeps bfloat16 weights beside.
    whole = 12 * weights
    return float(number * (whole + 2 * weights) + whole if recipe.parallelism.startswith("zero") else number * whole)


def _shards(tokens: Tokens, plan: Plan, mixture: str, owner: str, results: Path) -> float:
    """Bytes of packed shards: two or four a token, and a bit of the loss mask."""
    folder = results / "mixtures" / mixture / "packed" / owner
    if folder.is_dir():
        return float(sum(path.stat().st_size for path in folder.iterdir()))
    return tokens.blocks * plan.configuration.mixtures[mixture].block * (4 + 1 / 8)


def _translating(plan: Plan, system: str, asked: Asked, assumptions: Assumptions, results: Path) -> Translating:
    entry = plan.configuration.systems[system]
    architecture = _shape(plan, entry.model, assumptions, results)
    length = assumptions.text.sentence_tokens
    # Reading the prompt, with about as many tokens of instruction, then writing one hypothesis a beam.
    tokens = 2 * length + length * entry.beam
    flops = asked.sentences * tokens * architecture.inference_flops(int(2 * length))
    return Translating(
        system=system,
        benchmark=asked.name,
        directions=asked.directions,
        sentences=asked.sentences,
        jobs=asked.jobs,
        device_hours=flops / (assumptions.device.peak * assumptions.decoding) / _HOUR,
        disk=asked.sentences * (assumptions.text.sentence_bytes + _STORE_LINE),
    )


def _test_sentences(benchmark: Benchmark, name: str, results: Path) -> int:
    """Sentences of one direction: as imported, or at most FLORES-101's 1,012."""
    manifest = results / "benchmarks" / name / "manifest.json"
    rows = 1012
    if manifest.is_file():
        rows = max(table["rows"] for table in read_json(manifest)["tables"])
    return min(rows, benchmark.limit or rows)


def num_jobs(config: Path, profile: Path | None) -> dict[str, int] | None:
    """Jobs of each rule that Snakemake would run, by its own dry run; None where it cannot say."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--configfile", str(config)]
    command += ["--profile", str(profile)] if profile else ["--cores", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    if done.returncode:
        return None
    return {name: int(count) for name, count in found if name != "all"} or {"total": 0}


def measured_utilisation(
    log: Path, architecture: Architecture, *, block: int, ranks: int, device: Device, precision: str = "auto"
) -> float:
    """The share of the peak that a training reached, from its ``training.jsonl``.

    The median of its lines, without the first, which holds the start.

    Args:
        precision: that it computed in.

    Raises:
        LingualiftError: a log with fewer than two lines.
    """
    import json

    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    speeds = [line["tokens_per_second"] for line in lines[1:] if line.get("tokens_per_second")]
    if not speeds:
        raise LingualiftError(f"{log}: too short to measure a speed")
    return statistics.median(speeds) * architecture.training_flops(block) / (device.peak_in(precision) * ranks)
