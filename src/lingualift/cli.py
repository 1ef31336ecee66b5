"""The console script ``lingualift``: what is not a file to be made."""

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lingualift.errors import LingualiftError

if TYPE_CHECKING:
    from lingualift.languages import Language
    from lingualift.translation import Translates

app = typer.Typer(
    help="Lift a language model that knows a few languages well into a hundred. Runs are made by snakemake.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_ROOT = Path(__file__).parents[2]
_ConfigurationFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A configuration, e.g. config/demo.yaml.")]
_LanguagesFile = Annotated[Path | None, typer.Option("--languages-file", help="Default: config/languages.tsv.")]


@contextmanager
def _friendly() -> Iterator[None]:
    """End with status 1 and readable lines on a mistake that the user can mend."""
    try:
        yield
    except LingualiftError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _shipped(name: str) -> Path:
    """A file of ``config/``: here, or in the checkout that this package is installed from."""
    here = Path("config") / name
    return here if here.exists() else _ROOT / "config" / name


@app.command()
def check(
    config: _ConfigurationFile,
    complete: Annotated[bool, typer.Option("--complete", help="End with status 2 where data are missing.")] = False,
) -> None:
    """Check a configuration; say what data are missing. Ends with status 1 on a mistake."""
    from lingualift.configuration.loading import load_run
    from lingualift.planning import Plan, summary

    with _friendly():
        plan = Plan(load_run(config))
        missing, remarks = plan.missing_data(), plan.remarks()
    counts = ", ".join(_counted(number, section) for section, number in summary(plan).items() if number)
    typer.echo(f"{config}: good; {counts}")
    for name in plan.configuration.benchmarks:
        jobs = _counted(plan.shards(name), "jobs")
        typer.echo(f"  {name}: {_counted(len(plan.directions(name)), 'directions')} in {jobs} a system")
    for folder, hub in plan.fetched_datasets().items():
        typer.echo(f"  {folder}: is downloaded from {hub.name}")
    for name, what in remarks.items():
        typer.echo(f"  {name}: {what}")
    for name, files in missing.items():
        typer.echo(f"  missing: {name}: {files[0]}{f' and {len(files) - 1:,} more' if len(files) > 1 else ''}")
    if missing and complete:
        raise typer.Exit(2)


def _counted(number: int, what: str) -> str:
    """``1 corpus``, ``2 corpora``."""
    one = {"corpora": "corpus", "dictionaries": "dictionary"}.get(what, what.removesuffix("s"))
    return f"{number:,} {one if number == 1 else what}"


@app.command()
def results(config: _ConfigurationFile) -> None:
    """Show a run's first table and where the rest is."""
    from lingualift.configuration.loading import load_run
    from lingualift.planning import Plan

    with _friendly():
        plan = Plan(load_run(config))
    folder = Path("results") / plan.configuration.run
    tables = [folder / "tables" / f"{name}.md" for name in plan.configuration.tables]
    if tables and tables[0].exists():
        typer.echo(tables[0].read_text(encoding="utf-8"))
    found = {
        "table": tables,
        "figure": [folder / "figures" / name for name in plan.configuration.figures],
        "model": [folder / "models" / name for name in plan.trained_models()],
    }
    for kind, paths in found.items():
        for path in paths:
            typer.echo(f"{kind:8}{path}{'' if path.exists() else '  (not made yet)'}")


@app.command()
def estimate(
    config: _ConfigurationFile,
    gpu: Annotated[str, typer.Option(help="A GPU by name, e.g. a100-80, h100; others with --gpu-memory and --peak.")],
    gpu_memory: Annotated[float | None, typer.Option(help="GB of one GPU.")] = None,
    peak: Annotated[float | None, typer.Option(help="TFLOP/s of one GPU in bfloat16, dense.")] = None,
    utilisation: Annotated[
        float, typer.Option(min=0.0001, max=1, help="Share of the peak that training reaches.")
    ] = 0.4,
    measured: Annotated[
        Path | None, typer.Option(help="A trained model's folder: take the share from its log.")
    ] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="In place of the profile's or the recipes' own.")] = None,
    gpus_per_node: Annotated[
        int | None, typer.Option(min=1, help="In place of the profile's or the recipes' own.")
    ] = None,
    sentence_tokens: Annotated[float, typer.Option(min=1, help="Tokens of a sentence, where none is counted.")] = 40,
    document_tokens: Annotated[
        float, typer.Option(min=1, help="Tokens of a record of monolingual jsonl, parquet or datasets; mC4's, by mT5.")
    ] = 950,
    rows: Annotated[list[str] | None, typer.Option(help="CORPUS=ROWS of a corpus that is not there yet.")] = None,
    row_tokens: Annotated[
        list[str] | None, typer.Option(help="CORPUS=TOKENS of a row: a line, a document, both sides of a pair.")
    ] = None,
    tokens: Annotated[list[str] | None, typer.Option(help="MIXTURE=TOKENS of one pass, where you know them.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="BASE=SHAPE of a base not there yet: llama-2-7b.")] = None,
    profile: Annotated[Path | None, typer.Option(help="With its jobs, nodes and GPUs: profiles/slurm.")] = None,
    jobs: Annotated[bool, typer.Option(help="Count the jobs, which takes as long as a dry run.")] = True,
) -> None:
    """Say what a run takes before it is sent: tokens, steps, memory, GPU-hours, disk, jobs."""
    from lingualift.estimates.command import estimate as estimated

    options = {"rows": rows or (), "tokens": tokens or (), "shapes": shape or (), "profile": profile, "jobs": jobs}
    options |= {"gpu": gpu, "gpu_memory": gpu_memory, "peak": peak, "utilisation": utilisation, "measured": measured}
    options |= {"nodes": nodes, "gpus_per_node": gpus_per_node, "sentence_tokens": sentence_tokens}
    options |= {"document_tokens": document_tokens, "row_tokens": row_tokens or ()}
    with _friendly():
        typer.echo(estimated(config, **options), nl=False)


@app.command()
def runtimes(
    config: _ConfigurationFile,
    since: Annotated[
        str | None, typer.Option(help="From when on SLURM is asked, as sacct takes it; the run's first job by default.")
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="What trained the models that do not say it themselves, e.g. a100-80.")
    ] = None,
    peak: Annotated[float | None, typer.Option(help="TFLOP/s of one such GPU, dense; by its name by default.")] = None,
) -> None:
    """Say what a run really took, by rule, and what its trainings reached; write it to the run's tables."""
    from lingualift.configuration.loading import load_run
    from lingualift.estimates.efficiency import chosen_device
    from lingualift.runtimes import (
        add_accounting,
        first_start,
        rule_runtimes,
        runtime_rows,
        training_rows,
        trainings,
        write_runtimes,
    )

    with _friendly():
        folder, device = Path("results") / load_run(config).configuration.run, chosen_device(gpu, peak)
        runs = trainings(folder / "models")
        found = rule_runtimes(folder / "runtimes", nodes={name: it.nodes for name, it in runs.items()})
        accounted = add_accounting(found, Path.cwd(), since=since or first_start(folder / "runtimes"))
        rows = runtime_rows(found, accounted=accounted, runs=runs, device=device)
        typer.echo(write_runtimes(rows, folder / "tables" / "runtimes.csv"), nl=False)
        if runs:
            table = write_runtimes(training_rows(runs, device), folder / "tables" / "trainings.csv")
            typer.echo(f"\n{table}", nl=False)
    typer.echo(f"\n{folder}/tables/runtimes.csv{'' if accounted else '; SLURM keeps no accounts here'}")


