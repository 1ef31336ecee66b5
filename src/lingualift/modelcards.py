"""Model cards: what a model folder is, for whoever finds it."""

from pathlib import Path
from typing import Any

from lingualift.files import read_json

LOG = "training.jsonl"


def model_card(manifest_path: Path) -> str:
    """The README of a model folder, in the Hugging Face hub's form, from its manifest."""
    manifest = read_json(manifest_path)
    settings, counts = manifest["settings"], manifest["counts"]
    languages = settings.get("languages", [])
    recipe = manifest.get("recipe") or {"schedule": "cosine", **settings.get("recipe", {})}
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        *(["language:", *(f'- "{code}"' for code in languages)] if languages else []),
        "---",
        "",
        f"# {settings.get('model', 'model')}",
        "",
        f"{settings.get('stage', 'base').capitalize()} stage of a Lingualift run"
        + (f" on top of `{settings['base']}`" if settings.get("base") else ", from fresh weights")
        + f", mixture `{settings.get('mixture', '?')}`.",
        "",
        "| | |",
        "|---|---|",
        f"| parameters | {counts.get('parameters', 0):,} |",
        f"| optimiser steps | {counts.get('steps', 0):,} |",
        f"| tokens seen | {counts.get('tokens', 0):,} |",
        f"| loss, first and last logged | {manifest.get('first_loss')} → {manifest.get('last_loss')} |",
        *_held_out(manifest),
        f"| precision | {manifest.get('precision')} |",
        f"| learning rate, schedule | {recipe.get('learning_rate')}, {recipe.get('schedule')} |",
        f"| batch (blocks) | {recipe.get('batch')} |",
        *_adapters(recipe),
        f"| seed | {manifest.get('seed')} |",
        "",
        f"`manifest.json` holds all settings, versions and checksums; `{LOG}` the log of the training.",
        "",
    ]
    return "\n".join(lines)


def _held_out(manifest: dict[str, Any]) -> list[str]:
    if manifest.get("best_held_out_loss") is None:
        return []
    blocks = manifest["counts"].get("held_out_blocks", 0)
    loss, step = manifest["best_held_out_loss"], manifest["best_held_out_step"]
    return [f"| lowest loss on {blocks:,} held-out blocks | {loss:.4f}, at step {step:,} |"]


def _adapters(recipe: dict[str, Any]) -> list[str]:
    lora = recipe.get("lora")
    if not lora:
        return []
    layers = ", ".join(lora.get("targets") or ["all linear layers"])
    return [f"| merged low-rank adapters | rank {lora.get('rank', 8)}, alpha {lora.get('alpha', 16):g}, {layers} |"]
