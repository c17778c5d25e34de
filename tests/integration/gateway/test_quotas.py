"""Quotas of keys at the gateway: refusals before any work, in OpenAI's form, and what is told of them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.gateways import Gateway
from tests.support.step_worker import element
from tests.support.wait import wait_until
from turnstile.turns.api_keys import Limits, NewKey, new_key
from turnstile.turns.output import said
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim


@pytest.fixture
def sdks(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., openai.OpenAI]]:
    """Opens a gateway that knows some keys, and gives the SDK of the first."""
    with ExitStack() as stack:

        def open_for(*keys: NewKey, **env: str) -> openai.OpenAI:
            entries = json.dumps({key.digest: key.entry for key in keys})
            gateway = stack.enter_context(Gateway(redis_url, tmp_path, TURNSTILE_API_KEYS=entries, **env))
            return gateway.sdk(api_key=keys[0].text, max_retries=0)

        yield open_for


def _ask(sdk: openai.OpenAI, session: str, face: str = "responses") -> Any:
    if face == "responses":
        return sdk.responses.create(input="Hi", conversation=session, background=True)
    messages: list[Any] = [{"role": "user", "content": "Hi"}]
    return sdk.chat.completions.create(model="m", messages=messages, extra_headers={"x-turnstile-session": session})


def _refused(sdk: openai.OpenAI, session: str, face: str = "responses") -> openai.RateLimitError:
    with pytest.raises(openai.RateLimitError) as caught:
        _ask(sdk, session, face)
    assert caught.value.type == "rate_limit_error"
    return caught.value


def _answer(settings: Settings, id: str, tokens: int) -> None:
    """Answer a turn as a worker does, at some cost."""
    store = TurnStore(settings)
    claim = store.claim(id, "w1", "n")
    assert isinstance(claim, Claim)
    usage = {"input_tokens": tokens, "output_tokens": 0}
    messages = [element("human", "Hi", id), element("ai", "yes", id)]
    assert store.finish(claim, Outcome(State.COMPLETED, said("yes"), usage, "gpt"), messages) is State.COMPLETED


@pytest.mark.parametrize("face", ["responses", "chat"])
def test_unfinished_turns_of_a_tenant_are_bounded(sdks: Callable[..., openai.OpenAI], settings: Settings, face: str) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(unfinished_turns=2)))
    for session in ("a", "b"):
        _ask(sdk, session)
    error = _refused(sdk, "c", face)
    assert error.code == "rate_limit_exceeded"
    assert "unfinished turns" in error.message
    assert error.response.headers["retry-after"] == "5"
    assert TurnStore(settings).stats()["open"] == 2


def test_the_bytes_of_unfinished_turns_are_bounded(sdks: Callable[..., openai.OpenAI]) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(unfinished_bytes=5_000)))
    first = sdk.responses.create(input="x" * 6_000, conversation="a", background=True)
    with pytest.raises(openai.RateLimitError) as caught:
        sdk.responses.create(input="x" * 2_000, conversation="b", background=True)
    assert caught.value.code == "rate_limit_exceeded"
    assert "unfinished bytes" in caught.value.message
    assert caught.value.response.headers["retry-after"] == "5"
    _ask(sdk, "b")
    sdk.responses.cancel(first.id)
    sdk.responses.create(input="x" * 2_000, conversation="b", background=True)


def test_the_bytes_of_schedules_are_bounded(sdks: Callable[..., openai.OpenAI]) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(unfinished_bytes=5_000)))
    body = {"input": "x" * 3_000, "cron": "0 9 * * 1-5"}
    made: Any = sdk.post("/schedules", body=body, cast_to=object)
    asks: tuple[Callable[[], Any], ...] = (
        lambda: sdk.post("/schedules", body=body, cast_to=object),
        lambda: sdk.responses.create(
            input="x" * 3_000, background=True, metadata={"turnstile_not_before": str(round(time.time()) + 3_600)}
        ),
    )
    for ask in asks:
        with pytest.raises(openai.RateLimitError, match="schedules ask") as caught:
            ask()
        assert caught.value.code == "insufficient_quota"
        assert caught.value.response.headers["x-should-retry"] == "false"
    sdk.responses.create(input="x" * 3_000, conversation="now", background=True)
    sdk.delete(f"/schedules/{made['id']}", cast_to=object)
    asks[0]()


def test_tokens_of_a_minute_are_told_and_refused(sdks: Callable[..., openai.OpenAI], settings: Settings) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(tokens_per_minute=100)))
    first = sdk.responses.with_raw_response.create(input="Hi", conversation="a", background=True)
    told = {name: first.headers[f"x-ratelimit-{name}-tokens"] for name in ("limit", "remaining", "reset")}
    assert told == {"limit": "100", "remaining": "100", "reset": "0.000s"}
    _answer(settings, first.parse().id, 150)
    error = _refused(sdk, "b")
    assert error.code == "rate_limit_exceeded"
    assert error.response.headers["x-ratelimit-remaining-tokens"] == "0"
    assert 0 < int(error.response.headers["retry-after"]) <= 30
    # Turns that exist are read as before.
    assert sdk.responses.retrieve(first.parse().id).output_text == "yes"


def test_a_day_that_is_spent_is_not_waited_for(sdks: Callable[..., openai.OpenAI], settings: Settings) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(tokens_per_day=10)))
    _answer(settings, _ask(sdk, "a").id, 10)
    error = _refused(sdk, "a")
    assert error.code == "insufficient_quota"
    assert error.response.headers["x-should-retry"] == "false"


def test_a_session_that_is_spent_is_left(sdks: Callable[..., openai.OpenAI], settings: Settings) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(tokens_per_session=10)))
    _answer(settings, _ask(sdk, "a").id, 10)
    error = _refused(sdk, "a")
    assert (error.code, error.param) == ("insufficient_quota", "conversation")
    assert _ask(sdk, "b").status == "queued"


def test_a_key_names_its_models_only(sdks: Callable[..., openai.OpenAI], settings: Settings) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(models=("gpt-4o-mini",))))
    asks: tuple[Callable[[str], Any], ...] = (
        lambda model: sdk.responses.create(input="Hi", model=model, background=True),
        lambda model: sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}]),
        lambda model: sdk.embeddings.create(model=model, input="Hi"),
    )
    for ask in asks:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            ask("grand")
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert TurnStore(settings).stats().get("accepted", 0) == 0
    assert asks[0]("gpt-4o-mini").status == "queued"
    assert [model.id for model in sdk.models.list()] == ["gpt-4o-mini"]
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("grand")


def test_conversations_of_a_tenant_are_bounded(sdks: Callable[..., openai.OpenAI]) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(conversations=2)))
    first = sdk.conversations.create()
    _ask(sdk, "a")
    assert _refused(sdk, "b").code == "insufficient_quota"
    with pytest.raises(openai.RateLimitError, match="delete some"):
        sdk.conversations.create()
    sdk.conversations.delete(first.id)
    _ask(sdk, "b")


def test_streams_of_a_tenant_are_bounded(sdks: Callable[..., openai.OpenAI], settings: Settings) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(streams=1)))
    store = TurnStore(settings)
    with sdk.responses.create(input="Hi", conversation="a", stream=True, background=True) as stream:
        id = next(iter(stream)).response.id  # type: ignore[union-attr]  # the first event has one
        with pytest.raises(openai.RateLimitError, match="streams open") as caught:
            sdk.responses.create(input="Hi", conversation="b", stream=True)
        with pytest.raises(openai.RateLimitError):
            sdk.responses.retrieve(id, stream=True)
        assert caught.value.response.headers["retry-after"] == "5"
        assert store.stats()["open"] == 1
        assert _ask(sdk, "b").status == "queued"
    wait_until(lambda: not store.client.exists(store.keys.streams("acme")), "the stream is closed")
    with sdk.responses.retrieve(id, stream=True) as again:
        assert next(iter(again)).type == "response.created"


def test_a_key_s_slots_are_its_tenant_s(sdks: Callable[..., openai.OpenAI], settings: Settings) -> None:
    sdk = sdks(new_key("shop", "acme", Limits(running_turns=1)))
    ids = [_ask(sdk, session).id for session in ("a", "b")]
    store = TurnStore(settings)
    assert [store.status(id).dispatches for id in ids] == [1, 0]
    _answer(settings, ids[0], 1)
    assert store.status(ids[1]).dispatches == 1