@app.command()
def prune(
    config: _ConfigurationFile,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are listed.")] = False,
) -> None:
    """List the kept translations that a configuration no longer uses, and their sizes; with --yes, remove them."""
    from lingualift.configuration.loading import load_run
    from lingualift.pruning import find_stores, remove_unused

    with _friendly():
        run = load_run(config)
        folder = Path("results") / run.configuration.run
        found = find_stores(run, folder)
        for it in (it for it in found if it.unused):
            num_stores = len(it.unused) + len(it.used)
            what = f"{len(it.unused):,} of {num_stores:,} directions, {it.size / 1e6:,.1f} MB"
            typer.echo(f"{it.folder}: {what}: {it.describe()}")
        unused, size = sum(len(it.unused) for it in found), sum(it.size for it in found)
        typer.echo(f"{unused:,} stores, {size / 1e6:,.1f} MB, that {config} does not use", nl=False)
        typer.echo(f"; {remove_unused(found):,} removed" if yes else "; `--yes` removes them" if unused else "")


@app.command()
def schema() -> None:
    """Print the JSON schema of a configuration, for editors."""
    from lingualift.configuration.schema_file import schema_json

    typer.echo(schema_json(), nl=False)


@app.command()
def reference(
    into: Annotated[Path | None, typer.Option(help="Write it into this file, under its marker.")] = None,
) -> None:
    """Print all keys of a configuration as Markdown."""
    from lingualift.configuration.reference import insert
    from lingualift.configuration.reference import reference as tables

    with _friendly():
        if into is None:
            typer.echo(tables(), nl=False)
        else:
            insert(into)


