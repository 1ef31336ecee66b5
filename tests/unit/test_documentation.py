"""What the pages tell a user to type: commands that are understood, files and targets that are there, YAML that loads."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from lingualift.cli import app
from lingualift.configuration.checks import RULES
from lingualift.configuration.loading import load_run, read_yaml
from lingualift.planning import Plan
from lingualift.public_sets import read_public_sets

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "config" / "README.md", *sorted((ROOT / "docs").glob("[!L]*.md"))]
HOW_TO_ADD = ROOT / "docs" / "how-to-add.md"
# Of the user's own; here the demo with the ablation of docs/how-to-add.md.
OWN = "config/mine.yaml"


def blocks(page, language=""):
    """The fenced blocks of a page, of one language."""
    text = page.read_text(encoding="utf-8")
    return [
        body for kind, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if kind == language
    ]


def commands(program):
    """The commands of a program in the blocks of all pages, each once, as words; those with a gap to fill in are none."""
    found = {}
    for page in PAGES:
        # In the text lingualift's are named, not given.
        text = " ".join(page.read_text(encoding="utf-8").split())
        inline = re.findall(rf"`({program} [^`]+)`", text) if program == "snakemake" else []
        lines = [line.strip() for block in blocks(page) for line in re.sub(r"\\\n", " ", block).splitlines()]
        for line in [*lines, *inline]:
            if re.match(rf"(\.venv/bin/)?{program} ", line) and not re.search(r"[…<]", line):
                words = shlex.split(line, comments=True)
                found[tuple(words[1:])] = f"{page.name}: {line}"
    return found


def merged(below, above):
    """Entries laid over others, section by section."""
    both = isinstance(below, dict) and isinstance(above, dict)
    return (
        {key: merged(below.get(key), above[key]) if key in above else below[key] for key in {**below, **above}}
        if both
        else above
    )


def own():
    """The demo with the ablation of docs/how-to-add.md."""
    [added] = [block for block in blocks(HOW_TO_ADD, "yaml") if OWN in block]
    demo = read_yaml(ROOT / "config" / "demo.yaml")
    return merged(demo, {**yaml.safe_load(added), "run": "mine"})


SNAKEMAKE = commands("snakemake")
LINGUALIFT = commands("lingualift")


def test_commands_are_found():
    assert len(SNAKEMAKE) > 10
    assert len(LINGUALIFT) > 5


def plan_of(file):
    return Plan(load_run(own() if file == OWN else str(ROOT / file), root=ROOT))


@pytest.mark.parametrize("words", SNAKEMAKE, ids=SNAKEMAKE.get)
def test_snakemake_is_told_what_it_understands(words, monkeypatch):
    from snakemake.cli import get_argument_parser

    monkeypatch.chdir(ROOT)
    given = get_argument_parser([]).parse_args(list(words))
    profiles = given.profile or []
    assert [name for name in profiles if not (ROOT / name / "config.yaml").is_file()] == []
    # What follows --configfile is a file, not a target.
    files = [str(path) for path in given.configfile or ()]
    assert [file for file in files if file != OWN and not (ROOT / file).is_file()] == []
    assert len(files) <= 1
    targets = [str(target) for target in given.targets]
    if targets:
        plan = plan_of(files[0] if files else "config/demo.yaml")
        sets = {f"fetch_{name}" for name in read_public_sets(str(ROOT / "config" / "public_sets.yaml"))}
        known = {*RULES, *sets, *plan.shown()}
        assert [it for it in targets if it not in known and not it.startswith("results/")] == []
        # Without a profile Snakemake asks for the number of cores.
        assert profiles


@pytest.mark.parametrize("words", LINGUALIFT, ids=LINGUALIFT.get)
def test_lingualift_is_told_what_it_understands(words):
    name, *arguments = words
    command = get_command(app).commands[name]
    with command.make_context(name, list(arguments)) as context:
        config = context.params.get("config")
    assert config is None or str(config) == OWN or (ROOT / config).is_file()


def rule_texts():
    """The text of each rule, by its name."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    return dict(re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", text, re.MULTILINE | re.DOTALL))


def test_the_table_of_the_readme_is_what_rules_ask_for():
    """Cores, minutes and memory; where a cell has fewer numbers than the row has rules, they are all the same."""
    rules, checked = rule_texts(), set()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| [\w, ]+ \| (`.*?)\|$", text.partition("## What each stage asks for")[2], re.MULTILINE):
        names, cores, minutes, memory, *_ = (cell.strip() for cell in row.split("|"))
        names = re.findall(r"\w+", names)
        for place, name in enumerate(names):
            body = rules[name]
            threads = re.search(r"^    threads: (\d+)$", body, re.MULTILINE)
            runtime = re.search(r"runtime=growing\((\d+)\)", body)
            mem_mb = re.search(r"mem_mb=growing\((\d+)\)", body)
            for cell, found, unit in ((cores, threads, 1), (minutes, runtime, 1), (memory, mem_mb, 1000)):
                numbers = [int(it.replace(",", "")) for it in re.findall(r"[\d,]*\d", cell)]
                # "here": on the login node; what is worked out is told in words.
                if found and numbers:
                    assert numbers[min(place, len(numbers) - 1)] * unit == int(found[1]), (name, cell)
                    checked.add((name, unit))
    assert set(rules) - {name for name, _ in checked} <= {"all"} | {
        it for it in rules if "localrule: True" in rules[it]
    }
    assert len(checked) > 30


def test_the_ablation_of_the_page_can_be_planned(tmp_path):
    """The very commands of docs/how-to-add.md, but for -n and where the file is."""
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({**own(), "run": "never-run"}), encoding="utf-8")
    [asked] = [words for words in SNAKEMAKE if "connected-or-split" in words]
    command = [str(config) if word == OWN else word for word in asked]
    run = [sys.executable, "-m", "snakemake", *command, "-n", "--quiet", "rules", "--nolock"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # base; lifted and lifted-split; both tuned.
    assert re.search(r"train_model +5\b", done.stdout + done.stderr)
    assert re.search(r"make_table +1\b", done.stdout + done.stderr)


def test_a_mistake_of_the_profile_is_a_line():
    options = ["--cores", "1", "--configfile", "config/tiny.yaml", "--set-resources", "train_model:gpu_model=a100"]
    run = [sys.executable, "-m", "snakemake", "-n", "--nolock", *options]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "\ntrain_model: gpu_model (a100) in the profile and no GPUs" in said
    assert "Traceback" not in said and "InputFunctionException" not in said


def test_the_ablation_of_the_page_loads():
    plan = plan_of(OWN)
    assert plan.remarks() == {}
    assert plan.missing_data() == {}
    assert plan.configuration.models["lifted-split"].ablates == "lifted"


def test_all_yaml_of_the_page_is_yaml():
    assert len([yaml.safe_load(block) for block in blocks(HOW_TO_ADD, "yaml")]) > 5
