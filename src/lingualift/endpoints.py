"""Translating through an API of OpenAI's form: retries, a rate limit, what it costs, and no question paid for twice."""

import contextlib
import email.utils
import hashlib
import http.client
import json
import logging
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from lingualift.configuration.prompts import Message, Prompt
from lingualift.configuration.systems import Endpoint
from lingualift.errors import LingualiftError
from lingualift.stores import RecordStore
from lingualift.translation import names_of

logger = logging.getLogger(__name__)

Messages = tuple[tuple[str, str], ...]

# Sentences between two writes of the store of translations; every answer is kept at once, in the cache.
_BATCH = 64
# What a server may ask to wait, in seconds; beyond it the job is better started again later.
_LONGEST_WAIT = 600.0
_LONGEST_BACKOFF = 60.0
# What OpenAI's API takes; an answer is cut at the others when it is here.
_MOST_STOPS = 4
_SHOWN = 300


class Answer(NamedTuple):
    """What an endpoint said, why it stopped (``stop``, ``length``, …), and the tokens that are paid for."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int


@dataclass
class Usage:
    """What was asked and what it cost, in the currency of the prices.

    Attributes:
        answers: questions answered.
        retries: requests that had to be sent again.
        tokens_in: tokens of prompts.
        tokens_out: tokens of answers.
        cut_off: answers that ended at the longest length.
        empty: answers without text.
        cost: of all tokens.
    """

    answers: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cut_off: int = 0
    empty: int = 0
    cost: float = 0.0

    def add(self, answer: Answer, system: Endpoint) -> None:
        """Count one answer."""
        self.answers += 1
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out
        self.cut_off += answer.finish == "length"
        self.empty += not answer.text.strip()
        self.cost = (self.tokens_in * system.price_in + self.tokens_out * system.price_out) / 1_000_000


class AnswerCache:
    """The answers paid for, by question; one file a writer, all files of the folder are read.

    Args:
        path: the file that new answers are appended to; its neighbours (``*.jsonl``) are those of other jobs.

    Raises:
        InputError: a file is no store of answers. Corrupt lines are skipped: what they held is asked again.
    """

    def __init__(self, path: str | Path) -> None:
        self._own = _store(Path(path))
        self._answers: dict[str, Answer] = {}
        for store in (
            self._own,
            *(_store(other) for other in Path(path).parent.glob("*.jsonl") if other != Path(path)),
        ):
            for record in store:
                self._answers[record["direction"]] = Answer(*(record[name] for name in Answer._fields))

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """The answer to a question, if it was ever asked."""
        return self._answers.get(key)

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; it is on the disk before this returns."""
        # A store keys its records by direction and sentence: here the question, which has no sentences.
        self._own.append([{"direction": key, "sentence": 0, **answer._asdict()}])
        self._answers[key] = answer

    def close(self) -> None:
        """Let go of the file."""
        self._own.close()


def _store(path: Path) -> RecordStore:
    return RecordStore(path, Answer._fields)


class RateLimit:
    """Lets requests through one by one, so far apart that a minute sees no more than it may."""

    def __init__(
        self,
        per_minute: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self) -> None:
        """Return when the next request may be sent."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + self._interval
        if start > now:
            self._sleep(start - now)


class _RetryError(Exception):
    """A request to send again; the server may have said when."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to wherever it points."""

    def redirect_request(self, *_: Any) -> None:
        return None


