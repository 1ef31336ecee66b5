"""Starting a training: in this process, as ranks of one machine, or as ranks of the nodes of a SLURM job.

One rank without a process group trains right here. Else a command a node (under ``srun`` where there are several)
runs :func:`run_node`, torchrun's elastic agent, which starts :mod:`lingualift.train_worker` once a device.
"""

import contextlib
import logging
import os
import shutil
import signal
import sys
import threading
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingualift.commands import SHUTDOWN_SECONDS, Commands
from lingualift.configuration.models import OPERATIONAL, Recipe, Scratch
from lingualift.errors import LingualiftError
from lingualift.files import read_json, remove, write_json
from lingualift.interruptions import (
    SIGNALS,
    InterruptedTrainingError,
    is_preempted,
    is_running,
    listening,
    start_again,
)
from lingualift.locks import PATIENCE, HeldError, folder_lock
from lingualift.parallelism import SHARDED
from lingualift.processes import die_with_parent, tell_children

if TYPE_CHECKING:
    from lingualift.parallelism import World

logger = logging.getLogger(__name__)
# In the folder of a launch: what is to be done, what came of it, and that it is to stop.
_JOB, _VERDICT, _STOP = "job.json", "verdict.json", "stop"
# The status of a rank that cannot even write down why it cannot go on, on a full disk. Higher than what ends of a signal
# has: of several tasks, srun has the highest.
_NO_VERDICT = 201
# How long to wait, with nodes and GPUs, for another job that works in the folder: it may just be ending.
_PATIENCE_WITH_JOBS = 60.0


@dataclass(frozen=True)
class TrainingJob:
    """All that a training is told; paths and JSON-like values, so that it can be handed to other processes.

    Attributes:
        blocks: packed mixture.
        tokenizer: folder of the tokenizer, None for the base's.
        recipe: how to train; ``nodes`` and ``devices`` are what is wished for, see :func:`ranks_of`.
        out: the model folder to be written.
        state: folder for checkpoints and logs.
        base: folder of the model to go on from, or None with ``scratch``.
        settings: what the manifest says of the configuration.
        version: the stage's; what another version left in ``state`` is not gone on with.
    """

    blocks: str
    recipe: dict[str, Any]
    out: str
    state: str
    seed: int
    tokenizer: str | None = None
    base: str | None = None
    scratch: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    version: int = 1


def launch(job: TrainingJob, *, srun: list[str] | None = None, threads: int | None = None) -> dict[str, Any]:
    """Run a training on all devices that its recipe names and that are here; hold its state folder meanwhile.

    Args:
        srun: the command that runs another once a node; None keeps to this machine.
        threads: processor cores a node, all by default.

    Returns:
        The manifest of the model.

    Raises:
        InterruptedTrainingError: told to stop; the same call goes on.
        HeldError: another process holds its folder, and SLURM does not have this job wait for it in the queue.
        LingualiftError: what the training complains of.
    """
    recipe = Recipe.model_validate(job.recipe)
    if srun and shutil.which(srun[0]) is None:
        logger.warning("no %s here: the training for %d nodes runs on this one", srun[0], recipe.nodes)
        srun = None
    nodes = recipe.nodes if srun else 1
    ranks = ranks_of(recipe)
    try:
        with folder_lock(job.state, patience=_patience_with) as waited:
            if waited and (manifest := _made_meanwhile(job)) is not None:
                logger.info("%s has been made by another process meanwhile", job.out)
                return manifest
            if nodes * ranks == 1 and recipe.parallelism not in SHARDED:
                with listening():
                    run(job)
            else:
                _run_ranks(job, nodes=nodes, ranks=ranks, srun=srun, threads=threads, restarts=recipe.restarts)
    except InterruptedTrainingError as error:
        # Not before the lock is given back: the next start may be on another node.
        if error.out_of_time or is_preempted():
            start_again()
        raise
    except HeldError as error:
        if is_running(other := str(error.owner.get("job"))):
            start_again(behind=other)
        raise
    return read_json(Path(job.out) / "manifest.json")


