"""The cache of COMET's scores: what was given comes back, whatever happened to the files."""

import hashlib
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingualift.comet_cache import SegmentCache, segment_key

SEGMENTS = [(f"source {number}", f"hypothesis {number}", f"reference {number}") for number in range(5)]
SCORES = [0.1, 1 / 3, -0.25, 1e-7, 2.0]


def opened(folder, segments) -> SegmentCache:
    return SegmentCache(folder, b"".join(map(segment_key, segments)))


def held(cache: SegmentCache) -> list[float | None]:
    """The score of every segment in the order they came; None where there is none."""
    return [None if score != score else score for score in cache.scores[cache.rows].tolist()]


def former(cache: SegmentCache) -> list[bool]:
    return cache.former[cache.rows].tolist()


def give(cache: SegmentCache, scores: dict[int, float]) -> None:
    """Scores by the number of the segment."""
    cache.add({int(cache.rows[number]): score for number, score in scores.items()})


def test_a_cache_gives_back_what_it_was_given(tmp_path):
    cache = opened(tmp_path, [*SEGMENTS, SEGMENTS[0]])
    assert held(cache) == [None] * 6
    give(cache, {0: 0.1, 1: 1 / 3})
    # Equal segments share a row, and the first score stands.
    give(cache, {5: 0.9})
    assert cache.is_done(cache.rows[:2]) and not cache.is_done(cache.rows[:3])
    cache.close()
    again = opened(tmp_path, [*SEGMENTS, SEGMENTS[0]])
    assert held(again) == [0.1, 1 / 3, None, None, None, 0.1]
    # Its own scores are work of this run: what shares a batch does not change where a run goes on.
    assert not any(former(again))
    again.close()


def test_a_cache_serves_other_runs(tmp_path):
    first = opened(tmp_path, SEGMENTS[:3])
    give(first, {0: 0.5, 1: 0.5})
    second = opened(tmp_path, SEGMENTS[1:])
    assert former(second) == [True, False, False, False]
    # What comes to the first after the second began stays out of the second's plan, also when that goes on.
    give(first, {2: 0.7})
    second.close()
    second = opened(tmp_path, SEGMENTS[1:])
    assert former(second) == [True, False, False, False] and held(second) == [0.5, None, None, None]
    third = opened(tmp_path, SEGMENTS[2:])
    assert former(third) == [True, False, False] and held(third) == [0.7, None, None]
    for cache in (first, second, third):
        cache.close()


def test_files_are_those_of_earlier_versions(tmp_path):
    """A file is named by the sorted keys, a key is of the JSON of the texts: both as ever, so old files are found."""
    keys = sorted(hashlib.sha256(json.dumps(segment).encode()).hexdigest()[:32] for segment in SEGMENTS)
    name = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
    cache = opened(tmp_path, SEGMENTS[::-1])
    give(cache, {0: 0.5})
    cache.close()
    (path,) = tmp_path.iterdir()
    assert path.name == f"{name}.jsonl"
    head, record = map(json.loads, path.read_bytes().splitlines())
    assert head["others"] == {}
    key = hashlib.sha256(json.dumps(SEGMENTS[4]).encode()).hexdigest()[:32]
    assert (record["key"], record["score"]) == (key, 0.5)


@given(keys=st.lists(st.text("\0\1", min_size=16, max_size=16).map(str.encode), min_size=1))
def test_any_sixteen_bytes_are_a_key(tmp_path_factory, keys):
    """Also those that end in zeros, which numpy's strings lose."""
    scores = {key: place / 7 for place, key in enumerate(dict.fromkeys(keys))}
    folder = tmp_path_factory.mktemp("keys")
    cache = SegmentCache(folder, b"".join(keys))
    assert len(cache.scores) == len(scores)
    give(cache, {keys.index(key): score for key, score in scores.items()})
    cache.close()
    for cache in (SegmentCache(folder, b"".join(keys)), SegmentCache(folder, b"".join([*keys, b"another one here"]))):
        assert held(cache)[: len(keys)] == [scores[key] for key in keys]
        cache.close()


