"""Messages survive being stored, whatever they hold, and LangChain's own reader understands what was stored."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)
from langchain_core.messages.utils import count_tokens_approximately

from turnstile.memory.codec import Stored, decode, encode, ordinary
from turnstile.memory.element import TYPES, parse
from turnstile.turns.text import whole

TEXT = st.text()
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
OBJECT = st.dictionaries(NAME.filter(lambda name: name not in ("tool_calls", "function_call")), JSON, max_size=3)
PART = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT),
    st.builds(lambda url: {"type": "image_url", "image_url": {"url": url, "detail": "low"}}, TEXT),
    st.builds(lambda value: {"type": "custom", "value": value}, JSON),
    TEXT,
)
CONTENT = TEXT | st.lists(PART, max_size=4)
COUNT = st.integers(0, 2**40)
USAGE = st.fixed_dictionaries(
    {"input_tokens": COUNT, "output_tokens": COUNT, "total_tokens": COUNT},
    optional={
        "input_token_details": st.fixed_dictionaries({"cache_read": COUNT}),
        "output_token_details": st.fixed_dictionaries({"reasoning": COUNT}),
    },
)
CALL = st.fixed_dictionaries(
    {"name": NAME, "args": st.dictionaries(TEXT, JSON, max_size=3), "id": st.none() | NAME, "type": st.just("tool_call")}
)
BAD_CALL = st.fixed_dictionaries(
    {
        "name": st.none() | NAME,
        "args": st.none() | TEXT,
        "id": st.none() | NAME,
        "error": st.none() | TEXT,
        "type": st.just("invalid_tool_call"),
    }
)
COMMON: dict[str, Any] = {
    "content": CONTENT,
    "name": st.none() | NAME,
    "id": st.none() | NAME,
    "additional_kwargs": OBJECT,
    "response_metadata": OBJECT,
}
ANSWER: dict[str, Any] = {
    **COMMON,
    "tool_calls": st.lists(CALL, max_size=3),
    "invalid_tool_calls": st.lists(BAD_CALL, max_size=2),
    "usage_metadata": st.none() | USAGE,
}
MESSAGE: st.SearchStrategy[BaseMessage] = st.one_of(
    st.builds(HumanMessage, **COMMON),
    st.builds(SystemMessage, **COMMON),
    st.builds(AIMessage, **ANSWER),
    st.builds(ToolMessage, **COMMON, tool_call_id=NAME, artifact=JSON, status=st.sampled_from(["success", "error"])),
    st.builds(FunctionMessage, **{**COMMON, "name": NAME}),
    st.builds(ChatMessage, **COMMON, role=NAME),
)
WEATHER = AIMessage(
    content="",
    tool_calls=[{"name": "weather", "args": {"city": "Köln"}, "id": "call_1"}],
    usage_metadata={"input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
    response_metadata={"model_name": "m", "logprobs": None},
    id="run-1",
)


def read(element: bytes | str) -> Stored:
    stored = decode(element)
    assert stored is not None
    return stored


@given(MESSAGE)
def test_every_message_comes_back_as_it_was(message: BaseMessage) -> None:
    element = encode(message, turn="t1")
    assert read(element.encode()) == Stored(message, "t1", count_tokens_approximately([message]))


@given(MESSAGE)
def test_langchains_own_reader_finds_the_same_message(message: BaseMessage) -> None:
    assert messages_from_dict([json.loads(encode(message, turn="t1"))]) == [message]


@given(MESSAGE)
def test_an_element_from_langchain_community_comes_back_too(message: BaseMessage) -> None:
    stored = read(json.dumps(message_to_dict(message)).encode())
    assert stored == Stored(message, None, count_tokens_approximately([message]))


@given(st.builds(AIMessageChunk, **{**ANSWER, "invalid_tool_calls": st.just([])}))
def test_a_chunk_is_stored_as_the_message_it_stands_for(chunk: AIMessageChunk) -> None:
    message = read(encode(chunk)).message
    assert type(message) is AIMessage
    assert (message.content, message.tool_calls) == (chunk.content, chunk.tool_calls)
    assert (message.id, message.name, message.usage_metadata) == (chunk.id, chunk.name, chunk.usage_metadata)
    assert message.additional_kwargs == chunk.additional_kwargs
    assert message.response_metadata == chunk.response_metadata


@given(st.binary() | TEXT | JSON.map(json.dumps))
def test_no_element_makes_decoding_fail(element: bytes | str) -> None:
    assert decode(element) is None


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(sorted(TYPES)), "data": st.dictionaries(st.sampled_from(sorted(ANSWER)), JSON)},
        optional={"turnstile": JSON},
    )
)
def test_strange_data_is_a_message_or_nothing(content: dict[str, Any]) -> None:
    stored = decode(json.dumps(content))
    assert stored is None or (stored.message.type == content["type"] and stored.tokens >= 0)


def test_the_layout_is_langchain_communitys_with_one_more_key() -> None:
    assert json.loads(encode(WEATHER, turn="t1", at=1700000000123)) == {
        **message_to_dict(WEATHER),
        "turnstile": {"tokens": count_tokens_approximately([WEATHER]), "turn": "t1", "at": 1700000000123},
    }


def test_what_is_not_known_is_left_out() -> None:
    assert json.loads(encode(HumanMessage("hi")))["turnstile"].keys() == {"tokens"}


def test_text_takes_no_more_room_than_utf8() -> None:
    assert "你好 Köln" in encode(HumanMessage("你好 Köln"))


@pytest.mark.parametrize("text", ["\x00", "\u2028", "🐈", "\ufffd"])
def test_unusual_text_survives(text: str) -> None:
    assert read(encode(HumanMessage(text)).encode()).message == HumanMessage(text)


HALVES = {"\ud83d": "\ufffd", "你好 \udc08": "你好 \ufffd", "\ud83d\ude00": "\U0001f600", "\ude00\ud83d.": "\ufffd\ufffd."}


@pytest.mark.parametrize("text", HALVES)
def test_half_a_character_is_stored_and_read_as_none(text: str) -> None:
    call = {"name": "f", "args": {text: [text]}, "id": "1", "type": "tool_call"}
    said = [HumanMessage(text, name=text), AIMessage([{"type": "text", "text": text}], tool_calls=[call])]
    said.append(ToolMessage(text, tool_call_id="1", artifact={"deep": [text]}))
    for message in said:
        for element in (encode(message), json.dumps(message_to_dict(message)), json.dumps(message_to_dict(message)).encode()):
            stored = repr(read(element.encode() if isinstance(element, str) else element).message.model_dump())
            assert stored == repr(message.model_dump()).replace(repr(text)[1:-1], HALVES[text])


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_is_stored_whole(text: str) -> None:
    assert read(encode(HumanMessage(text)).encode()).message == HumanMessage(whole(text))


@pytest.mark.parametrize("bytes_", [b"\xff", b"\xed\xa0\xbd"])
def test_bytes_that_are_no_text_cost_one_message_at_most(bytes_: bytes) -> None:
    element = encode(HumanMessage("a")).encode().replace(b'"a"', b'"' + bytes_ + b'"')
    assert decode(element) in (None, read(encode(HumanMessage("\ufffd")).encode()))


def test_a_chunk_that_langchain_community_stored_is_read_as_a_message() -> None:
    element = json.dumps(message_to_dict(HumanMessageChunk(content="hi", id="1")))
    assert read(element).message == HumanMessage("hi", id="1")


def test_what_json_cannot_hold_is_written_as_text() -> None:
    artifact = {"at": datetime(2024, 1, 2, tzinfo=UTC), "image": b"\xff\x00", "kind": int}
    element = encode(ToolMessage("done", tool_call_id="c", artifact=artifact))
    found = read(element).message
    assert isinstance(found, ToolMessage)
    assert found.artifact == {"at": "2024-01-02T00:00:00Z", "image": "_wA=", "kind": "<class 'int'>"}


@pytest.mark.parametrize("message", [RemoveMessage(id="1"), BaseMessage(content="x", type="wish")])
def test_a_message_that_no_reader_would_understand_is_refused(message: BaseMessage) -> None:
    with pytest.raises(ValueError, match=message.type):
        encode(message)


@pytest.mark.parametrize(
    "element",
    [
        b"\xff\xfe",
        b"",
        b"{",
        b"null",
        b"[]",
        b'"human"',
        b"{}",
        b'{"type": "human"}',
        b'{"type": "human", "data": null}',
        b'{"type": "human", "data": {}}',
        b'{"type": "ai", "data": {"content": null}}',
        b'{"type": "human", "data": {"content": "x", "type": "ai"}}',
        b'{"type": "tool", "data": {"content": "no call id"}}',
        b'{"type": "wish", "data": {"content": "x"}}',
        b'{"type": "remove", "data": {"content": "", "id": "1"}}',
        b"[" * 100_000,
        b'{"type": "human", "data": {"content": ' + b"9" * 5_000 + b"}}",
    ],
    ids=range(17),
)
def test_a_broken_element_is_none(element: bytes) -> None:
    assert decode(element) is None


@pytest.mark.parametrize("mark", [None, "x", [], {}, {"tokens": True}, {"tokens": -1}, {"tokens": "9", "turn": 7}])
def test_a_broken_mark_does_not_cost_the_message(mark: object) -> None:
    element = json.dumps({**message_to_dict(HumanMessage("hi")), "turnstile": mark})
    assert decode(element) == Stored(HumanMessage("hi"), None, count_tokens_approximately([HumanMessage("hi")]))


@given(
    st.sampled_from([HumanMessage, AIMessage, SystemMessage]),
    TEXT,
    OBJECT,
    OBJECT,
    st.none() | NAME,
    st.none() | USAGE,
)
def test_an_ordinary_element_is_read_as_langchain_reads_it(
    kind: type[BaseMessage], text: str, extra: Any, about: Any, name: str | None, usage: Any
) -> None:
    known = {"usage_metadata": usage} if kind is AIMessage else {}
    message = kind(content=text, additional_kwargs=extra, response_metadata=about, name=name, **known)
    element = parse(encode(message))
    [expected] = messages_from_dict([json.loads(encode(message))])
    read = ordinary(element)
    assert read is not None
    assert (type(read), read, read.model_dump()) == (type(expected), expected, expected.model_dump())
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        assert getattr(read, slot) == getattr(expected, slot)
    assert read.model_copy(update={"name": "x"}) == expected.model_copy(update={"name": "x"})


@pytest.mark.parametrize(
    "change",
    [
        {"content": ["a"]},
        {"content": 1},
        {"id": 7},
        {"name": 7},
        {"type": "human"},
        {"additional_kwargs": None},
        {"additional_kwargs": {"tool_calls": [{}]}},
        {"tool_calls": [{"name": "f", "args": {}, "id": "1", "type": "tool_call"}]},
        {"invalid_tool_calls": None},
        {"usage_metadata": {"input_tokens": 1.0, "output_tokens": 2, "total_tokens": 3}},
        {"usage_metadata": {"input_tokens": True, "output_tokens": 2, "total_tokens": 3}},
        {"usage_metadata": {"input_tokens": 1}},
        {"usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "more": 4}},
        {"usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_token_details": {"more": 4}}},
        {"usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_token_details": {"audio": None}}},
        {"more": 1},
    ],
)
def test_an_unusual_element_is_left_to_langchain(change: dict[str, Any]) -> None:
    element = parse(encode(AIMessage("a")))
    element.data.update(change)
    assert ordinary(element) is None
