"""Every script, called without Snakemake: the tiny run from corpora to table, and the names that rules give them."""

import importlib.util
import inspect
import json
import re
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lingualift.configuration.loading import load_run, read_yaml
from lingualift.errors import LingualiftError
from lingualift.files import read_json
from lingualift.planning import Plan

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))


def main_of(name: str) -> Callable[..., None]:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"workflow/scripts/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def plan_of(name: str, **changes: Any) -> Plan:
    return Plan(load_run({**read_yaml(ROOT / f"config/{name}.yaml"), **changes}, root=ROOT))


# What Snakemake will call them with


def rules() -> dict[str, str]:
    """The text of each rule that has a script."""
    found = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for name, body in re.findall(r"^rule (\w+):\n((?: .*\n|\n)+)", path.read_text(), re.MULTILINE):
            if "script:" in body:
                found[name] = body
    return found


def directives(body: str) -> dict[str, str]:
    return dict(re.findall(r"^    (\w+):(.*(?:\n(?:        .*|))*)", body, re.MULTILINE))


@cache
def plan_of_every_kind() -> Plan:
    """The tiny run with systems, supplements and comparisons of every kind."""
    values = read_yaml(ROOT / "config/tiny.yaml")
    supplement = {"reader": "translated", "source": "english", "of": ["sentences"]}
    systems = {
        **values["systems"],
        "Nllb": {"translator": "models/nllb", "family": "nllb"},
        "Opus": {"translator": "models/opus-{source}-{target}", "family": "marian"},
        "Theirs": {"hypotheses": "theirs/{source}-{target}.txt"},
        "Base-zh": {"system": "Base", "pivot": "zh"},
        "Nllb-en": {"system": "Nllb", "pivot": "en"},
    }
    supplements = {"by-base": {**supplement, "system": "Base"}, "by-nllb": {**supplement, "system": "Nllb"}}
    main = {**values["tables"]["main"], "systems": list(systems), "baseline": "Base"}
    return plan_of("tiny", systems=systems, corpora=values["corpora"] | supplements, tables={"main": main})


@cache
def jobs(plan: Plan) -> dict[tuple[str, str], Collection[tuple]]:
    """Of which jobs a look-up of inputs is asked, by its name and the first wildcard that it is asked with."""

    def shards(systems: list[str]) -> list[tuple]:
        benchmarks = plan.configuration.benchmarks
        return [(name, it, shard) for name in systems for it in benchmarks for shard in range(plan.shards(it, name))]

    pivoted = [plan.translation_inputs(*job) for job in shards(plan.pivoting_systems())]
    supplements = plan.translated_corpora()
    compared = [path.removesuffix(".csv") for table in plan.configuration.tables for path in plan.comparisons(table)]
    parts = re.compile(r"comparisons/([^/]+)/([^/]+)/([^/]+)/([^/]+)(/\d+)?")
    return {
        ("model_inputs", "trained"): [(model,) for model in plan.trained_models()],
        ("translation_inputs", "translating"): shards(plan.translating_systems()),
        ("translation_inputs", "pivoting"): shards(plan.pivoting_systems()),
        ("translation_inputs", "reading"): shards(plan.reading_systems()),
        # pivots/<system>/<pivot>/<benchmark>/<shard>
        ("leg_inputs", "translating"): {tuple(path.split("/")[1:4]) for inputs in pivoted for path in inputs["legs"]},
        ("supplement_inputs", "supplement"): [(name,) for name in supplements],
        ("supplement_shard_inputs", "supplement"): [
            (name, shard) for name in supplements for shard in range(plan.supplement_shards(name))
        ],
        ("comparison_inputs", "judge"): [parts.fullmatch(path).groups("") for path in compared],
    }


def names(text: str) -> set[str]:
    """The names in an ``input``, ``output`` or ``params``; those that are unpacked are asked of the plan."""
    found = set(re.findall(r"^        (\w+)=", text, re.MULTILINE))
    plan = plan_of_every_kind()
    asked = re.findall(r"plan\.(\w+_inputs)\(\s*wildcards\.(\w+)", text)
    written = re.findall(r'unpack\(lambda wildcards: there\(\{"(\w+)"', text)
    assert text.count("unpack(") == len(asked) + len(written)
    for method, wildcard in asked:
        unpacked = {name for job in jobs(plan)[method, wildcard] for name in getattr(plan, method)(*job)}
        assert unpacked
        found |= unpacked
    return found | set(written)


