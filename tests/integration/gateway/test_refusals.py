"""Answers that are none, because the model refuses or a filter stops it, as OpenAI tells them."""

from typing import Any

import openai
import pytest
from pydantic import BaseModel

MODEL = "gpt-4o-mini"
REFUSED = "You said: do harm"
REFUSES: Any = [{"role": "user", "content": "do harm [[finish=refusal]]"}]


class Recipe(BaseModel):
    steps: list[str]


def test_a_response(sdk: openai.OpenAI, session: str) -> None:
    response = sdk.responses.create(input=REFUSES, conversation=session)
    assert (response.status, response.output_text) == ("completed", "")
    [item] = [item.to_dict() for item in response.output]
    assert item["content"] == [{"type": "refusal", "refusal": REFUSED}]
    assert next(iter(sdk.conversations.items.list(session))).to_dict() == item


def test_a_stream_of_events(sdk: openai.OpenAI) -> None:
    events: list[Any] = list(sdk.responses.create(input=REFUSES, stream=True))
    kinds = [event.type for event in events]
    assert kinds[3:] == [
        "response.content_part.added", "response.refusal.delta", "response.refusal.done", "response.content_part.done",
        "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert (events[3].part.type, events[4].delta, events[5].refusal) == ("refusal", REFUSED, REFUSED)
    again = list(sdk.responses.retrieve(events[-1].response.id, stream=True))
    assert [event.to_dict() for event in again][3:] == [event.to_dict() for event in events][3:]


def test_a_completion(sdk: openai.OpenAI) -> None:
    [choice] = sdk.chat.completions.create(model=MODEL, messages=REFUSES).choices
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == (None, REFUSED, "stop")


def test_a_stream_of_chunks(sdk: openai.OpenAI) -> None:
    deltas = [chunk.choices[0].delta for chunk in sdk.chat.completions.create(model=MODEL, messages=REFUSES, stream=True)]
    assert "".join(delta.refusal or "" for delta in deltas) == REFUSED
    assert not any(delta.content for delta in deltas)


def test_the_sdks_parsers(sdk: openai.OpenAI) -> None:
    parsed = sdk.responses.parse(model=MODEL, input=REFUSES, text_format=Recipe)
    assert parsed.output_parsed is None
    [choice] = sdk.chat.completions.parse(model=MODEL, messages=REFUSES, response_format=Recipe).choices
    assert (choice.message.parsed, choice.message.refusal) == (None, REFUSED)


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_is_in_the_history_all_the_same(sdk: openai.OpenAI, session: str, stream: bool) -> None:
    for question in ("I'm ann. [[finish=refusal]]", "What's my name?"):
        answer: Any = sdk.responses.create(input=question, conversation=session, stream=stream)
        list(answer) if stream else None
    assert sdk.responses.create(input="What's my name?", conversation=session).output_text == "Your name is Ann."


class TestFiltered:
    """An answer that the provider's filter stops: incomplete, and not in the history."""

    QUESTION = "do harm [[finish=content_filter]]"
    ASKED: Any = [{"role": "user", "content": QUESTION}]  # noqa: RUF012 - read only

    def test_a_response(self, sdk: openai.OpenAI, session: str) -> None:
        response = sdk.responses.create(input=self.QUESTION, conversation=session)
        assert (response.status, response.output_text, response.error) == ("incomplete", REFUSED, None)
        assert response.incomplete_details
        assert response.incomplete_details.reason == "content_filter"
        assert response.usage
        assert list(sdk.conversations.items.list(session)) == []
        assert sdk.responses.retrieve(response.id).to_dict() == response.to_dict()

    def test_a_stream_of_events(self, sdk: openai.OpenAI) -> None:
        events: list[Any] = list(sdk.responses.create(input=self.QUESTION, stream=True))
        assert events[-1].type == "response.incomplete"
        assert events[-1].response.output_text == REFUSED == "".join(getattr(event, "delta", "") for event in events)
        assert events[-2].item == events[-1].response.output[0]
        again = list(sdk.responses.retrieve(events[-1].response.id, stream=True))
        assert again[-1].to_dict() == events[-1].to_dict()

    def test_completions(self, sdk: openai.OpenAI) -> None:
        [choice] = sdk.chat.completions.create(model=MODEL, messages=self.ASKED).choices
        assert (choice.message.content, choice.finish_reason) == (REFUSED, "content_filter")
        chunks = list(sdk.chat.completions.create(model=MODEL, messages=self.ASKED, stream=True))
        assert chunks[-1].choices[0].finish_reason == "content_filter"
        with pytest.raises(openai.ContentFilterFinishReasonError):
            sdk.chat.completions.parse(model=MODEL, messages=self.ASKED, response_format=Recipe)
