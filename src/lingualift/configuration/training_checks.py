"""Models and what they are trained on: blocks that they can read, ablations that differ in one thing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingualift.configuration.messages import Mistake
from lingualift.configuration.schema import Configuration

if TYPE_CHECKING:
    from lingualift.configuration.loading import Run

# What transformers calls the longest sequence of a model; some old ones have names of their own.
_CONTEXT = ("max_position_embeddings", "n_positions")


def check_trainings(run: "Run") -> Iterator[Mistake]:
    """Blocks that are longer than their model's context, and ablations that differ in more than one thing."""
    yield from _blocks(run)
    yield from _ablations(run.configuration)


def read_model_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model's folder, that of its text part where it has several; empty where none can be read."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    inner = values.get("text_config")
    return {**values, **inner} if isinstance(inner, dict) else values


def root_of(configuration: Configuration, name: str) -> str:
    """The model that a chain of models begins with."""
    model = configuration.models[name]
    return root_of(configuration, model.from_) if model.from_ is not None else name


def _blocks(run: "Run") -> Iterator[Mistake]:
    models, mixtures = run.configuration.models, run.configuration.mixtures
    contexts: dict[str, int | None] = {}
    said = set()
    for name, model in models.items():
        if model.stage is None:
            continue
        root = root_of(run.configuration, name)
        if root not in contexts:
            contexts[root] = _context(run, root)
        mixture, context = model.stage.mixture, contexts[root]
        block = mixtures[mixture].block
        if context and block > context and (mixture, root) not in said:
            said.add((mixture, root))
            where = f"models.{root}.scratch.context" if models[root].scratch else f"of {models[root].path}"
            yield (
                ("mixtures", mixture, "block"),
                f"{block} tokens are more than {name!r} can read at once: {context} ({where})",
            )


def _context(run: "Run", root: str) -> int | None:
    """The longest sequence of a model, in tokens; None where it has no limit, or is not there to tell."""
    model = run.configuration.models[root]
    if model.scratch is not None:
        return model.scratch.context
    if model.path is None:
        return None
    values = read_model_config(run.data / model.path)
    return next((it for key in _CONTEXT if isinstance(it := values.get(key), int)), None)


def chain(configuration: Configuration, name: str) -> list[dict[str, Any]]:
    """The stages that make a model, base first, each with all that determines it and no names of models."""
    model = configuration.models[name]
    if model.from_ is not None:
        stages = chain(configuration, model.from_)
    else:
        stages = [model.model_dump(mode="json", include={"scratch", "path", "hub"}, exclude_none=True)]
    if model.stage is not None:
        stages.append({"kind": model.stage_kind, "mixture": model.stage.mixture, "recipe": model.stage.recipe})
    return stages


def _ablations(configuration: Configuration) -> Iterator[Mistake]:
    """An ablation differs from what it ablates in one thing: then, and only then, the difference is its doing.

    That is a stage more or less, another base, or of one stage its kind, its mixture or its recipe.
    """
    for name, model in configuration.models.items():
        if model.ablates is None:
            continue
        mine, theirs = chain(configuration, name), chain(configuration, model.ablates)
        things: list[str] = []
        if len(mine) == len(theirs):
            unlike = [(a, b) for a, b in zip(mine, theirs, strict=True) if a != b]
            differing = len(unlike)
            if differing == 1:
                a, b = unlike[0]
                things = [
                    f"{key} ({a[key]}, not {b[key]})" for key in ("kind", "mixture", "recipe") if _differ(a, b, key)
                ]
        else:
            short, long = sorted((mine, theirs), key=len)
            left_out = [long[:at] + long[at + 1 :] for at in range(len(long))]
            differing = 1 if short in left_out else abs(len(long) - len(short)) + 1
        at = ("models", name, "ablates")
        if differing != 1:
            yield at, f"differs from {model.ablates!r} in {differing} stages, an ablation differs in one"
        elif len(things) > 1:
            yield at, f"differs from {model.ablates!r} in {' and in '.join(things)}: an ablation differs in one thing"


def _differ(mine: dict[str, Any], theirs: dict[str, Any], key: str) -> bool:
    return key in mine and key in theirs and mine[key] != theirs[key]
