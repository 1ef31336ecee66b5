"""What one entry alone cannot know: references, languages, ablations."""

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lingualift.configuration.schema import Configuration, TranslatedCorpus, references
from lingualift.errors import LingualiftError

if TYPE_CHECKING:
    from lingualift.configuration.loading import Run

Mistake = tuple[tuple[str | int, ...], str]


def check(run: "Run") -> Iterator[Mistake]:
    """Every mistake of a configuration: where it is, and what is wrong."""
    missing = list(_unresolved(run))
    yield from missing
    yield from _unknown_languages(run)
    if not missing:
        yield from _circles(run.configuration)
        yield from _lacking_languages(run)
        yield from _directions(run)
        yield from _ablations(run.configuration)


def _unresolved(run: "Run") -> Iterator[Mistake]:
    for reference in references(run.configuration):
        section: dict[str, Any] = (
            dict(run.prompts) if reference.section == "prompts" else getattr(run.configuration, reference.section)
        )
        if reference.name not in section:
            close = difflib.get_close_matches(reference.name, list(section), n=1, cutoff=0.5)
            hint = f", did you mean {close[0]!r}?" if close else ""
            there = ", ".join(sorted(section)) or "none"
            yield reference.place, f"no entry {reference.name!r} in {reference.section}{hint}; there are: {there}"


def _unknown_languages(run: "Run") -> Iterator[Mistake]:
    for number, code in enumerate(run.configuration.languages):
        if code not in run.languages:
            close = difflib.get_close_matches(code, list(run.languages), n=1, cutoff=0.5)
            hint = f", did you mean {close[0]!r}?" if close else ""
            yield ("languages", number), f"no language {code!r} in {run.configuration.languages_file}{hint}"
        if code in run.configuration.languages[:number]:
            yield ("languages", number), f"language {code!r} is there twice"


def _lacking_languages(run: "Run") -> Iterator[Mistake]:
    """Languages that are asked of a corpus that lacks them, and corpora that have none of the run's."""
    known = [code for code in run.configuration.languages if code in run.languages]
    covered: dict[str, list[str]] = {}
    for section, entries in (("corpora", run.configuration.corpora), ("benchmarks", run.configuration.benchmarks)):
        for name, entry in entries.items():
            if isinstance(entry, TranslatedCorpus):
                covered[name] = list(entry.languages or known)
                continue
            corpus = getattr(entry, "test", entry)
            if corpus.kind == "instructions":
                continue
            has = corpus.languages_covered(known, run.languages)
            covered[name] = has if section == "corpora" else covered.get(name, [])
            for number, code in enumerate(corpus.languages or ()):
                if code not in has:
                    yield (section, name, "languages", number), _lack(code, has)
            if not has:
                yield (section, name), f"it has none of the run's languages, {', '.join(known)}"
    for name, mixture in run.configuration.mixtures.items():
        for number, component in enumerate(mixture.components):
            has = covered.get(component.corpus or "", known)
            for place, code in enumerate(component.languages or ()):
                if code not in has:
                    yield ("mixtures", name, "components", number, "languages", place), _lack(code, has)


def _lack(code: str, has: list[str]) -> str:
    shown = ", ".join(has[:12]) + (f", … ({len(has)})" if len(has) > 12 else "")
    return f"the corpus has no {code!r}; it has: {shown or 'none of the run'}"


def _directions(run: "Run") -> Iterator[Mistake]:
    for name, benchmark in run.configuration.benchmarks.items():
        known = [code for code in run.configuration.languages if code in run.languages]
        has = benchmark.test.languages_covered(known, run.languages)
        try:
            if not benchmark.directions.expand(has):
                yield ("benchmarks", name, "directions"), "not one direction is left"
        except LingualiftError as error:
            yield ("benchmarks", name, "directions"), str(error)


def _circles(configuration: Configuration) -> Iterator[Mistake]:
    for name in configuration.models:
        seen, at = [name], configuration.models[name].from_
        while at is not None and at not in seen:
            seen.append(at)
            at = configuration.models[at].from_
        if at == name:
            yield ("models", name, "from"), f"goes round in a circle: {' → '.join([*seen, name])}"


def chain(configuration: Configuration, name: str) -> list[dict[str, Any]]:
    """The stages that make a model, base first, each with all that determines it and no names of models."""
    model = configuration.models[name]
    before = chain(configuration, model.from_) if model.from_ else []
    if model.scratch or model.path or model.hub:
        base = model.model_dump(mode="json", include={"scratch", "path", "hub"}, exclude_none=True)
        before = [base] if not model.stage else [{**base}]
    if model.stage is None:
        return before
    return [*before, {"kind": model.stage_kind, "mixture": model.stage.mixture, "recipe": model.stage.recipe}]


def _ablations(configuration: Configuration) -> Iterator[Mistake]:
    """An ablation differs from what it ablates in one stage: then, and only then, the difference is its doing."""
    for name, model in configuration.models.items():
        if model.ablates is None:
            continue
        mine, theirs = chain(configuration, name), chain(configuration, model.ablates)
        if len(mine) == len(theirs):
            differing = sum(a != b for a, b in zip(mine, theirs, strict=True))
        else:
            short, long = sorted((mine, theirs), key=len)
            left_out = [long[:at] + long[at + 1 :] for at in range(len(long))]
            differing = 1 if short in left_out else abs(len(long) - len(short)) + 1
        if differing != 1:
            yield (
                ("models", name, "ablates"),
                f"differs from {model.ablates!r} in {differing} stages, an ablation differs in one",
            )
