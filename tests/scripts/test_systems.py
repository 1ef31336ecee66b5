"""Every kind of system, from the plan through its script to hypotheses, with tiny random models."""

import importlib.metadata
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_scripts import main_of

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/unit"))

import making  # noqa: E402
import test_endpoints  # noqa: E402
import test_sequence_models  # noqa: E402
from test_endpoints import server  # noqa: E402, F401

from lingualift import scoring, translators  # noqa: E402
from lingualift.configuration.loading import load_run, read_yaml  # noqa: E402
from lingualift.errors import LingualiftError  # noqa: E402
from lingualift.files import checksum, read_json  # noqa: E402
from lingualift.planning import Plan  # noqa: E402
from lingualift.sequence_models import SequenceTranslator  # noqa: E402
from lingualift.tokenization import load_tokenizer  # noqa: E402
from lingualift.translation import Translator  # noqa: E402
from lingualift.translators import open_system  # noqa: E402

SENTENCES = {
    "en": ["the dog sees a tree", "a small bird", "the old house", "a cat eats", "now here"],
    "de": ["der Hund", "ein Vogel", "das Haus", "eine Katze", "jetzt"],
    "fr": ["le chien", "un oiseau", "la maison", "un chat", "ici"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: test sets, a causal model, a translation model, somebody's translations."""
    folder = tmp_path_factory.mktemp("data")
    torch.manual_seed(5)
    # On a busy machine threads wait for each other longer than so little work takes.
    torch.set_num_threads(1)
    for code, lines in SENTENCES.items():
        (folder / f"test.{code}").write_text("\n".join(lines) + "\n")
    (folder / "theirs").mkdir()
    (folder / "theirs" / "eng-deu.txt").write_text("".join(f"theirs {number}\n" for number in range(5)))
    test_sequence_models._m2m100(folder / "m2m100")
    _causal(folder / "causal")
    return folder


def _causal(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = making.byte_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), eos_token_id=0, bos_token_id=1, pad_token_id=0, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Jobs:
    """The jobs of a configuration, run in a folder."""

    def __init__(self, folder: Path, data: Path, systems: dict[str, Any], **benchmark: Any) -> None:
        self.folder = folder
        test = {"reader": "multiway", "path": ".", "files": "test.{language}", "directions": "all", **benchmark}
        self.values = {
            "run": "systems",
            "data": str(data),
            "languages": list(SENTENCES),
            "models": {"causal": {"path": "causal"}},
            "systems": systems,
            "benchmarks": {"test": test},
        }
        self.plan = Plan(load_run(self.values, root=ROOT), gpus=1)
        self.benchmark = self.at("benchmarks/test")
        if not Path(self.benchmark).exists():
            making.write_corpus(Path(self.benchmark), {"all": SENTENCES})

    def at(self, path: str) -> str:
        return path if path.startswith("/") else str(self.folder / path)

    def inputs(self, found: dict[str, Any]) -> dict[str, Any]:
        return {
            key: self.at(it) if isinstance(it, str) else [self.at(path) for path in it] for key, it in found.items()
        }

    def translate(self, rule: str, system: str, **more: Any) -> dict[str, list[str]]:
        """Run every shard of a system; what it says of each direction. A job's state is where its rule has it."""
        said: dict[str, list[str]] = {}
        for shard, path in enumerate(self.plan.hypotheses(system, "test")):
            if rule == "ask_endpoint":
                more["state"] = self.at(f"state/{path.removesuffix('.jsonl')}")
            elif rule != "read_hypotheses":
                more |= self.kept(self.plan.base_system(system))
            main_of(rule)(
                **self.inputs(self.plan.translation_inputs(system, "test", shard)),
                benchmark=self.benchmark,
                hypotheses=self.at(path),
                manifest=self.at(path.replace(".jsonl", ".manifest.json")),
                settings=self.plan.translation_settings(system, "test", shard),
                version=1,
                **more,
            )
            for line in Path(self.at(path)).read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                assert record["sentence"] == len(said.setdefault(record["direction"], []))
                said[record["direction"]].append(record["hypothesis"])
        return said

    def kept(self, base: str) -> dict[str, Any]:
        """Where translations are kept, and how fast they are made."""
        return {"state": self.at("state/translations"), "threads": 1, "base": base, "systems": self.values["systems"]}

    def legs(self, base: str, pivot: str) -> None:
        shards = {
            Path(leg).name
            for name in self.plan.pivoting_systems()
            for shard in range(self.plan.shards("test", name))
            for leg in self.plan.translation_inputs(name, "test", shard)["legs"]
        }
        for shard in sorted(shards):
            path = f"pivots/{base}/{pivot}/test/{shard}"
            main_of("translate_legs")(
                **self.inputs(self.plan.leg_inputs(base, pivot, "test")),
                benchmark=self.benchmark,
                folder=self.at(path),
                settings=self.plan.leg_settings(base, pivot, "test", int(shard)),
                version=1,
                **self.kept(base),
            )

    def manifest(self, system: str) -> dict[str, Any]:
        return read_json(self.at(f"hypotheses/{system}/test/0.manifest.json"))


CAUSAL = {"model": "causal", "prompt": "short", "beam": 2, "max_new_tokens": 12, "batch": 2}
M2M100 = {"translator": "m2m100", "beam": 2, "max_new_tokens": 12, "batch": 2}
ALL = ["de-en", "de-fr", "en-de", "en-fr", "fr-de", "fr-en"]


def test_a_causal_model(tmp_path, data) -> None:
    jobs = Jobs(tmp_path, data, {"Causal": CAUSAL}, shards=2, limit=3)
    said = jobs.translate("translate_shard", "Causal")
    assert sorted(said) == ALL and {len(answers) for answers in said.values()} == {3}
    manifest = jobs.manifest("Causal")
    assert manifest["counts"] == {"directions": 3, "sentences": 9} and len(manifest["weights"]) == 1


@pytest.mark.parametrize("system", ["causal", "one model", "a model a direction"])
def test_a_model_that_is_used_otherwise_is_another(tmp_path, data, system) -> None:
    """The same weights, but positions, or a tokenizer, that are not what they were: as if nothing had been kept."""
    own = tmp_path / "data"
    shutil.copytree(data, own, ignore=shutil.ignore_patterns("pairs"))
    entry = {
        "causal": CAUSAL,
        "one model": M2M100,
        "a model a direction": {**M2M100, "translator": "pairs/{source}-{target}"},
    }[system]
    folder = own / ("causal" if system == "causal" else "m2m100")
    if system == "a model a direction":
        (own / "pairs").mkdir()
        for name in ALL:
            (own / "pairs" / name).symlink_to(folder)
    before = Jobs(tmp_path / "kept", own, {"It": entry}).translate("translate_shard", "It")
    config = read_json(folder / "config.json")
    if system == "causal":
        config["rope_parameters"]["rope_theta"] = 2.0
    else:
        config["scale_embedding"] = not config["scale_embedding"]
    (folder / "config.json").write_text(json.dumps(config))
    shutil.rmtree(tmp_path / "kept/hypotheses")
    after = Jobs(tmp_path / "kept", own, {"It": entry}).translate("translate_shard", "It")
    assert after == Jobs(tmp_path / "fresh", own, {"It": entry}).translate("translate_shard", "It") != before


def test_another_version_of_the_engine_shares_no_translations(tmp_path, data, monkeypatch) -> None:
    names = set()
    for version in ("5.1", "5.2"):
        monkeypatch.setattr(importlib.metadata, "version", lambda name, said=version: said)
        with open_system(
            Jobs(tmp_path, data, {"Causal": CAUSAL}).plan.translation_settings("Causal", "test", 0),
            model=str(data / "causal"),
        ) as system:
            names.add(json.dumps(system.key(1)))
            assert "transformers" in json.dumps(system.key(1))
    assert len(names) == 2


def test_another_revision_of_one_engine_shares_no_translations_and_leaves_the_others_theirs(monkeypatch) -> None:
    before = [translators.causal_engine(name) for name in ("transformers", "ctranslate2")]
    monkeypatch.setitem(translators._REVISIONS, "transformers", 99)
    after = [translators.causal_engine(name) for name in ("transformers", "ctranslate2")]
    assert before[0] != after[0] and before[1] == after[1]
    with pytest.raises(LingualiftError, match="`engine: nothing` needs nothing, which is not there: `pip install"):
        translators.causal_engine("nothing")


def test_a_translation_model_that_is_killed_halfway(tmp_path, data, monkeypatch) -> None:
    expected = Jobs(tmp_path / "whole", data, {"Nmt": M2M100}).translate("translate_shard", "Nmt")
    assert sorted(expected) == ALL and {len(answers) for answers in expected.values()} == {5}
    answer, calls = SequenceTranslator.answer, []

    def counted(self: SequenceTranslator, prompts: Any, longest: int) -> list[str]:
        calls.append(len(prompts))
        if len(calls) == 8:
            raise KeyboardInterrupt
        return answer(self, prompts, longest)

    monkeypatch.setattr(SequenceTranslator, "answer", counted)
    jobs = Jobs(tmp_path / "broken", data, {"Nmt": M2M100})
    with pytest.raises(KeyboardInterrupt):
        jobs.translate("translate_shard", "Nmt")
    assert not list((tmp_path / "broken/hypotheses").rglob("*.jsonl"))
    assert jobs.translate("translate_shard", "Nmt") == expected
    # Nothing twice but the batch that was broken off.
    assert sum(calls) == 6 * 5 + calls[7]


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """The sizes of all batches that translation models are asked."""
    sizes: list[int] = []
    answer = SequenceTranslator.answer

    def counted(self: SequenceTranslator, prompts: Any, longest: int) -> list[str]:
        sizes.append(len(prompts))
        return answer(self, prompts, longest)

    monkeypatch.setattr(SequenceTranslator, "answer", counted)
    return sizes


def test_what_another_decoding_has_translated_stays(tmp_path, data, asked) -> None:
    def said(**changes: Any) -> tuple[dict[str, list[str]], int]:
        asked.clear()
        jobs = Jobs(tmp_path, data, {"Nmt": {**M2M100, **changes}}, limit=2)
        return jobs.translate("translate_shard", "Nmt"), sum(asked)

    first, count = said()
    assert count == 12
    assert said(beam=1)[1] == said(max_new_tokens=9)[1] == 12
    assert said() == (first, 0)


@pytest.mark.parametrize("system", [M2M100, CAUSAL])
def test_how_many_sentences_at_once_and_what_things_are_called_are_no_part_of_a_translation(
    tmp_path, data, asked, monkeypatch, system
) -> None:
    batches: list[int] = []
    answer = Translator.answer
    monkeypatch.setattr(
        Translator, "answer", lambda self, prompts, most: (batches.append(len(prompts)), answer(self, prompts, most))[1]
    )
    rule = "translate_shard"
    jobs = Jobs(tmp_path, data, {"It": system}, limit=4)
    first = jobs.translate(rule, "It")
    assert asked + batches == [2] * 12
    smaller = Jobs(tmp_path, data, {"It": {**system, "batch": 1}}, limit=4)
    assert smaller.plan.translation_settings("It", "test", 0) == jobs.plan.translation_settings("It", "test", 0)
    assert smaller.translate(rule, "It") == first and len(asked + batches) == 12
    assert Jobs(tmp_path, data, {"Other": system}, limit=4).translate(rule, "Other") == first
    assert len(asked + batches) == 12
    # What is new is asked as fast as is said now.
    Jobs(tmp_path, data, {"It": {**system, "batch": 1}}, limit=5).translate(rule, "It")
    assert (asked + batches)[12:] == [1] * 6


@pytest.mark.parametrize("pairs", [False, True])
def test_other_shards_and_languages_translate_what_is_new_alone(tmp_path, data, asked, pairs) -> None:
    """A model for all directions, or one for each."""
    system = M2M100
    if pairs:
        for name in [*ALL, "de-ru", "ru-de"]:
            (data / "pairs").mkdir(exist_ok=True)
            (data / "pairs" / name).symlink_to(data / "m2m100")
        system = {**M2M100, "translator": "pairs/{source}-{target}"}
    expected = Jobs(tmp_path, data, {"Nmt": system}).translate("translate_shard", "Nmt")
    assert sum(asked) == 6 * 5
    asked.clear()
    shutil.rmtree(tmp_path / "hypotheses")
    assert Jobs(tmp_path, data, {"Nmt": system}, shards=4).translate("translate_shard", "Nmt") == expected
    assert asked == []
    more = Jobs(tmp_path, data, {"Nmt": system}, shards=3)
    more.values["languages"] = [*SENTENCES, "ru"]
    more.values["benchmarks"]["test"]["directions"] = [*ALL, "de-ru"]
    more.plan = Plan(load_run(more.values, root=ROOT), gpus=1)
    shutil.rmtree(more.benchmark)
    making.write_corpus(Path(more.benchmark), {"all": {**SENTENCES, "ru": ["дом"] * 5}})
    scoring._tables.cache_clear()
    said = more.translate("translate_shard", "Nmt")
    assert {name: said[name] for name in ALL} == expected and len(said) == 7
    assert sum(asked) == 5


def test_a_pivot_shares_its_first_legs(tmp_path, data, asked) -> None:
    systems = {"Nmt": M2M100, "Through": {"system": "Nmt", "pivot": "fr"}, "Again": {"system": "Nmt", "pivot": "fr"}}
    jobs = Jobs(tmp_path, data, systems, shards=2)
    direct = jobs.translate("translate_shard", "Nmt")
    assert sum(asked) == 6 * 5
    jobs.legs("Nmt", "fr")
    first = [
        json.loads(line)["text"] for path in tmp_path.rglob("sentences.jsonl") for line in path.read_text().splitlines()
    ]
    assert sorted(first) == sorted(SENTENCES["de"] + SENTENCES["en"])
    # They are what the system itself has translated.
    assert sum(asked) == 6 * 5
    said = jobs.translate("translate_through_pivot", "Through")
    # German and English out of its own French; French into them it has, too.
    assert sorted(said) == ALL and 0 < sum(asked) - 6 * 5 <= 2 * 5
    # One leg only: into the pivot and out of it.
    assert {name: said[name] for name in ("de-fr", "en-fr", "fr-de", "fr-en")} == {
        name: direct[name] for name in ("de-fr", "en-fr", "fr-de", "fr-en")
    }
    # Both: what the model makes of its own French.
    pace = {"batch": 2}
    with open_system(jobs.plan.translation_settings("Nmt", "test", 0), pace=pace) as system:
        for name, target in {"de-en": "en", "en-de": "de"}.items():
            french = direct[f"{name[:2]}-fr"]
            filled = [number for number, text in enumerate(french) if text]
            again = [""] * len(french)
            for places, questions, longest in system.translator.plan([french[n] for n in filled], "fr", target):
                for place, answer in zip(places, system.translator.answer(questions, longest), strict=True):
                    again[filled[place]] = answer
            assert said[name] == again
    count = sum(asked)
    assert jobs.translate("translate_through_pivot", "Again") == said and sum(asked) == count


def _endpoint(server: test_endpoints.Server, **changes: Any) -> dict[str, Any]:  # noqa: F811
    return {
        "endpoint": server.url,
        "model": "big",
        "api_key_env": "TEST_KEY",
        "price_in": 2.0,
        "price_out": 4.0,
        **changes,
    }


def test_an_endpoint_is_paid_once_whatever_asks_it(tmp_path, data, server) -> None:  # noqa: F811
    def last_word(request: dict[str, Any]) -> test_endpoints.Reply:
        return test_endpoints.said(request["messages"][-1]["content"].split(": ")[-1].upper(), tokens=(100, 10))

    server.reply = last_word
    systems = {"Asked": _endpoint(server), "Through": {"system": "Asked", "pivot": "fr"}}
    answers = str(tmp_path / "answers")

    def ask(system: str, run: str = "run") -> tuple[dict[str, list[str]], Jobs]:
        jobs = Jobs(tmp_path / run, data, systems, shards=4)
        return jobs.translate(
            "ask_endpoint", system, endpoint="Asked", answers=answers, systems=jobs.values["systems"]
        ), jobs

    said, jobs = ask("Asked")
    assert said["de-en"] == [text.upper() for text in SENTENCES["de"]] and sorted(said) == ALL
    assert len(server.requests) == 30
    assert jobs.manifest("Asked")["usage"]["asked"]["cost"] == pytest.approx(30 * (100 * 2 + 10 * 4) / 1e6)
    assert server.headers[0]["Authorization"] == f"Bearer {test_endpoints.SECRET}"
    # Another run, and a pivot's first legs, are answered from what was paid for; its second legs ask for new text.
    assert ask("Asked", "other")[0] == said
    assert len(server.requests) == 30
    through, jobs = ask("Through")
    assert through["de-en"] == [text.upper() for text in SENTENCES["de"]]
    assert len(server.requests) == 40
    assert jobs.manifest("Through")["usage"]["reused"]["answers"] > 0
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not [text for text in kept if test_endpoints.SECRET.encode() in text]


def test_the_bill_of_a_job_that_broke_off_is_whole(tmp_path, data, server) -> None:  # noqa: F811
    def reply(request: dict[str, Any]) -> test_endpoints.Reply:
        return test_endpoints.said("x", tokens=(100, 10))

    server.reply = reply
    server.first = [reply] * 13 + [(403, {}, b"no money left")]
    jobs = Jobs(tmp_path, data, {"Asked": _endpoint(server, parallel=1)})
    ask = {"endpoint": "Asked", "answers": str(tmp_path / "answers"), "systems": jobs.values["systems"]}
    with pytest.raises(LingualiftError, match="no money left"):
        jobs.translate("ask_endpoint", "Asked", **ask)
    jobs.translate("ask_endpoint", "Asked", **ask)
    usage = jobs.manifest("Asked")["usage"]
    assert (usage["asked"]["answers"], usage["reused"]["answers"]) == (17, 13)
    assert usage["asked"]["cost"] + usage["reused"]["cost"] == pytest.approx(30 * (100 * 2 + 10 * 4) / 1e6)
    # The answers are kept once.
    assert not list((tmp_path / "state").rglob("*.jsonl"))


def test_an_endpoint_without_its_key(tmp_path, data, server, monkeypatch) -> None:  # noqa: F811
    monkeypatch.delenv("TEST_KEY")
    jobs = Jobs(tmp_path, data, {"Asked": _endpoint(server)})
    with pytest.raises(LingualiftError, match="set the environment variable TEST_KEY where the job runs"):
        jobs.translate("ask_endpoint", "Asked", endpoint="Asked", answers=str(tmp_path), systems=jobs.values["systems"])


def test_somebodys_translations(tmp_path, data) -> None:
    jobs = Jobs(tmp_path, data, {"Theirs": {"hypotheses": "theirs/{source}-{target}.txt", "codes": "flores101"}})
    assert jobs.translate("read_hypotheses", "Theirs") == {"en-de": [f"theirs {number}" for number in range(5)]}
    limited = Jobs(tmp_path, data, jobs.values["systems"], limit=3)
    assert limited.translate("read_hypotheses", "Theirs") == {"en-de": [f"theirs {number}" for number in range(3)]}


def test_scores_say_what_they_are_made_from(tmp_path, data) -> None:
    jobs = Jobs(tmp_path, data, {"Theirs": {"hypotheses": "theirs/{source}-{target}.txt", "codes": "flores101"}})
    jobs.translate("read_hypotheses", "Theirs")
    hypotheses = [jobs.at(path) for path in jobs.plan.hypotheses("Theirs", "test")]
    main_of("score_hypotheses")(
        hypotheses=hypotheses,
        benchmark=jobs.benchmark,
        scores=jobs.at("scores.csv"),
        manifest=jobs.at("scores.json"),
        settings={"system": "Theirs", "benchmark": "test", "metrics": {"chrf": {"name": "chrf"}}, "limit": None},
        state=jobs.at("state/scores"),
        threads=1,
        version=1,
    )
    found = read_json(jobs.at("scores.json"))
    assert found["counts"] == {"directions": 1, "segments": 5} and "sacrebleu" in found["versions"]
    assert found["inputs"] == {hypotheses[0]: checksum(hypotheses[0])}
    assert found["settings"] == {"chrf": {"name": "chrf", "tokenizer": None}}


def test_languages_are_detected_from_what_the_plan_tells(tmp_path, data) -> None:
    jobs = Jobs(tmp_path, data, {"Theirs": {"hypotheses": "theirs/{source}-{target}.txt", "codes": "flores101"}})
    jobs.translate("read_hypotheses", "Theirs")
    main_of("detect_languages")(
        hypotheses=[jobs.at(path) for path in jobs.plan.hypotheses("Theirs", "test")],
        benchmark=jobs.benchmark,
        scores=jobs.at("off_target.csv"),
        manifest=jobs.at("off_target.json"),
        settings=jobs.plan.language_settings("Theirs", "test") | {"metrics": {"R_X": {"name": "R_X"}}},
        state=jobs.at("state/off_target"),
        threads=1,
        version=1,
    )
    _, row = Path(jobs.at("off_target.csv")).read_text().splitlines()
    assert row.startswith("Theirs,test,en,de,R_X,") and "detector:langdetect" in row
    assert list(read_json(jobs.at("off_target.json"))["references_in_their_language"]) == ["de"]


def test_models_that_are_not_there(tmp_path, data) -> None:
    systems = {"Nmt": {"translator": "nowhere"}, "Pairs": {"translator": "opus/{source}-{target}", "family": "marian"}}
    jobs = Jobs(tmp_path, data, systems)
    with pytest.raises(LingualiftError, match=r"nowhere: no such model folder; `translator` says where it is"):
        jobs.translate("translate_shard", "Nmt")
    with pytest.raises(LingualiftError, match=r"opus/de-en: no such model folder"):
        jobs.translate("translate_shard", "Pairs")


def test_the_causal_model_is_asked_in_the_words_of_its_prompt(data) -> None:
    """What the prompt of the plan says is what the tokens of a batch say."""
    from lingualift.translators import open_system

    prompts = read_yaml(ROOT / "config/prompts.yaml")
    jobs_plan = Plan(
        load_run(
            {
                "run": "r",
                "data": str(data),
                "languages": list(SENTENCES),
                "models": {"causal": {"path": "causal"}},
                "systems": {"Causal": {**CAUSAL, "prompt": "polylm"}},
                "benchmarks": {"test": {"reader": "multiway", "path": ".", "files": "test.{language}"}},
            },
            root=ROOT,
        ),
        gpus=1,
    )
    settings = jobs_plan.translation_settings("Causal", "test", 0)
    with open_system(settings, model=str(data / "causal")) as system:
        (_, questions, _), *_ = system.translator.plan(["a dog"], "en", "de")
    words = prompts["polylm"]["translation"].format(source="English", target="German", input="a dog")
    assert load_tokenizer(data / "causal").decode(questions[0]) == words
