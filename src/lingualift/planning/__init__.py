"""What depends on what: the files and settings of every job, looked up in a checked configuration."""

from collections.abc import Iterable, Mapping

from lingualift.planning.inventory import Inventory

# Raised when a stage's output would change though its settings do not: everything made by it is then made again.
STAGE_VERSIONS = {
    "import_corpus": 2,
    "import_benchmark": 3,
    "build_lexicon": 2,
    "augment_corpus": 3,
    "translate_supplement": 1,
    "assemble_supplement": 1,
    "mix_corpora": 2,
    "train_tokenizer": 1,
    "pack_mixture": 1,
    "train_model": 1,
    "convert_model": 1,
    "translate_shard": 1,
    "translate_legs": 1,
    "translate_through_pivot": 1,
    "ask_endpoint": 1,
    "read_hypotheses": 1,
    "score_hypotheses": 2,
    "detect_languages": 1,
    "score_comet": 3,
    "compare_systems": 1,
    "read_published_scores": 1,
    "make_table": 5,
    "make_figure": 6,
    "plot_training": 5,
    "describe_mixture": 2,
    "fetch_dataset": 1,
    "fetch_model": 1,
    "fetch_public_set": 1,
    "build_comet_environment": 1,
}


class Plan(Inventory):
    """Everything that the rules look up."""

    def targets(self) -> list[str]:
        """Everything that a run is for: tables, figures, training curves, data cards."""
        return [
            *(f"tables/{name}.csv" for name in self.configuration.tables),
            *(f"figures/{name}" for name in self.configuration.figures),
            *(f"figures/training/{name}.png" for name in self.trained_models()),
            *(f"mixtures/{mixture}/cards/{owner}.md" for mixture, owner in self.packed_mixtures),
        ]

    def shown(self) -> dict[str, list[str]]:
        """What each name of a table or figure stands for as a target: ``table4``, ``figure1``."""
        found: dict[str, list[str]] = {}
        for name in self.configuration.tables:
            found.setdefault(name, []).append(f"tables/{name}.csv")
        for name in self.configuration.figures:
            found.setdefault(name, []).append(f"figures/{name}")
        return found


def summary(plan: Plan) -> Mapping[str, int]:
    """How many entries of each kind a run has."""
    sections: Iterable[str] = [
        "languages",
        "corpora",
        "dictionaries",
        "augmentations",
        "mixtures",
        "models",
        "systems",
        "benchmarks",
        "tables",
        "figures",
    ]
    return {section: len(getattr(plan.configuration, section)) for section in sections}
