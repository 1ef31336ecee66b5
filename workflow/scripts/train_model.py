"""Train one stage of a model (rule ``train_model``)."""

from pathlib import Path

from lingualift.configuration.models import Recipe, Scratch
from lingualift.joblog import job_logging
from lingualift.tokenization import load_tokenizer
from lingualift.training import train


def main(
    *,
    blocks: str,
    folder: str,
    settings: dict,
    state: str,
    seed: int,
    version: int,
    tokenizer: str | None = None,
    base: str | None = None,
) -> None:
    """Train on ``blocks`` from ``base``, or from fresh weights, and write the model folder."""
    scratch = settings["scratch"]
    train(
        blocks=Path(blocks),
        tokenizer=load_tokenizer(tokenizer),
        recipe=Recipe.model_validate(settings["recipe"]),
        base=Path(base) if base else None,
        scratch=Scratch.model_validate(scratch) if scratch is not None else None,
        out=Path(folder),
        state=Path(state),
        seed=seed,
        settings=settings,
    )


if "snakemake" in globals():
    with job_logging(snakemake.log[0]):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
