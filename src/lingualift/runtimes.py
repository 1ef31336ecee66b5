"""What a run really took: Snakemake's benchmark files, SLURM's accounting, a line a rule; the speed of its trainings."""

import contextlib
import csv
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from lingualift.errors import LingualiftError
from lingualift.estimates.devices import Device
from lingualift.estimates.efficiency import Trained, reached, trained
from lingualift.files import atomic_path, write_csv
from lingualift.interruptions import JOB_PREFIX

_HOUR = 3600
# The rule of trainings, whose jobs alone may be of several nodes.
_TRAINING = "train_model"
# What has not failed: it is done, or not yet.
_WELL = ("COMPLETED", "RUNNING", "PENDING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING")
# Of a job's accounting: the job itself first, then its steps, which alone know memory.
_FIELDS = ("JobIDRaw", "JobName", "Comment", "State", "ElapsedRaw", "AllocTRES", "MaxRSS", "WorkDir", "TotalCPU")
_UNITS = {"": 1 / 1e6, "K": 1024 / 1e6, "M": 1024**2 / 1e6, "G": 1024**3 / 1e6, "T": 1024**4 / 1e6}


@dataclass
class RuleRuntime:
    """All finished jobs of one rule.

    Attributes:
        seconds: of each job, by the wall clock, of the attempt that succeeded: Snakemake measures that one alone. Of a
            training that was stopped and went on it is the last part.
        cpu_seconds: of all jobs, likewise, but those of several nodes, whose ranks are SLURM's processes and not
            Snakemake's: of them SLURM's accounting knows.
        seen_seconds: by the wall clock, of the jobs of which ``cpu_seconds`` is.
        memory_mb: the highest resident memory of any job; of several nodes likewise.
        cpu_unseen, memory_unseen: jobs of which nobody knows the one and the other.
        slurm_seconds: that SLURM charged for all attempts, those too that it started again itself.
        cpu_hours, gpu_hours: what was held, not what was used, by all attempts.
        failed: attempts that did not come to their end: failed, out of time, preempted, started again.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    seen_seconds: float = 0.0
    memory_mb: float = 0.0
    slurm_seconds: float = 0.0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    failed: int = 0
    cpu_unseen: int = 0
    memory_unseen: int = 0


def rule_runtimes(folder: Path, *, nodes: Mapping[str, int] = MappingProxyType({})) -> dict[str, RuleRuntime]:
    """Read the benchmark files of a run, ``<folder>/<rule>/**.tsv``.

    Args:
        nodes: machines of trainings, by model; one by default.

    Raises:
        LingualiftError: there are none.
    """
    found: dict[str, RuleRuntime] = {}
    for path in sorted(folder.rglob("*.tsv")):
        name = path.relative_to(folder).parts[0].removesuffix(".tsv")
        rule = found.setdefault(name, RuleRuntime())
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                rule.seconds.append(_number(row["s"]))
                if name == _TRAINING and nodes.get(path.stem, 1) > 1:
                    # What was measured is srun, which waits.
                    rule.cpu_unseen += 1
                    rule.memory_unseen += 1
                    continue
                rule.seen_seconds += rule.seconds[-1]
                # Jobs of less than a moment have no numbers of the rest.
                rule.cpu_seconds += _number(row.get("cpu_time"))
                rule.memory_mb = max(rule.memory_mb, _number(row.get("max_rss")))
    if not found:
        raise LingualiftError(f"{folder}: no job has finished yet: run it first")
    return found


def first_start(folder: Path) -> str:
    """When the first job began of those that the benchmark files of a run are of, as ``sacct --starttime`` takes it.

    Raises:
        LingualiftError: there are none.
    """
    starts = []
    for path in folder.rglob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as file:
            # Written where the job ended.
            starts.append(path.stat().st_mtime - sum(_number(row["s"]) for row in csv.DictReader(file, delimiter="\t")))
    if not starts:
        raise LingualiftError(f"{folder}: no job has finished yet: run it first")
    return datetime.fromtimestamp(min(starts)).strftime("%Y-%m-%dT%H:%M:%S")


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def add_accounting(found: dict[str, RuleRuntime], folder: Path, *, since: str) -> bool:
    """Add what SLURM's accounting knows of the jobs that were sent from a folder.

    Args:
        folder: where Snakemake was started.
        since: from when on, as ``sacct --starttime`` takes it.

    Returns:
        Whether there is accounting here.
    """
    if shutil.which("sacct") is None:
        return False
    # Duplicates: what came before a job was started again by SLURM, which keeps its number.
    command = ["sacct", "--duplicates", "--parsable2", "--noheader"]
    command += [f"--starttime={since}", f"--format={','.join(_FIELDS)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        return False
    for rule, job in _accounted(done.stdout, folder):
        into = found.setdefault(rule, RuleRuntime())
        held = dict(item.split("=", 1) for item in job["AllocTRES"].split(",") if "=" in item)
        seconds = _number(job["ElapsedRaw"])
        into.slurm_seconds += seconds
        into.cpu_hours += seconds * _number(held.get("cpu")) / _HOUR
        into.gpu_hours += seconds * _number(held.get("gres/gpu")) / _HOUR
        into.failed += job["State"].split()[0] not in _WELL
        into.memory_mb = max(into.memory_mb, memory := _megabytes(job["MaxRSS"]))
        if _number(held.get("node")) > 1 and job["State"] == "COMPLETED":
            into.memory_unseen -= memory > 0 and into.memory_unseen > 0
            if into.cpu_unseen and (cpu := _seconds(job.get("TotalCPU", ""))):
                into.cpu_unseen -= 1
                into.cpu_seconds += cpu
                into.seen_seconds += seconds
    return True


def _accounted(text: str, folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The attempts of jobs of ours in sacct's lines, by rule; each has the highest memory of its steps, behind it."""
    attempts: list[dict[str, str]] = []
    newest: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        row = dict(zip(_FIELDS, line.split("|"), strict=False))
        number, _, step = row["JobIDRaw"].partition(".")
        if not step:
            newest.pop(number, None)
            if row["JobName"].startswith(JOB_PREFIX) and Path(row["WorkDir"]) == folder:
                attempts.append(row)
                newest[number] = row
        elif number in newest and _megabytes(row["MaxRSS"]) > _megabytes(newest[number]["MaxRSS"]):
            newest[number]["MaxRSS"] = row["MaxRSS"]
    for job in attempts:
        name = re.match(r"rule_(.*?)(_wildcards_.*)?$", job["Comment"])
        # Comments are accounted for only where the cluster is told so.
        yield (name[1] if name else "(rule not accounted)"), job


def _megabytes(text: str) -> float:
    found = re.match(r"([\d.]+)([KMGT]?)$", text)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def _seconds(text: str) -> float:
    """Of ``[days-][hours:]minutes:seconds``, SLURM's way to write a time."""
    found = re.match(r"(?:(\d+)-)?(?:(\d+):)?(\d+):([\d.]+)$", text)
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0,) * 4
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def trainings(models: Path) -> dict[str, Trained]:
    """What the trained models of a run tell of their trainings, by name; those that are of another shape do not."""
    found = {}
    for folder in sorted(models.glob("[!.]*")):
        with contextlib.suppress(LingualiftError, KeyError, ValueError):
            found[folder.name] = trained(folder)
    return found


def runtime_rows(
    found: Mapping[str, RuleRuntime],
    *,
    accounted: bool,
    runs: Mapping[str, Trained] = MappingProxyType({}),
    device: Device | None = None,
) -> list[dict[str, str]]:
    """A line a rule, the longest first, and their sum.

    Args:
        runs: the run's trainings: their line has a share of the GPUs' peak, and what waiting for data took of the time.
        device: the GPU of those that do not name theirs.
    """
    ordered = sorted(found.items(), key=lambda item: -max(sum(item[1].seconds), item[1].slurm_seconds))
    rows = [_row(name, it, accounted=accounted) for name, it in ordered]
    empty = dict.fromkeys(_efficiency({}), "") if runs else {}
    if runs:
        rows = [row | (_efficiency(runs, device) if row["rule"] == _TRAINING else empty) for row in rows]
    total = RuleRuntime(
        seconds=[second for it in found.values() for second in it.seconds],
        cpu_seconds=sum(it.cpu_seconds for it in found.values()),
        seen_seconds=sum(it.seen_seconds for it in found.values()),
        memory_mb=max(it.memory_mb for it in found.values()),
        slurm_seconds=sum(it.slurm_seconds for it in found.values()),
        cpu_hours=sum(it.cpu_hours for it in found.values()),
        gpu_hours=sum(it.gpu_hours for it in found.values()),
        failed=sum(it.failed for it in found.values()),
        cpu_unseen=sum(it.cpu_unseen for it in found.values()),
        memory_unseen=sum(it.memory_unseen for it in found.values()),
    )
    return [*rows, _row("all", total, accounted=accounted) | empty]


def training_rows(runs: Mapping[str, Trained], device: Device | None = None) -> list[dict[str, str]]:
    """A line a training: where it ran, how fast, what that is of the GPUs' peak, what waiting for data took of the time.

    All is of its whole time, from the first step to the last, whatever number of jobs that took: the start, checkpoints
    and the held-out loss too. Devices are those of the end.

    Args:
        device: the GPU of those that do not name theirs.
    """
    rows = []
    for name, it in runs.items():
        tokens, seconds, _ = it.timed
        rows.append(
            {
                "model": name,
                "devices": str(it.ranks),
                "GPU": it.gpu or (device.name if it.gpu is None and device else ""),
                "hours": f"{seconds / _HOUR:,.2f}",
                "device-hours": f"{seconds / _HOUR * it.ranks:,.2f}",
                "tokens/s": f"{tokens / seconds:,.0f}" if seconds else "",
                **_efficiency({name: it}, device),
            }
        )
    return rows


def _efficiency(runs: Mapping[str, Trained], device: Device | None = None) -> dict[str, str]:
    """The share of the peak, model's work alone (MFU); empty on CPUs and on unknown GPUs."""
    found = reached(runs, device)
    return {
        "share of peak": "" if found["share"] is None else f"{found['share']:.1%}",
        "waiting for data": "" if found["waiting"] is None else f"{found['waiting']:.2%}",
    }


def _row(name: str, it: RuleRuntime, *, accounted: bool) -> dict[str, str]:
    wall = sum(it.seconds)
    row = {
        "rule": name,
        "jobs": str(len(it.seconds)),
        "hours": f"{wall / _HOUR:.3f}",
        "median s": f"{statistics.median(it.seconds):.1f}" if it.seconds else "",
        "longest s": f"{max(it.seconds):.1f}" if it.seconds else "",
        "cores used": f"{it.cpu_seconds / it.seen_seconds:.2f}" if it.seen_seconds and not it.cpu_unseen else "",
        "most memory, MB": "" if it.memory_unseen else f"{it.memory_mb:.0f}",
    }
    if accounted:
        row |= {
            "attempts that broke off": str(it.failed),
            "hours of all attempts": f"{it.slurm_seconds / _HOUR:.3f}",
            "core-hours held": f"{it.cpu_hours:.2f}",
            "GPU-hours held": f"{it.gpu_hours:.2f}",
        }
    return row


def write_runtimes(rows: Sequence[Mapping[str, str]], path: Path) -> str:
    """Write a table as CSV, and as Markdown beside it.

    Returns:
        The Markdown.
    """
    from tabulate import tabulate

    write_csv(rows, path, list(rows[0]))
    sides = ["left", *["right"] * (len(rows[0]) - 1)]
    text = tabulate(rows, headers="keys", tablefmt="pipe", colalign=sides, disable_numparse=True) + "\n"
    with atomic_path(path.with_suffix(".md")) as part:
        part.write_text(text, encoding="utf-8")
    return text
