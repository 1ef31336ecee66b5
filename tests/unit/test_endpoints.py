"""Translating through an endpoint, against a real server on this machine."""

import email.utils
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lingualift.configuration.prompts import Prompt
from lingualift.configuration.systems import Endpoint
from lingualift.endpoints import Answer, AnswerCache, EndpointTranslator, RateLimit, Usage
from lingualift.errors import LingualiftError
from lingualift.translation import translate_directions

NAMES = {"en": "English", "de": "German"}
PROMPT = Prompt(
    with_input="{instruction} {input}",
    without_input="{instruction}",
    translation="{source} to {target}: {input}",
    chat=True,
    system="Be brief.",
)
SECRET = "sk-a-secret-of-the-test"
Reply = tuple[int, dict[str, str], bytes]


def said(text: str | None, *, tokens: tuple[int, int] = (10, 5), finish: str = "stop") -> Reply:
    """What an endpoint answers when all is well."""
    body = {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]},
    }
    return 200, {}, json.dumps(body).encode()


def echo(request: dict[str, Any]) -> Reply:
    """The last word of the question, and how it was asked."""
    return said(request["messages"][-1]["content"].split(": ", 1)[1].upper())


class Server(ThreadingHTTPServer):
    """Answers with what ``reply`` makes of a request; keeps every request and its headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[dict[str, Any]], Reply] = echo
        self.first: list[Reply | Callable[[dict[str, Any]], Reply]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: object) -> None:
        """A client that went away is part of a test."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(request)
            self.server.headers.append(dict(self.headers))
            self.server.paths.append(self.path)
            reply = self.server.first.pop(0) if self.server.first else self.server.reply
        status, headers, body = reply(request) if callable(reply) else reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the test's output."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", SECRET)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now, self.waits = 100.0, []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def translator(server: Server, cache: Path, *, clock: Clock | None = None, prompt: Prompt = PROMPT, **changes: Any):
    clock = clock or Clock()
    values = {"endpoint": server.url, "model": "big", "api_key_env": "TEST_KEY", "parallel": 1, **changes}
    return EndpointTranslator(
        Endpoint.model_validate(values), prompt, NAMES, cache=cache / "one.jsonl", clock=clock, sleep=clock.sleep
    )


def ask(translator: EndpointTranslator, *sentences: str) -> list[str]:
    return [
        answer
        for _, prompts, longest in translator.plan(sentences, "en", "de")
        for answer in translator.answer(prompts, longest)
    ]


def test_a_request_is_of_openais_form(server, tmp_path) -> None:
    with translator(server, tmp_path, max_tokens=77, temperature=0.5) as system:
        assert ask(system, "a dog") == ["A DOG"]
    assert server.paths == ["/v1/chat/completions"]
    assert server.requests == [
        {
            "model": "big",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "English to German: a dog"},
            ],
            "max_tokens": 77,
            "temperature": 0.5,
        }
    ]
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"


def test_answers_are_in_the_order_of_the_sentences_also_when_many_are_asked_at_once(server, tmp_path) -> None:
    sentences = [f"sentence {number}" for number in range(100)]
    with translator(server, tmp_path, parallel=8) as system:
        assert [len(numbers) for numbers, _, _ in system.plan(sentences, "en", "de")] == [64, 36]
        assert ask(system, *sentences) == [text.upper() for text in sentences]
    assert len(server.requests) == 100


def test_nothing_is_paid_twice(server, tmp_path) -> None:
    with translator(server, tmp_path) as system:
        assert ask(system, "a", "b", "a") == ["A", "B", "A"]
    assert len(server.requests) == 2
    with translator(server, tmp_path) as system:
        assert ask(system, "b", "c", "a") == ["B", "C", "A"]
        assert (system.usage.answers, system.reused.answers) == (1, 2)
    assert len(server.requests) == 3


def test_the_answers_of_other_jobs_are_read(server, tmp_path) -> None:
    other = AnswerCache(tmp_path / "two.jsonl")
    with translator(server, tmp_path) as system:
        (_, (question,), longest), *_ = system.plan(["x"], "en", "de")
        key = system._key(system._request(question, longest))
    other.put(key, Answer("from the other", "stop", 1, 1))
    other.close()
    with translator(server, tmp_path) as system:
        assert ask(system, "x") == ["from the other"]
    assert server.requests == []


@pytest.mark.parametrize("change", [{"model": "small"}, {"temperature": 0.3}, {"max_tokens": 9}])
def test_another_question_is_asked_anew(server, tmp_path, change) -> None:
    for changes in ({}, change, {"timeout": 9, "price_in": 3, "max_retries": 1}):
        with translator(server, tmp_path, **changes) as system:
            ask(system, "a")
    assert len(server.requests) == 2


