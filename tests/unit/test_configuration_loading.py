"""Configuration errors as a user reads them: one line each, with the file, the key path and the way out."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from lingualift.configuration import messages
from lingualift.configuration.loading import ConfigurationError, load_run, read_yaml
from lingualift.configuration.schema_file import schema_json
from lingualift.errors import InputError

ROOT = Path(__file__).parents[2]
PRESETS = sorted(path for path in (ROOT / "config").glob("*.yaml") if path.stem not in ("prompts", "public_sets"))
FILE = "run.yaml"

CONFIGURATION = yaml.safe_load("""
run: test
data: data
languages: [en, de, fr]
corpora:
  captions: {reader: multiway, path: captions, files: "train.{language}"}
  english: {reader: lines, path: english.txt, language: en}
  tasks: {reader: alpaca, path: tasks.json}
dictionaries:
  muse: {reader: muse, path: muse}
augmentations:
  words: {dictionary: muse, source: captions, rate: 0.3}
mixtures:
  first: {components: [{corpus: english}]}
  lifting: {components: [{corpus: captions}, {augmentation: words}], block: 256}
  tasks: {components: [{corpus: tasks}], loss: response}
recipes:
  train: {learning_rate: 0.001, batch: 8}
  other: {learning_rate: 0.002, batch: 8}
models:
  base: {scratch: {}, pretrain: {mixture: first, recipe: train}}
  lifted: {from: base, pretrain: {mixture: lifting, recipe: train}}
  tuned: {from: lifted, finetune: {mixture: tasks, recipe: train}}
systems:
  Tuned: {model: tuned}
benchmarks:
  test: {reader: multiway, path: captions, files: "test.{language}"}
tables:
  main: {systems: [Tuned], benchmarks: [test], metrics: [chrf]}
