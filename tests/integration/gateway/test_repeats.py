"""Repeats of the SDKs, which send no key: a request that comes again, its answer lost, is the same turn."""

import time
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import Request

from tests.integration.conftest import Stack
from tests.support.step_worker import StepWorker
from tests.support.wait import wait_until
from turnstile.producers.gateway import repeats
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.turns.settings import Settings

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def body(path: str, text: str, session: str | None = None) -> dict[str, Any]:
    """Return a request for an answer, in a session if one is given."""
    if path == CHAT:
        named = {"metadata": {"session_id": session}} if session else {}
        return {"messages": [{"role": "user", "content": text}], **named}
    return {"input": text, **({"conversation": session} if session else {})}


def ask(http: httpx.Client, path: str, asked: dict[str, Any], count: int | None, **more: Any) -> str:
    """Return the id of the answer to the request, sent for the `count`th time."""
    headers = {} if count is None else {"x-stainless-retry-count": str(count)}
    answer = http.post(path, json=asked, headers=headers, **more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.fixture
def text(session: str) -> str:
    """Return a question that no other test asks."""
    return f"hello from {session}"


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("in_session", [False, True])
def test_a_repeat_is_the_same_turn(
    http: httpx.Client, stack: Stack, session: str, text: str, path: str, in_session: bool
) -> None:
    asked = body(path, text, session if in_session else None)
    first = ask(http, path, asked, 0)
    assert [ask(http, path, asked, count) for count in (1, 2, 1)] == [first] * 3
    assert ask(http, path, asked, 0) != first
    assert len(stack.store.history(session)) == (4 if in_session else 0)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_other_requests_are_other_turns(http: httpx.Client, session: str, text: str, path: str) -> None:
    first = ask(http, path, body(path, text), 0)
    others = [
        ask(http, path, body(path, f"{text}!"), 1),
        ask(http, path, body(path, text, session), 1),
        ask(http, path, body(path, text), None),
        ask(http, path, body(path, text), 0),
    ]
    assert len({first, *others}) == 5


def test_a_repeat_whose_first_never_came_is_a_turn_of_its_own(http: httpx.Client, text: str) -> None:
    first = ask(http, CHAT, body(CHAT, text), 1)
    assert ask(http, CHAT, body(CHAT, text), 2) == first


@pytest.fixture
def left(http: httpx.Client, session: str) -> dict[str, Any]:
    """Return a request whose client has left before its answer."""
    asked = body(RESPONSES, "slow [[latency=3]]", session)
    with suppress(httpx.ReadTimeout):
        http.post(RESPONSES, json=asked, headers={"x-stainless-retry-count": "0"}, timeout=1)
    return asked


def test_a_client_that_leaves_and_comes_back_finds_its_turn(
    http: httpx.Client, stack: Stack, session: str, left: dict[str, Any]
) -> None:
    id = ask(http, RESPONSES, left, 1)
    assert stack.store.status(id).attempts == 1
    assert len(stack.store.history(session)) == 2


def test_a_turn_that_was_cancelled_meanwhile_is_asked_anew(http: httpx.Client, stack: Stack, session: str) -> None:
    asked = body(RESPONSES, "slow [[hang]]", session)
    accepted = stack.store.stats().get("accepted", 0)
    with suppress(httpx.ReadTimeout):
        http.post(RESPONSES, json=asked, headers={"x-stainless-retry-count": "0"}, timeout=1)
    assert stack.store.stats()["accepted"] == accepted + 1
    wait_until(lambda: stack.store.stats().get("open", 0) == 0, "the turn is cancelled")
    with suppress(httpx.ReadTimeout):
        http.post(RESPONSES, json=asked, headers={"x-stainless-retry-count": "1"}, timeout=1)
    assert stack.store.stats()["accepted"] == accepted + 2
    wait_until(lambda: stack.store.stats().get("open", 0) == 0, "the turn is cancelled")


def test_a_streamed_answer_that_was_lost_is_streamed_again(http: httpx.Client, stack: Stack, text: str) -> None:
    asked = {**body(RESPONSES, text), "stream": True}
    streams = [http.post(RESPONSES, json=asked, headers={"x-stainless-retry-count": str(n)}).text for n in (0, 1)]
    assert streams[0] == streams[1]


def posted(count: int, content: bytes = b"{}") -> Request:
    """Return a request of the SDK, sent for the `count`th time."""

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    headers = [(b"x-stainless-retry-count", str(count).encode()), (b"host", b"localhost")]
    return Request({"type": "http", "method": "POST", "path": RESPONSES, "query_string": b"", "headers": headers}, receive)


@pytest.mark.parametrize(("seconds", "same"), [(repeats.LOST_SECONDS, True), (0, False)])
async def test_a_repeat_long_after_the_end_is_a_new_turn(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, seconds: float, same: bool
) -> None:
    settings = Settings(redis_url=redis_url)
    worker, backend, caller = StepWorker(settings), Backend(settings), Caller()
    monkeypatch.setattr(repeats, "LOST_SECONDS", seconds)
    # The server's clock counts, whatever this machine's tells.
    monkeypatch.setattr(time, "time", lambda: 4e9)
    first = await repeats.repeat_key(posted(0), backend, caller, "response", None, None)
    worker.store.submit(f"resp_{caller.key('response', first)}", "foo", "hi")
    assert await repeats.repeat_key(posted(1), backend, caller, "response", None, None) == first
    worker.answer(worker.take(), "hello")
    again = await repeats.repeat_key(posted(2), backend, caller, "response", None, None)
    assert (again == first) == same
    assert await repeats.repeat_key(posted(3), backend, caller, "response", None, None) == again
    for other in (Caller("acme"), Caller("", "key")):
        assert await repeats.repeat_key(posted(1), backend, other, "response", None, None) not in (first, again)
    await backend.close()


@pytest.mark.parametrize("count", ["", "-1", "1.5", "\u00b2", "x"])
async def test_a_count_that_is_none_is_no_repeat(redis_url: str, count: str) -> None:
    backend, request = Backend(Settings(redis_url=redis_url)), posted(0)
    request.scope["headers"][0] = (b"x-stainless-retry-count", count.encode("latin-1"))
    assert await repeats.repeat_key(request, backend, Caller(), "chat", None, None) is None
    await backend.close()