@app.command()
def languages(
    pattern: Annotated[str, typer.Argument(help="Part of a code, a name, a family or a script.")] = "",
    languages_file: _LanguagesFile = None,
) -> None:
    """List languages, and what each data set calls them."""
    from lingualift.languages import load_languages

    with _friendly():
        table = load_languages(languages_file or _shipped("languages.tsv"))
    wanted = pattern.lower()
    found = [
        language
        for language in table.values()
        if wanted in (language.code.lower(), language.iso639_3, language.script.lower())
        or wanted in language.name.lower()
        or wanted in language.family.lower()
    ]
    if not found:
        typer.echo(f"no language like {pattern!r} among {len(table)}", err=True)
        raise typer.Exit(1)
    for it in found:
        codes = " ".join(f"{name}={code}" for name, code in it.codes.items())
        typer.echo(f"{it.code:7} {it.name:24} {it.family:22} {it.script} {it.iso639_3} {it.resource:5} {codes}")


@app.command()
def add_language(
    cells: Annotated[
        list[str],
        typer.Argument(metavar="COLUMN=VALUE…", help="code, name, script and iso639_3 are needed; others as they are."),
    ],
    languages_file: _LanguagesFile = None,
) -> None:
    """Add a language to languages.tsv: code=qlx name=Qualaxian script=Latn iso639_3=qlx mc4=qlx."""
    from lingualift.language_rows import add_language as add

    path = languages_file or _shipped("languages.tsv")
    with _friendly():
        language = add(path, cells)
    typer.echo(f"{path}: {language.code}, {language.name}; in {', '.join(language.codes) or 'no data set'}")


@app.command()
def translate(
    model: Annotated[Path, typer.Argument(help="The folder of a model, e.g. results/demo/models/lifted-alpaca.")],
    sentence: Annotated[str | None, typer.Argument(help="Default: the lines of the standard input.")] = None,
    source: Annotated[str, typer.Option(help="Code of the language it is in.")] = "en",
    target: Annotated[str, typer.Option(help="Code of the language it is wanted in.")] = "de",
    prompt: Annotated[
        str | None,
        typer.Option(
            help="Template of prompts.yaml: the one the model was tuned with. Default: alpaca; that of its family for "
            "a translation model, where it takes one."
        ),
    ] = None,
    beam: Annotated[int, typer.Option(min=1)] = 4,
    engine: Annotated[Literal["auto", "transformers", "ctranslate2", "vllm"], typer.Option()] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="0: all cores.")] = 0,
    languages_file: _LanguagesFile = None,
    prompts_file: Annotated[Path | None, typer.Option(help="Default: config/prompts.yaml.")] = None,
) -> None:
    """Translate a sentence, or lines from standard input."""
    sentences = [sentence] if sentence is not None else [line.strip() for line in sys.stdin]
    files = (languages_file or _shipped("languages.tsv"), prompts_file or _shipped("prompts.yaml"))
    options = {"prompt": prompt, "beam": beam, "engine": engine, "threads": threads, "files": files}
    with _friendly():
        for line in _translations(model, sentences, source=source, target=target, **options):
            typer.echo(line)