""")


def changed(change):
    """The configuration with a value at a dotted key path set, or removed by ``...``."""
    values = copy.deepcopy(CONFIGURATION)
    for path, value in change.items():
        *keys, last = [int(key) if key.isdigit() else key for key in path.split("/")]
        at = values
        for key in keys:
            at = at[key]
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return values


def said(change):
    """What is said of a changed configuration, without the file."""
    with pytest.raises(ConfigurationError) as error:
        load_run(changed(change), root=ROOT, file=FILE)
    lines = str(error.value).split("\n")
    assert all(line.startswith(f"{FILE}: ") for line in lines)
    return [line.removeprefix(f"{FILE}: ") for line in lines]


def test_the_configuration_itself_is_right():
    run = load_run(CONFIGURATION, root=ROOT, file=FILE)
    assert run.configuration.languages == ("en", "de", "fr")
    assert run.data == ROOT / "data"


PIVOTS = {"systems": ["Tuned", "Other"], "benchmarks": ["test"], "layout": "pivot", "pivots": {"Tuned": "Other"}}
HEATMAP = {"kind": "pair_heatmap", "systems": ["Tuned", "Tuned"], "benchmarks": ["test"]}
MISTAKES = {
    "unknown key": (
        {"mixtures/lifting/blok": 3},
        "mixtures.lifting.blok: unknown key, did you mean 'block'?; "
        "allowed: components, block, loss, prompt, small_pairs, packing, isolate",
    ),
    "unknown key in an entry named like one": (
        {"models/pretrain": {"from": "base", "finetun": {"mixture": "tasks", "recipe": "train"}}},
        "models.pretrain.finetun: unknown key, did you mean 'finetune'?; "
        "allowed: scratch, path, hub, from, pretrain, finetune, ablates",
    ),
    "unresolved name": (
        {"mixtures/lifting/components/0/corpus": "captoins"},
        "mixtures.lifting.components[0].corpus: no entry 'captoins' in corpora, did you mean 'captions'?; "
        "there are: captions, english, tasks",
    ),
    "unresolved metric": (
        {"tables/main/metrics": ["spblue"]},
        "tables.main.metrics[0]: no entry 'spblue' in metrics, did you mean 'spbleu'?; there are: *",
    ),
    "wrong type": ({"recipes/train/batch": "many"}, "recipes.train.batch: has to be a whole number, found 'many'"),
    "a fraction": ({"recipes/train/batch": 2.5}, "recipes.train.batch: has to be a whole number, found 2.5"),
    "one for a list": ({"languages": "en"}, "languages: has to be a list, found 'en'"),
    "a word for an entry": ({"models/base": "llama"}, "models.base: has to be keys with values, found 'llama'"),
    "nothing for a section": ({"models": None}, "models: has to be keys with values, found nothing"),
    "out of range": ({"augmentations/words/rate": 1.5}, "augmentations.words.rate: has to be at most 1, found 1.5"),
    "not positive": ({"mixtures/lifting/block": 0}, "mixtures.lifting.block: has to be above 0, found 0"),
    "too few": ({"languages": ["en"]}, "languages: needs 2 or more, found 1"),
    "not one of a few": (
        {"mixtures/lifting/packing": "hole"},
        "mixtures.lifting.packing: 'hole' is not allowed, did you mean 'whole'?; allowed: concatenate, whole",
    ),
    "unknown reader": (
        {"corpora/english/reader": "linse"},
        "corpora.english.reader: no reader 'linse', did you mean 'lines'?; there are: lines, aligned, *",
    ),
    "no reader": (
        {"benchmarks/test/reader": ...},
        "benchmarks.test.reader: this key is missing; it says what kind of data this is",
    ),
    "unknown key of a benchmark": (
        {"benchmarks/test/direction": "all"},
        "benchmarks.test.direction: unknown key, did you mean 'directions'?; allowed: *directions, shards*",
    ),
    "missing key": ({"models/base/pretrain/mixture": ...}, "models.base.pretrain.mixture: this key is missing"),
    "missing at the top": ({"run": ...}, "run: this key is missing"),
    "misspelt and so missing": (
        {"models/base/pretrain": {"mixtur": "first", "recipe": "train"}},
        "models.base.pretrain.mixtur: unknown key, did you mean 'mixture'?; allowed: mixture, recipe",
    ),
    "directions misspelt": (
        {"benchmarks/test/directions": {"center": ["en"]}},
        "benchmarks.test.directions.center: unknown key, did you mean 'centre'?; allowed: centre, from, to",
    ),
    "directions of another benchmark": (
        {"benchmarks/test/directions": ["en-cs"]},
        "benchmarks.test.directions: direction 'en-cs' is not between two of de, en, fr",
    ),
    "directions of a component": (
        {"mixtures/lifting/components/0/directions": {"centre": ["cs"]}},
        "mixtures.lifting.components[0].directions: directions name 'cs', which is not among de, en, fr",
    ),
    "no such language": (
        {"languages": ["en", "de", "fra"]},
        "languages[2]: no language 'fra' in config/languages.tsv*",
    ),
    "a misspelt language of a pair": (
        {
            "languages": ["en", "de", "fr"],
            "corpora/ted": {
                "reader": "aligned",
                "path": "ted",
                "files": "{source}-{target}.{language}",
                "pairs": [["en", "de"], ["en", "frr"]],
            },
        },
        "corpora.ted.pairs[1][1]: no language 'frr' in config/languages.tsv, did you mean 'fr'?; docs/how-to-add.md *",
    ),
    "a misspelt language of the pair of a benchmark": (
        {"benchmarks/b": {"reader": "tmx", "path": "b.tmx", "pair": ["en", "gerx"]}},
        "benchmarks.b.pair[1]: no language 'gerx' in config/languages.tsv*",
    ),
    "a misspelt language of columns": (
        {"corpora/t": {"reader": "tsv", "path": "t.tsv", "columns": {"en": 0, "de": 1, "xfr": 2}}},
        "corpora.t.columns.xfr: no language 'xfr' in config/languages.tsv, did you mean 'fr'?*",
    ),
    "a misspelt language of a corpus": (
        {"corpora/english/language": "engl"},
        "corpora.english.language: no language 'engl' in config/languages.tsv*",
    ),
    "a column that a corpus' codes are not in": (
        {"corpora/captions/codes": "mc44"},
        "corpora.captions.codes: no column 'mc44' in config/languages.tsv, did you mean 'mc4'?; there are: *",
    ),
    "a column that a dictionary's codes are not in": (
        {"dictionaries/muse/codes": "musee"},
        "dictionaries.muse.codes: no column 'musee' in config/languages.tsv, did you mean 'muse'?; there are: *",
    ),
    "a dictionary of one language of the run": (
        {"languages": ["en", "am"]},
        "dictionaries.muse.codes: the column 'muse' of config/languages.tsv has codes of en of en, am: a dictionary is "
        "between two languages or more",
    ),
    "a block above the context": (
        {"models/base/scratch": {"context": 255}, "mixtures/first/block": 255, "mixtures/tasks/block": 255},
        "mixtures.lifting.block: 256 tokens are more than 'lifted' can read at once: 255 (models.base.scratch.context)",
    ),
    "a vocabulary below the bytes": (
        {"models/base/scratch": {"vocabulary": 256}},
        "models.base.scratch.vocabulary: has to be at least 257, found 256",
    ),
    "an ablation in two things of one stage": (
        {
            "models/plain": {
                "from": "base",
                "pretrain": {"mixture": "first", "recipe": "other"},
                "ablates": "lifted",
            }
        },
        "models.plain.ablates: differs from 'lifted' in mixture (first, not lifting) and in recipe (other, not train): "
        "an ablation differs in one thing",
    ),
    "a checkpoint's file for its folder": (
        {"metrics": {"comet": {"name": "comet", "checkpoint": "da/checkpoints/model.ckpt"}}},
        "metrics.comet.checkpoint: 'da/checkpoints/model.ckpt' is a file: give the folder that holds "
        "checkpoints/model.ckpt, da",
    ),
    "a direction that is none": (
        {"benchmarks/test/directions": ["en_de"]},
        "benchmarks.test.directions[0]: 'en_de' is not two language codes and a hyphen: en-de",
    ),
    "a direction outside of a list": (
        {"benchmarks/test/directions": "en-de"},
        "benchmarks.test.directions: 'en-de' alone is no list: write [en-de]",
    ),
    "a branch for a commit": (
        {"models/base": {"hub": {"name": "owner/model", "revision": "main"}}},
        "models.base.hub.revision: 'main' is not the 40 digits of a commit (0-9, a-f)",
    ),
    "a language twice": ({"languages": ["en", "de", "en"]}, "languages[2]: language 'en' is there twice"),
    "a language that the run lacks": (
        {"corpora/captions/languages": ["en", "cs"]},
        "corpora.captions.languages[1]: 'cs' is not a language of the run; there are: en, de, fr",
    ),
    "a language that the corpus lacks": (
        {"corpora/captions/languages": ["en", "fr"], "mixtures/lifting/components/0/languages": ["en", "de"]},
        "mixtures.lifting.components[0].languages[1]: the corpus has no 'de'; it has: en, fr",
    ),
    "a language that the data set has no code for": (
        {"languages": ["en", "de", "am"], "corpora/captions/codes": "muse", "corpora/captions/languages": ["en", "am"]},
        "corpora.captions.languages[1]: the corpus has no 'am'; it has: en",
    ),
    "a corpus in other languages": (
        {"corpora/english/language": "cs"},
        "corpora.english: it has none of the run's languages: en, de, fr",
    ),
    "a language of an augmentation": (
        {"augmentations/words/pairs": ["en-cs"]},
        "augmentations.words.pairs[0]: 'cs' is not a language of the run; there are: en, de, fr",
    ),
    "a language of a table": (
        {"tables/main/layout": "centre", "tables/main/centre": ["en", "dee"]},
        "tables.main.centre[1]: 'dee' is not a language of the run, did you mean 'de'?; there are: en, de, fr",
    ),
    "a language of a figure": (
        {"figures": {"f": {"systems": ["Tuned"], "benchmarks": ["test"], "languages": ["en", "cs"]}}},
        "figures.f.languages[1]: 'cs' is not a language of the run; there are: en, de, fr",
    ),
    "a centre of a figure": (
        {"figures": {"f": {"kind": "count_above", "systems": ["Tuned"], "benchmarks": ["test"], "centre": ["fra"]}}},
        "figures.f.centre[0]: 'fra' is not a language of the run, did you mean 'fr'?; there are: en, de, fr",
    ),
    "the pivot language of a table": (
        {
            "systems/Other": {"system": "Tuned", "pivot": "en"},
            "tables/main": {
                "systems": ["Tuned", "Other"],
                "benchmarks": ["test"],
                "layout": "pivot",
                "pivots": {"Tuned": "Other"},
                "through": "cs",
            },
        },
        "tables.main.through: 'cs' is not a language of the run; there are: en, de, fr",
    ),
    "a key of another kind of system": (
        {"systems/Other": {"translator": "models/nllb", "engine": "transformers"}},
        "systems.Other.engine: unknown key; allowed: beam, length_penalty, max_new_tokens, max_ratio, batch, "
        "translator, family, codes, prompt, precision",
    ),
    "a misspelt key that tells the kind of system": (
        {"systems/Other": {"translater": "models/nllb"}},
        "systems.Other.translater: unknown key, did you mean 'translator'?; allowed: *",
    ),
    "a misspelt key of a model's system": (
        {"systems/Other": {"model": "tuned", "baem": 4}},
        "systems.Other.baem: unknown key, did you mean 'beam'?; allowed: *model, prompt, engine, precision",
    ),
    "a wrong value of a model's system": (
        {"systems/Other": {"model": "tuned", "beam": 0}},
        "systems.Other.beam: has to be above 0, found 0",
    ),
    "a system of no kind": ({"systems/Other": {"beam": 4}}, "systems.Other.model: this key is missing"),
    "a word for a system": (
        {"systems/Other": "tuned"},
        "systems.Other: has to be keys with values, found 'tuned'",
    ),
    "a key in a configuration": (
        {"systems/Other": {"endpoint": "https://host/v1", "model": "gpt", "api_key": "sk-1"}},
        "systems.Other.api_key: unknown key, did you mean 'api_key_env'?; allowed: *",
    ),
    "a pivot through nothing": (
        {"systems/Other": {"system": "Tunde", "pivot": "en"}},
        "systems.Other.system: no entry 'Tunde' in systems, did you mean 'Tuned'?; there are: Other, Tuned",
    ),
    "a pivot that the run lacks": (
        {"systems/Other": {"system": "Tuned", "pivot": "cs"}},
        "systems.Other.pivot: 'cs' is not a language of the run; there are: en, de, fr",
    ),
    "a pivot of a pivot": (
        {"systems/Other": {"system": "Tuned", "pivot": "en"}, "systems/More": {"system": "Other", "pivot": "de"}},
        "systems.More.system: 'Other' goes through a pivot, which cannot be used here; allowed: Tuned",
    ),
    "pivots in a circle": (
        {"systems/Other": {"system": "More", "pivot": "en"}, "systems/More": {"system": "Other", "pivot": "de"}},
        "systems.More.system: goes round in a circle: Other → More → Other",
    ),
    "a pivot through files": (
        {
            "systems/Files": {"hypotheses": "{source}-{target}.txt"},
            "systems/Other": {"system": "Files", "pivot": "en"},
        },
        "systems.Other.system: 'Files' is files of translations, which cannot be used here; allowed: Tuned",
    ),
    "a supplement by files": (
        {
            "systems/Files": {"hypotheses": "{source}-{target}.txt"},
            "corpora/more": {"reader": "translated", "source": "english", "system": "Files", "of": ["captions"]},
        },
        "corpora.more.system: 'Files' is files of translations, which cannot be used here; allowed: Tuned",
    ),
    "a column that is not there": (
        {"systems/Other": {"translator": "models/nllb", "codes": "nlbl"}},
        "systems.Other.codes: no column 'nlbl' in config/languages.tsv, did you mean 'nllb'?; there are: *",
    ),
    "scores of no benchmark": (
        {"systems/Other": {"scores": {"chrf": "theirs.csv"}, "benchmark": "tset"}},
        "systems.Other.benchmark: no entry 'tset' in benchmarks, did you mean 'test'?; there are: test",
    ),
    "a prompt of an endpoint": (
        {"systems/Other": {"endpoint": "https://host/v1", "model": "gpt", "prompt": "chta"}},
        "systems.Other.prompt: no entry 'chta' in prompts, did you mean 'chat'?; there are: *",
    ),
    "a loss of instructions for none": (
        {"mixtures/lifting/loss": "response"},
        "mixtures.lifting.loss: this key is for instructions: there are none in this mixture",
    ),
    "a prompt for nothing": (
        {"mixtures/first/prompt": "alpaca"},
        "mixtures.first.prompt: this key is for instructions: there are none in this mixture",
    ),
    "a dictionary's pair of another language": (
        {"dictionaries/muse/pairs": ["en-de", "en-dee"]},
        "dictionaries.muse.pairs[1]: 'dee' is not a language of the run, did you mean 'de'?; there are: en, de, fr",
    ),
    "a chat in a mixture": (
        {"mixtures/tasks/prompt": "chat"},
        "mixtures.tasks.prompt: 'chat' is for chats (`chat: true`), whose form is the tokenizer's: a mixture needs a "
        "template that writes it out",
    ),
    "a chat with a translation model": (
        {"systems/Other": {"translator": "models/aya", "family": "aya", "prompt": "chat"}},
        "systems.Other.prompt: 'chat' is for chats (`chat: true`), which a translation model does not hold",
    ),
    "instructions that cannot be augmented": (
        {"augmentations/words/source": "tasks"},
        "augmentations.words.source: 'tasks' is instructions; this is for parallel or monolingual text",
    ),
    "monolingual text in pairs": (
        {"mixtures/first/components/0/format": "split"},
        "mixtures.first.components[0].format: 'english' is monolingual; this is for parallel text",
    ),
    "an ablation that differs in two stages": (
        {"models/plain": {"from": "base", "finetune": {"mixture": "tasks", "recipe": "other"}, "ablates": "tuned"}},
        "models.plain.ablates: differs from 'tuned' in 2 stages, an ablation differs in one",
    ),
    "files beside a system in a table of pivots": (
        {"systems/Other": {"hypotheses": "{source}-{target}.txt"}, "tables/main": PIVOTS},
        "tables.main.pivots.Tuned: 'Other' does not go through a pivot: name a system with {system: Tuned, pivot: en}",
    ),
    "a pivot of another system in a table": (
        {
            "systems/Plain": {"model": "lifted"},
            "systems/Other": {"system": "Plain", "pivot": "en"},
            "tables/main": PIVOTS,
        },
        "tables.main.pivots.Tuned: 'Other' is 'Plain' through a pivot, not 'Tuned': "
        "name a system with {system: Tuned, pivot: en}",
    ),
    "a pivot through another language than the table's": (
        {"systems/Other": {"system": "Tuned", "pivot": "de"}, "tables/main": PIVOTS},
        "tables.main.pivots.Tuned: 'Other' goes through 'de', the table through 'en': "
        "name a system with {system: Tuned, pivot: en}",
    ),
    "a table of no paper": (
        {"tables/main/published": "llamax-tabel4"},
        "tables.main.published: no file config/published/llamax-tabel4.csv, did you mean 'llamax-table4'?; "
        "there are: llamax-table13, llamax-table4, *",
    ),
    "a metric called like the other rate": (
        {"metrics": {"R_source": {"name": "R_X"}}},
        "metrics.R_source: 'R_source' is the name of another metric than R_X: choose another name",
    ),
    "a metric called like a rate": (
        {"metrics": {"copy_rate": "chrf"}},
        "metrics.copy_rate: 'copy_rate' is computed beside every score: choose another name",
    ),
    "a heat map of languages that the run lacks": (
        {"languages": ["de", "fr", "cs"], "corpora/english/language": "de", "figures": {"f": HEATMAP}},
        "figures.f.languages: a pair_heatmap needs two languages or more of the paper's (en, zh, de, ne, ar, az, ceb), "
        "here is de: name those to show",
    ),
    "a heat map of one language": (
        {"figures": {"f": {**HEATMAP, "languages": ["fr"]}}},
        "figures.f.languages: a pair_heatmap needs two languages or more, here is fr: name those to show",
    ),
    "a slash in a name": (
        {"mixtures/a": {"components": [{"corpus": "english"}]}, "run": "a/b"},
        "run: 'a/b' is not a name: letters, digits, '-', '_', '.', '+', and no slash or leading dot",
    ),
    "a way out as a name": (
        {"tables/..": {"systems": ["Tuned"], "benchmarks": ["test"]}},
        "tables: '..' is not a name: letters, digits, '-', '_', '.', '+', and no slash or leading dot",
    ),
    "two bases": (
        {"models/lifted/scratch": {}},
        "models.lifted: exactly one of scratch, path, hub, from is needed, found scratch, from",
    ),
    "two sources": (
        {"mixtures/lifting/components/0/augmentation": "words"},
        "mixtures.lifting.components[0]: exactly one of corpus, augmentation is needed",
    ),
    "a table named like a rule": (
        {"tables/all": {"systems": ["Tuned"], "benchmarks": ["test"], "metrics": ["chrf"]}},
        "tables.all: 'all' is a rule of the workflow: choose another name",
    ),
    "a table named like a download": (
        {"tables/fetch_ted": {"systems": ["Tuned"], "benchmarks": ["test"], "metrics": ["chrf"]}},
        "tables.fetch_ted: 'fetch_ted' is a rule of the workflow: choose another name",
    ),
    "a circle of models": (
        {"models/base": {"from": "tuned", "pretrain": {"mixture": "first", "recipe": "train"}}},
        "models.lifted.from: goes round in a circle: base → tuned → lifted → base",
    ),
    "a circle by way of a corpus": (
        {
            "corpora/more": {"reader": "translated", "source": "english", "system": "Tuned", "of": ["captions"]},
            "mixtures/lifting/components/1": {"corpus": "more"},
        },
        "mixtures.lifting.components[1].corpus: goes round in a circle: corpora.more → systems.Tuned → models.tuned → "
        "models.lifted → mixtures.lifting → corpora.more",
    ),
    "a supplement of no English": (
        {"corpora/more": {"reader": "translated", "source": "captions", "system": "Tuned", "of": ["captions"]}},
        "corpora.more.source: 'captions' is parallel; this is for monolingual text",
    ),
    "a supplement of English that the mixture holds": (
        {
            "systems/Plain": {"model": "base"},
            "corpora/more": {"reader": "translated", "source": "english", "system": "Plain", "of": ["captions"]},
            "mixtures/lifting/components": [{"corpus": "more"}, {"corpus": "english"}],
        },
        "mixtures.lifting.components[1].corpus: 'english' is the English that 'more' of this mixture translates: a "
        "mixture holds one of them; give 'source' there a corpus that no component is made of",
    ),
    "a supplement of English that the mixture holds, both augmented": (
        {
            "systems/Plain": {"model": "base"},
            "corpora/more": {"reader": "translated", "source": "english", "system": "Plain", "of": ["captions"]},
            "augmentations/of-more": {"dictionary": "muse", "source": "more", "rate": 0.3},
            "augmentations/of-english": {"dictionary": "muse", "source": "english"},
            "mixtures/lifting/components": [{"augmentation": "of-english"}, {"augmentation": "of-more"}],
        },
        "mixtures.lifting.components[0].augmentation: 'english' is the English that 'more' of this mixture *",
    ),
}


def test_every_run_with_scores_has_the_matrix_of_its_directions():
    figures = load_run(changed({}), root=ROOT).configuration.figures
    assert figures["direction_matrix"].model_dump(include={"kind", "systems", "benchmarks", "metric"}) == {
        "kind": "direction_matrix",
        "systems": ("Tuned",),
        "benchmarks": ("test",),
        "metric": "chrf",
    }
    # Its own stands; of rates there is none.
    own = {"systems": ["Tuned"], "benchmarks": ["test"], "metric": "bleu"}
    figures = load_run(changed({"figures": {"direction_matrix": own}}), root=ROOT).configuration.figures
    assert figures["direction_matrix"].metric == "bleu"
    assert load_run(changed({"tables/main/metrics": ["copy_rate"]}), root=ROOT).configuration.figures == {}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake):
    change, expected = MISTAKES[mistake]
    pattern = ".*".join(map(re.escape, expected.split("*")))
    lines = said(change)
    assert len(lines) == 1
    assert re.fullmatch(pattern, lines[0]), lines[0]


def test_every_form_of_words_is_said_in_words():
    """No regular expression is shown to a user."""
    patterns = set(re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', schema_json()))
    assert len(patterns) > 5
    assert [it for it in map(json.loads, patterns) if it not in messages._FORMS] == []


def test_a_model_is_not_asked_for_more_than_it_reads(tmp_path):
    """GPT-2's own name of its context; a base that is not there is not judged."""
    change = {"models/base": {"path": "base"}, "data": str(tmp_path), "models/lifted/pretrain/mixture": "first"}
    load_run(changed(change), root=ROOT, file=FILE)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"n_positions": 511}', encoding="utf-8")
    lines = said(change)
    assert lines == [
        f"mixtures.{name}.block: 512 tokens are more than '{model}' can read at once: 511 (of base)"
        for name, model in (("first", "lifted"), ("tasks", "tuned"))
    ]
    (tmp_path / "base" / "config.json").write_text('{"n_positions": 512}', encoding="utf-8")
    load_run(changed(change), root=ROOT, file=FILE)