@pytest.mark.parametrize("rule", sorted(rules()))
def test_names_of_a_rule_are_keywords_of_its_script(rule: str) -> None:
    parts = directives(rules()[rule])
    (script,) = re.findall(r"scripts/(\w+)\.py", parts["script"])
    given = {name for part in ("input", "output", "params") for name in names(parts.get(part, ""))}
    source = (ROOT / f"workflow/scripts/{script}.py").read_text()
    given |= {"threads"} if "threads=snakemake.threads" in source else set()
    given |= {"gpus"} if "gpus=snakemake.resources" in source else set()
    keywords = inspect.signature(main_of(script)).parameters
    assert all(keyword.kind is keyword.KEYWORD_ONLY for keyword in keywords.values())
    assert given <= set(keywords)
    assert {name for name, keyword in keywords.items() if keyword.default is keyword.empty} <= given


@pytest.mark.parametrize("rule", sorted(rules()))
def test_rule_says_what_it_needs_and_leaves_a_trace(rule: str) -> None:
    parts = directives(rules()[rule])
    assert {"output", "log", "benchmark", "threads", "resources", "message", "script"} <= set(parts)
    assert {"mem_mb", "runtime"} <= set(re.findall(r"(\w+)=", parts["resources"]))
    assert "version" in names(parts["params"])