def test_what_was_answered_before_a_failure_is_kept(server, tmp_path) -> None:
    server.first = [said("one"), said("two"), (400, {}, b'{"error": {"message": "no such model"}}')]
    with translator(server, tmp_path) as system, pytest.raises(LingualiftError, match=r"status 400: no such model"):
        ask(system, "a", "b", "c", "d")
    assert len(server.requests) == 3
    with translator(server, tmp_path) as system:
        assert ask(system, "a", "b", "c", "d") == ["one", "two", "C", "D"]
    assert len(server.requests) == 5


def test_a_torn_answer_is_asked_again_and_no_other(server, tmp_path) -> None:
    with translator(server, tmp_path) as system:
        ask(system, "a", "b")
    path = tmp_path / "one.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with translator(server, tmp_path) as system:
        assert ask(system, "a", "b") == ["A", "B"]
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(server, tmp_path, status) -> None:
    server.first = [(status, {}, b"busy"), (status, {}, b"busy")]
    clock = Clock()
    with translator(server, tmp_path, clock=clock) as system:
        assert ask(system, "a") == ["A"]
        assert system.usage.retries == 2
    assert len(server.requests) == 3
    assert 0.5 <= clock.waits[0] <= 1 and 1 <= clock.waits[1] <= 2


def test_waits_double_up_to_a_minute(server, tmp_path) -> None:
    server.reply = lambda _: (500, {}, b"")
    clock = Clock()
    told = pytest.raises(LingualiftError, match=r"status 500: , 10 times; what was answered is kept: run again")
    with translator(server, tmp_path, clock=clock, max_retries=9) as system, told:
        ask(system, "a")
    assert all(
        least / 2 <= wait <= least for wait, least in zip(clock.waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True)
    )


def test_retry_after_is_honoured(server, tmp_path) -> None:
    later = email.utils.formatdate(time.time() + 300, usegmt=True)
    server.first = [
        (429, {"Retry-After": "37"}, b""),
        (503, {"Retry-After": later}, b""),
        (429, {"Retry-After": "soon"}, b""),
    ]
    clock = Clock()
    with translator(server, tmp_path, clock=clock) as system:
        assert ask(system, "a") == ["A"]
    assert clock.waits[0] == 37
    assert 200 < clock.waits[1] <= 300
    assert clock.waits[2] <= 4


def test_a_server_that_wants_too_long_a_wait_ends_the_job(server, tmp_path) -> None:
    server.first = [(429, {"Retry-After": "86400"}, b"daily quota")]
    clock = Clock()
    with translator(server, tmp_path, clock=clock) as system, pytest.raises(LingualiftError, match="wait for 86400 s"):
        ask(system, "a")
    assert clock.waits == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {"content": 3}}]}',
    ],
)
def test_a_broken_answer_is_asked_again(server, tmp_path, body) -> None:
    server.first = [(200, {}, body)]
    with translator(server, tmp_path) as system:
        assert ask(system, "a") == ["A"]
        assert system.usage.retries == 1


def test_half_of_a_character_is_kept_as_a_question_mark(server, tmp_path) -> None:
    """As where an answer of emoji ends at the longest length."""
    server.reply = said("a dog \ud83d")
    assert b"\\ud83d" in server.reply[2]
    with translator(server, tmp_path) as system:
        assert ask(system, "one") == ["a dog ?"]
    with translator(server, tmp_path) as system:
        assert ask(system, "one") == ["a dog ?"]
    assert len(server.requests) == 1


def test_an_answer_that_breaks_off_is_asked_again(server, tmp_path) -> None:
    server.first = [(200, {"Length": "5000"}, b'{"choices"')]
    with translator(server, tmp_path, timeout=0.5) as system:
        assert ask(system, "a") == ["A"]


def test_an_answer_that_does_not_come_in_time_is_asked_again(server, tmp_path) -> None:
    gone = threading.Event()

    def late(request: dict[str, Any]) -> Reply:
        gone.wait(10)
        return said("too late")

    server.first = [late]
    with translator(server, tmp_path, timeout=0.3) as system:
        assert ask(system, "a") == ["A"]
        assert system.usage.retries == 1
    gone.set()


def test_no_server_at_all(server, tmp_path) -> None:
    told = pytest.raises(LingualiftError, match=r"no answer .*, 2 times")
    with translator(server, tmp_path, endpoint="http://127.0.0.1:9/v1", max_retries=1) as system, told:
        ask(system, "a")


def test_a_redirect_is_not_followed(server, tmp_path) -> None:
    server.first = [(302, {"Location": f"{server.url}/elsewhere"}, b"")]
    with translator(server, tmp_path) as system, pytest.raises(LingualiftError, match="status 302"):
        ask(system, "a")
    assert len(server.requests) == 1