@pytest.mark.parametrize("entry", [{"reader": "lines", "language": "en"}, {"reader": "alpaca"}])
def test_a_folder_where_a_file_is_meant(tmp_path, entry):
    (tmp_path / "text").mkdir()
    [line] = said({"data": str(tmp_path), "corpora/text": {**entry, "path": "text"}})
    how = "give 'files'" if entry["reader"] == "lines" else "name the file in it"
    assert line == f"corpora.text.path: 'text' is a folder: {how}"


def test_the_users_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    change = {"data": "~/data", "corpora/english/path": "~/english.txt"}
    run = load_run(changed(change), root=ROOT, file=FILE)
    assert run.data == tmp_path / "data"
    assert run.configuration.corpora["english"].path == str(tmp_path / "english.txt")


def test_shipped_tables_are_found_from_anywhere(tmp_path):
    run = load_run(CONFIGURATION, root=tmp_path, file=FILE)
    assert run.languages["de"].name == "German"
    assert "llamax-table4" in run.published
    assert run.data == tmp_path / "data"


def test_tables_and_figures_that_fit_are_right():
    change = {
        "systems/Other": {"system": "Tuned", "pivot": "en"},
        "tables/main": {**PIVOTS, "published": "llamax-table8"},
        "metrics": {"R_X": {"name": "R_X", "seed": 1}, "R_source_again": {"name": "R_source"}},
        "figures": {"f": HEATMAP},
    }
    load_run(changed(change), root=ROOT, file=FILE)


