"""Translate a shard of a benchmark's directions (rule ``translate_shard``)."""

from pathlib import Path

from lingualift.configuration.evaluation import split_direction
from lingualift.configuration.prompts import Prompt
from lingualift.configuration.schema import System
from lingualift.joblog import job_logging
from lingualift.scoring import benchmark_sentences
from lingualift.translation import load_translator, model_key, translate_directions


def main(
    *,
    benchmark: str,
    hypotheses: str,
    settings: dict,
    state: str,
    threads: int,
    version: int,
    model: str | None = None,
    converted: str | None = None,
) -> None:
    """Translate every direction of the shard; go on with what a killed job left in ``state``."""
    directions = [split_direction(name, list(settings["names"])) for name in settings["directions"]]
    translator = load_translator(
        model=model,
        converted=converted,
        system=System.model_validate(settings["system"]),
        prompt=Prompt.model_validate(settings["prompt"]),
        names=settings["names"],
        threads=threads,
    )
    translate_directions(
        translator,
        {pair: benchmark_sentences(benchmark, *pair, limit=settings["limit"])[0] for pair in directions},
        state=Path(state),
        key=[settings, version, model_key(model)],
        out=Path(hypotheses),
    )


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params, threads=snakemake.threads)
