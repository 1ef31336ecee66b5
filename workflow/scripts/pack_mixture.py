"""Tokenise and pack a mixture (rule ``pack_mixture``)."""

from pathlib import Path

from lingualift.configuration.mixtures import Mixture
from lingualift.entries import mixture_reader
from lingualift.joblog import running
from lingualift.packing import pack_mixture
from lingualift.tokenization import load_base_tokenizer


def main(
    *,
    plan: str,
    sources: list[str],
    tokenizer: str | list,
    folder: str,
    settings: dict,
    state: str,
    threads: int,
    version: int,
    model: str = "",
    config: dict | None = None,
) -> None:
    """Write the shards of the mixture in the tokens of ``tokenizer``, that of ``model``."""
    if not tokenizer and config is not None:
        # No input, as it is not there: the configuration says where it was looked for.
        tokenizer = str(Path(config["data"]) / config["models"][model]["path"])
    pack_mixture(
        mixture_reader(plan, sources, settings),
        load_base_tokenizer(str(tokenizer), model=model),
        Mixture.model_validate(settings["mixture"]),
        out=Path(folder),
        work=Path(state),
        workers=threads,
        version=version,
    )


if "snakemake" in globals():
    with running(snakemake):
        main(
            **snakemake.input,
            **snakemake.output,
            **snakemake.params,
            threads=snakemake.threads,
            model=snakemake.wildcards.model,
            config=snakemake.config,
        )