def test_english_may_be_translated_for_another_mixture():
    run = load_run(
        changed(
            {
                "systems/Plain": {"model": "base"},
                "corpora/more": {"reader": "translated", "source": "english", "system": "Plain", "of": ["captions"]},
                "mixtures/lifting/components/1": {"corpus": "more"},
            }
        ),
        root=ROOT,
        file=FILE,
    )
    assert run.configuration.mixtures["first"].components[0].corpus == "english"


def test_a_slash_in_the_name_of_an_entry():
    values = changed({})
    values["models"]["a/b"] = values["models"]["base"]
    with pytest.raises(ConfigurationError, match=r"^run\.yaml: models: 'a/b' is not a name: .* and no slash"):
        load_run(values, root=ROOT, file=FILE)


def test_all_mistakes_are_said_at_once():
    assert said({"mixtures/lifting/blok": 3, "recipes/train/batch": "many", "seed": -1}) == [
        "seed: has to be at least 0, found -1",
        "mixtures.lifting.blok: unknown key, did you mean 'block'?; "
        "allowed: components, block, loss, prompt, small_pairs, packing, isolate",
        "recipes.train.batch: has to be a whole number, found 'many'",
    ]


@pytest.mark.parametrize(
    "stage",
    [
        {"from": "base", "finetune": {"mixture": "tasks", "recipe": "train"}},  # without lifting
        {"from": "lifted", "finetune": {"mixture": "tasks", "recipe": "other"}},  # another recipe
        {"from": "tuned", "finetune": {"mixture": "tasks", "recipe": "train"}},  # tuned twice
    ],
)
def test_an_ablation_differs_in_one_stage(stage):
    load_run(changed({"models/ablation": {**stage, "ablates": "tuned"}}), root=ROOT, file=FILE)


