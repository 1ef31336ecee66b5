"""The command ``lingualift estimate``, from its words to its text."""

import re
from collections.abc import Sequence
from pathlib import Path

from lingualift.configuration.loading import load_run, read_yaml
from lingualift.errors import LingualiftError
from lingualift.estimates.bills import Assumptions, bill, num_jobs
from lingualift.estimates.devices import Device, device
from lingualift.estimates.efficiency import trained
from lingualift.estimates.llamax import checks
from lingualift.estimates.printing import print_bill
from lingualift.estimates.tokens import Text
from lingualift.planning import Plan


def estimate(
    config: Path,
    *,
    gpu: str,
    gpu_memory: float | None = None,
    peak: float | None = None,
    utilisation: float = 0.4,
    measured: Path | None = None,
    nodes: int | None = None,
    gpus_per_node: int | None = None,
    sentence_tokens: float = 40,
    document_tokens: float = 950,
    rows: Sequence[str] = (),
    row_tokens: Sequence[str] = (),
    tokens: Sequence[str] = (),
    shapes: Sequence[str] = (),
    profile: Path | None = None,
    jobs: bool = True,
) -> str:
    """The bill of a configuration, in Markdown.

    Args:
        measured: the folder of a model that was trained on the same devices: its speed is taken for all.
        rows, row_tokens, tokens, shapes: ``name=value``.
        nodes, gpus_per_node: of all trainings; by default those of the profile, or else of each recipe.
        jobs: ask Snakemake for the number of jobs, which takes as long as a dry run.

    Raises:
        LingualiftError: a mistake in the configuration or in what was asked.
    """
    plan = Plan(load_run(config))
    given = _given_to_trainings(profile) if profile else {}
    chosen = device(gpu, memory_gb=gpu_memory, peak_tflops=peak)
    notes = []
    if measured is not None:
        utilisation, note = _measured(measured, chosen)
        notes.append(note)
    assumptions = Assumptions(
        device=chosen,
        utilisation=utilisation,
        nodes=nodes or given.get("nodes"),
        devices=gpus_per_node or given.get("devices"),
        text=Text(
            sentence_tokens=sentence_tokens,
            document_tokens=document_tokens,
            row_tokens={name: float(number) for name, number in _pairs("--row-tokens", row_tokens).items()},
        ),
        rows={name: int(float(number)) for name, number in _pairs("--rows", rows).items()},
        tokens={name: float(number) for name, number in _pairs("--tokens", tokens).items()},
        shapes=_pairs("--shape", shapes),
    )
    results = Path("results") / plan.configuration.run
    found = bill(plan, assumptions, results=results)
    return print_bill(
        found,
        run=plan.configuration.run,
        jobs=num_jobs(config, profile) if jobs else None,
        notes=notes,
        checks=checks(plan.run.languages, assumptions.text),
    )


def _given_to_trainings(profile: Path) -> dict[str, int]:
    """The nodes and devices that a profile gives to trainings; none where Snakemake finds it elsewhere than here."""
    path = profile / "config.yaml"
    asked = (read_yaml(path) or {}).get("set-resources") or {} if path.is_file() else {}
    # As Snakemake takes it: keys with values, or `rule:resource=value`.
    if not isinstance(asked, dict):
        words = re.findall(r"train_model:(\w+)=(\w+)", " ".join(map(str, asked)))
    else:
        words = (asked.get("train_model") or {}).items()
    return {name: int(value) for name, value in words if name in ("nodes", "devices")}


def _measured(folder: Path, chosen: Device) -> tuple[float, str]:
    """The utilisation that a trained model's log shows."""
    found = trained(folder)
    # Taken with checkpointing: what it would be without.
    share = found.share(found.steady_speed, chosen) / found.checkpointing_share
    return share, f"measured in {folder}/training.jsonl"


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise LingualiftError(f"{option} {word}: wanted is NAME=VALUE")
        if option != "--shape":
            try:
                float(value)
            except ValueError:
                raise LingualiftError(f"{option} {word}: {value!r} is not a number") from None
        found[name] = value
    return found
