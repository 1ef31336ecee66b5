"""What one entry alone cannot know: references, languages, kinds of text, circles, ablations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lingualift.configuration.corpus_base import Corpus
from lingualift.configuration.evaluation import Comet
from lingualift.configuration.language_checks import check_known, check_languages
from lingualift.configuration.messages import Mistake, Place, nearest, shortened
from lingualift.configuration.mixtures import Component
from lingualift.configuration.schema import Configuration, Reference, TranslatedCorpus, references
from lingualift.configuration.systems import (
    CausalModel,
    Endpoint,
    HypothesisFiles,
    Pivot,
    PublishedScores,
    TranslationModel,
)
from lingualift.configuration.table_checks import check_tables, known_metrics, metric_hint
from lingualift.configuration.training_checks import check_trainings
from lingualift.errors import LingualiftError

if TYPE_CHECKING:
    from lingualift.configuration.loading import Run

Node = tuple[str | int, ...]
# Tables and figures are targets by their name; these are targets already.
RULES = frozenset(
    """
    all lexicons mixtures models fetch_dataset fetch_model fetch_public_set build_comet_environment import_corpus
    import_benchmark translate_supplement assemble_supplement build_lexicon augment_corpus mix_corpora train_tokenizer
    pack_mixture describe_mixture train_model plot_training convert_model translate_shard translate_legs translate_through_pivot
    read_hypotheses ask_endpoint score_hypotheses detect_languages score_comet compare_systems read_published_scores
    make_table make_figure
    """.split()  # noqa: SIM905
)


def check(run: "Run") -> Iterator[Mistake]:
    """Every mistake of a configuration: where it is, and what is wrong."""
    # The rest would only repeat these.
    first = [*_unresolved(run), *check_known(run)]
    yield from first
    if first:
        return
    yield from check_languages(run)
    yield from _unused(run.configuration)
    yield from _folders(run)
    yield from _kinds(run)
    yield from _taken_names(run.configuration)
    yield from _systems(run)
    yield from _prompts(run)
    yield from _directions(run)
    yield from check_tables(run)
    circles = list(_circles(run.configuration))
    yield from circles
    if not circles:
        yield from check_trainings(run)


def _unresolved(run: "Run") -> Iterator[Mistake]:
    sections = {name: getattr(run.configuration, name) for name in type(run.configuration).model_fields}
    sections["prompts"] = run.prompts
    sections["metrics"] = known_metrics(run.configuration)
    for reference in references(run.configuration):
        section = sections[reference.section]
        if reference.name not in section:
            there = shortened(sorted(section), shown=40)
            metric = reference.section == "metrics"
            hint = metric_hint(reference.name, run.configuration) if metric else nearest(reference.name, section)
            yield reference.place, f"no entry {reference.name!r} in {reference.section}{hint}; there are: {there}"


def _unused(configuration: Configuration) -> Iterator[Mistake]:
    """Keys that would be accepted and have no effect, and a file where a folder is meant."""
    for name, metric in configuration.metrics.items():
        if isinstance(metric, Comet) and metric.checkpoint.endswith(".ckpt"):
            folder = metric.checkpoint.rpartition("/checkpoints/")[0] or "<folder>"
            place = ("metrics", name, "checkpoint")
            yield place, f"{metric.checkpoint!r} is a file: give the folder that holds checkpoints/model.ckpt, {folder}"
    for name, benchmark in configuration.benchmarks.items():
        for key in ("max_characters", "max_length_ratio", "max_dropped"):
            if key in benchmark.test.model_fields_set:
                yield ("benchmarks", name, key), "this key is for corpora: of a benchmark no row is dropped"
    for name, mixture in configuration.mixtures.items():
        asked = any(
            it.format == "instruction" or (it.corpus and configuration.corpora[it.corpus].kind == "instructions")
            for it in mixture.components
        )
        for key in sorted({"loss", "prompt"} & mixture.model_fields_set) if not asked else ():
            yield ("mixtures", name, key), "this key is for instructions: there are none in this mixture"


def _folders(run: "Run") -> Iterator[Mistake]:
    """Folders where a file is meant."""
    for place, corpus in run.configuration.texts().items():
        reads_a_file = isinstance(corpus, Corpus) and corpus.reader != "datasets" and not getattr(corpus, "files", None)
        if reads_a_file and (run.data / corpus.path).is_dir():
            how = "give 'files'" if "files" in type(corpus).model_fields else "name the file in it"
            yield (*place, "path"), f"{corpus.path!r} is a folder: {how}"


def _kinds(run: "Run") -> Iterator[Mistake]:
    """Corpora of a kind that cannot be used in the way they are asked to."""
    corpora = run.configuration.corpora
    for name, augmentation in run.configuration.augmentations.items():
        if corpora[augmentation.source].kind == "instructions":
            yield (
                ("augmentations", name, "source"),
                _kind(augmentation.source, "instructions", "parallel or monolingual"),
            )
    for name, corpus in corpora.items():
        if not isinstance(corpus, TranslatedCorpus):
            continue
        source = corpora[corpus.source]
        if source.kind != "monolingual":
            yield ("corpora", name, "source"), _kind(corpus.source, source.kind, "monolingual")
        elif "en" not in source.languages_covered(run.configuration.languages, run.languages):
            yield ("corpora", name, "source"), f"{corpus.source!r} has no English"
        for number, other in enumerate(corpus.of):
            if corpora[other].kind != "parallel":
                yield ("corpora", name, "of", number), _kind(other, corpora[other].kind, "parallel")
    for name, mixture in run.configuration.mixtures.items():
        # D_En and D_mono have nothing in common (LLaMAX, Algorithm 1).
        texts = [_text(run.configuration, component) for component in mixture.components]
        translated = {it.source: text for text in texts if isinstance(it := corpora[text], TranslatedCorpus)}
        for number, (component, text) in enumerate(zip(mixture.components, texts, strict=True)):
            if text in translated:
                yield (
                    ("mixtures", name, "components", number, "corpus" if component.corpus else "augmentation"),
                    f"{text!r} is the English that {translated[text]!r} of this mixture translates: a mixture holds "
                    "one of them; give 'source' there a corpus that no component is made of",
                )
            kind = corpora[component.corpus].kind if component.corpus is not None else "parallel"
            asked = {
                "format": component.format != "connected",
                "directions": component.directions is not None,
                "loss": component.loss == "target",
            }
            for key in (key for key, used in asked.items() if used and kind != "parallel"):
                yield ("mixtures", name, "components", number, key), _kind(component.source, kind, "parallel")
            if kind == "instructions" and component.languages is not None:
                place = ("mixtures", name, "components", number, "languages")
                yield place, _kind(component.source, kind, "parallel or monolingual")


def _text(configuration: Configuration, component: Component) -> str:
    """The corpus that a component is, or is made of."""
    made = configuration.augmentations.get(component.augmentation or "")
    return made.source if made else component.source


def _kind(name: str, kind: str, wanted: str) -> str:
    return f"{name!r} is {kind}; this is for {wanted} text"


# A corpus of many languages is more than anybody would pay an endpoint for.
_TRANSLATING = {"corpora": (CausalModel, TranslationModel), "systems": (CausalModel, TranslationModel, Endpoint)}
_NOT_TRANSLATING = {
    Pivot: "goes through a pivot",
    HypothesisFiles: "is files of translations",
    PublishedScores: "is published scores",
    Endpoint: "is an endpoint",
}


def _systems(run: "Run") -> Iterator[Mistake]:
    """Systems that are to translate for others and cannot."""
    systems = run.configuration.systems
    corpora = run.configuration.corpora.items()
    asked: list[tuple[Place, str]] = [
        *((("corpora", name, "system"), it.system) for name, it in corpora if isinstance(it, TranslatedCorpus)),
        *((("systems", name, "system"), it.system) for name, it in systems.items() if isinstance(it, Pivot)),
    ]
    for place, name in asked:
        kinds = _TRANSLATING[str(place[0])]
        if not isinstance(systems[name], kinds) and not _comes_back(systems, name):
            can = shortened([other for other, it in systems.items() if isinstance(it, kinds)])
            yield place, f"{name!r} {_NOT_TRANSLATING[type(systems[name])]}, which cannot be used here; allowed: {can}"


def _comes_back(systems: Mapping[str, Any], name: str) -> bool:
    """Whether the pivots from here on go round in a circle, which is a mistake of its own."""
    passed = []
    while isinstance(systems[name], Pivot) and name not in passed:
        passed.append(name)
        name = systems[name].system
    return name in passed


def _prompts(run: "Run") -> Iterator[Mistake]:
    """Prompts of a form that what they are for cannot use."""
    chats = {name for name, prompt in run.prompts.items() if prompt.chat}
    for name, mixture in run.configuration.mixtures.items():
        if mixture.prompt in chats:
            yield (
                ("mixtures", name, "prompt"),
                f"{mixture.prompt!r} is for chats (`chat: true`), whose form is the tokenizer's: a mixture needs a "
                "template that writes it out",
            )
    for name, system in run.configuration.systems.items():
        if not isinstance(system, TranslationModel):
            continue
        prompt = system.prompt_name(system.family) if system.family != "auto" else system.prompt
        if prompt and prompt not in run.prompts:
            yield (
                ("systems", name, "family"),
                f"a model of the family {system.family} is asked with {prompt!r}, which is not in "
                f"{run.configuration.prompts_file}: add it, or name another as `prompt`",
            )
        elif prompt in chats:
            yield (
                ("systems", name, "prompt"),
                f"{prompt!r} is for chats (`chat: true`), which a translation model does not hold",
            )


def _taken_names(configuration: Configuration) -> Iterator[Mistake]:
    """Tables and figures whose name is another target's."""
    for section in ("tables", "figures"):
        for name in getattr(configuration, section):
            # Each public set is a target, too.
            if name in RULES or name.startswith("fetch_"):
                yield (section, name), f"{name!r} is a rule of the workflow: choose another name"


