"""Parameters that only the model's server knows: they reach it as they are, in both APIs."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import Gateway
from turnstile.turns.turn import Record

MODEL = "gpt-4o-mini"
HI: Any = [{"role": "user", "content": "one two three"}]
SENT: dict[str, Any] = {
    "stop": ["three"], "seed": 7, "frequency_penalty": 0.5, "presence_penalty": -0.5, "logit_bias": {"50256": -100},
    "service_tier": "flex", "prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s",
    "user": "ann",
}  # fmt: skip
STRANGE = {"top_k": 5, "min_p": 0.1, "chat_template_kwargs": {"enable_thinking": False}, "guided_json": {"type": "object"}}


def record_of(stack: Stack, id: str) -> Record:
    """Return the turn behind a completion or a response."""
    return stack.store.status(f"resp_{id.removeprefix('chatcmpl-').removeprefix('resp_')}")


def test_of_a_chat_completion(sdk: openai.OpenAI, stack: Stack) -> None:
    asked: dict[str, Any] = {**SENT, "reasoning_effort": "low", "verbosity": "low", "n": 1}
    completion = sdk.chat.completions.create(model=MODEL, messages=HI, **asked, extra_body=STRANGE)
    assert completion.choices[0].message.content == "You said: one two "
    assert record_of(stack, completion.id).options.parameters == {
        **SENT, **STRANGE, "reasoning_effort": "low", "verbosity": "low"
    }  # fmt: skip


def test_of_a_response(sdk: openai.OpenAI, stack: Stack) -> None:
    response = sdk.responses.create(
        input="one two three",
        reasoning={"effort": "high", "summary": "auto"},
        text={"verbosity": "high"},
        service_tier="flex",
        extra_body={**STRANGE, "stop": "three"},
    )
    assert response.output_text == "You said: one two "
    assert (response.reasoning and response.reasoning.effort, response.service_tier) == ("high", "flex")
    assert record_of(stack, response.id).options.parameters == {
        **STRANGE, "stop": "three", "service_tier": "flex", "reasoning_effort": "high", "verbosity": "high"
    }  # fmt: skip


def test_what_asks_for_nothing_is_not_sent(sdk: openai.OpenAI, stack: Stack) -> None:
    idle: dict[str, Any] = {"n": 1, "store": False, "modalities": ["text"], "audio": None, "stop": None, "top_k": None}
    completion = sdk.chat.completions.create(model=MODEL, messages=HI, extra_body=idle)
    assert record_of(stack, completion.id).options.parameters == {}


@pytest.mark.parametrize("stream", [False, True])
def test_probabilities_of_tokens(sdk: openai.OpenAI, stack: Stack, session: str, stream: bool) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": HI, "logprobs": True, "top_logprobs": 1}
    named: dict[str, Any] = {"metadata": {"session_id": session}}
    if stream:
        with sdk.chat.completions.stream(**asked, **named) as events:
            choice: Any = events.get_final_completion().choices[0]
    else:
        choice = sdk.chat.completions.create(**asked, **named).choices[0]
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    assert choice.logprobs.content[0].top_logprobs[0].token == choice.logprobs.content[0].token
    assert b"logprob" not in b"".join(stack.store.history(session))


def test_all_that_cannot_be_done_is_named_at_once(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="`n`, `audio`, `extra_body` are not supported") as refused:
        sdk.chat.completions.create(model=MODEL, messages=HI, extra_body={"n": 2, "audio": {}, "seed": 1, "extra_body": {}})
    assert (refused.value.param, refused.value.code) == ("n", "unsupported_parameter")


@pytest.fixture
def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    folder = tmp_path_factory.mktemp("strict")
    with Gateway(stack.redis_url, folder, TURNSTILE_STRICT_PARAMETERS="true") as gateway, gateway.sdk() as sdk:
        yield sdk


def test_a_strict_gateway_takes_openais_alone(strict: openai.OpenAI) -> None:
    strict.chat.completions.create(model=MODEL, messages=HI, seed=1)
    strict.responses.create(input="hi", reasoning={"effort": "low"})
    for create in (
        lambda: strict.chat.completions.create(model=MODEL, messages=HI, n=2, extra_body=STRANGE),
        lambda: strict.responses.create(input="hi", prompt={"id": "p"}, extra_body=STRANGE),
    ):
        with pytest.raises(openai.BadRequestError, match="`top_k`, `min_p`, `chat_template_kwargs`, `guided_json`"):
            create()
