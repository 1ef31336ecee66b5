# Look-ups in the checked configuration; nothing is worked out here.

import os
import sys

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from lingualift.configuration.loading import load_run
from lingualift.errors import LingualiftError
from lingualift.planning import STAGE_VERSIONS, Plan
from lingualift.public_sets import read_public_sets

# Progress bars in a file are read later, if at all: a line a minute is enough there.
if not sys.stderr.isatty():
    os.environ.setdefault("TQDM_MININTERVAL", "60")

# What the profile gives is known where Snakemake runs; the processes that it starts for jobs are told by the environment.
if workflow.is_main_process:
    given = workflow.resource_settings.resources.get("gpu")
    os.environ["LINGUALIFT_GPUS"] = str(int(getattr(given, "value", given) or 0))


envvars:
    "LINGUALIFT_GPUS",


def given_to_trainings():
    """What the profile sets for trainings: nodes, devices, the type of GPU."""
    given = workflow.resource_settings.overwrite_resources.get("train_model", {})
    # As they are written: values from the command line are functions until a job asks.
    return {key: str(getattr(it, "raw", it)).strip("'\"") for key, it in given.items()}


def training_resources(model):
    """What a training asks of SLURM beside memory and time; of one type of GPU where the profile names it."""
    return plan.training_resources(model, gpus=gpus(1) > 0, given=given_to_trainings())


def training_gpus(model):
    """The GPUs of a training that is to run; too few are a mistake, and so are nodes that do not go with its recipe."""
    plan.check_spread(model, gpus=plan.gpus, given=given_to_trainings())
    return training_resources(model).get("gpu")


def spread(model):
    """The nodes of a training and the devices of each."""
    return plan.spread(model, given=given_to_trainings())


def gpus(number):
    """The GPUs a job asks for: none, unless the profile says how many there are (`resources: [gpu=8]`)."""
    return number if plan.gpus else 0


SETS = os.path.relpath(f"{workflow.basedir}/config/public_sets.yaml")
try:
    PUBLIC_SETS = read_public_sets(SETS)
    plan = Plan(
        load_run(
            {key: value for key, value in config.items() if key != "pathvars"},
            root=Path(os.path.relpath(workflow.basedir)),
            file=str(workflow.configfiles[-1]) if workflow.configfiles else None,
        ),
        gpus=int(os.environ.get("LINGUALIFT_GPUS", "0")),
    )
    # Told once, not by every job.
    told = workflow.is_main_process
    missing_data, remarks = (plan.missing_data(), plan.remarks()) if told else ({}, {})
    # A mistake of the profile is said here, not by a job.
    for name in plan.trained_models() if told else ():
        training_resources(name)
except LingualiftError as error:
    raise WorkflowError(f"the configuration has mistakes:\n{error}") from None

RUN = plan.configuration.run
RESULTS = f"results/{RUN}"
SEED = plan.configuration.seed
DATA = str(plan.run.data)

for name, files in missing_data.items():
    folder = os.path.relpath(files[0], DATA).split(os.sep)[0]
    fetched = f", `snakemake fetch_{folder}` downloads them" * (folder in PUBLIC_SETS)
    more = f" and {len(files) - 1} more" * (len(files) > 1)
    logger.warning(
        f"{name}: not there: {files[0]}{more}{fetched}; the run can be planned, not run"
    )
for name, what in remarks.items():
    logger.warning(f"{name}: {what}")


def constraints():
    """What each wildcard may be: the names of the configuration."""
    sections = {
        "corpus": plan.imported_corpora(),
        "supplement": plan.translated_corpora(),
        "dictionary": plan.configuration.dictionaries,
        "augmentation": plan.configuration.augmentations,
        "mixture": plan.configuration.mixtures,
        "scratch": plan.scratch_models(),
        "trained": plan.trained_models(),
        "model": plan.configuration.models,
        "system": plan.configuration.systems,
        "translating": plan.translating_systems(),
        "asking": plan.asking_systems(),
        "reading": plan.reading_systems(),
        "pivoting": plan.pivoting_systems(),
        "pivot": plan.languages,
        "baseline": plan.configuration.systems,
        "benchmark": plan.configuration.benchmarks,
        "metric": plan.comet_metrics(),
        "judge": plan.judges(),
        "table": plan.configuration.tables,
        "figure": plan.configuration.figures,
        "fetched_dataset": plan.fetched_datasets(),
        "fetched_model": plan.fetched_models(),
    }
    named = {
        key: "|".join(map(re.escape, names)) or "none"
        for key, names in sections.items()
    }
    # Scores of a part of the translations stand in a folder of the benchmark's name.
    return {**named, "shard": r"\d+", "part": r"(/\d+)?"}


def in_results(paths):
    """Paths of the run, from the folder of the workflow; what is outside of the run stays as it is."""
    if isinstance(paths, dict):
        return {key: in_results(value) for key, value in paths.items()}
    if isinstance(paths, str):
        return paths if os.path.isabs(paths) else f"{RESULTS}/{paths}"
    return [in_results(path) for path in paths]


def there(inputs):
    """Inputs without those from outside the run that are not there yet: their job says what is missing."""
    inside = in_results(inputs)
    return {
        key: value
        for key, value in inside.items()
        if not isinstance(value, str)
        or value.startswith(RESULTS)
        or os.path.exists(value)
    }


def growing(amount):
    """A resource that grows with each attempt."""
    return lambda wildcards, attempt: amount * attempt


def version(stage):
    """The version of a stage's code, a parameter of its rule."""
    return STAGE_VERSIONS[stage]