def test_the_key_comes_from_the_environment_alone(server, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    with translator(server, tmp_path) as system, pytest.raises(LingualiftError, match="environment variable TEST_KEY"):
        ask(system, "a")
    with translator(server, tmp_path, api_key_env=None) as system:
        assert ask(system, "a") == ["A"]
    assert "Authorization" not in server.headers[0]
    # What is paid for needs no key.
    with translator(server, tmp_path) as system:
        assert ask(system, "a") == ["A"]


def test_the_key_is_never_shown(server, tmp_path, caplog, monkeypatch) -> None:
    caplog.set_level(logging.DEBUG)
    server.first = [(429, {}, f"slow down, {SECRET}".encode()), (401, {}, f"bad key {SECRET}".encode())]
    with (
        translator(server, tmp_path) as system,
        pytest.raises(LingualiftError, match="status 401: bad key …") as caught,
    ):
        ask(system, "a")
    monkeypatch.setenv("TEST_KEY", f"{SECRET}\nmore")
    with translator(server, tmp_path) as system, pytest.raises(LingualiftError) as second:
        ask(system, "a")
    with translator(server, tmp_path) as system:
        shown = [
            caplog.text,
            str(caught.value),
            str(second.value),
            json.dumps(system.settings()),
            repr(system.__dict__),
        ]
    assert "slow down" in caplog.text
    assert not [text for text in shown if SECRET in text]
    assert not [path for path in tmp_path.iterdir() if SECRET in path.read_text()]


def test_cost_by_hand(server, tmp_path) -> None:
    server.first = [
        said("one", tokens=(1000, 200)),
        said(None, tokens=(500, 0)),
        said("three", tokens=(500, 300), finish="length"),
    ]
    with translator(server, tmp_path, price_in=2.5, price_out=10) as system:
        assert ask(system, "a", "b", "c") == ["one", "", "three"]
        # 2,000 tokens in at 2.50 a million, 500 out at 10.
        assert system.usage == Usage(3, 0, 2000, 500, cut_off=1, empty=1, cost=pytest.approx(0.005 + 0.005))
    with translator(server, tmp_path, price_in=2.5, price_out=10) as system:
        ask(system, "a", "d")
        counts = system.counts()
    assert counts["asked"]["cost"] == pytest.approx((10 * 2.5 + 5 * 10) / 1e6)
    assert counts["reused"]["cost"] == pytest.approx((1000 * 2.5 + 200 * 10) / 1e6)


def test_the_answer_ends_at_the_prompts_stop(server, tmp_path) -> None:
    server.reply = lambda _: said("\n Ein  Hund.\nNote: a dog.")
    with translator(
        server, tmp_path, prompt=PROMPT.model_copy(update={"stop": ("\nNote", "1", "2", "3", "4")})
    ) as system:
        assert ask(system, "a") == ["Ein Hund."]
    assert server.requests[0]["stop"] == ["\nNote", "1", "2", "3"]


def test_rate_limit_by_a_clock_of_its_own() -> None:
    clock = Clock()
    limit = RateLimit(30, clock=clock, sleep=clock.sleep)
    sent = []
    for spent in (0.0, 0.5, 0.0, 9.0, 0.0, 0.0):
        limit.wait()
        sent.append(clock.now - 100)
        clock.now += spent
    # One every two seconds; a long pause saves up nothing.
    assert sent == [0, 2, 4, 6, 15, 17]


def test_no_more_requests_than_a_minute_may_see(server, tmp_path) -> None:
    clock, times = Clock(), []
    server.first = [(500, {}, b"")]
    server.reply = lambda request: (times.append(clock.now), echo(request))[1]
    with translator(server, tmp_path, clock=clock, requests_per_minute=12) as system:
        ask(system, "a", "b", "c", "d")
    assert [b - a for a, b in itertools.pairwise(times)] == [5, 5, 5]
    assert times[0] == 105


def test_a_killed_run_ends_as_an_unbroken_one_and_pays_nothing_twice(server, tmp_path) -> None:
    sources = {("en", "de"): [f"s {number}" for number in range(70)], ("de", "en"): ["t 1", "s 3", "t 1"]}

    def run(folder: Path, **changes: Any) -> bytes:
        with translator(server, folder / "cache", **changes) as system:
            translate_directions(system, sources, state=folder / "state", key=1, out=folder / "out.jsonl")
        return (folder / "out.jsonl").read_bytes()

    expected = run(tmp_path / "whole")
    paid = len(server.requests)
    assert paid == 72
    server.first = [echo] * 66 + [(403, {}, b"no money left")]
    with pytest.raises(LingualiftError, match="no money left"):
        run(tmp_path / "broken")
    assert run(tmp_path / "broken", parallel=4) == expected
    assert len(server.requests) == 2 * paid + 1
