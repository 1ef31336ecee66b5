"""Algorithm 1: what is taken from which corpus, how often, in which direction, in which order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import entry
from pydantic import ValidationError
from scipy import stats

from lingualift.configuration.mixtures import Mixture
from lingualift.errors import LingualiftError
from lingualift.mixing import MixturePlan, pair_count, pair_rows, plan_mixture


def planned(tables, *components, languages=("en", "de", "fr"), seed=1, **settings):
    """A plan; components are of corpora by name unless they say otherwise."""
    mixture = Mixture.model_validate({"components": list(components), **settings})
    return plan_mixture(mixture, tables=tables, languages=languages, seed=seed)


def table(*languages, rows, **more):
    return entry("-".join(languages) if len(languages) < 3 else "multiway", languages, rows, **more)


def test_small_pairs_are_repeated_three_times():
    tables = {"pairs": [table("en", "de", rows=24_999), table("en", "fr", rows=25_000), table("de", "fr", rows=7)]}
    plan = planned(tables, {"corpus": "pairs"})
    assert {stream.label: (stream.repeats, stream.entries) for stream in plan.streams} == {
        "en-de": (3, 74_997),
        "en-fr": (1, 25_000),
        "de-fr": (3, 21),
    }
    assert plan.entries == 74_997 + 25_000 + 21


def test_rows_of_a_pair_are_counted_whichever_language_is_first():
    tables = [
        {"languages": ["en", "de"], "pairs": {"en-de": 3}},
        {"languages": ["de", "en"], "pairs": {"de-en": 4}},
        {"languages": ["en", "fr", "de"], "pairs": {"en-fr": 1, "en-de": 0, "fr-de": 2}},
        {"languages": ["en"], "pairs": {}},
    ]
    assert pair_rows(tables) == {
        frozenset(pair): n for pair, n in {("en", "de"): 7, ("en", "fr"): 1, ("fr", "de"): 2}.items()
    }
    assert pair_count({"en-de": 3}, ("de", "en")) == 3 and pair_count({"en-de": 3}, ("en", "fr")) == 0


def test_thresholds_are_settings():
    tables = {"pairs": [table("en", "de", rows=10), table("en", "fr", rows=20)]}
    plan = planned(tables, {"corpus": "pairs"}, small_pairs={"below": 20, "repeats": 5})
    assert [stream.entries for stream in plan.streams] == [50, 20]
    assert [stream.entries for stream in planned(tables, {"corpus": "pairs"}, small_pairs=None).streams] == [10, 20]


def test_a_pair_is_small_if_all_corpora_together_have_few_rows():
    tables = {
        "web": [table("en", "de", rows=15_000), table("en", "fr", rows=1_000)],
        # The other way round is the same pair.
        "news": [table("de", "en", rows=12_000), table("en", "fr", rows=2_000)],
    }
    plan = planned(tables, {"corpus": "web"}, {"corpus": "news"})
    assert {(stream.source, stream.label): stream.repeats for stream in plan.streams} == {
        ("web", "en-de"): 1,
        ("web", "en-fr"): 3,
        ("news", "de-en"): 1,
        ("news", "en-fr"): 3,
    }
    # A corpus that two components name is there once.
    twice = planned({"web": tables["web"]}, {"corpus": "web"}, {"corpus": "web", "format": "split"})
    assert {stream.repeats for stream in twice.streams} == {3}


def test_only_original_parallel_text_is_repeated():
    tables = {
        "english": [table("en", rows=10)],
        "pairs": [table("en", "de", rows=10)],
        "augmented": [table("en", "de", rows=10, directed=True, loss="target")],
        # Fills the pair up to 25,000, and does not make it a large one.
        "supplement": [table("en", "de", rows=24_990, translated=True)],
    }
    components = [{"corpus": "english"}, {"corpus": "pairs"}, {"augmentation": "augmented"}, {"corpus": "supplement"}]
    plan = planned(tables, *components)
    assert {stream.source: stream.entries for stream in plan.streams} == {
        "english": 10,
        "pairs": 30,
        "augmented": 10,
        "supplement": 24_990,
    }


def test_rows_missing_in_a_language_do_not_count():
    """A multi-way corpus of 30,000 rows of which 20,000 have French."""
    multiway = table("en", "de", "fr", rows=30_000)
    multiway["pairs"] = {"en-de": 30_000, "en-fr": 20_000, "de-fr": 0}
    plan = planned({"captions": [multiway]}, {"corpus": "captions"})
    assert {stream.label: stream.repeats for stream in plan.streams} == {"en-de": 1, "en-fr": 3}


def test_directions_are_fair_coins_anew_for_each_repeat():
    plan = planned({"pairs": [table("en", "de", rows=24_000)]}, {"corpus": "pairs"})
    entries = np.arange(plan.streams[0].entries)
    rows, _, turned = plan.rows(0, entries)
    assert len(entries) == 72_000
    assert stats.binomtest(int(turned.sum()), 72_000, 0.5).pvalue > 1e-3
    # Each row three times; all its uses turned the same way with probability 1/4.
    assert np.array_equal(np.bincount(rows), np.full(24_000, 3))
    times = np.bincount(rows, weights=turned).astype(int)
    assert stats.chisquare(np.bincount(times), 24_000 * np.array([1, 3, 3, 1]) / 8).pvalue > 1e-3


def test_split_makes_two_entries_of_a_row():
    plan = planned({"pairs": [table("en", "de", rows=100)]}, {"corpus": "pairs", "format": "split"}, small_pairs=None)
    assert plan.entries == 200
    rows, sides, _ = plan.rows(0, np.arange(200))
    assert Counter(zip(rows.tolist(), sides.tolist(), strict=True)) == {(r, s): 1 for r in range(100) for s in (0, 1)}


def test_the_two_sides_of_split_text_stand_apart():
    """As far from each other as any two entries: a third of the whole on average."""
    plan = planned({"pairs": [table("en", "de", rows=5000)]}, {"corpus": "pairs", "format": "split"}, small_pairs=None)
    _, numbers = plan.order(0, 10_000)
    places = np.empty(10_000)
    places[numbers] = np.arange(10_000)
    distances = np.abs(places[0::2] - places[1::2])
    # Of 5,000 distances with mean n/3 and deviation n/sqrt(18).
    assert abs(distances.mean() - 10_000 / 3) < 5 * 10_000 / 18**0.5 / 5000**0.5
    assert (distances == 1).mean() < 0.005


@pytest.mark.parametrize(
    ("sample", "taken"),
    [(None, 1000), (1.0, 1000), (1, 1), (0.25, 250), (0.0004, 0), (2, 2), (300, 300), (5000, 1000)],
)
def test_sample_is_a_share_or_a_number(sample, taken):
    tables = {"english": [table("en", rows=1000)], "other": [table("de", rows=1)]}
    plan = planned(tables, {"corpus": "english", "sample": sample}, {"corpus": "other"}) if taken else None
    if plan is None:
        with pytest.raises(LingualiftError, match="has no line"):
            planned(tables, {"corpus": "english", "sample": sample})
        return
    assert plan.streams[0].entries == taken
    rows, _, _ = plan.rows(0, np.arange(taken))
    assert len(set(rows.tolist())) == taken
    assert set(rows.tolist()) <= set(range(1000))


def test_a_sample_is_random_and_comes_before_the_repeats():
    plan = planned({"pairs": [table("en", "de", rows=10_000)]}, {"corpus": "pairs", "sample": 0.1})
    rows, _, _ = plan.rows(0, np.arange(plan.streams[0].entries))
    chosen, uses = np.unique(rows, return_counts=True)
    assert len(chosen) == 1000
    assert set(uses.tolist()) == {3}
    assert stats.kstest(chosen / 10_000, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("sample", [2.5, 0, 0.0, -1, "all"])
def test_what_is_neither_a_share_nor_a_number(sample):
    with pytest.raises(ValidationError, match="sample"):
        Mixture.model_validate({"components": [{"corpus": "a", "sample": sample}]})


def of_which_good(*good, rows=10):
    """A multi-way table, and which of its rows have both English and German."""
    it = table("en", "de", "fr", rows=rows)
    it["pairs"] = {"en-de": len(good), "en-fr": rows, "de-fr": len(good)}
    return it, np.isin(np.arange(rows), good)


@pytest.mark.parametrize(
    ("sample", "take", "is_good"), [(None, 10, False), (0.5, 5, False), (1, 1, True), (2, 2, True), (5, 3, True)]
)
def test_a_number_is_of_good_rows_and_a_share_of_all(sample, take, is_good):
    it, good = of_which_good(1, 4, 8)
    plan = planned(
        {"captions": [it]}, {"corpus": "captions", "sample": sample}, languages=("en", "de"), small_pairs=None
    )
    assert [(stream.take, stream.good) for stream in plan.streams] == [(take, is_good)]
    if is_good:
        chosen, passed = plan.choose(0, ~good)
        assert passed[0] == 0 and sum(passed) <= 7
        assert len(set(chosen.tolist())) == take and set(chosen.tolist()) <= {1, 4, 8}
        assert np.array_equal(plan.rows(0, np.arange(take), chosen)[0], chosen)


def test_good_rows_are_taken_in_the_order_of_all():
    """Where none is bad, and where no bad one comes up, it is the draw of a whole table."""
    tables = [of_which_good(*range(100_000), rows=100_000)[0], of_which_good(*range(99_998), rows=100_000)[0]]
    whole, most = (
        planned({"captions": [it]}, {"corpus": "captions", "sample": 70_000}, languages=("en", "de"), small_pairs=None)
        for it in tables
    )
    assert (whole.streams[0].good, most.streams[0].good) == (False, True)
    drawn = whole.rows(0, np.arange(70_000))[0]
    # More than are drawn at once.
    chosen, passed = whole.choose(0, np.zeros(100_000, np.uint8))
    assert np.array_equal(chosen, drawn) and passed.tolist() == [0]
    everything = planned({"captions": tables[:1]}, {"corpus": "captions"}, languages=("en", "de"), small_pairs=None)
    order = everything.rows(0, np.arange(100_000))[0]
    assert np.array_equal(order[:70_000], drawn)
    faults = np.zeros(100_000, np.uint8)
    faults[drawn[69_999]], faults[drawn[3]] = 2, 1
    # Behind the last that is taken: not seen.
    faults[order[70_002]] = 1
    chosen, passed = most.choose(0, faults)
    assert passed.tolist() == [0, 1, 1]
    assert np.array_equal(chosen[:3], drawn[:3]) and np.array_equal(chosen[3:69_998], drawn[4:69_999])
    assert len(set(chosen.tolist())) == 70_000
    # Of the good rows each is as likely as any other.
    it, good = of_which_good(*range(0, 100_000, 10), rows=100_000)
    some = planned({"captions": [it]}, {"corpus": "captions", "sample": 1000}, languages=("en", "de"))
    chosen, _ = some.choose(0, ~good)
    assert len(set(chosen.tolist())) == 1000 and not (chosen % 10).any()
    assert stats.kstest(chosen / 100_000, "uniform").pvalue > 1e-3


def test_what_is_learnt():
    tables = {
        "english": [table("en", rows=1)],
        "pairs": [table("en", "de", rows=1)],
        "augmented": [table("de", "en", rows=1, directed=True, loss="target")],
        "restored": [entry("de-de", ["de", "de"], 1, directed=True)],
        "tasks": [entry("instructions", [], 1)],
    }
    components = [
        {"corpus": "english"},
        {"corpus": "pairs"},
        {"augmentation": "augmented"},
        {"augmentation": "restored"},
        {"corpus": "tasks"},
        {"corpus": "pairs", "format": "instruction"},
        {"corpus": "pairs", "loss": "target"},
        {"augmentation": "augmented", "loss": "all"},
    ]
    expected = ["all", "all", "target", "all", "response", "response", "target", "all"]
    assert [stream.loss for stream in planned(tables, *components, loss="response").streams] == expected
    # Without it instructions are learnt whole.
    assert [stream.loss for stream in planned(tables, *components).streams][4:6] == ["all", "all"]


def test_languages_and_directions_choose():
    tables = {"captions": [table("en", "de", "fr", rows=5)], "augmented": [table("de", "en", rows=5, directed=True)]}

    def labels(component, **options):
        return [stream.label for stream in planned(tables, component, **options).streams]

    assert labels({"corpus": "captions"}) == ["en-de", "en-fr", "de-fr"]
    assert labels({"corpus": "captions"}, languages=("de", "fr")) == ["de-fr"]
    assert labels({"corpus": "captions", "languages": ["en", "fr"]}) == ["en-fr"]
    assert labels({"corpus": "captions", "directions": {"centre": ["de"]}}) == ["en-de", "de-fr"]
    assert labels({"corpus": "captions", "directions": ["fr-en"]}) == ["en-fr"]
    # An augmented pair has a direction of its own.
    assert labels({"augmentation": "augmented", "directions": ["de-en"]}) == ["de-en"]
    with pytest.raises(LingualiftError, match=r"component 1 of the mixture \(augmented\) has no line in en, de, fr"):
        labels({"augmentation": "augmented", "directions": ["en-de"]})


counts = st.integers(1, 60)


@settings(deadline=None, max_examples=30)
@given(english=counts, pairs=counts, seed=st.integers(0, 99), formats=st.sampled_from(["connected", "split"]))
def test_the_order_has_every_entry_once(english, pairs, seed, formats):
    tables = {"english": [table("en", rows=english)], "pairs": [table("en", "de", rows=pairs)]}
    plan = planned(tables, {"corpus": "english"}, {"corpus": "pairs", "format": formats}, seed=seed)
    streams, numbers = plan.order(0, plan.entries)
    assert plan.entries == english + pairs * 3 * (2 if formats == "split" else 1)
    for number, stream in enumerate(plan.streams):
        assert sorted(numbers[streams == number].tolist()) == list(range(stream.entries))
    # Any part of it can be asked for.
    middle = plan.entries // 2
    halves = [plan.order(0, middle), plan.order(middle, plan.entries)]
    assert np.array_equal(np.concatenate([half[1] for half in halves]), numbers)


def test_all_streams_are_spread_over_the_whole_order():
    tables = {"english": [table("en", rows=9000)], "pairs": [table("en", "de", rows=1000)]}
    plan = planned(tables, {"corpus": "english"}, {"corpus": "pairs"}, small_pairs=None)
    streams, _ = plan.order(0, plan.entries)
    assert stats.kstest(np.flatnonzero(streams == 1) / 10_000, "uniform").pvalue > 1e-3


def test_other_seeds_are_other_orders():
    tables = {"pairs": [table("en", "de", rows=1000)]}
    one, same, other = (planned(tables, {"corpus": "pairs"}, seed=seed) for seed in (1, 1, 2))
    for first, second in zip(one.order(0, 3000), same.order(0, 3000), strict=True):
        assert np.array_equal(first, second)
    assert (one.order(0, 3000)[1] == other.order(0, 3000)[1]).mean() < 0.01
    assert abs((one.rows(0, np.arange(3000))[2] == other.rows(0, np.arange(3000))[2]).mean() - 0.5) < 0.05


def test_a_plan_is_read_back(tmp_path):
    plan = planned({"pairs": [table("en", "de", rows=10)]}, {"corpus": "pairs"})
    plan.save(tmp_path / "plan.json")
    assert MixturePlan.load(tmp_path / "plan.json") == plan


def test_a_plan_of_a_hundred_million_entries_takes_no_memory():
    import tracemalloc

    plan = planned({"english": [table("en", rows=10**8)]}, {"corpus": "english"})
    tracemalloc.start()
    _, numbers = plan.order(5 * 10**7, 5 * 10**7 + 1000)
    plan.rows(0, numbers)
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()