def _patience_with(owner: dict[str, Any]) -> float:
    """How long to wait for the owner of a lock: not long where it is another job, behind which this one can queue."""
    return _PATIENCE_WITH_JOBS if is_running(str(owner.get("job"))) else PATIENCE


def log_on(path: str | Path) -> None:
    """Write what this process logs from here on behind what is in a file: Snakemake removes a rule's log at each start."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)


def ranks_of(recipe: Recipe) -> int:
    """Ranks to start on this machine: the recipe's devices, but no more than there are GPUs, where there are any."""
    import torch

    gpus = torch.cuda.device_count()
    ranks = min(recipe.devices, gpus) if gpus else recipe.devices
    if ranks != recipe.devices:
        logger.warning("the recipe is for %d devices a node, this one has %d", recipe.devices, ranks)
    return ranks


def run(job: TrainingJob, world: "World | None" = None) -> None:
    """Train as one rank: alone, or of a world of them."""
    from lingualift.tokenization import load_tokenizer
    from lingualift.training import train

    train(
        blocks=Path(job.blocks),
        tokenizer=load_tokenizer(job.tokenizer),
        recipe=Recipe.model_validate(job.recipe),
        out=Path(job.out),
        state=Path(job.state),
        seed=job.seed,
        base=Path(job.base) if job.base else None,
        scratch=Scratch.model_validate(job.scratch) if job.scratch is not None else None,
        settings=job.settings,
        version=job.version,
        world=world,
    )


