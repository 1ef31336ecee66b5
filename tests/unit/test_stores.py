"""Append-only stores: whatever kills a writer, what was written stands."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
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
@example(texts=["a"], junk=b', "crc": "00000000"}\n', cut=1)
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


def lose_a_page(path, place: float, size: int = 4096) -> None:
    """As after a loss of power: a page that never reached the disk."""
    whole = bytearray(path.read_bytes())
    start = int(place * len(whole)) // size * size
    whole[start : start + size] = bytes(len(whole[start : start + size]))
    path.write_bytes(whole)


def test_a_corrupt_line_in_the_middle_loses_its_record_alone(tmp_path, caplog):
    path = tmp_path / "store.jsonl"
    records = [record("en-de", number, "word") for number in range(4)]
    whole = bytearray(fill(path, records))
    start = whole.index(b"\n") + 1
    whole[whole.index(b"word", start)] = ord("W")
    path.write_bytes(whole)
    with hypotheses(path) as store:
        assert list(store) == [records[0], *records[2:]]
        assert (store.missing("en-de", 4), len(store), store.num_corrupt) == ([1], 3, 1)
        assert "store.jsonl: 1 corrupt lines are skipped, the first is line 2" in caplog.text
        assert store.append(records) == 1
    # Nothing is cut: the line stays, the record comes behind the others.
    assert path.read_bytes() == bytes(whole) + fill(tmp_path / "other.jsonl", [records[1]])
    assert list(hypotheses(path)) == [records[0], *records[2:], records[1]]


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 1])
def test_a_page_that_never_reached_the_disk_is_made_again(tmp_path, caplog, place):
    """Of 200 records in one append, 4 KB are zeros: in the middle, and in the tail as well."""
    path = tmp_path / "store.jsonl"
    records = [record("en-de", number, f"{number} " * 20) for number in range(200)]
    whole = fill(path, records)
    assert len(whole) > 6 * 4096
    lose_a_page(path, place)
    with hypotheses(path) as store:
        lost = store.missing("en-de", 200)
        assert 1 < len(lost) < 4096 // 60
        # All that the page touched, and no other: those that follow each other.
        assert lost == list(range(lost[0], lost[-1] + 1))
        assert list(store) == [it for it in records if it["sentence"] not in lost]
        assert len(caplog.records) == 1
        assert store.append(records) == len(lost)
    assert sorted(hypotheses(path), key=lambda it: it["sentence"]) == records


def test_corruption_in_the_middle_and_in_the_tail(tmp_path, caplog):
    path = tmp_path / "store.jsonl"
    lines = fill(path, [record("en-de", number, "word") for number in range(6)]).splitlines(keepends=True)
    lines[1], lines[2] = b"\0" * 50 + b"\n", lines[2].replace(b"word", b"Word")
    path.write_bytes(b"".join(lines[:5]) + lines[5][:-9])
    with hypotheses(path) as store:
        assert [it["sentence"] for it in store] == [0, 3, 4]
        store.append([])
    assert path.read_bytes() == b"".join(lines[:5])
    told = [it.getMessage() for it in caplog.records[:2]]
    assert told[0].startswith(f"{path}: 2 corrupt lines are skipped, the first is line 2")
    assert told[1] == f"{path}:6: the last {len(lines[5]) - 9} bytes are not whole, made again"


def test_a_record_of_another_store_is_a_mistake(tmp_path):
    """It is sound, so no disk is to blame."""
    path = tmp_path / "store.jsonl"
    fill(tmp_path / "other.jsonl", [record("en-de", 0)])
    with RecordStore(path, ("score",)) as store:
        store.append([{"direction": "en-de", "sentence": 0, "score": 0.5}])
    path.write_bytes(path.read_bytes() + (tmp_path / "other.jsonl").read_bytes())
    with pytest.raises(InputError, match=r"store\.jsonl:2: a record of another store: direction, sentence, hypothesis"):
        RecordStore(path, ("score",))
    with TranslationStore(tmp_path / "en-de.jsonl", "en-de") as store:
        store.add("plan", [("a dog", "ein Hund")])
    with pytest.raises(InputError, match=r"en-de\.jsonl: a store of en-fr, but it has records of en-de"):
        TranslationStore(tmp_path / "en-de.jsonl", "en-fr")


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
    # Whoever reads on takes what is there, the lines with the half one between them.
    assert len(list(hypotheses(path))) == 2 * 3
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


def test_translations_that_a_disk_has_lost_are_made_again_in_the_same_batches(tmp_path):
    path = tmp_path / "store.jsonl"
    texts = [f"{number} dogs" for number in range(200)]
    with TranslationStore(path, "en-de") as store:
        plan, _ = store.plan(texts)
        store.add(plan, [(text, f"{text.upper()} {'x' * 50}") for text in texts])
        found = store.find(texts)
    lose_a_page(path, 0.4)
    with TranslationStore(path, "en-de") as store:
        lost = [text for text in texts if not store.find([text])]
        assert 10 < len(lost) < 60
        # All of the plan, as it was: the sentences share their batches with the same others.
        assert store.plan(texts) == (plan, texts)
        assert store.add(plan, found.items()) == len(lost)
        assert store.find(texts) == found
    store = TranslationStore(path, "en-de")
    assert store.find(texts) == found and len(store) == 200


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


def test_what_others_have_found_is_looked_up_and_left_as_it_is(tmp_path):
    others = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for number, path in enumerate(others):
        with ResultStore(path) as store:
            store.add([("en-de", f"texts {number}", number), ("en-fr", "texts", "theirs"), ("en-cs", "texts", 5)])
    # One of them is being written to, and lacks a page; one is gone.
    others[1].write_bytes(b"\0" * 9 + b"\n" + others[1].read_bytes() + others[0].read_bytes()[:-5])
    before = [path.read_bytes() for path in others]
    options = {"others": [*others, tmp_path / "gone.jsonl"], "directions": ["en-de", "en-fr"]}
    own = tmp_path / "own.jsonl"
    with ResultStore(own, **options) as store:
        # Several bases of a direction, as several test sets have them.
        assert [store.get("en-de", f"texts {number}") for number in range(3)] == [0, 1, None]
        assert store.get("en-cs", "texts") is None
        store.add([("en-fr", "texts", "own"), ("en-de", "texts 2", 2)])
        assert store.get("en-fr", "texts") == "own" and store.get("en-de", "texts 0") == 0
    assert [path.read_bytes() for path in others] == before
    assert [json.loads(line)["direction"] for line in own.read_text().splitlines()] == ["en-fr", "en-de"]
    # The own one stands.
    assert ResultStore(own, **options).get("en-fr", "texts") == "own"
    assert ResultStore(own).get("en-de", "texts 0") is None


def test_corrupt_lines_of_results_are_tidied_away(tmp_path, caplog):
    path = tmp_path / "results.jsonl"
    with ResultStore(path) as store:
        store.add([("en-de", "texts", 1), ("en-fr", "texts", 2), ("en-cs", "texts", 3)])
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"result": 2', b'"result": 7'))
    with ResultStore(path) as store:
        assert store.get("en-fr", "texts") is None and store.get("en-cs", "texts") == 3
    assert len(caplog.records) == 1
    assert b"en-fr" not in path.read_bytes() and ResultStore(path).get("en-cs", "texts") == 3
    assert len(caplog.records) == 1


def test_results_without_a_file_are_those_of_the_process():
    with ResultStore(None) as store:
        store.add([("en-de", "texts", 1)])
        assert store.get("en-de", "texts") == 1
    assert ResultStore(None).get("en-de", "texts") is None
