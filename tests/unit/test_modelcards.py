"""Model cards."""

from pathlib import Path

import yaml

from lingualift.files import write_json
from lingualift.modelcards import model_card


def _card(folder: Path, **settings) -> str:
    manifest = {
        "settings": settings,
        "counts": {"parameters": 1234567, "steps": 40, "tokens": 81920},
        "first_loss": 7.5,
        "last_loss": 2.25,
        "precision": "float32",
        "seed": 17,
        "recipe": {"learning_rate": 2e-3, "schedule": "cosine", "batch": 32},
    }
    write_json(manifest, folder / "manifest.json")
    return model_card(folder / "manifest.json")


def test_card_says_what_the_model_is(tmp_path: Path) -> None:
    card = _card(
        tmp_path,
        model="lifted",
        stage="pretrain",
        base="base",
        mixture="lifting",
        languages=["en", "cs"],
    )
    for text in ("# lifted", "Pretrain stage", "on top of `base`", "mixture `lifting`", "1,234,567", "81,920"):
        assert text in card
    assert "7.5 → 2.25" in card
    assert "0.002, cosine" in card


def test_head_is_yaml_that_the_hub_reads(tmp_path: Path) -> None:
    head = yaml.safe_load(_card(tmp_path, model="base", languages=["en", "no", "cs"]).split("---")[1])
    assert head["pipeline_tag"] == "text-generation"
    assert head["language"] == ["en", "no", "cs"]


def test_a_model_from_fresh_weights(tmp_path: Path) -> None:
    assert "from fresh weights" in _card(tmp_path, model="base", stage="pretrain", base=None, mixture="english")


def test_adapters_and_held_out_loss_are_told_where_there_are_any(tmp_path: Path) -> None:
    manifest = {
        "settings": {"model": "m", "stage": "finetune", "base": "b", "mixture": "x"},
        "counts": {"held_out_blocks": 1200},
        "best_held_out_loss": 1.23456,
        "best_held_out_step": 4000,
        "recipe": {"batch": 8, "lora": {"rank": 4, "alpha": 8.0, "targets": ["q_proj", "v_proj"]}},
    }
    write_json(manifest, tmp_path / "manifest.json")
    card = model_card(tmp_path / "manifest.json")
    assert "| lowest loss on 1,200 held-out blocks | 1.2346, at step 4,000 |" in card
    assert "| merged low-rank adapters | rank 4, alpha 8, q_proj, v_proj |" in card
    del manifest["best_held_out_loss"], manifest["recipe"]["lora"]
    write_json(manifest, tmp_path / "manifest.json")
    card = model_card(tmp_path / "manifest.json")
    assert "held-out" not in card and "adapters" not in card
