"""A real SLURM cluster of two nodes on this one machine, from Debian's packages, for tests and for trying things.

    python tests/slurm/cluster.py squeue                # brings it up, runs a command on it, takes it down
    python tests/slurm/cluster.py bash                  # or a shell

Everything lives in one temporary folder and on 127.0.0.1, with a munge key, a socket and ports of its own: nothing of
the machine is changed, and a cluster that is already there is not touched. The nodes say that they have more cores,
memory and GPUs than the machine has; nothing holds jobs to what they asked for but the time limit.
"""

import contextlib
import getpass
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

NODES = ("n1", "n2")
_DAEMONS = ("munged", "slurmctld", "slurmd")
_CLIENTS = ("sbatch", "srun", "squeue", "scontrol", "sinfo", "scancel")
# Daemons are found there, but users do not have it in their path.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
# No cgroups: containers and test machines have none to give.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1000
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=100000
ReturnToService=2
# The nodes are believed what they say of themselves.
SlurmdParameters=config_overrides
SlurmdTimeout={node_timeout}
# Seconds between SIGTERM and SIGKILL: for a checkpoint.
KillWait=20
# Finished jobs can be asked about for an hour.
MinJobAge=3600
JobRequeue=1
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} RealMemory={memory} Gres=gpu:test:4
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} RealMemory={memory} Gres=gpu:test:4
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
# Its jobs take the places of those of the other, which have a minute to end.
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""


def missing() -> str | None:
    """Why no cluster can be brought up here; None where one can."""
    absent = [name for name in (*_DAEMONS, *_CLIENTS) if shutil.which(name, path=_PATH) is None]
    return f"no {', '.join(absent)} (Debian's packages slurm-wlm and munge have them)" if absent else None