def _directions(run: "Run") -> Iterator[Mistake]:
    ours = run.configuration.languages
    asked: list[tuple[Place, Any, Sequence[str]]] = [
        (("benchmarks", name), it.directions, it.test.languages_covered(ours, run.languages))
        for name, it in run.configuration.benchmarks.items()
    ]
    for name, mixture in run.configuration.mixtures.items():
        for number, component in enumerate(mixture.components):
            if component.directions is not None:
                asked.append(
                    (("mixtures", name, "components", number), component.directions, component.languages or ours)
                )
    for at, directions, has in asked:
        try:
            if has and not directions.expand(has):
                yield (*at, "directions"), "not one direction is left"
        except LingualiftError as error:
            yield (*at, "directions"), str(error)


def _circles(configuration: Configuration) -> Iterator[Mistake]:
    """Entries that are made from themselves: models, or corpora that a model trained on them translates."""
    needs: dict[Node, list[Reference]] = {}
    for reference in references(configuration):
        # An ablation is compared with a model, not made from it.
        if reference.place[-1] != "ablates":
            needs.setdefault(reference.place[:2], []).append(reference)
    done: set[Node] = set()

    def visit(node: Node, path: list[Node]) -> Iterator[Mistake]:
        for reference in needs.get(node, ()):
            other = (reference.section, reference.name)
            if other in path:
                circle = [*path[path.index(other) :], other]
                alike = len({section for section, _ in circle}) == 1
                words = [str(name) if alike else f"{section}.{name}" for section, name in circle]
                yield reference.place, f"goes round in a circle: {' → '.join(words)}"
            elif other not in done:
                yield from visit(other, [*path, other])
        done.add(node)

    for node in list(needs):
        if node not in done:
            yield from visit(node, [node])
