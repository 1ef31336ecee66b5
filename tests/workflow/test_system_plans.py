"""Snakemake plans every kind of system by the rule that fits, without its models and files."""

from pathlib import Path

import yaml
from test_plans import dry_run

ROOT = Path(__file__).parents[2]


def test_every_kind_of_system_is_planned(tmp_path):
    values = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text(encoding="utf-8"))
    values["systems"] |= {
        "Nllb": {"translator": "models/nllb", "family": "nllb"},
        "Asked": {"endpoint": "http://127.0.0.1:9/v1", "model": "big"},
        "Theirs": {"hypotheses": "theirs/{source}-{target}.txt"},
        "Base-zh": {"system": "Base", "pivot": "zh"},
        "Base-zh-too": {"system": "Base", "pivot": "zh"},
        "Nllb-en": {"system": "Nllb", "pivot": "en"},
        "Asked-en": {"system": "Asked", "pivot": "en"},
    }
    values["benchmarks"]["held-out"] |= {"shards": 2, "scoring_shards": 2}
    values["tables"] = {
        "kinds": {"systems": list(values["systems"]), "benchmarks": ["held-out"], "metrics": ["chrf"]},
    }
    values["figures"] = {}
    config = tmp_path / "kinds.yaml"
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    jobs = dry_run(folder, str(config), "results/tiny/tables/kinds.csv")
    assert jobs["translate_shard"] == 3 * 2
    # Two sources that are not the pivot, in two jobs, for Base through zh, twice asked for, and for NLLB through en.
    assert jobs["translate_legs"] == 2 + 2
    assert jobs["translate_through_pivot"] == 3 * 2
    assert jobs["ask_endpoint"] == 2
    assert jobs["read_hypotheses"] == 1
    # In two parts what nodes translate, through a pivot or not; in one what is asked for or read by one job.
    assert jobs["score_hypotheses"] == 6 * 2 + 3
