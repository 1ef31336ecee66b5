"""Write the data card of a mixture (rule ``describe_mixture``)."""

from pathlib import Path

from lingualift.datacards import data_card
from lingualift.entries import mixture_reader
from lingualift.figures import composition_figure, write_figure
from lingualift.files import atomic_path, read_json
from lingualift.joblog import running
from lingualift.tokenization import load_tokenizer


def main(
    *,
    plan: str,
    sources: list[str],
    packed: str,
    tokenizer: str,
    card: str,
    figure: str,
    name: str,
    settings: dict,
    seed: int,
    version: int,
) -> None:
    """Write the card as Markdown and the composition as a figure."""
    manifest = read_json(Path(packed) / "manifest.json")
    write_figure(composition_figure(manifest["tokens_by_language"], title=name), Path(figure).with_suffix(""))
    text = data_card(
        manifest,
        mixture_reader(plan, sources, settings),
        load_tokenizer(tokenizer),
        name=name,
        figure=figure,
        seed=seed,
    )
    with atomic_path(card) as part:
        part.write_text(text, encoding="utf-8")


if "snakemake" in globals():
    with running(snakemake):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
