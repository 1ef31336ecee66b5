"""Planning: seconds of a dry run of a complete FLORES-101 evaluation.

    python benchmarks/dry_run.py

102 languages, all 10,302 directions in 16 shards, six systems (a base model, two made from it, one of these through
English, a translation model, one asked by an API), three metrics (spBLEU, chrF++, COMET) and the rates of detected
languages, a table of each layout and three figures; nothing of it has been made, and no data is there. Snakemake starts
anew each time, in an empty folder.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Row, arguments_parser, main_or_part, report

_ROOT = Path(__file__).parents[1]
_PARTS = ("Snakefile", "config", "demo", "envs", "rules", "src", "workflow")
_COUNT = re.compile(r"^total +(\d+)$", re.MULTILINE)


def main() -> None:
    """Plan a few times and print the table."""
    parser = arguments_parser(__doc__, repetitions=3, data=False)
    parser.add_argument("--languages", type=int, default=102, help="how many; %(default)s by default")
    arguments = parser.parse_args()
    planned = [plan(arguments.languages) for _ in range(arguments.repetitions)]
    row = Row(what="dry run", unit="s", values=[seconds for seconds, _ in planned], digits=1)
    ((_, jobs), *_) = planned
    directions = arguments.languages * (arguments.languages - 1)
    report("dry_run", [row], notes=[f"{directions:,} directions, 6 systems, 3 metrics: {jobs:,} jobs"])


def plan(num_languages: int) -> tuple[float, int]:
    """Seconds of a dry run, and the number of jobs that it plans."""
    import yaml

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in _PARTS:
            (folder / part).symlink_to(_ROOT / part)
        (folder / "flores.yaml").write_text(yaml.safe_dump(configuration(num_languages)), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--quiet", "rules"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(_ROOT / "src")}
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--configfile", "flores.yaml"], cwd=folder, env=environment, capture_output=True, text=True
        )
        seconds = time.perf_counter() - start
    found = _COUNT.search(done.stdout + done.stderr)
    if done.returncode or not found:
        raise SystemExit(done.stdout + done.stderr)
    return seconds, int(found[1])


def configuration(num_languages: int) -> dict[str, Any]:
    """The whole evaluation, as a file of the configuration would have it."""
    from lingualift.languages import load_languages

    table = load_languages(_ROOT / "config" / "languages.tsv")
    # English first: it is the centre and the pivot.
    languages = ["en", *sorted(code for code in table if "flores101" in table[code].codes and code != "en")]
    languages = languages[:num_languages]
    systems: dict[str, dict[str, Any]] = {
        "Base": {"model": "base"},
        "Lifted": {"model": "lifted"},
        "Tuned": {"model": "tuned"},
        "Lifted-en": {"system": "Lifted", "pivot": "en"},
        "NLLB": {"translator": "models/nllb", "family": "nllb"},
        "Asked": {"endpoint": "http://127.0.0.1:9/v1", "model": "big"},
    }
    shown = {"systems": list(systems), "benchmarks": ["flores101"]}
    scores = ["spbleu", "chrf++", "comet"]
    return {
        "run": "complete",
        "data": "data",
        "languages": languages,
        "models": {name: {"path": f"models/{name}"} for name in ("base", "lifted", "tuned")},
        "systems": systems,
        "benchmarks": {
            "flores101": {"reader": "flores", "path": "flores101/devtest", "directions": "all", "shards": 16}
        },
        "metrics": {"comet": {"name": "comet", "checkpoint": "models/wmt22-comet-da"}},
        "tables": {
            "directions": {**shown, "metrics": scores, "baseline": "Base"},
            "centre": {**shown, "metrics": scores, "layout": "centre"},
            "averages": {**shown, "metrics": scores, "layout": "benchmarks"},
            "pivot": {**shown, "metrics": scores, "layout": "pivot", "pivots": {"Lifted": "Lifted-en"}},
            "off-target": {**shown, "layout": "off-target"},
        },
        "figures": {
            "direction_matrix": shown,
            "count_above": {**shown, "kind": "count_above", "centre": ["en"]},
            "per_language": {**shown, "kind": "per_language", "centre": ["en"]},
        },
    }


if __name__ == "__main__":
    main_or_part(main, {})