@pytest.mark.parametrize("values", [None, [], ["text"]])
def test_a_file_that_holds_no_configuration(values):
    with pytest.raises(ConfigurationError, match=r"^run\.yaml: \(top level\): has to be keys with values, found "):
        load_run(values, root=ROOT, file=FILE)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_loads(preset):
    assert load_run(preset, root=ROOT).configuration.run


# YAML


def write(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_key_that_is_given_twice(tmp_path):
    path = write(tmp_path, "run: a\nmodels:\n  base: {}\n  lifted: {}\n  base: {}\n")
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}:5: key 'base' is given twice$"):
        read_yaml(path)
    # Also when somebody else has read the file and found nothing wrong.
    with pytest.raises(InputError, match=":5: key 'base' is given twice"):
        load_run(yaml.safe_load(path.read_text()), root=ROOT, file=str(path))


def test_what_is_not_yaml(tmp_path):
    with pytest.raises(InputError, match=r"run\.yaml:2: "):
        read_yaml(write(tmp_path, "a: [1,\nb: }\n"))
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "other.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")


def test_words_that_old_yaml_takes_for_truth_values(tmp_path):
    text = "languages: [no, on, off, yes, y, n]\nno: yes\ntruth: [true, False]\n"
    assert read_yaml(write(tmp_path, text)) == {
        "languages": ["no", "on", "off", "yes", "y", "n"],
        "no": "yes",
        "truth": [True, False],
    }