def _run_ranks(
    job: TrainingJob, *, nodes: int, ranks: int, srun: list[str] | None, threads: int | None, restarts: int
) -> None:
    folder = Path(f"{job.state}.launch")
    remove(folder)
    threads = threads or os.cpu_count() or 1
    task = {"job": asdict(job), "nodes": nodes, "ranks": ranks, "threads": threads // ranks}
    # Another for each start of the job: SLURM tells its count of them to the batch script alone.
    write_json(task | {"name": uuid.uuid4().hex}, folder / _JOB)
    command = [sys.executable, "-m", "lingualift.launching", str(folder)]
    if nodes > 1:
        assert srun
        tasks = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={threads}"]
        command = [*srun, *tasks, "--kill-on-bad-exit=1", *command]
    logger.info("training on %d node(s) with %d rank(s) each: %s", nodes, ranks, " ".join(command))
    package = str(Path(__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with Commands(folder / _STOP) as commands:
        for again in reversed(range(restarts + 1)):
            status = commands.follow(command, environment)
            verdict = read_json(folder / _VERDICT) if (folder / _VERDICT).is_file() else None
            if status in (0, _NO_VERDICT) or verdict is not None or commands.told or not again:
                break
            logger.warning(
                "the ranks ended with status %d; they start again, %d more time(s) if need be", status, again
            )
        told = commands.told
    remove(folder)
    if verdict is not None and verdict["interrupted"]:
        raise InterruptedTrainingError(verdict["message"], out_of_time=verdict["out_of_time"])
    if verdict is not None:
        raise LingualiftError(verdict["message"])
    if status == _NO_VERDICT:
        raise LingualiftError(
            f"the ranks cannot go on, and could not write down why in {folder}: the log above says it. Is the disk full?"
        )
    if status and told:
        # Those that had not begun to train have nothing to write.
        raise InterruptedTrainingError(
            f"training was told to stop, and its ranks ended with status {status} before they could write a "
            f"checkpoint; the same command goes on from the newest checkpoint in {job.state}"
        )
    if status:
        raise LingualiftError(
            f"the ranks ended with status {status} (the log above says why); the same command goes on from the newest "
            f"checkpoint in {job.state}"
        )


def _made_meanwhile(job: TrainingJob) -> dict[str, Any] | None:
    """The manifest of the model folder, if it is what this job would make, however that was run."""
    path = Path(job.out) / "manifest.json"
    if not path.is_file():
        return None
    manifest = read_json(path)
    asked = Recipe.model_validate(job.recipe).model_dump(mode="json")
    recipes = [
        {key: value for key, value in (recipe or {}).items() if key not in OPERATIONAL}
        for recipe in (manifest.get("recipe"), asked)
    ]
    made = manifest["settings"], manifest["seed"], manifest.get("version", 1)
    return manifest if recipes[0] == recipes[1] and made == (job.settings, job.seed, job.version) else None


def run_node(folder: Path) -> int:
    """Run this node's ranks under torchrun's elastic agent; when one dies, all of them are ended.

    The agent could start them again. On one node they would then take the addresses of the dead ones, which its store
    still has, for those of the others; and agents of several nodes count their restarts apart: where one counts a dead
    rank and another only that ranks have left, they wait for each other in different rooms.

    Returns:
        0 where all ranks came to their end, or to where they can go on from.
    """
    from lingualift.rendezvous import meeting_point

    die_with_parent()
    # Held back here, and so in the ranks, which are born like this, until they listen. A thread waits for them.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_tell_ranks, args=(folder / _STOP,), daemon=True).start()
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    task = read_json(folder / _JOB)
    place = meeting_point(task["nodes"], task["name"])
    if place.interface:
        # gloo would take the one of this host's name, which is the loopback on some systems.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", place.interface)
    os.environ["OMP_NUM_THREADS"] = str(max(1, task["threads"]))
    # The agent ends its ranks of these; those that ask for a checkpoint are passed on instead.
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = kept = "SIGINT,SIGHUP,SIGQUIT"
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(round(SHUTDOWN_SECONDS))
    known = {"signals_to_handle": kept} if "signals_to_handle" in LaunchConfig.__dataclass_fields__ else {}
    configuration = LaunchConfig(
        min_nodes=task["nodes"],
        max_nodes=task["nodes"],
        nproc_per_node=task["ranks"],
        run_id=place.name,
        rdzv_backend="c10d",
        rdzv_endpoint=place.endpoint,
        rdzv_configs={"is_host": place.is_host},
        local_addr=place.address,
        max_restarts=0,
        **known,
    )
    try:
        elastic_launch(configuration, sys.executable)("-m", "lingualift.train_worker", str(folder))
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        return _NO_VERDICT if _NO_VERDICT in {failure.exitcode for failure in error.failures.values()} else 1
    return 0


def _tell_ranks(note: Path) -> None:
    """Wait to be told to stop, and tell the ranks; end this process where there are none."""
    while True:
        number = signal.Signals(signal.sigwait(SIGNALS))
        with contextlib.suppress(OSError), note.open("a", encoding="utf-8") as file:
            file.write(f"{number.name}\n")
        tell_children(signal.SIGUSR1) or os._exit(1)


def run_rank(folder: Path) -> int:
    """Train as one of the ranks; what the user can mend, or has to know, is left for the launcher to say.

    Returns:
        The status to end with.
    """
    from lingualift.parallelism import join_world

    # Until all have met there is nothing to write: of a signal this rank dies, whomever it waits for.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    world = join_world()
    try:
        with listening():
            if (folder / _STOP).is_file():
                # Told before this rank was there, others may not have been: all go on until they can stop together.
                os.kill(os.getpid(), signal.SIGUSR1)
            run(TrainingJob(**read_json(folder / _JOB)["job"]), world)
    except LingualiftError as error:
        interrupted = isinstance(error, InterruptedTrainingError)
        # All ranks stop alike; the first says so for them.
        if not interrupted or world.is_first:
            out_of_time = getattr(error, "out_of_time", False)
            verdict = {"message": str(error), "interrupted": interrupted, "out_of_time": out_of_time}
            try:
                write_json(verdict, folder / _VERDICT)
            except OSError as problem:
                logger.error("%s (and this could not be written down: %s)", error, problem)
                return _NO_VERDICT
        return 0 if interrupted else 1
    return 0


if __name__ == "__main__":
    sys.exit(run_node(Path(sys.argv[1])))
