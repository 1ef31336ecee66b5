"""Model cards: what a model folder is, for whoever finds it."""

from pathlib import Path

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
        f"| precision | {manifest.get('precision')} |",
        f"| learning rate, schedule | {recipe.get('learning_rate')}, {recipe.get('schedule')} |",
        f"| batch (blocks) | {recipe.get('batch')} |",
        f"| seed | {manifest.get('seed')} |",
        "",
        f"`manifest.json` holds all settings, versions and checksums; `{LOG}` the log of the training.",
        "",
    ]
    return "\n".join(lines)