def test_merged_keys(tmp_path):
    text = "one: &one {a: 1, b: 2}\ntwo: {<<: *one, b: 3}\n"
    assert read_yaml(write(tmp_path, text))["two"] == {"a": 1, "b": 3}


NORWEGIAN = """
run: norwegian
data: data
languages: [en, no]
corpora:
  captions: {reader: multiway, path: captions, files: "train.{language}", languages: [no, en]}
  bokmaal: {reader: lines, path: mono, language: no}
  table: {reader: tsv, path: pairs.tsv, columns: {no: 0, en: 1}}
mixtures:
  lifting: {components: [{corpus: captions, languages: [en, no], directions: {centre: [no]}}]}
"""


@pytest.mark.parametrize("reader", ["ours", "snakemake", "safe_load"])
def test_norwegian_is_a_language(tmp_path, reader):
    path = write(tmp_path, NORWEGIAN)
    if reader == "snakemake":
        from snakemake.common.configfile import load_configfile

        values = load_configfile(str(path))
    else:
        values = read_yaml(path) if reader == "ours" else yaml.safe_load(NORWEGIAN)
    configuration = load_run(values, root=ROOT, file=str(path)).configuration
    assert configuration.languages == ("en", "no")
    assert configuration.corpora["captions"].languages == ("no", "en")
    assert configuration.corpora["bokmaal"].language == "no"
    assert set(configuration.corpora["table"].columns) == {"no", "en"}
    component = configuration.mixtures["lifting"].components[0]
    assert component.languages == ["en", "no"]
    assert component.directions.root.centre == ("no",)


