"""Append-only stores: whatever kills a writer, what was written stands."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lingualift.errors import InputError, LingualiftError
from lingualift.stores import RecordStore, ResultStore, TranslationStore

TEXTS = ["Ein Hund.", "", "两只狗\u2028在跑", 'He said: ", "crc": "00000000"}', "a\nb\x00c", "ß" * 300]


def hypotheses(path) -> RecordStore:
    return RecordStore(path, ("hypothesis",))


def record(direction: str, sentence: int, hypothesis: str = "x") -> dict:
    return {"direction": direction, "sentence": sentence, "hypothesis": hypothesis}


def fill(path, records) -> bytes:
    with hypotheses(path) as store:
        store.append(records)
    return path.read_bytes()


def test_records_come_back_as_they_were(tmp_path):
    records = [record("en-de", number, text) for number, text in enumerate(TEXTS)]
    fill(tmp_path / "store.jsonl", records)
    store = hypotheses(tmp_path / "store.jsonl")
    assert list(store) == records
    assert len(store) == len(TEXTS)
    for line in (tmp_path / "store.jsonl").read_bytes().split(b"\n")[:-1]:
        assert list(json.loads(line)) == ["direction", "sentence", "hypothesis", "crc"]


def test_missing_and_membership(tmp_path):
    with hypotheses(tmp_path / "store.jsonl") as store:
        store.append([record("en-de", 3), record("en-de", 1)])
        assert store.missing("en-de", 5) == [0, 2, 4]
        assert store.missing("de-en", 2) == [0, 1]
        assert ("en-de", 3) in store
        assert ("en-de", 2) not in store
        assert ("en-de", 99) not in store
        assert store.directions == ["en-de"]


def test_the_first_record_of_a_key_stands(tmp_path):
    with hypotheses(tmp_path / "store.jsonl") as store:
        assert store.append([record("en-de", 0, "first"), record("en-de", 0, "second")]) == 1
        assert store.append([record("en-de", 0, "third")]) == 0
    assert list(hypotheses(tmp_path / "store.jsonl")) == [record("en-de", 0, "first")]


def test_truncation_at_every_byte_of_the_last_record_loses_that_record_alone(tmp_path):
    path = tmp_path / "store.jsonl"
    records = [record("en-de", number, text) for number, text in enumerate(TEXTS)]
    whole = fill(path, records)
    last = len(whole[:-1].rpartition(b"\n")[0]) + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        with hypotheses(path) as store:
            assert list(store) == records[:-1]
            assert store.missing("en-de", len(records)) == [len(records) - 1]
            store.append(records[-1:])
        assert path.read_bytes() == whole


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8),
    junk=st.binary(max_size=40),
    cut=st.floats(0, 1),
)
def test_a_broken_tail_never_reaches_back(tmp_path, texts, junk, cut):
    path = tmp_path / "store.jsonl"
    path.unlink(missing_ok=True)
    records = [record("en-de", number, text) for number, text in enumerate(texts)]
    whole = fill(path, records)
    length = int(cut * len(whole))
    path.write_bytes(whole[:length] + junk)
    survivors = whole[:length].count(b"\n")
    # Junk that starts with the cut's own rest cannot be told from it.
    store = hypotheses(path)
    assert survivors <= len(store) <= survivors + (junk.startswith(b"\n"))
    with store:
        store.append(records)
    assert path.read_bytes() == whole


def test_a_corrupt_line_in_the_middle_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "store.jsonl"
    whole = bytearray(fill(path, [record("en-de", number, "word") for number in range(4)]))
    start = whole.index(b"\n") + 1
    whole[whole.index(b"word", start)] = ord("W")
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"store\.jsonl:2: corrupt"):
        hypotheses(path)


def test_all_after_the_corruption_corrupt_is_cut(tmp_path):
    path = tmp_path / "store.jsonl"
    whole = fill(path, [record("en-de", number, "word") for number in range(4)])
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[:first] + b"\0" * 100 + b"\n" + whole[first:-5].replace(b"word", b"W"))
    with hypotheses(path) as store:
        assert len(store) == 1
        store.append([])
    assert path.read_bytes() == whole[:first]


def test_reading_changes_nothing(tmp_path):
    path = tmp_path / "store.jsonl"
    path.write_bytes(fill(path, [record("en-de", 0)]) + b'{"half')
    before = path.read_bytes()
    list(hypotheses(path))
    assert path.read_bytes() == before


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path):
    first, second = (hypotheses(tmp_path / "store.jsonl") for _ in range(2))
    first.append([record("en-de", 0, "first")])
    with pytest.raises(LingualiftError, match="another process"):
        second.append([record("en-de", 1)])
    first.close()
    assert second.append([record("en-de", 0, "second"), record("en-de", 1)]) == 1
    second.close()
    assert [line["hypothesis"] for line in hypotheses(tmp_path / "store.jsonl")] == ["first", "x"]


def test_wrong_columns_write_nothing(tmp_path):
    store = RecordStore(tmp_path / "scores.jsonl", ("score",))
    with pytest.raises(ValueError, match="score"):
        store.append([{"direction": "en-de", "sentence": 0, "score": 0.5}, record("en-de", 1)])
    with pytest.raises(ValueError, match="before the first"):
        store.append([{"direction": "en-de", "sentence": -1, "score": 0.5}])
    store.close()
    assert (tmp_path / "scores.jsonl").read_bytes() == b""


def _fill_slowly(path, seed: int) -> None:
    rng = random.Random(seed)
    with hypotheses(path) as store:
        for direction in ("en-de", "de-en"):
            while missing := store.missing(direction, 60):
                batch = rng.sample(missing, min(len(missing), rng.randint(1, 7)))
                store.append(record(direction, number, f"{direction} {number}" * 50) for number in batch)


def test_killed_ten_times_the_records_are_the_same(tmp_path):
    _fill_slowly(tmp_path / "unbroken.jsonl", 0)
    context = multiprocessing.get_context("fork")
    for seed in range(1, 11):
        process = context.Process(target=_fill_slowly, args=(tmp_path / "killed.jsonl", seed))
        process.start()
        time.sleep(random.Random(seed).uniform(0, 0.01))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    _fill_slowly(tmp_path / "killed.jsonl", 99)
    found = [
        sorted(hypotheses(tmp_path / f"{name}.jsonl"), key=lambda it: (it["direction"], it["sentence"]))
        for name in ("unbroken", "killed")
    ]
    assert len(found[0]) == 120 and found[0] == found[1]


def test_a_translation_is_found_by_its_sentence(tmp_path):
    path = tmp_path / "store.jsonl"
    with TranslationStore(path, "en-de") as store:
        plan, sentences = store.plan(["a dog", "a cat", TEXTS[2]])
        assert sentences == ["a dog", "a cat", TEXTS[2]]
        assert store.add(plan, [("a cat", "eine Katze"), (TEXTS[2], TEXTS[3])]) == 2
        # The first of a sentence stands.
        assert store.add(plan, [("a cat", "ein Kater"), ("a dog", "ein Hund")]) == 1
        expected = {"a dog": "ein Hund", "a cat": "eine Katze", TEXTS[2]: TEXTS[3]}
        assert store.find(["a bird", "a dog", TEXTS[2], "a cat"]) == expected
    assert TranslationStore(path, "en-de").find(expected) == expected
    assert [it["sentence"] for it in TranslationStore(path, "en-de")] == [0, 1, 2]


def test_what_another_process_writes_meanwhile_is_not_read(tmp_path):
    path = tmp_path / "store.jsonl"
    whole = fill(path, [record("en-de", number) for number in range(3)])
    end = hypotheses(path).end
    assert end == len(whole)
    # The beginning of a line, and then its rest and more, as a reader may see them.
    path.write_bytes(whole + b'{"half\n' + whole)
    with pytest.raises(InputError, match=r"store\.jsonl:4: corrupt"):
        hypotheses(path)
    store = RecordStore(path, ("hypothesis",), until=end)
    assert list(store) == [record("en-de", number) for number in range(3)]
    with pytest.raises(ValueError, match="for reading alone"):
        store.append([record("en-de", 3)])
    assert path.read_bytes() == whole + b'{"half\n' + whole
    assert len(RecordStore(path, ("hypothesis",), until=0)) == 0


def test_a_plan_that_was_broken_off_is_found_again_whatever_came_in_between(tmp_path):
    path = tmp_path / "store.jsonl"
    with TranslationStore(path, "en-de") as store:
        first, _ = store.plan(list("abcd"))
        store.add(first, [("a", "A"), ("b", "B")])
    with TranslationStore(path, "en-de") as store:
        # Others ask for some of it, in another order, and for more.
        second, sentences = store.plan(list("cxa"))
        assert second != first and sentences == ["c", "x"]
        store.add(second, [("x", "X"), ("c", "C")])
    store = TranslationStore(path, "en-de")
    assert store.plan(list("abcd")) == (first, list("abcd"))
    assert store.plan(list("cxa")) == (second, ["c", "x"])
    assert store.plan(list("abcdy"))[1] == ["d", "y"]


def test_a_result_is_found_on_its_own_basis_alone(tmp_path):
    path = tmp_path / "results.jsonl"
    with ResultStore(path) as store:
        store.add([("en-de", "texts", {"score": 0.1}), ("en-fr", "texts", [1, "é"])])
        assert store.get("en-de", "texts") == {"score": 0.1}
    with ResultStore(path) as store:
        assert store.get("en-fr", "texts") == [1, "é"]
        assert store.get("en-de", "others") is store.get("de-en", "texts") is None
        store.add([("en-de", "others", 2)])
        assert store.get("en-de", "others") == 2 and store.get("en-de", "texts") is None
    # Of the former one nothing is left.
    assert "0.1" not in path.read_text() and len(path.read_text().splitlines()) == 2
    assert ResultStore(path).get("en-de", "others") == 2


def test_the_last_result_counts_where_nothing_was_tidied(tmp_path):
    path = tmp_path / "results.jsonl"
    with contextlib.suppress(KeyboardInterrupt), ResultStore(path) as store:
        for number in range(3):
            store.add([("en-de", str(number), number)])
        raise KeyboardInterrupt
    assert len(path.read_text().splitlines()) == 3
    with ResultStore(path) as store:
        assert store.get("en-de", "2") == 2 and store.get("en-de", "1") is None
        store.add([("en-de", "1", 7)])
    assert ResultStore(path).get("en-de", "1") == 7
    assert len(path.read_text().splitlines()) == 1


def test_results_without_a_file_are_those_of_the_process():
    with ResultStore(None) as store:
        store.add([("en-de", "texts", 1)])
        assert store.get("en-de", "texts") == 1
    assert ResultStore(None).get("en-de", "texts") is None