def _translations(
    model: Path, sentences: Sequence[str], *, source: str, target: str, files: tuple[Path, Path], **options: Any
) -> list[str]:
    """The translation of each sentence; an empty one stays empty.

    Args:
        options: those of :func:`_translator`.

    Raises:
        LingualiftError: no such model, language or prompt.
    """
    from lingualift.configuration.loading import read_yaml
    from lingualift.configuration.messages import nearest
    from lingualift.languages import load_languages

    table = load_languages(files[0])
    for code in (source, target):
        if code not in table:
            raise LingualiftError(f"no language {code!r}{nearest(code, table)}; `lingualift languages` lists them")
    translated = [""] * len(sentences)
    filled = [number for number, text in enumerate(sentences) if text]
    with _translator(model, table, (source, target), prompts=read_yaml(files[1]), **options) as translator:
        for numbers, questions, longest in translator.plan([sentences[n] for n in filled], source, target):
            for number, answer in zip(numbers, translator.answer(questions, longest), strict=True):
                translated[filled[number]] = answer
    return translated


@contextmanager
def _translator(
    model: Path,
    table: Mapping[str, "Language"],
    codes: Sequence[str],
    *,
    prompts: Mapping[str, Any],
    prompt: str | None,
    beam: int,
    engine: str,
    threads: int,
) -> Iterator["Translates"]:
    """The model of a folder, causal or a translation model, ready to translate between languages of these codes."""
    from lingualift.configuration.messages import nearest
    from lingualift.configuration.prompts import Prompt
    from lingualift.configuration.systems import FAMILIES, CausalModel, TranslationModel
    from lingualift.engines import choose_engine, convert_to_ctranslate2
    from lingualift.sequence_models import detect_family, is_translation_model, load_sequence_translator, told_codes
    from lingualift.translation import load_translator

    def template(name: str) -> Prompt:
        if name not in prompts:
            raise LingualiftError(f"no prompt {name!r}{nearest(name, prompts)}; there are {', '.join(prompts)}")
        return Prompt.model_validate(prompts[name])

    if prompt is not None:
        template(prompt)
    if not (model / "config.json").is_file():
        raise LingualiftError(f"{model}: not the folder of a model (it has no config.json)")
    if is_translation_model(model):
        name = detect_family(model)
        family = FAMILIES[name]
        if engine not in ("auto", "transformers"):
            raise LingualiftError(f"{model}: a translation model, which transformers runs, not {engine}")
        if prompt and not family.prompt:
            raise LingualiftError(f"{model}: a translation model that is not asked in words and takes no prompt")
        asked = template(prompt or family.prompt) if family.prompt else None
        yield load_sequence_translator(
            system=TranslationModel(translator=".", beam=beam),
            data=model,
            names=asked.language_names(table, codes) if asked and not family.column else told_codes(table, codes, name),
            prompt=asked,
            column=family.column,
        )
        return
    system = CausalModel.model_validate({"model": "model", "beam": beam, "engine": engine})
    asked = template(prompt or "alpaca")
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "converted" if choose_engine(system, gpus=_gpus()) == "ctranslate2" else None
        if converted is not None:
            convert_to_ctranslate2(model, converted)
        yield load_translator(
            model=model,
            converted=converted,
            system=system,
            prompt=asked,
            names=asked.language_names(table, codes),
            threads=threads,
        )


def _gpus() -> int:
    """How many GPUs this machine has."""
    import torch

    return torch.cuda.device_count()
