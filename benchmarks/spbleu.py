"""spBLEU of many directions: directions a second, against calling sacrebleu for each.

    python benchmarks/spbleu.py --data ../shared/data

1,000 directions between 34 languages of FLORES-101's devtest, 1,012 sentences each; a hypothesis is its reference with
words lost and doubled, other ones in each direction. One core, each side in a process of its own, in turn; reading the
hypotheses and references is on the clock, importing is not. spBLEU is with the tokenizer flores200.

- **score_hypotheses**: ours, as the workflow runs it, with the copy rate, the empty rate and the length ratio that it
  counts beside every score: a reference is tokenised once for all sources, a hypothesis once.
- **sacrebleu**: ``sacrebleu.corpus_bleu(hypotheses, [references], tokenize="flores200")`` for each direction, in one
  process, on every tenth direction (``--every``): its speed does not hang on how many there are.

The benchmark fails where a score differs by 1e-9.
"""

import json
import random
import tempfile
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

from common import SEED, arguments_parser, main_or_part, report, run_part, speed_rows

_OURS, _PEER = "score_hypotheses", "sacrebleu"


def main() -> None:
    """Score in turn and print the table."""
    parser = arguments_parser(__doc__, repetitions=3)
    parser.add_argument("--directions", type=int, default=1000)
    parser.add_argument("--languages", type=int, default=34)
    parser.add_argument("--sentences", type=int, default=1012)
    parser.add_argument("--every", type=int, default=10, help="the peer scores every so many-th direction alone")
    arguments = parser.parse_args()
    if arguments.directions > arguments.languages * (arguments.languages - 1):
        parser.error(f"{arguments.languages} languages have no {arguments.directions} directions")
    speeds: dict[str, list[float]] = {_OURS: [], _PEER: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(
            folder,
            data=arguments.data,
            num_languages=arguments.languages,
            num_directions=arguments.directions,
            sentences=arguments.sentences,
        )
        for _ in range(arguments.repetitions):
            found = run_part(__file__, "ours", one_core=True, folder=folder)
            peers = run_part(__file__, "peer", one_core=True, folder=folder, every=arguments.every)
            check_same(found["scores"], peers["scores"])
            for side, result in ((_OURS, found), (_PEER, peers)):
                speeds[side].append(len(result["scores"]) / result["seconds"])
    notes = [
        f"{arguments.directions:,} directions of {arguments.sentences:,} sentences, between {arguments.languages} "
        f"languages; the peer scored {len(peers['scores']):,} of them, to the same scores"
    ]
    report("spbleu", speed_rows(speeds, peer=_PEER, unit="directions/s", digits=1), notes=notes)


def check_same(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Fail where a score that both have is another one."""
    for direction, score in theirs.items():
        if abs(ours[direction] - score) > 1e-9:
            raise RuntimeError(f"{direction}: {ours[direction]} by ours, {score} by sacrebleu")


def prepare(folder: Path, *, data: Path, num_languages: int, num_directions: int, sentences: int) -> None:
    """Import the benchmark into ``benchmark`` and write ``hypotheses.jsonl``, direction by direction."""
    from lingualift.configuration.corpora import FloresCorpus
    from lingualift.corpora import import_corpus
    from lingualift.languages import load_languages

    table = load_languages(Path(__file__).parents[1] / "config" / "languages.tsv")
    codes = sorted(code for code in table if "flores101" in table[code].codes)
    # Of all scripts and families: evenly from the list.
    languages = [codes[number * len(codes) // num_languages] for number in range(num_languages)]
    import_corpus(
        FloresCorpus(reader="flores", path="flores101/devtest", limit=sentences),
        languages=languages,
        table={code: table[code] for code in languages},
        data=data,
        out=folder / "benchmark",
        work=folder / "benchmark.work",
    )
    texts = _texts(folder)
    directions = sorted(permutations(languages, 2), key=lambda pair: pair[::-1])[:num_directions]
    with (folder / "hypotheses.jsonl").open("w", encoding="utf-8") as file:
        for source, target in directions:
            rng = random.Random(f"{SEED} {source} {target}")
            for number, reference in enumerate(texts[target]):
                record = {
                    "direction": f"{source}-{target}",
                    "sentence": number,
                    "hypothesis": _changed(reference, rng),
                }
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _changed(text: str, rng: random.Random) -> str:
    """Words, or characters where there are no spaces, lost and doubled."""
    space = " " if " " in text else ""
    return space.join(word for word in (text.split(" ") if space else text) for _ in range(rng.choice((0, 1, 1, 1, 2))))


def _texts(folder: Path) -> dict[str, list[str]]:
    from lingualift.corpora import corpus_tables, open_table

    (entry,) = corpus_tables(folder / "benchmark")
    table = open_table(folder / "benchmark", entry["name"])
    return {code: table.column(code).to_pylist() for code in entry["languages"]}


def ours(folder: str) -> dict[str, Any]:
    """Score by the package; seconds and scores by direction."""
    import csv

    # Imported where it is first used: off the clock, as for the peer.
    import sacrebleu.metrics  # noqa: F401

    from lingualift.configuration.evaluation import Metric
    from lingualift.scoring import score_hypotheses

    here, start = Path(folder), time.perf_counter()
    score_hypotheses(
        [here / "hypotheses.jsonl"],
        benchmark_folder=here / "benchmark",
        metrics={"spbleu": Metric(name="spbleu", tokenizer="flores200")},
        out=here / "scores.csv",
        system="S",
        benchmark="flores101",
    )
    seconds = time.perf_counter() - start
    with (here / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "spbleu"]
    return {"seconds": seconds, "scores": {f"{row['source']}-{row['target']}": float(row["score"]) for row in rows}}


def peer(folder: str, every: int) -> dict[str, Any]:
    """Score every so many-th direction by sacrebleu."""
    import sacrebleu

    here, start, scores = Path(folder), time.perf_counter(), {}
    texts = _texts(here)
    # What it does not score it does not read on the clock either.
    skipped = 0.0
    for number, (direction, hypotheses, seconds) in enumerate(_directions(here / "hypotheses.jsonl")):
        if number % every:
            skipped += seconds
            continue
        references = texts[direction.split("-")[1]]
        scores[direction] = sacrebleu.corpus_bleu(hypotheses, [references], tokenize="flores200").score
    return {"seconds": time.perf_counter() - start - skipped, "scores": scores}


def _directions(path: Path) -> Iterator[tuple[str, list[str], float]]:
    """Direction, its hypotheses in order, and the seconds that reading them took."""
    start, direction, hypotheses = time.perf_counter(), "", []
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["direction"] != direction and direction:
                yield direction, hypotheses, time.perf_counter() - start
                start, hypotheses = time.perf_counter(), []
            direction = record["direction"]
            hypotheses.append(record["hypothesis"])
    yield direction, hypotheses, time.perf_counter() - start


if __name__ == "__main__":
    main_or_part(main, {"ours": ours, "peer": peer})