def test_every_name_that_a_plan_may_give_is_looked_at() -> None:
    inputs = {rule: names(directives(body).get("input", "")) for rule, body in rules().items()}
    assert inputs["translate_shard"] == {"benchmark", "model", "converted", "translators"}
    assert inputs["translate_legs"] == inputs["translate_shard"]
    assert inputs["translate_through_pivot"] == {*inputs["translate_shard"], "legs"}
    assert inputs["translate_supplement"] == {"corpora", "english", "model", "converted", "translators"}
    assert inputs["read_hypotheses"] == {"benchmark", "files"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_short_and_used(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 60
    assert any(f"/{path.name}" in body for body in rules().values())


# These hold the folder of their checkpoints, or the stores of their translations.
WITH_LOCKS_OF_THEIR_OWN = {
    "train_model",
    "translate_legs",
    "translate_shard",
    "translate_supplement",
    "translate_through_pivot",
}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_works_where_another_does(path: Path) -> None:
    """A Snakemake that was killed leaves its jobs running, and the next one sends them again."""
    _, job = path.read_text().split('\nif "snakemake" in globals():\n')
    opening = "with running(snakemake):"
    if path.stem in WITH_LOCKS_OF_THEIR_OWN:
        opening = "with job_logging(snakemake.log[0]):"
    elif path.stem == "fetch_public_set":
        # Its output lies in the folder that it fills, which has to be new.
        opening = "with running(snakemake, at=Path(snakemake.output.manifest).parent):"
    assert job.startswith(f"    {opening}\n")
    # All of it is done in there.
    assert not [line for line in job.splitlines()[1:] if line and not line.startswith("        ")]


# The tiny run


class Runner:
    """Runs the jobs of a plan in a folder, in the order that they need each other."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan

    def at(self, path: str) -> str:
        return str(self.folder / path)

    def inputs(self, given: dict[str, str]) -> dict[str, str]:
        return {name: self.at(path) for name, path in given.items()}

    def sources(self, mixture: str) -> list[str]:
        return [self.at(path) for path in self.plan.mixture_sources(mixture)]

    def corpora(self) -> None:
        for name in self.plan.imported_corpora():
            self._import(f"corpora/{name}", self.plan.corpus_settings(name))
        for name in self.plan.configuration.benchmarks:
            self._import(f"benchmarks/{name}", self.plan.benchmark_settings(name))

    def _import(self, path: str, settings: dict) -> None:
        main_of("import_corpus")(
            folder=self.at(path), settings=settings, state=self.at(f"state/{path}"), threads=1, version=1
        )

    def augmentations(self) -> None:
        for name in self.plan.configuration.dictionaries:
            settings = self.plan.lexicon_settings(name)
            main_of("build_lexicon")(folder=self.at(f"lexicons/{name}"), settings=settings, version=1)
        for name, augmentation in self.plan.configuration.augmentations.items():
            main_of("augment_corpus")(
                corpus=self.at(f"corpora/{augmentation.source}"),
                lexicon=self.at(f"lexicons/{augmentation.dictionary}"),
                folder=self.at(f"augmentations/{name}"),
                settings=self.plan.augmentation_settings(name),
                state=self.at(f"state/augmentations/{name}"),
                seed=17,
                version=1,
            )

    def mixtures(self) -> None:
        for name in self.plan.configuration.mixtures:
            main_of("mix_corpora")(
                sources=self.sources(name),
                plan=self.at(f"mixtures/{name}/plan.json"),
                settings=self.plan.mixture_settings(name),
                seed=17,
                version=1,
            )
        for name in self.plan.scratch_models():
            mixture = self.plan.tokenizer_mixture(name)
            main_of("train_tokenizer")(
                plan=self.at(f"mixtures/{mixture}/plan.json"),
                sources=self.sources(mixture),
                folder=self.at(f"tokenizers/{name}"),
                settings=self.plan.tokenizer_settings(name),
                version=1,
            )
        for name, owner in self.plan.packed_mixtures:
            common = {
                "plan": self.at(f"mixtures/{name}/plan.json"),
                "sources": self.sources(name),
                "tokenizer": self.at(self.plan.tokenizer_folder(owner)),
                "settings": self.plan.mixture_settings(name),
                "version": 1,
            }
            packed = self.at(f"mixtures/{name}/packed/{owner}")
            main_of("pack_mixture")(folder=packed, state=self.at(f"state/mixtures/{name}"), threads=1, **common)
            card = self.at(f"mixtures/{name}/cards/{owner}")
            main_of("describe_mixture")(
                packed=packed, card=f"{card}.md", figure=f"{card}.png", name=name, seed=17, **common
            )

    def models(self) -> None:
        for name in self.plan.trained_models():
            main_of("train_model")(
                **self.inputs(self.plan.model_inputs(name)),
                folder=self.at(f"models/{name}"),
                settings=self.plan.model_settings(name),
                state=self.at(f"state/models/{name}"),
                seed=17,
                version=1,
            )
            figure = self.at(f"figures/training/{name}.png")
            main_of("plot_training")(model=self.at(f"models/{name}"), figure=figure, title=name, version=1)
        for model in {system.model for system in self.plan.configuration.systems.values()}:
            folder = self.at(f"converted/{model}")
            main_of("convert_model")(model=self.at(f"models/{model}"), folder=folder, version=1)

    def translations(self) -> None:
        for system in self.plan.configuration.systems:
            for benchmark in self.plan.configuration.benchmarks:
                for shard, path in enumerate(self.plan.hypotheses(system, benchmark)):
                    main_of("translate_shard")(
                        **self.inputs(self.plan.system_inputs(system)),
                        benchmark=self.at(f"benchmarks/{benchmark}"),
                        hypotheses=self.at(path),
                        manifest=self.at(path.replace(".jsonl", ".manifest.json")),
                        settings=self.plan.translation_settings(system, benchmark, shard),
                        state=self.at(f"state/{path}"),
                        threads=1,
                        version=1,
                    )
                for part in self.plan.parts(benchmark, system):
                    scores = f"scores/{system}/{benchmark}{part}.csv"
                    main_of("score_hypotheses")(
                        hypotheses=[self.at(path) for path in self.plan.hypotheses(system, benchmark, part)],
                        benchmark=self.at(f"benchmarks/{benchmark}"),
                        scores=self.at(scores),
                        manifest=self.at(scores.replace(".csv", ".manifest.json")),
                        settings=self.plan.score_settings(system, benchmark),
                        state=self.at(f"state/{scores}"),
                        threads=1,
                        version=1,
                    )

    def tables(self) -> None:
        for name in self.plan.configuration.tables:
            main_of("make_table")(
                scores=[self.at(path) for path in self.plan.scores("tables", name)],
                **{kind: self.at(f"tables/{name}.{kind}") for kind in ("csv", "md", "tex", "html")},
                manifest=self.at(f"tables/{name}.manifest.json"),
                settings=self.plan.table_settings(name),
                version=1,
            )
        for name in self.plan.configuration.figures:
            main_of("make_figure")(
                scores=[self.at(path) for path in self.plan.scores("figures", name)],
                folder=self.at(f"figures/{name}"),
                settings=self.plan.figure_settings(name),
                version=1,
            )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("run"), plan_of("tiny"))
    for stage in ("corpora", "augmentations", "mixtures", "models", "translations", "tables"):
        getattr(runner, stage)()
    return runner


@pytest.mark.slow
def test_every_target_is_made(run: Runner) -> None:
    assert [path for path in run.plan.targets() if not (run.folder / path).exists()] == []


@pytest.mark.slow
def test_every_direction_is_translated_and_scored(run: Runner) -> None:
    for system in run.plan.configuration.systems:
        lines = [
            json.loads(line)
            for path in run.plan.hypotheses(system, "held-out")
            for line in (run.folder / path).read_text().splitlines()
        ]
        assert len(lines) == 6 * 10
        assert {line["direction"] for line in lines} == {"en-de", "en-zh", "de-en", "de-zh", "zh-en", "zh-de"}
    assert "nw:2|space:no|version:" in (run.folder / "scores/Base/held-out/0.csv").read_text()


@pytest.mark.slow
def test_models_carry_their_history(run: Runner) -> None:
    manifest = read_json(run.folder / "models/lifted-alpaca/manifest.json")
    assert manifest["counts"]["steps"] == 12
    assert manifest["settings"]["base"] == "lifted"
    assert "on top of `lifted`" in (run.folder / "models/lifted-alpaca/README.md").read_text()


@pytest.mark.slow
def test_supplement_is_translated(run: Runner) -> None:
    supplement = {"reader": "translated", "source": "english", "system": "Base", "of": ["sentences"], "minimum": 203}
    plan = plan_of("tiny", corpora={**read_yaml(ROOT / "config/tiny.yaml")["corpora"], "extra": supplement})
    inputs = plan.supplement_shard_inputs("extra", 0)
    main_of("translate_supplement")(
        **{
            key: [run.at(path) for path in value] if key == "corpora" else run.at(value)
            for key, value in inputs.items()
        },
        hypotheses=run.at("supplements/extra/0.jsonl"),
        manifest=run.at("supplements/extra/0.manifest.json"),
        settings=plan.supplement_shard_settings("extra", 0),
        state=run.at("state/extra"),
        seed=17,
        threads=1,
        version=1,
    )
    sources = plan.supplement_inputs("extra")
    main_of("assemble_supplement")(
        corpora=[run.at(path) for path in sources["corpora"]],
        english=run.at(sources["english"]),
        hypotheses=[run.at(path) for path in plan.supplement_hypotheses("extra")],
        folder=run.at("corpora/extra"),
        settings=plan.supplement_settings("extra"),
        seed=17,
        version=1,
    )
    tables = {table["name"]: table["rows"] for table in read_json(run.folder / "corpora/extra/manifest.json")["tables"]}
    assert tables == {"en-de": 3, "en-zh": 3, "de-zh": 3}


# What is not there


def test_a_base_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Snakemake leaves out inputs from outside the run that are not there, so that a run can be planned."""
    missing = r"the model `llama` is not there: `models\.llama\.path` says where it is"
    with pytest.raises(LingualiftError, match=missing):
        main_of("convert_model")(folder=str(tmp_path / "llama"), version=1)
    plan = plan_of("tiny")
    settings = plan.translation_settings("Base", "held-out", 0)
    settings["system"] = {**settings["system"], "model": "llama"}
    with pytest.raises(LingualiftError, match=missing):
        main_of("translate_shard")(
            benchmark="", hypotheses="", manifest="", settings=settings, state=str(tmp_path), threads=1, version=1
        )
    with pytest.raises(LingualiftError, match=r"tokenizer: no such folder.*`models\.\*\.path`"):
        main_of("train_model")(
            blocks="", folder="", settings=plan.model_settings("lifted"), state=str(tmp_path), seed=1, version=1
        )
