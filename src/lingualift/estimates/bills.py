"""The bill of a run: what each training and each translation takes, disk, jobs."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lingualift.configuration.models import Recipe
from lingualift.errors import LingualiftError
from lingualift.estimates.architectures import KNOWN, Architecture, of_base
from lingualift.estimates.comet import Scoring, scorings
from lingualift.estimates.devices import Device
from lingualift.estimates.memory import Memory, training_memory
from lingualift.estimates.testsets import benchmark_sentences
from lingualift.estimates.tokens import Text, Tokens, mixture_tokens
from lingualift.files import files_below
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
        scoring: share of the peak, in the metric's precision, that COMET's encoder reaches.
        nodes: machines of every training, in place of the recipe's.
        devices: devices of each of them, in place of the recipe's.
        rows: rows of corpora that are not there yet.
        tokens: tokens of mixtures, where they are known.
        shapes: the shape of bases that are not there yet, by name.
    """

    device: Device
    utilisation: float = 0.4
    decoding: float = 0.03
    scoring: float = 0.3
    nodes: int | None = None
    devices: int | None = None
    text: Text = field(default_factory=Text)
    rows: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, float] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)

    @property
    def checkpointed_utilisation(self) -> float:
        """With gradient checkpointing a fourth of the arithmetic is forward passes done again, not the model's own.

        With adapters, whose backward pass is shorter, it is a third (:meth:`Architecture.checkpointing_share`).
        """
        return 0.75 * self.utilisation