def test_other_truth_values_are_not_names():
    quote = "YAML takes yes, no, on and off without quotes for truth values: quote it"
    assert said({"languages": ["en", "de", True]}) == [f"languages[2]: {quote}, found True"]
    values = changed({})
    values["models"][False] = values["models"]["base"]
    with pytest.raises(ConfigurationError, match=f"models: {quote}, found False"):
        load_run(values, root=ROOT, file=FILE)


# The schema for editors


def test_the_schema_is_that_of_the_code():
    """If this fails: python -m lingualift.configuration.schema_file config/schema.json"""
    assert (ROOT / "config" / "schema.json").read_text(encoding="utf-8") == schema_json()


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(schema_json())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_fits_the_schema(validator, preset):
    assert not [error.message for error in validator.iter_errors(read_yaml(preset))]


@pytest.mark.parametrize(
    "change",
    [
        {"mixtures/lifting/blok": 3},
        {"recipes/train/batch": "many"},
        {"corpora/english/reader": "linse"},
        {"benchmarks/test/direction": "all"},
        {"run": "a/b"},
        {"models/base/pretrain/mixture": ...},
    ],
)
def test_the_schema_finds_mistakes(validator, change):
    assert not list(validator.iter_errors(CONFIGURATION))
    assert list(validator.iter_errors(changed(change)))


def test_what_may_stand_in_a_file_fits_the_schema(validator):
    change = {
        "benchmarks/test/directions": {"from": ["en"], "to": ["de"]},
        "benchmarks/test/limit": 10,
        "metrics": {"mine": "chrf", "other": {"name": "bleu", "tokenizer": "13a"}},
        "augmentations/words/sample": 0.5,
    }
    load_run(changed(change), root=ROOT, file=FILE)
    assert not list(validator.iter_errors(changed(change)))


def test_every_rule_is_a_taken_name() -> None:
    from lingualift.configuration.checks import RULES

    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    named = {name for file in files for name in re.findall(r"^rule (\w+):", file.read_text("utf-8"), re.MULTILINE)}
    assert named == RULES
