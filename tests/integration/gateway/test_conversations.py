"""Conversations through the gateway, by OpenAI's own SDK."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import texts_of
from tests.support.wait import wait_until
from turnstile.turns.summaries import Summary, mark
from turnstile.turns.text import dumps


def test_begin_read_change_and_delete(sdk: openai.OpenAI) -> None:
    begun = sdk.conversations.create(metadata={"topic": "tea"})
    assert begun.id.startswith("conv_")
    assert begun.metadata == {"topic": "tea"}
    assert sdk.conversations.retrieve(begun.id) == begun
    assert sdk.conversations.update(begun.id, metadata={"topic": "coffee"}).metadata == {"topic": "coffee"}
    gone = sdk.conversations.delete(begun.id)
    assert (gone.id, gone.deleted, gone.object) == (begun.id, True, "conversation.deleted")
    for call in (sdk.conversations.retrieve, sdk.conversations.delete, sdk.conversations.items.list):
        with pytest.raises(openai.NotFoundError):
            call(begun.id)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_large_items_make_short_pages(sdk: openai.OpenAI, stack: Stack, session: str, order: Any) -> None:
    elements = [dumps({"type": "human", "data": {"content": f"{n} {'x' * 1_000_000}"}}) for n in range(12)]
    stack.store.client.lpush(stack.store.keys.history(session), *elements)
    page = sdk.conversations.items.list(session, limit=100, order=order)
    assert (len(page.data), page.has_more) == (9, True)
    found = [int(text.split()[0]) for text in texts_of(page)]
    assert found == (list(range(12)) if order == "asc" else list(range(11, -1, -1)))
    assert sdk.conversations.items.retrieve(str(page.data[0].id), conversation_id=session) == page.data[0]


def test_a_conversation_that_begins_with_messages(sdk: openai.OpenAI) -> None:
    begun = sdk.conversations.create(
        items=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": "I'm hugo"},
            {"role": "assistant", "content": "Hello Hugo!"},
        ]
    )
    answer = sdk.responses.create(input="What's my name?", conversation=begun.id)
    assert answer.output_text == "Your name is Hugo."
    items: list[Any] = list(sdk.conversations.items.list(begun.id, order="asc"))
    assert [item.role for item in items] == ["developer", "user", "assistant", "user", "assistant"]
    assert items[-1].id == answer.output[0].id


def test_items_in_order_page_by_page(sdk: openai.OpenAI, session: str) -> None:
    for number in range(4):
        sdk.responses.create(input=f"say {number}", conversation=session)
    expected = [text for n in range(4) for text in (f"say {n}", f"You said: say {n}")]
    for limit in (1, 3, 8, 100):
        assert texts_of(sdk.conversations.items.list(session, order="asc", limit=limit)) == expected
        assert texts_of(sdk.conversations.items.list(session, limit=limit)) == expected[::-1]
    page = sdk.conversations.items.list(session, limit=3)
    assert (page.has_more, page.last_id) == (True, page.data[-1].id)
    assert page.data[0].id
    last = sdk.conversations.items.list(session, limit=3, order="asc", after=page.data[0].id)
    assert (last.has_more, last.data) == (False, [])


def test_ids_of_items_stay_when_messages_come_and_go(sdk: openai.OpenAI, session: str) -> None:
    for number in range(3):
        sdk.responses.create(input=f"say {number}", conversation=session)
    items: list[Any] = list(sdk.conversations.items.list(session, order="asc"))
    sdk.conversations.items.delete(items[0].id, conversation_id=session)
    sdk.responses.create(input="say more", conversation=session)
    for item in items[1:]:
        assert sdk.conversations.items.retrieve(item.id, conversation_id=session) == item
    with pytest.raises(openai.NotFoundError):
        sdk.conversations.items.retrieve(items[0].id, conversation_id=session)


def test_messages_are_added_without_a_question(sdk: openai.OpenAI, session: str) -> None:
    sdk.responses.create(input="hello there", conversation=session)
    added: Any = sdk.conversations.items.create(
        session,
        items=[
            {"role": "user", "content": [{"type": "input_text", "text": "I'm iris"}]},
            {"role": "assistant", "content": "Noted."},
        ],
    )
    assert texts_of(added.data) == ["I'm iris", "Noted."]
    assert [i.id for i in sdk.conversations.items.list(session, order="asc")][-2:] == [i.id for i in added.data]
    assert sdk.responses.create(input="What's my name?", conversation=session).output_text == "Your name is Iris."


def test_messages_that_are_added_again_under_a_key_are_there_once(sdk: openai.OpenAI, session: str) -> None:
    def add(text: str, key: str) -> list[str | None]:
        items: Any = [{"role": "user", "content": text}, {"role": "assistant", "content": "Noted."}]
        added = sdk.conversations.items.create(session, items=items, extra_headers={"Idempotency-Key": key})
        return [item.id for item in added.data]

    sdk.responses.create(input="hello there", conversation=session)
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: add("I'm iris", "one"), range(4)))
    assert ids[1:] == ids[:3]
    assert add("I'm iris", "two") != ids[0]
    assert len(list(sdk.conversations.items.list(session))) == 6
    with pytest.raises(openai.UnprocessableEntityError):
        add("I'm jane", "one")


def test_messages_from_elsewhere_are_items_too(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    sdk.responses.create(input="hello there", conversation=session)
    element = '{"type": "human", "data": {"content": "ok", "type": "human"}}'
    for broken in (element, "not json", '{"type": 1}', element):
        stack.store.client.lpush(stack.store.keys.history(session), broken)
    items: list[Any] = list(sdk.conversations.items.list(session, order="asc", limit=1))
    assert texts_of(items)[2:] == ["ok", "ok"]
    assert len({item.id for item in items}) == 4
    sdk.conversations.items.delete(items[1].id, conversation_id=session)
    for item in items[2:]:
        assert texts_of([sdk.conversations.items.retrieve(item.id, conversation_id=session)]) == ["ok"]


@pytest.mark.parametrize(("place", "stays"), [(0, False), (2, True)])
def test_a_deleted_item_takes_the_summary_that_tells_of_it_along(
    stack: Stack, sdk: openai.OpenAI, session: str, place: int, stays: bool
) -> None:
    elements = [dumps({"type": "human", "data": {"content": f"message {number}"}}) for number in range(3)]
    stack.store.client.lpush(stack.store.keys.history(session), *elements)
    stack.store.write_summary(session, "", Summary(mark(2, elements[1].encode()), "a summary"))
    items: list[Any] = list(sdk.conversations.items.list(session, order="asc"))
    sdk.conversations.items.delete(items[place].id, conversation_id=session)
    assert stack.store.client.hexists(stack.store.keys.conversation(session), "summary") == stays


CALL = {"id": "c1", "name": "look", "args": {"at": "Köln"}}
STEPS = [
    {"type": "human", "data": {"content": "Look!"}},
    {"type": "ai", "data": {"content": "", "tool_calls": [CALL, {**CALL, "id": "c2"}]}},
    {"type": "tool", "data": {"content": "sun", "tool_call_id": "c1"}},
    {"type": "tool", "data": {"content": [{"type": "text", "text": "rain"}], "tool_call_id": "c2"}},
    {"type": "ai", "data": {"content": "Both.", "additional_kwargs": {"reasoning_content": "Hm."}, "tool_calls": [CALL]}},
]
KINDS = [
    *("message", "function_call", "function_call", "function_call_output", "function_call_output"),
    *("reasoning", "message", "function_call"),
]


@pytest.mark.parametrize("mark", [{}, {"turn": "resp_t1"}])
def test_calls_and_their_answers_are_items(stack: Stack, sdk: openai.OpenAI, session: str, mark: dict[str, str]) -> None:
    about = [{"turnstile": {**mark, "place": n} if n < 4 else {**mark, "attempt": 1}} if mark else {} for n in range(5)]
    elements = [json.dumps({**step, **more}) for step, more in zip(STEPS, about, strict=True)]
    stack.store.client.lpush(stack.store.keys.history(session), *elements)
    items: list[Any] = list(sdk.conversations.items.list(session, order="asc"))
    assert [item.type for item in items] == KINDS
    assert len({item.id for item in items}) == len(items)
    assert [(item.call_id, item.arguments) for item in items[1:3]] == [("c1", '{"at":"Köln"}'), ("c2", '{"at":"Köln"}')]
    assert (items[3].call_id, items[3].output, items[4].output[0].text) == ("c1", "sun", "rain")
    assert (items[5].summary[0].text, items[6].content[0].text) == ("Hm.", "Both.")
    ids = [item.id for item in items]
    for limit in (1, 2, 3, 8):
        assert [item.id for item in sdk.conversations.items.list(session, order="asc", limit=limit)] == ids
        assert [item.id for item in sdk.conversations.items.list(session, limit=limit)] == ids[::-1]
    assert [sdk.conversations.items.retrieve(item.id, conversation_id=session).type for item in items] == KINDS


def test_half_a_character_from_elsewhere_is_shown_as_none(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    halves = '{"type": "ai", "data": {"content": "\\ud83d\\ude00 \\ud83d", "type": "ai"}}'
    stack.store.client.lpush(stack.store.keys.history(session), halves)
    assert texts_of(sdk.conversations.items.list(session)) == ["\U0001f600 \ufffd"]


def test_a_history_of_another_type_is_told_in_openai_s_way(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    sdk.responses.create(input="hello", conversation=session)
    key = stack.store.keys.history(session)
    stack.store.client.delete(key)
    stack.store.client.hset(key, "not", "a list")
    with pytest.raises(openai.InternalServerError, match="its key holds another type") as caught:
        sdk.conversations.items.list(session)
    assert caught.value.code == "broken_record"
    with pytest.raises(openai.InternalServerError, match="its key holds another type"):
        sdk.conversations.items.create(session, items=[{"role": "user", "content": "more"}])
    with pytest.raises(openai.InternalServerError, match="its key holds another type"):
        sdk.responses.create(input="again", conversation=session)


def test_pictures_stay_pictures(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    sdk.responses.create(
        conversation=session,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": picture, "detail": "low"},
                ],
            }
        ],
    )
    question: Any = next(iter(sdk.conversations.items.list(session, order="asc")))
    assert [part.type for part in question.content] == ["input_text", "input_image"]
    assert (question.content[1].image_url, question.content[1].detail) == (picture, "low")


def test_any_session_is_a_conversation(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    stack.store.submit(f"turn-of-{session}", session, "I'm jane")
    wait_until(lambda: stack.store.status(f"turn-of-{session}").state.ended, "the turn has ended")
    assert sdk.conversations.retrieve(session).created_at > 1_700_000_000
    assert texts_of(sdk.conversations.items.list(session)) == ["Hello Jane! How can I help you today?", "I'm jane"]
    assert sdk.conversations.update(session, metadata={"found": "yes"}).metadata == {"found": "yes"}


def test_a_repeated_beginning_is_the_same_conversation(sdk: openai.OpenAI, session: str) -> None:
    header = {"Idempotency-Key": session}
    items: Any = [{"role": "user", "content": "hello"}]
    first, again = (sdk.conversations.create(items=items, extra_headers=header) for _ in range(2))
    assert first == again
    assert len(list(sdk.conversations.items.list(first.id))) == 1
    with pytest.raises(openai.UnprocessableEntityError):
        sdk.conversations.create(metadata={"other": "yes"}, extra_headers=header)


def test_a_conversation_begins_without_a_body(http: httpx.Client) -> None:
    begun = http.post("/v1/conversations").json()
    assert begun["metadata"] == {}
    assert http.get(f"/v1/conversations/{begun['id']}/items").json() == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False
    }  # fmt: skip


def test_deleting_drops_what_runs(stack: Stack, sdk: openai.OpenAI, session: str) -> None:
    response = sdk.responses.create(input="wait [[hang]]", conversation=session, background=True)
    sdk.conversations.delete(session)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(response.id)
    wait_until(lambda: stack.store.stats().get("open", 0) == 0, "nothing runs")