@dataclass(frozen=True, kw_only=True)
class Training:
    """The bill of one trained model.

    Attributes:
        base: the model that it starts from.
        bfloat16: whether it computes in bfloat16.
        hours: by the wall clock.
        evaluating: of these, for the loss on held-out blocks.
        disk: bytes of the model itself.
        host: bytes of memory of one node: each process reads the whole model in float32, and holds what is offloaded.
    """

    model: str
    base: str | None
    architecture: Architecture
    recipe: Recipe
    block: int
    tokens: Tokens
    steps: int
    ranks: int
    bfloat16: bool
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
    """What a run takes.

    Attributes:
        notes: what is not in it, and what was taken.
        at_least: whether there is something that it lacks.
    """

    trainings: list[Training]
    translations: list[Translating]
    scorings: list[Scoring]
    text_disk: float
    packed_disk: float
    assumptions: Assumptions
    notes: tuple[str, ...] = ()
    at_least: bool = False

    @property
    def device_hours(self) -> float:
        return sum(it.device_hours for it in (*self.trainings, *self.translations, *self.scorings))

    @property
    def disk(self) -> float:
        """Bytes, with the most checkpoints that are there at a time."""
        kept = sum(it.disk for it in (*self.trainings, *self.translations))
        return kept + self.text_disk + self.packed_disk + checkpoints_at_once(self.trainings)


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
        ("--row-tokens", assumptions.text.row_tokens, plan.configuration.corpora),
        ("--tokens", assumptions.tokens, plan.configuration.mixtures),
    ):
        if unknown := sorted(set(names) - set(section)):
            raise LingualiftError(f"{what} {unknown[0]}: there is no such entry; there are {', '.join(section)}")
    packed = {pair: _tokens(plan, *pair, assumptions, results) for pair in plan.packed_mixtures}
    trainings = [_training(plan, name, packed, assumptions, results) for name in plan.trained_models()]
    translations, notes = [], list(_left_out(plan, assumptions))
    for system, asked in _asked(plan, assumptions, results):
        try:
            translations.append(_translating(plan, system, asked, assumptions, results))
        except LingualiftError as error:
            notes.append(f"translating with {system} is not in it: {error}")
    scored = scorings(
        plan,
        results,
        device=assumptions.device,
        utilisation=assumptions.scoring,
        length=assumptions.text.sentence_tokens,
    )
    shown = dict.fromkeys(it.benchmark for it in translations if it.benchmark in plan.configuration.benchmarks)
    shown |= dict.fromkeys(name for it in scored for name in it.benchmarks)
    lacking = bool(notes) or any(it.tokens.unknown for it in trainings)
    notes += filter(None, (benchmark_sentences(plan, name, results)[1] for name in shown))
    return Bill(
        trainings=trainings,
        translations=translations,
        scorings=scored,
        text_disk=_stored(packed, plan, results),
        packed_disk=sum(_shards(it, plan, *pair, results) for pair, it in packed.items()),
        assumptions=assumptions,
        notes=tuple(dict.fromkeys(notes)),
        at_least=lacking,
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Sentences that a system is to translate: a benchmark's, or those of a supplement, which may be documents.

    Attributes:
        length: tokens of one.
    """

    name: str
    directions: int
    sentences: int
    jobs: int
    length: float


def _asked(plan: Plan, assumptions: Assumptions, results: Path) -> Iterator[tuple[str, Asked]]:
    """What the systems with a model of their own translate: for every table and figure, and for supplements."""
    seen = set()
    for entry in (*plan.configuration.tables.values(), *plan.configuration.figures.values()):
        for system in getattr(entry, "systems", ()):
            for name in getattr(entry, "benchmarks", ()) if _model_of(plan, system) else ():
                if (system, name) not in seen:
                    seen.add((system, name))
                    directions = len(plan.directions(name))
                    sentences = directions * benchmark_sentences(plan, name, results)[0]
                    asked = Asked(
                        name=name,
                        directions=directions,
                        sentences=sentences,
                        jobs=plan.shards(name),
                        length=assumptions.text.sentence_tokens,
                    )
                    yield system, asked
    for name in plan.translated_corpora():
        corpus = plan.configuration.corpora[name]
        # Of a pair without English both sides are translated.
        if name in assumptions.rows and _model_of(plan, corpus.system):
            asked = Asked(
                name=name,
                directions=0,
                sentences=2 * assumptions.rows[name],
                jobs=plan.supplement_shards(name),
                length=assumptions.text.of_row(corpus.source, plan.configuration.corpora),
            )
            yield corpus.system, asked


def _model_of(plan: Plan, system: str) -> str | None:
    """The model of the configuration that a system translates with, if it is one."""
    model = getattr(plan.configuration.systems.get(system), "model", None)
    return model if model in plan.configuration.models else None


def _left_out(plan: Plan, assumptions: Assumptions) -> Iterator[str]:
    """What is translated and not in the bill, and why."""
    shown = (*plan.configuration.tables.values(), *plan.configuration.figures.values())
    nodes = [*plan.translating_systems(), *plan.pivoting_systems()]
    for name in dict.fromkeys(system for entry in shown for system in entry.systems):
        if name in nodes and not _model_of(plan, name):
            yield f"translating with {name} is not in it: only models that are entries of `models` are reckoned"
    for name in plan.translated_corpora():
        system = plan.configuration.corpora[name].system
        if not _model_of(plan, system):
            yield f"translating {name} with {system} is not in it: only models that are entries of `models` are reckoned"
        elif name not in assumptions.rows:
            yield f"translating {name} with {system} is not in it: say how many rows it has, --rows {name}=NUMBER"


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
    flops = steps * recipe.batch * block * architecture.training_flops(block, recipe.lora)
    share = assumptions.utilisation
    if recipe.gradient_checkpointing:
        share *= architecture.checkpointing_share(block, recipe.lora)
    evaluations = -(-steps // recipe.evaluation.every) if recipe.evaluation else 0
    evaluating = evaluations * held_out * block * architecture.evaluation_flops(block)
    speed = assumptions.device.peak_in(recipe.precision) * ranks * _HOUR
    evaluating /= speed * assumptions.utilisation
    bfloat16 = assumptions.device.computes_in_bfloat16(recipe.precision)
    try:
        memory = training_memory(architecture, recipe, block=block, ranks=ranks, bfloat16=bfloat16, liger=recipe.liger)
    except ValueError as error:
        raise LingualiftError(f"{name}: {error}: choose other --nodes or --gpus-per-node") from None
    return Training(
        model=name,
        base=plan.configuration.models[name].from_,
        architecture=architecture,
        recipe=recipe,
        block=block,
        tokens=tokens,
        steps=steps,
        ranks=ranks,
        bfloat16=bfloat16,
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
    # Weights and two moments in float32; DeepSpeed keeps the weights beside in the precision that it computes in.
    whole = 12 * weights
    beside = (2 if training.bfloat16 else 4) * weights
    return float(number * (whole + beside) + whole if recipe.parallelism.startswith("zero") else number * whole)


def checkpoints_at_once(trainings: Sequence[Training]) -> float:
    """Bytes of the checkpoints that are kept at the most, where all trainings run at once that can.

    Stages of one chain run one after the other, and a finished training keeps none; models of one base run side by side.
    """
    names = {it.model for it in trainings}
    below: dict[str | None, list[Training]] = {}
    for it in trainings:
        below.setdefault(it.base if it.base in names else None, []).append(it)

    def most(it: Training) -> float:
        return max(checkpoints(it), sum(map(most, below.get(it.model, []))))

    return sum(map(most, below.get(None, [])))


def _stored(packed: Mapping[tuple[str, str], Tokens], plan: Plan, results: Path) -> float:
    """Bytes of imported and augmented text: as it is there, else as it was reckoned."""
    reckoned = {name: size for tokens in packed.values() for name, size in tokens.stored.items()}
    made = plan.configuration.augmentations
    named = {it.source for mixture, _ in packed for it in plan.configuration.mixtures[mixture].components}
    named |= {made[name].source for name in named if name in made}
    folders = {name: results / ("augmentations" if name in made else "corpora") / name for name in named}
    there = {name: sum(path.stat().st_size for path in files_below(it)) for name, it in folders.items() if it.is_dir()}
    return float(sum((reckoned | there).values()))


def _shards(tokens: Tokens, plan: Plan, mixture: str, owner: str, results: Path) -> float:
    """Bytes of packed shards: two or four a token, and a bit of the loss mask."""
    folder = results / "mixtures" / mixture / "packed" / owner
    if folder.is_dir():
        return float(sum(path.stat().st_size for path in folder.iterdir()))
    return tokens.blocks * plan.configuration.mixtures[mixture].block * (4 + 1 / 8)


def _translating(plan: Plan, system: str, asked: Asked, assumptions: Assumptions, results: Path) -> Translating:
    entry = plan.configuration.systems[system]
    architecture = _shape(plan, entry.model, assumptions, results)
    length = asked.length
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
        disk=asked.sentences * (length * assumptions.text.bytes_per_token + _STORE_LINE),
    )


def num_jobs(config: Path, profile: Path | None) -> dict[str, int]:
    """Jobs of each rule that Snakemake would run, by its own dry run.

    Raises:
        LingualiftError: it cannot plan the run; with the last that it said.
    """
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--configfile", str(config)]
    command += ["--profile", str(profile)] if profile else ["--cores", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    if done.returncode:
        # A dry run says it on the standard output, with the place in the workflow behind it.
        lines = (done.stdout + done.stderr).splitlines()
        said = [line for line in lines if line.strip() and not line.startswith("  File ")] or ["it said nothing"]
        raise LingualiftError(
            f"Snakemake cannot plan the run: {said[-1].strip()} (`--no-jobs` leaves the jobs uncounted)"
        )
    return {name: int(count) for name, count in found if name != "all"} or {"total": 0}
