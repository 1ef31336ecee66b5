"""Starting a training: in this process, as ranks of one machine, or as ranks of the nodes of a SLURM job.

One rank without a process group trains right here. Else a command a node (under ``srun`` where there are several)
runs :func:`run_node`, torchrun's elastic agent, which starts :mod:`lingualift.train_worker` once a device.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

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

logger = logging.getLogger(__name__)
# In the folder of a launch: what is to be done, what came of it, and that it is to stop.
_JOB, _VERDICT, _STOP = "job.json", "verdict.json", "stop"
# Longer than writing a checkpoint takes: who is told to stop finishes its step and writes one.
_SHUTDOWN_SECONDS = 3600
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


def run(job: TrainingJob) -> None:
    """Train as one rank: alone, or of those that torchrun started."""
    from lingualift.parallelism import join_world
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
        world=join_world(),
    )


def _run_ranks(
    job: TrainingJob, *, nodes: int, ranks: int, srun: list[str] | None, threads: int | None, restarts: int
) -> None:
    folder = Path(f"{job.state}.launch")
    remove(folder)
    threads = threads or os.cpu_count() or 1
    # The agents of several nodes count their restarts apart: where one counts a dead rank and another only that ranks
    # have left, they wait for each other in different rooms. There the step is started again, here its ranks.
    within = restarts if nodes == 1 else 0
    task = {"job": asdict(job), "nodes": nodes, "ranks": ranks, "restarts": within, "threads": threads // ranks}
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
    with _Commands(folder / _STOP) as commands:
        for again in reversed(range(restarts - within + 1)):
            status = commands.follow(command, environment)
            verdict = read_json(folder / _VERDICT) if (folder / _VERDICT).is_file() else None
            if not status or verdict is not None or commands.told or not again:
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


class _Commands:
    """Runs commands, one after the other; told to stop, also between two of them, it tells the one that runs.

    Args:
        note: a file that is then written: for those that are not yet there to be told. The nodes' agents write into it
            which signals they were sent.
    """

    def __init__(self, note: Path) -> None:
        self._note, self._told = note, False
        self._process: subprocess.Popen[str] | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "_Commands":
        self._former = {number: signal.signal(number, self._pass_on) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def told(self) -> bool:
        """Whether this process, or those that it started, were told to stop.

        SIGTERM alone does not say so: of a rank that died on one node srun ends the agents of the others by it, too.
        """
        if self._told:
            return True
        try:
            said = self._note.read_text(encoding="utf-8")
        except OSError:
            return False
        return signal.SIGUSR1.name in said or is_preempted()

    def follow(self, command: list[str], environment: dict[str, str]) -> int:
        """Run a command, its output into the log, and end it where this process ends, however it does.

        What the nodes noted of the command before is forgotten.

        Returns:
            Its status; 1 without running it where this process was told to stop.

        Raises:
            LingualiftError: there is no such command.
        """
        with contextlib.suppress(OSError):
            self._note.unlink(missing_ok=True)
        if self._told:
            return 1
        try:
            # Of SIGTERM srun ends its tasks on all nodes, which SIGKILL would leave there.
            self._process = process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                preexec_fn=partial(die_with_parent, signal.SIGTERM, parent=os.getpid()),
            )
        except FileNotFoundError as error:
            raise LingualiftError(f"{command[0]}: no such command; the profile says how jobs are run") from error
        try:
            if self._told:
                # Before there was a process to tell.
                self._tell()
            assert process.stdout is not None
            for line in process.stdout:
                logger.info("%s", line.rstrip())
            return process.wait()
        finally:
            self._process = None
            if process.poll() is None:
                process.kill()
                process.wait()

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        # On a full disk, or where the folder is gone, there is at least who is told by a signal.
        with contextlib.suppress(OSError):
            self._note.touch()
        self._tell()

    def _tell(self) -> None:
        if self._process is not None:
            # Not SIGTERM: srun would end its tasks of it, where it passes SIGUSR1 on to them.
            self._process.send_signal(signal.SIGUSR1)


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
    """Run this node's ranks under torchrun's elastic agent; a rank that dies has all of them start again.

    Returns:
        0 where all ranks came to their end, or said why they did not.
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
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(_SHUTDOWN_SECONDS)
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
        max_restarts=task["restarts"],
        **known,
    )
    try:
        elastic_launch(configuration, sys.executable)("-m", "lingualift.train_worker", str(folder))
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _tell_ranks(note: Path) -> None:
    """Wait to be told to stop, and tell the ranks; end this process where there are none."""
    while True:
        number = signal.Signals(signal.sigwait(SIGNALS))
        with contextlib.suppress(OSError), note.open("a", encoding="utf-8") as file:
            file.write(f"{number.name}\n")
        tell_children(signal.SIGUSR1) or os._exit(1)


def run_rank(folder: Path) -> int:
    """Train as one of the ranks; what the user can mend, or has to know, is left for the launcher to say."""
    verdict = folder / _VERDICT
    if verdict.is_file():
        # Started again by the agent, behind a rank that said why it cannot go on.
        return 0
    try:
        with listening():
            if (folder / _STOP).is_file():
                # Told before this rank was there, others may not have been: all go on until they can stop together.
                os.kill(os.getpid(), signal.SIGUSR1)
            run(TrainingJob(**read_json(folder / _JOB)["job"]))
    except LingualiftError as error:
        interrupted = isinstance(error, InterruptedTrainingError)
        # All ranks stop alike; the first says so for them.
        if not interrupted or os.environ.get("RANK", "0") == "0":
            out_of_time = getattr(error, "out_of_time", False)
            write_json({"message": str(error), "interrupted": interrupted, "out_of_time": out_of_time}, verdict)
        return 0 if interrupted else 1
    return 0


if __name__ == "__main__":
    sys.exit(run_node(Path(sys.argv[1])))