class EndpointTranslator:
    """A model behind an API, with the methods that ``translate_directions`` asks of a translator.

    Args:
        system: the endpoint.
        prompt: how it is asked; the messages of a chat.
        names: language code → English name.
        cache: file of this job's answers; the other files of its folder are read as well.
        clock: seconds; for tests.
        sleep: waits some seconds; for tests.
    """

    def __init__(
        self,
        system: Endpoint,
        prompt: Prompt,
        names: Mapping[str, str],
        *,
        cache: str | Path,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.system, self.prompt, self.names = system, prompt, dict(names)
        self.cache = AnswerCache(cache)
        self.usage, self.reused = Usage(), Usage()
        self._limit = RateLimit(system.requests_per_minute, clock=clock, sleep=sleep)
        self._sleep = sleep
        self._jitter = random.Random(0)
        self._lock = threading.Lock()
        self._opener = urllib.request.build_opener(_NoRedirects)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cache.close()

    def plan(
        self, sentences: Sequence[str], source: str, target: str
    ) -> Iterator[tuple[list[int], list[Messages], int]]:
        """The questions of some sentences, in their order.

        Yields:
            The numbers of some sentences, the messages that ask for each, and the longest answer, in tokens.
        """
        for start in range(0, len(sentences), _BATCH):
            numbers = list(range(start, min(start + _BATCH, len(sentences))))
            asked = [self.prompt.messages(sentences[n], self.names[source], self.names[target]) for n in numbers]
            yield numbers, [_frozen(messages) for messages in asked], self.system.max_tokens

    def settings(self, *languages: str) -> list[object]:
        """What determines the translations, beside the sentences."""
        system = self.system
        return [
            system.endpoint,
            system.model,
            system.max_tokens,
            system.temperature,
            self.prompt.model_dump(mode="json"),
            names_of(self.names, languages),
        ]

    def counts(self) -> dict[str, dict[str, float]]:
        """For a manifest: what was paid for now, and what the answers taken from the cache had cost."""
        return {"asked": asdict(self.usage), "reused": asdict(self.reused)}

    def answer(self, prompts: Sequence[Messages], longest: int) -> list[str]:
        """The translations that answer some questions, each on one line; equal questions are asked once.

        Raises:
            LingualiftError: the key is missing, the endpoint refuses a question, or it does not answer in spite of
                all retries. What it has answered until then is kept.
        """
        requests = [self._request(messages, longest) for messages in prompts]
        keys = [self._key(request) for request in requests]
        missing = {key: request for key, request in zip(keys, requests, strict=True) if self.cache.get(key) is None}
        for key in dict.fromkeys(keys):
            if key not in missing:
                self.reused.add(self._kept(key), self.system)
        if missing:
            self._ask_all(missing)
        return [self.prompt.cut(self._kept(key).text) for key in keys]

    def _kept(self, key: str) -> Answer:
        answer = self.cache.get(key)
        assert answer is not None
        return answer

    def _request(self, messages: Messages, longest: int) -> dict[str, Any]:
        """The body of one request."""
        request = {
            "model": self.system.model,
            "messages": [{"role": role, "content": content} for role, content in messages],
            "max_tokens": longest,
            "temperature": self.system.temperature,
        }
        return {**request, "stop": list(self.prompt.stop[:_MOST_STOPS])} if self.prompt.stop else request

    def _key(self, request: Mapping[str, Any]) -> str:
        text = json.dumps([self.system.endpoint, request], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _ask_all(self, requests: Mapping[str, Mapping[str, Any]]) -> None:
        """Ask some questions, a few at once; each answer is kept as it comes. After a failure no more are asked."""
        headers = self._headers()
        left = iter(requests.items())
        running: dict[Future[Answer], str] = {}
        failure: BaseException | None = None
        with ThreadPoolExecutor(self.system.parallel, thread_name_prefix="endpoint") as pool:
            while True:
                while failure is None and len(running) < self.system.parallel and (item := next(left, None)):
                    running[pool.submit(self._ask, item[1], headers)] = item[0]
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    key = running.pop(future)
                    if error := future.exception():
                        failure = failure or error
                        continue
                    self.cache.put(key, future.result())
                    self.usage.add(future.result(), self.system)
        if failure is not None:
            raise failure

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "lingualift"}
        name = self.system.api_key_env
        if name is None:
            return headers
        key = os.environ.get(name, "").strip()
        if not key:
            raise LingualiftError(
                f"{self.system.endpoint}: the key is missing: set the environment variable {name} where the job runs"
            )
        if not key.isascii() or not key.isprintable():
            # http.client would show it in its own error.
            raise LingualiftError(f"{self.system.endpoint}: the key in {name} holds characters that no key has")
        return {**headers, "Authorization": f"Bearer {key}"}

    def _ask(self, request: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        """Send one request until it is answered."""
        for attempt in range(self.system.max_retries + 1):
            self._limit.wait()
            try:
                return self._send(request, headers)
            except _RetryError as error:
                reason, after = str(error), error.after
            if attempt == self.system.max_retries:
                break
            with self._lock:
                self.usage.retries += 1
                backoff = min(_LONGEST_BACKOFF, 2.0**attempt) * self._jitter.uniform(0.5, 1.0)
            if after > _LONGEST_WAIT:
                raise LingualiftError(
                    f"{self.system.endpoint}: {reason}; it asks to wait for {after:.0f} s: run again then"
                )
            delay = max(backoff, after)
            logger.warning("%s: %s; again in %.1f s", self.system.endpoint, reason, delay)
            self._sleep(delay)
        raise LingualiftError(
            f"{self.system.endpoint}: {reason}, {self.system.max_retries + 1} times; what was answered is kept: run again"
        )

    def _send(self, request: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        sent = urllib.request.Request(
            f"{self.system.endpoint.rstrip('/')}/chat/completions",
            data=json.dumps(request).encode(),
            headers=dict(headers),
            method="POST",
        )
        try:
            with self._opener.open(sent, timeout=self.system.timeout) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            raise self._refusal(error, headers) from None
        except (OSError, http.client.HTTPException) as error:
            raise _RetryError(
                f"no answer ({getattr(error, 'reason', None) or error or type(error).__name__})"
            ) from None
        return _parse(body)

    def _refusal(self, error: urllib.error.HTTPError, headers: Mapping[str, str]) -> Exception:
        """What a status other than 200 means; a server may repeat the key in what it says."""
        with error:
            said = ""
            with contextlib.suppress(OSError, http.client.HTTPException):
                said = error.read(10_000).decode("utf-8", "replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = str(json.loads(said)["error"]["message"])
        if key := headers.get("Authorization", "").removeprefix("Bearer "):
            said = said.replace(key, "…")
        said = f"status {error.code}: {' '.join(said.split())[:_SHOWN]}"
        if error.code in (408, 409, 429) or error.code >= 500:
            return _RetryError(said, _seconds(error.headers.get("Retry-After")))
        return LingualiftError(f"{self.system.endpoint}: {said}")


def _frozen(messages: Sequence[Message]) -> Messages:
    return tuple((message["role"], message["content"]) for message in messages)


def _parse(body: bytes) -> Answer:
    """An answer from what a server sent; a message without text is an empty answer."""
    try:
        values = json.loads(body)
        choice = values["choices"][0]
        text = choice["message"].get("content") or ""
        used = values.get("usage") or {}
        tokens = [int(used.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        if not isinstance(text, str):
            raise TypeError("content is no text")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _RetryError(f"an answer that is not of OpenAI's form ({type(error).__name__}: {error})") from None
    # Half of a surrogate pair, where an answer was cut, is no text that a file could hold.
    text = text.encode("utf-8", "replace").decode()
    return Answer(text, str(choice.get("finish_reason") or ""), *tokens)


def _seconds(retry_after: str | None) -> float:
    """Seconds that a ``Retry-After`` asks for: a number, or a date."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
