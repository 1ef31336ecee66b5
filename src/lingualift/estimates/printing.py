"""A bill as text: tables in Markdown, and under them what they were reckoned with."""

from collections.abc import Mapping, Sequence

from lingualift.estimates.bills import Bill, Training, Translating, checkpoints_at_once
from lingualift.estimates.comet import Scoring

_GIGA = 1e9
_HOW = {"packed": "counted", "given": "given", "estimated": "estimated"}


def print_bill(
    bill: Bill,
    *,
    run: str,
    jobs: Mapping[str, int] | None,
    notes: Sequence[str] = (),
    checks: Sequence[tuple[str, str]] = (),
) -> str:
    """The bill of a run, in Markdown.

    Args:
        jobs: those still to run, by rule; None where they were not asked.
        notes: lines to what it was reckoned with.
        checks: lines of the table of a published budget (:func:`lingualift.estimates.llamax.checks`).
    """
    it = bill.assumptions
    used = sorted({training.recipe.parallelism for training in bill.trainings})
    parts = [
        f"# What {run} takes on {it.device.name}, {it.device.memory / _GIGA:.0f} GB, {it.device.peak / 1e12:g} TFLOP/s"
    ]
    if bill.trainings:
        parts += ["## Training", _table(_training_rows(bill.trainings))]
        parts += [f"## Memory of one GPU, GB ({', '.join(used)})", _table(_memory_rows(bill))]
    if bill.translations:
        parts += ["## Translating", _table([_translating_row(each) for each in bill.translations])]
    if bill.scorings:
        parts += ["## Scoring by COMET", _table([_scoring_row(each) for each in bill.scorings])]
    parts += ["## In all", _table(_sums(bill, jobs))]
    parts += ["## Reckoned with", "\n".join(f"- {line}" for line in [*_assumed(bill), *bill.notes, *notes])]
    if checks:
        rows = [{"LLaMAX2's own budget, by the same formulas": what, "": value} for what, value in checks]
        parts += ["## Check", _table(rows)]
    return "\n\n".join(parts) + "\n"


def _training_rows(trainings: Sequence[Training]) -> list[dict[str, str]]:
    evaluated = any(it.recipe.evaluation for it in trainings)
    return [
        {
            "model": it.model,
            "parameters": _count(it.architecture.parameters),
            "tokens a pass": ("at least " if it.tokens.unknown else "") + _count(it.tokens.number),
            "which are": _HOW[it.tokens.source],
            "steps": f"{it.steps:,}",
            "GPUs": str(it.ranks),
            "tokens/s a GPU": f"{it.tokens_a_second:,.0f}",
            "GPU-hours": _hours(it.device_hours),
            **({"of them for the held-out loss": _hours(it.evaluating * it.ranks)} if evaluated else {}),
            "days": _hours(it.hours / 24),
        }
        for it in trainings
    ]


def _memory_rows(bill: Bill) -> list[dict[str, str]]:
    rows = []
    for it in bill.trainings:
        parts = ("weights", "gradients", "optimiser", "activations", "logits", "gathered")
        row = {"model": it.model} | {name: f"{getattr(it.memory, name) / _GIGA:.2f}" for name in parts}
        row["in all"] = f"{it.memory.total / _GIGA:.2f}"
        row["fits"] = "yes" if it.fits else "NO"
        row["host memory of a node"] = f"{it.host / _GIGA:.0f}"
        rows.append(row)
    return rows


def _translating_row(it: Translating) -> dict[str, str]:
    return {
        "system": it.system,
        "of": it.benchmark,
        "directions": f"{it.directions:,}" if it.directions else "",
        "sentences": f"{it.sentences:,}",
        "jobs": str(it.jobs),
        "GPU-hours": _hours(it.device_hours),
        "hours a job": _hours(it.device_hours / max(1, it.jobs)),
    }


def _scoring_row(it: Scoring) -> dict[str, str]:
    return {
        "metric": it.metric,
        "of": f"{len(it.systems)} systems, {', '.join(it.benchmarks)}",
        "segments": f"{it.segments:,}",
        "GPU-hours": _hours(it.device_hours),
    }


def _sums(bill: Bill, jobs: Mapping[str, int] | None) -> list[dict[str, str]]:
    sums = {
        "GPU-hours": "at least " * bill.at_least + _hours(bill.device_hours),
        "days of training, one after the other": "at least " * any(it.tokens.unknown for it in bill.trainings)
        + _hours(sum(it.hours for it in bill.trainings) / 24),
        "disk, GB": f"{bill.disk / _GIGA:,.1f}",
        "of it imported and augmented text": f"{bill.text_disk / _GIGA:,.1f}",
        "of it packed text": f"{bill.packed_disk / _GIGA:,.1f}",
        "of it models": f"{sum(it.disk for it in bill.trainings) / _GIGA:,.1f}",
        "of it hypotheses": f"{sum(it.disk for it in bill.translations) / _GIGA:,.1f}",
        "of it checkpoints, at the most": f"{checkpoints_at_once(bill.trainings) / _GIGA:,.1f}",
        "jobs that are still to run": f"{jobs['total']:,}" if jobs else "not asked",
    }
    return [{"what": what, "takes": takes} for what, takes in sums.items()]


def _assumed(bill: Bill) -> list[str]:
    it = bill.assumptions
    lines = [
        f"training reaches {it.utilisation:.3g} of the peak ({it.checkpointed_utilisation:.3g} with gradient "
        f"checkpointing), translating {it.decoding:.3g}",
        "work of a trained token: 6 x weights it is multiplied with (4 x frozen ones, under adapters) + 12 x layers x "
        "hidden x block",
        f"where nothing is counted yet, a sentence is {it.text.sentence_tokens:g} tokens, a document (a record of a "
        f"monolingual jsonl, parquet or datasets corpus) {it.text.document_tokens:g}, a token "
        f"{it.text.bytes_per_token:g} bytes; of mC4's documents 950 are mT5's tokens, other tokenizers make more",
    ]
    if bill.scorings:
        lines.append(
            f"COMET embeds three texts a segment with XLM-R large, at {it.scoring:.3g} of the peak in its precision, and "
            "scores no segment twice: equal ones make it less"
        )
    for training in bill.trainings:
        for corpus, tokens in training.tokens.rows.items():
            given = "as given" if corpus in it.text.row_tokens else "not measured: --row-tokens"
            lines.append(f"a row of {corpus} is {tokens:g} tokens, {given}")
        bfloat16 = it.device.computes_in_bfloat16(training.recipe.precision)
        if not (bfloat16 and it.device.bfloat16):
            peak = it.device.peak_in(training.recipe.precision)
            how = "bfloat16, which is only emulated there" if bfloat16 else "float32"
            lines.append(f"{training.model} computes in {how}: at most {peak / 1e12:g} TFLOP/s")
        if training.tokens.unknown:
            named = ", ".join(dict.fromkeys(training.tokens.unknown))
            lines.append(f"{training.model}: nothing is known of {named}: give their rows, --rows NAME=NUMBER")
        if not training.fits:
            lines.append(
                f"{training.model} does not fit: take zero2, zero3 or fsdp, a smaller device_batch, "
                "gradient_checkpointing, or more GPUs"
            )
    return list(dict.fromkeys(lines))


def _count(number: float) -> str:
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.0f}"


def _hours(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    from tabulate import tabulate

    first = next(iter(rows[0]))
    sides = ["left" if name in (first, "of", "which are") else "right" for name in rows[0]]
    return tabulate(rows, headers="keys", tablefmt="pipe", colalign=sides, disable_numparse=True)
