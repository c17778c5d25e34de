"""Responses through the gateway: OpenAI's own SDK, a real worker, the stand-in model."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import ended, read_events, running, texts_of
from tests.support.wait import wait_until
from turnstile.turns.states import State

SLOW = "[[tokens-per-second=15]]"
LONG = "Please say one two three four five six seven eight nine ten eleven twelve"
HANGS = "wait for me [[hang]]"
FULL = [
    "response.created", "response.in_progress", "response.output_item.added",
    "response.content_part.added", "response.output_text.delta", "response.output_text.done",
    "response.content_part.done", "response.output_item.done", "response.completed",
]  # fmt: skip


def events_of(http: httpx.Client, id: str, after: int | None = None) -> list[dict[str, Any]]:
    """Return all events of a response after one of them."""
    params: dict[str, Any] = {"stream": True} | ({} if after is None else {"starting_after": after})
    with http.stream("GET", f"/v1/responses/{id}", params=params) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(read_events(answer.iter_lines()))


def test_wait_for_an_answer(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(model="gpt-4o-mini", input="Hi! I'm bob", metadata={"mine": "yes"})
    assert response.output_text == "Hello Bob! How can I help you today?"
    assert (response.status, response.object, response.metadata) == ("completed", "response", {"mine": "yes"})
    assert response.id.startswith("resp_")
    assert response.usage
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    assert sdk.responses.retrieve(response.id).to_dict() == response.to_dict()


def test_create_in_the_background_and_poll(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input=f"{LONG} {SLOW}", background=True)
    assert response.status in ("queued", "in_progress")
    assert response.background
    assert response.output == []
    assert ended(sdk, response.id).output_text == f"You said: {LONG}"


def test_all_that_a_stream_tells(sdk: openai.OpenAI) -> None:
    events = list(sdk.responses.create(input=f"{LONG} {SLOW}", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert list(dict.fromkeys(kinds)) == FULL
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 3
    assert "".join(deltas) == f"You said: {LONG}"
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == f"You said: {LONG}"
    assert sdk.responses.retrieve(last.response.id).to_dict() == last.response.to_dict()


def test_the_sdks_own_stream_helper(sdk: openai.OpenAI) -> None:
    with sdk.responses.stream(model="gpt-4o-mini", input=LONG) as stream:
        final = stream.get_final_response()
    assert final.output_text == f"You said: {LONG}"


def test_break_a_stream_and_resume_it(sdk: openai.OpenAI) -> None:
    seen: list[Any] = []
    with sdk.responses.create(input=f"{LONG} {SLOW}", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    assert seen[0].type == "response.created"
    id = seen[0].response.id
    seen += sdk.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type == "response.completed"
    assert "".join(e.delta for e in seen if e.type == "response.output_text.delta") == f"You said: {LONG}"


def test_resume_with_the_sdks_stream_helper(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input=f"{LONG} {SLOW}", background=True)
    with sdk.responses.stream(response_id=response.id, starting_after=4) as stream:
        numbers = [event.sequence_number for event in stream]
        assert stream.get_final_response().output_text == f"You said: {LONG}"
    assert numbers == list(range(5, 5 + len(numbers)))


def test_every_replay_is_the_same_from_every_point(sdk: openai.OpenAI, http: httpx.Client) -> None:
    response = sdk.responses.create(input=f"{LONG} {SLOW}")
    whole = events_of(http, response.id)
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    for after in range(len(whole)):
        assert events_of(http, response.id, after) == whole[after + 1 :]
    assert events_of(http, response.id, 10_000) == []


def test_a_replay_is_what_was_told_live(stack: Stack, sdk: openai.OpenAI, http: httpx.Client, session: str) -> None:
    first = sdk.responses.create(input=HANGS, background=True, conversation=session)
    running(stack.store, first.id)
    body = {"input": LONG, "conversation": session, "stream": True}
    live: list[dict[str, Any]] = []
    with http.stream("POST", "/v1/responses", json=body) as answer:
        for event in read_events(answer.iter_lines()):
            live.append(event)
            if event["type"] == "response.created":
                sdk.responses.cancel(first.id)
    begun, ended = live[0]["response"], live[-1]["response"]
    assert begun["metadata"] == {"turnstile_position": "1"}
    assert ended["model"] != begun["model"]
    assert events_of(http, begun["id"]) == live
    stack.store.client.delete(stack.store.keys.events(begun["id"]))
    assert events_of(http, begun["id"])[:5] == live[:5]


def test_many_readers_are_told_the_same(sdk: openai.OpenAI, http: httpx.Client) -> None:
    response = sdk.responses.create(input=f"{LONG} {SLOW}", background=True)
    with ThreadPoolExecutor(20) as pool:
        streams = list(pool.map(lambda _: events_of(http, response.id), range(20)))
    marks = [[(e["type"], e["sequence_number"], e.get("delta")) for e in events] for events in streams]
    assert all(mark == marks[0] for mark in marks)
    assert marks[0][-1][0] == "response.completed"


def test_a_turn_from_elsewhere_is_a_response_too(stack: Stack, sdk: openai.OpenAI, http: httpx.Client, session: str) -> None:
    stack.store.submit(f"turn-of-{session}", session, "Hi! I'm eve")
    response = ended(sdk, f"turn-of-{session}")
    assert response.output_text == "Hello Eve! How can I help you today?"
    assert response.conversation
    assert response.conversation.id == session
    assert events_of(http, response.id)[-1]["type"] == "response.completed"


def test_cancel_while_it_runs(stack: Stack, sdk: openai.OpenAI, http: httpx.Client) -> None:
    response = sdk.responses.create(input=HANGS, background=True)
    running(stack.store, response.id)
    events: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: events.extend(events_of(http, response.id)))
    reader.start()
    assert sdk.responses.cancel(response.id).status == "cancelled"
    assert sdk.responses.cancel(response.id).status == "cancelled"
    reader.join()
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["status"] == "cancelled"


def test_cancel_while_it_waits(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=HANGS, background=True, conversation=session)
    running(stack.store, first.id)
    second = sdk.responses.create(input="never asked", background=True, conversation=session)
    assert second.status == "queued"
    assert sdk.responses.cancel(second.id).status == "cancelled"
    sdk.responses.cancel(first.id)
    assert list(sdk.conversations.items.list(session)) == []


def test_cancel_of_an_ended_response_leaves_it(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input="hello there")
    assert sdk.responses.cancel(response.id).to_dict() == response.to_dict()


def test_a_busy_conversation_waits_its_turn(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    first = sdk.responses.create(input=HANGS, background=True, conversation=session)
    running(stack.store, first.id)
    waiting = [sdk.responses.create(input=f"I'm {name}", background=True, conversation=session) for name in ("ann", "zoe")]
    assert [response.metadata for response in waiting] == [{"turnstile_position": "1"}, {"turnstile_position": "2"}]
    sdk.responses.cancel(first.id)
    done = [ended(sdk, response.id) for response in waiting]
    assert [response.output_text[:10] for response in done] == ["Hello Ann!", "Hello Zoe!"]
    assert [response.metadata for response in done] == [{}, {}]


def test_two_requests_at_once_on_one_conversation(sdk: openai.OpenAI, session: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(sdk.responses.create, input=f"say {word} [[latency=0.3]]", conversation=session)
            for word in ("tick", "tock")
        ]
        answers = {future.result().output_text for future in asked}
    assert answers == {"You said: say tick", "You said: say tock"}
    roles = [item.role for item in sdk.conversations.items.list(session, order="asc") if item.type == "message"]
    assert roles == ["user", "assistant", "user", "assistant"]


def test_a_client_that_leaves_cancels_what_it_waited_for(stack: Stack, http: httpx.Client, session: str) -> None:
    body = {"input": HANGS, "conversation": session}
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/responses", json=body, timeout=1)
    wait_until(lambda: stack.store.stats().get("open", 0) == 0, "the turn is cancelled")
    with http.stream("POST", "/v1/responses", json={**body, "stream": True}) as answer:
        first = next(read_events(answer.iter_lines()))
    id = first["response"]["id"]
    wait_until(lambda: stack.store.status(id).state is State.CANCELLED, "the turn is cancelled")


def test_a_client_that_leaves_a_background_response_does_not(stack: Stack, sdk: openai.OpenAI) -> None:
    with sdk.responses.create(input=f"{LONG} [[latency=0.5]]", background=True, stream=True) as stream:
        first = next(iter(stream))
    assert first.type == "response.created"
    assert ended(sdk, first.response.id).output_text == f"You said: {LONG}"


def test_messages_that_come_with_the_question(sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(
        input=[
            {"role": "user", "content": "I'm dora"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": [{"type": "input_text", "text": "What's my name?"}]},
        ]
    )
    assert first.output_text == "Your name is Dora."
    assert first.conversation
    given = list(sdk.responses.input_items.list(first.id, order="asc", limit=1))
    assert texts_of(given) == ["I'm dora", "Hello!", "What's my name?"]
    stored = list(sdk.conversations.items.list(first.conversation.id, order="asc"))
    assert [item.id for item in stored] == [*(item.id for item in given), first.output[0].id]
    later = sdk.responses.create(input="And what's my name?", previous_response_id=first.id)
    assert later.output_text == "Your name is Dora."


def test_a_response_that_is_not_stored(sdk: openai.OpenAI, session: str) -> None:
    sdk.responses.create(input="I'm fred", conversation=session)
    aside = sdk.responses.create(input="What's my name?", conversation=session, store=False)
    assert aside.output_text == "Your name is Fred."
    assert len(list(sdk.conversations.items.list(session))) == 2
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(input="hello", previous_response_id=aside.id)
    assert refused.value.param == "previous_response_id"


def test_an_answer_that_is_cut_off(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input=LONG, max_output_tokens=3)
    assert response.status == "incomplete"
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output_text
    events = list(sdk.responses.retrieve(response.id, stream=True))
    assert events[-1].type == "response.incomplete"


def test_an_answer_that_fails(sdk: openai.OpenAI, http: httpx.Client) -> None:
    response = ended(sdk, sdk.responses.create(input="break [[fail=400]]", background=True).id)
    assert response.status == "failed"
    assert response.error
    assert response.error.code == "invalid_prompt"
    assert "break" not in response.error.message
    assert events_of(http, response.id)[-1]["type"] == "response.failed"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("400", 400, "invalid_request"),
        ("401", 502, "authentication"),
        ("context_length_exceeded", 400, "context_length_exceeded"),
    ],
)
def test_a_foreground_answer_that_fails_is_an_error(
    sdk: openai.OpenAI, session: str, fault: str, status: int, code: str
) -> None:
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as failed:
            sdk.responses.create(input=f"break [[fail={fault}]]", extra_headers={"Idempotency-Key": f"{session}-{fault}"})
        assert (failed.value.status_code, failed.value.code) == (status, code)
        assert failed.value.response.headers["x-should-retry"] == "false"
        assert "break" not in str(failed.value)


def test_a_response_that_is_not_stored_is_gone_with_its_answer(sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input="hi", store=False)
    for attempt in (sdk.responses.retrieve, sdk.responses.cancel, sdk.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            attempt(response.id)
    sdk.responses.delete(response.id)
    fetched = sdk.responses.create(input="hi", store=False, background=True)
    assert ended(sdk, fetched.id).output_text == "You said: hi"


def test_an_event_source_resumes_and_ends(sdk: openai.OpenAI, http: httpx.Client) -> None:
    response = sdk.responses.create(input="hi")
    path = f"/v1/responses/{response.id}?stream=true"
    whole = http.get(path).text
    events = whole.strip().split("\n\n")
    assert [event.split("\n")[0] for event in events] == [f"id: {n}" for n in range(len(events))]
    for seen in range(len(events) - 1):
        rest = http.get(path, headers={"last-event-id": str(seen)})
        assert rest.text.strip().split("\n\n") == events[seen + 1 :]
        assert rest.headers["content-type"].startswith("text/event-stream")
    assert http.get(path, headers={"last-event-id": str(len(events) - 1)}).status_code == 204
    assert http.get(path, headers={"last-event-id": "nonsense"}).text == whole


def test_parts_of_a_text_stay_apart(sdk: openai.OpenAI) -> None:
    parts: Any = [{"type": "input_text", "text": text} for text in ("one", "two")]
    assert sdk.responses.create(input=[{"role": "user", "content": parts}]).output_text == "You said: one\ntwo"


def test_a_body_that_is_not_said_to_be_json_is_explained(http: httpx.Client) -> None:
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        answer = http.post("/v1/responses", content=b'{"input": "hi"}', headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
        assert "Content-Type: application/json" in answer.json()["error"]["message"]
    answer = http.post("/v1/conversations", content=b"{}", headers={"content-type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 200


def test_what_was_asked_for_is_shown_again(sdk: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"said": {"type": "string"}}}
    wanted: Any = {"format": {"type": "json_schema", "name": "said", "schema": schema, "strict": True}}
    response = sdk.responses.create(
        input="hello there",
        model="some-model",
        instructions="Be brief.",
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=500,
        text=wanted,
        truncation="auto",
        safety_identifier="someone",
    )
    assert (response.instructions, response.temperature, response.top_p) == ("Be brief.", 0.5, 0.9)
    assert (response.max_output_tokens, response.truncation, response.safety_identifier) == (500, "auto", "someone")
    assert response.text
    assert response.text.format
    assert response.text.format.type == "json_schema"
    assert response.text.format.schema_ == schema


def test_delete_a_response(sdk: openai.OpenAI, session: str) -> None:
    response = sdk.responses.create(input="I'm gina", conversation=session)
    sdk.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(response.id)
    assert len(list(sdk.conversations.items.list(session))) == 2


def test_delete_a_response_that_runs(stack: Stack, sdk: openai.OpenAI) -> None:
    response = sdk.responses.create(input=HANGS, background=True)
    running(stack.store, response.id)
    sdk.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.cancel(response.id)


def test_models(sdk: openai.OpenAI) -> None:
    models = list(sdk.models.list())
    assert [model.id for model in models if model.owned_by == "turnstile"] == ["gpt-4o-mini"]
    assert [sdk.models.retrieve(model.id) for model in models] == models
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("no/such-model")


def test_health(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ok"}
    assert "/static/docs.js" in http.get("/docs").text