class Cluster:
    """Two nodes, ``n1`` and ``n2``, in the partition ``main``, which that called ``urgent`` preempts.

    Args:
        folder: a new folder for everything it writes; its path must be short (a socket lives in it).
        cpus: cores that each node says it has.
        memory: MB that each node says it has.
        node_timeout: seconds after which a silent node is taken for dead.
    """

    def __init__(self, folder: Path, *, cpus: int = 4, memory: int = 100_000, node_timeout: int = 30) -> None:
        self.folder, self.processes = folder, dict[str, subprocess.Popen[bytes]]()
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        key = folder / "munge.key"
        # Closed before anything is in it: munged takes no key that others can read.
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        # The executor plugin starts srun with an environment without SLURM_CONF: on most clusters srun finds the file
        # of its machine, here it has to be told.
        (folder / "bin").mkdir()
        for name in _CLIENTS:
            client = folder / "bin" / name
            real = shutil.which(name, path=_PATH)
            client.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {real} "$@"\n', encoding="utf-8")
            client.chmod(0o755)
        text = _CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            user=getpass.getuser(),
            folder=folder,
            ports=free_ports(3),
            cpus=cpus,
            memory=memory,
            node_timeout=node_timeout,
        )
        (folder / "slurm.conf").write_text(text, encoding="utf-8")
        # GPUs that are empty files: SLURM counts them and hands them out; nothing opens them.
        for number in range(4):
            (folder / f"gpu{number}").touch()
        text = f"NodeName=n[1-2] Name=gpu Type=test File={folder}/gpu[0-3]\n"
        (folder / "gres.conf").write_text(text, encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which SLURM's commands find this cluster."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_"))}
        return {**inherited, "PATH": f"{self.folder}/bin:{_PATH}", "SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start the daemons and wait until both nodes are idle.

        Raises:
            RuntimeError: they do not come up within a minute; with the ends of their logs.
        """
        here = self.folder
        munged = ["munged", "--foreground", "--force", f"--key-file={here}/munge.key", f"--socket={here}/munge.socket"]
        munged += [f"--{what}-file={here}/munged.{what}" for what in ("pid", "log", "seed")]
        self._spawn("munged", munged)
        self._wait(lambda: (here / "munge.socket").exists(), "munged")
        self._spawn("slurmctld", ["slurmctld", "-D"])
        for node in NODES:
            self.start_node(node)
        self._wait(lambda: all(state == "idle" for state in self.states().values()), "nodes")

    def start_node(self, node: str) -> None:
        """Start the daemon of one node."""
        self._spawn(node, ["slurmd", "-D", "-N", node])

    def kill_node(self, node: str) -> None:
        """Kill the daemon of a node and all that runs on it, as a power cut would."""
        slurmd = self.processes.pop(node)
        # Job steps are not children of the daemon.
        roots = {slurmd.pid, *_holders(self.folder / f"spool-{node}")}
        for pid in {pid for root in roots for pid in (root, *_descendants(root))}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        slurmd.wait()

    def stop(self) -> None:
        """Cancel what still runs and stop the daemons that were started here, by their ids."""
        with contextlib.suppress(subprocess.SubprocessError, OSError, RuntimeError):
            self.run("scancel", f"--user={getpass.getuser()}", check=False, timeout=20)
            self._wait(
                lambda: not self.run("squeue", "--noheader", check=False, timeout=20).strip(), "jobs", seconds=20
            )
        for name in (*NODES, "slurmctld", "munged"):
            process = self.processes.pop(name, None)
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, *command: str, check: bool = True, timeout: float | None = None) -> str:
        """Run a command on the cluster and give what it printed."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=timeout
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """The state of each node, as ``sinfo`` says it."""
        lines = self.run("sinfo", "--Node", "--noheader", "--format=%N %T", check=False, timeout=20).splitlines()
        return dict.fromkeys(NODES, "unknown") | dict(map(str.split, lines))

    def jobs(self) -> list[dict[str, str]]:
        """All jobs of the last hour: each what ``scontrol show job`` says of it."""
        lines = self.run("scontrol", "--oneliner", "show", "job", check=False, timeout=20).splitlines()
        return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if "JobId=" in line]

    def job(self, number: str) -> dict[str, str]:
        """One of them."""
        return next(job for job in self.jobs() if job["JobId"] == number)

    def requeue(self, job: str) -> None:
        """Do to a running job what preemption does, without the two minutes that SLURM lets it wait behind that."""
        self.run("scontrol", "requeue", job)
        self.start_now(job)

    def start_now(self, job: str) -> None:
        """Let a requeued job start as soon as it has ended and there is room."""
        # Told while it still ends, it would wait its two minutes.
        self._wait(lambda: self.job(job)["JobState"] == "PENDING", f"job {job}")
        # What is still on its way from the former start's end would be taken for the end of the new one.
        time.sleep(3)
        self.run("scontrol", "update", f"jobid={job}", "starttime=now")

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.out").open("ab") as output:
            # Groups of their own: what ends the tests does not end the daemons before their jobs.
            self.processes[name] = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )

    def _wait(self, ready: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > end:
                raise RuntimeError(
                    f"{what}: not within {seconds} s (ended: {', '.join(dead) or 'none'})\n{self._logs()}"
                )
            time.sleep(0.2)

    def _logs(self) -> str:
        files = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in files)


@contextlib.contextmanager
def cluster(**options: int) -> Iterator[Cluster]:
    """A cluster that is up inside the ``with``."""
    # Not pytest's own folder: a socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as name:
        # munged wants its socket where all can reach it.
        Path(name).chmod(0o755)
        it = Cluster(Path(name) / "cluster", **options)
        try:
            it.start()
            yield it
        finally:
            it.stop()


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


def _descendants(pid: int) -> set[int]:
    """The processes below one, found by their parents."""
    parents = _parents()
    found, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def _parents() -> Mapping[int, int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may hold spaces.
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    return parents


def _holders(folder: Path) -> set[int]:
    """The processes that hold a socket in a folder: of a node's spool, the daemons of its job steps."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    sockets = {f"socket:[{line.split()[6]}]" for line in lines if f"{folder}/" in line}
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) in sockets:
                found.add(int(link.parts[2]))
    return found


def main() -> int:
    """Run one command on a cluster of its own."""
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    # An end from outside takes the cluster down, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with cluster() as it:
        print(f"export SLURM_CONF={it.folder}/slurm.conf", file=sys.stderr, flush=True)
        return subprocess.run(sys.argv[1:] or ["sinfo"], env=it.environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