@pytest.mark.parametrize("damage", [b'{"key": "cut o', b"\x00\xff", b'{"key": "0", "score": 1, "crc": "00000000"}'])
def test_a_line_that_was_not_ended_is_cut(tmp_path, damage, caplog):
    cache = opened(tmp_path, SEGMENTS)
    give(cache, {0: 0.25})
    cache.close()
    (path,) = tmp_path.iterdir()
    sound = path.read_bytes()
    path.write_bytes(sound + damage)
    cache = opened(tmp_path, SEGMENTS)
    assert held(cache) == [0.25, None, None, None, None]
    assert path.read_bytes() == sound
    give(cache, {1: 0.75})
    cache.close()
    assert held(opened(tmp_path, SEGMENTS))[:2] == [0.25, 0.75]
    # So ends every file whose writer was killed: nothing to warn of.
    assert not caplog.records


def full(folder):
    """The file of a run that has scored all of its segments."""
    cache = opened(folder, SEGMENTS)
    give(cache, dict(enumerate(SCORES)))
    cache.close()
    (path,) = folder.iterdir()
    return path


def corrupt(path, line: int) -> None:
    """Turn one bit of a line, counted from 1, and leave its end as it is."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1][:30] + bytes([lines[line - 1][30] ^ 1]) + lines[line - 1][31:]
    path.write_bytes(b"".join(lines))


def test_a_corrupt_line_costs_its_own_score_alone(tmp_path, caplog):
    path = full(tmp_path)
    corrupt(path, 3)
    damaged = path.read_bytes()
    cache = opened(tmp_path, SEGMENTS)
    assert held(cache) == [SCORES[0], None, *SCORES[2:]]
    assert path.read_bytes() == damaged
    assert f"{path.name}: 1 corrupt lines are skipped, the first is line 3" in caplog.text
    give(cache, dict(enumerate(SCORES)))
    cache.close()
    assert path.read_bytes().startswith(damaged) and path.read_bytes().count(b"\n") == damaged.count(b"\n") + 1
    assert held(opened(tmp_path, SEGMENTS)) == SCORES


def test_a_corrupt_line_of_another_run(tmp_path, caplog):
    path = full(tmp_path)
    corrupt(path, 3)
    corrupt(path, 5)
    cache = opened(tmp_path, [*SEGMENTS, ("another", "of", "them")])
    assert held(cache) == [SCORES[0], None, SCORES[2], None, SCORES[4], None]
    assert former(cache) == [True, False, True, False, True, False]
    assert "2 corrupt lines are skipped, the first is line 3" in caplog.text
    cache.close()


def test_a_lost_end_of_line_costs_two_scores(tmp_path):
    path = full(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:-1] + b"\x0b"
    path.write_bytes(b"".join(lines))
    assert held(opened(tmp_path, SEGMENTS)) == [SCORES[0], None, None, *SCORES[3:]]


def test_a_corrupt_head_is_made_again(tmp_path):
    other = opened(tmp_path, SEGMENTS[:1])
    give(other, {0: 0.1})
    other.close()
    before = set(tmp_path.iterdir())
    cache = opened(tmp_path, SEGMENTS)
    assert former(cache) == [True, False, False, False, False]
    give(cache, {1: 0.5})
    cache.close()
    (path,) = set(tmp_path.iterdir()) - before
    path.write_bytes(b"?" + path.read_bytes()[1:])
    for _ in range(2):
        cache = opened(tmp_path, SEGMENTS)
        assert held(cache) == [0.1, 0.5, None, None, None]
        assert former(cache) == [True, False, False, False, False]
        cache.close()
    # The head anew, once.
    assert path.read_bytes().count(b'"others"') == 2


@pytest.mark.parametrize("score", ["NaN", "Infinity"])
def test_what_is_no_number_is_not_kept(tmp_path, score):
    cache = opened(tmp_path, SEGMENTS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        give(cache, {0: float(score)})
    assert held(cache)[0] is None
    cache.close()
    (path,) = tmp_path.iterdir()
    # As an earlier version may have written it.
    body = f'{{"key": "{segment_key(SEGMENTS[0]).hex()}", "score": {score}'.encode()
    with path.open("ab") as file:
        file.write(b'%s, "crc": "%08x"}\n' % (body, zlib.crc32(body)))
    cache = opened(tmp_path, SEGMENTS)
    assert held(cache)[0] is None
    give(cache, {0: 0.5})
    cache.close()
    other = opened(tmp_path, SEGMENTS[:1])
    assert held(other) == [0.5]
    other.close()
