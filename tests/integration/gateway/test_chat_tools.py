"""Function calling by chat completions: a client's tools, their calls and the answers to them."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import read_events
from turnstile.turns.turn import Record

MODEL = "gpt-4o-mini"
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
    }
    for name in ("look", "pay")
]
ASKED: Any = {"role": "user", "content": 'Look and pay.\ncall look {"at": "Köln"}\ncall pay {"at": "once"}'}
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def ask(sdk: openai.OpenAI, messages: list[Any], stream: bool = False, **options: Any) -> Any:
    """Return the choice of a completion, put together by the SDK if it is streamed."""
    asked: dict[str, Any] = {"model": MODEL, "messages": messages, "tools": TOOLS, **options}
    if not stream:
        return sdk.chat.completions.create(**asked).choices[0]
    with sdk.chat.completions.stream(**asked) as events:
        return events.get_final_completion().choices[0]


def answers(message: Any) -> list[Any]:
    """Return a tool's message for each call."""
    return [
        {"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is done"} for call in message.tool_calls
    ]


def record_of(stack: Stack, completion: Any) -> Record:
    """Return the turn behind a completion."""
    return stack.store.status(f"resp_{completion.id.removeprefix('chatcmpl-')}")


@BOTH
def test_a_loop_of_tools(sdk: openai.OpenAI, stream: bool) -> None:
    choice = ask(sdk, [ASKED], stream)
    assert (choice.finish_reason, choice.message.content or None) == ("tool_calls", None)
    called = [(call.type, call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert called == [("function", "look", {"at": "Köln"}), ("function", "pay", {"at": "once"})]
    last = ask(sdk, [ASKED, choice.message, *answers(choice.message)], stream)
    assert (last.finish_reason, last.message.tool_calls or None) == ("stop", None)
    assert last.message.content == "look returned look is done\npay returned pay is done"


def test_rounds_of_calls(sdk: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "Go.\ncall look {}\nthen call pay {}"}]
    for name in ("look", "pay"):
        choice = ask(sdk, messages)
        assert [call.function.name for call in choice.message.tool_calls] == [name]
        messages += [choice.message.to_dict(), *answers(choice.message)]
    assert ask(sdk, messages).message.content == "look returned look is done\npay returned pay is done"


def test_the_chunks_of_calls(http: httpx.Client) -> None:
    body = {"messages": [ASKED], "tools": TOOLS, "stream": True, "stream_options": {"include_usage": True}}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.text.endswith("data: [DONE]\n\n")
    *chunks, last, usage = read_events(iter(answer.text.splitlines()))
    deltas = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [(call["index"], call.get("function", {}).get("name")) for call in deltas] == [
        (0, "look"), (0, None), (1, "pay"), (1, None),
    ]  # fmt: skip
    assert deltas[0]["id"]
    assert (deltas[0]["type"], deltas[0]["function"]["arguments"]) == ("function", "")
    assert deltas[1] == {"index": 0, "function": {"arguments": '{"at":"Köln"}'}}
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "tool_calls"}
    assert (usage["choices"], usage["usage"]["total_tokens"] > 0) == ([], True)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"tool_choice": "none"}, []),
        ({"tool_choice": "auto"}, ["look", "pay"]),
        ({"tool_choice": {"type": "function", "function": {"name": "pay"}}}, ["pay"]),
        ({"parallel_tool_calls": False}, ["look"]),
        ({"tools": None}, []),
    ],
)
def test_choices(sdk: openai.OpenAI, options: dict[str, Any], names: list[str]) -> None:
    choice = ask(sdk, [ASKED], **options)
    assert [call.function.name for call in choice.message.tool_calls or ()] == names


def test_a_call_that_is_required(sdk: openai.OpenAI) -> None:
    choice = ask(sdk, [{"role": "user", "content": "hi"}], tool_choice="required")
    assert choice.finish_reason == "tool_calls"


@BOTH
def test_functions_in_the_older_form(sdk: openai.OpenAI, stream: bool) -> None:
    functions: Any = [tool["function"] for tool in TOOLS]
    asked: dict[str, Any] = {"model": MODEL, "functions": functions}
    if stream:
        chunks = list(sdk.chat.completions.create(messages=[ASKED], stream=True, **asked))
        parts = [chunk.choices[0].delta.function_call for chunk in chunks]
        called = "".join(part.name or "" for part in parts if part), "".join(part.arguments or "" for part in parts if part)
        reason = chunks[-1].choices[0].finish_reason
    else:
        choice = sdk.chat.completions.create(messages=[ASKED], **asked).choices[0]
        assert choice.message.function_call
        called = choice.message.function_call.name, choice.message.function_call.arguments
        reason = choice.finish_reason
    assert (reason, called) == ("function_call", ("look", '{"at":"Köln"}'))
    given: Any = [
        {"role": "user", "content": "Look.\ncall look {}"},
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "a cat"},
    ]
    answer = sdk.chat.completions.create(messages=given, **asked)
    assert answer.choices[0].message.content == "look returned a cat"


def test_arguments_that_do_not_parse_are_passed_on(sdk: openai.OpenAI) -> None:
    asked: Any = {"role": "user", "content": "Look.\ncall look {broken"}
    [call] = ask(sdk, [asked]).message.tool_calls
    assert call.function.arguments == "{broken"
    given = [asked, {"role": "assistant", "tool_calls": [call.to_dict()]}, *answers(ask(sdk, [asked]).message)]
    given[-1]["tool_call_id"] = call.id
    assert ask(sdk, given).message.content == "look returned look is done"


@pytest.mark.parametrize(
    ("messages", "param", "told"),
    [
        (
            [ASKED, {"role": "assistant", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "pay", "arguments": "{}"}},
            ]}, {"role": "tool", "tool_call_id": "c1", "content": "done"}],
            "messages",
            "The following tool_call_ids did not have response messages: c2",
        ),
        (
            [ASKED, {"role": "tool", "tool_call_id": "c1", "content": "done"}],
            "messages[1].role",
            "must be a response to a preceeding message with 'tool_calls'",
        ),
    ],
    ids=["missing", "unknown"],
)  # fmt: skip
def test_calls_and_answers_that_stand_alone(sdk: openai.OpenAI, messages: list[Any], param: str, told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told) as refused:
        ask(sdk, messages)
    assert refused.value.param == param


@BOTH
def test_a_held_session_is_answered_by_the_messages_of_tools(
    sdk: openai.OpenAI, stack: Stack, session: str, stream: bool
) -> None:
    named: Any = {"metadata": {"session_id": session}}
    choice = ask(sdk, [ASKED], stream, **named)
    assert len(stack.store.read_hold(session).calls) == 2  # type: ignore[union-attr]  # it is held
    with pytest.raises(openai.BadRequestError, match="is open as well") as refused:
        ask(sdk, [choice.message, answers(choice.message)[0]], **named)
    assert (refused.value.code, refused.value.param) == ("call_not_answered", "messages")
    given = [ASKED, choice.message, *answers(choice.message)]
    answer = ask(sdk, given, stream, **named)
    assert answer.message.content == "look returned look is done\npay returned pay is done"
    assert stack.store.read_hold(session) is None
    repeated = ask(sdk, given, **named)
    assert repeated.message.content == answer.message.content
    assert len(stack.store.history(session)) == 5


def test_a_question_may_follow_the_answers(sdk: openai.OpenAI, session: str) -> None:
    named: Any = {"metadata": {"session_id": session}}
    message = ask(sdk, [{"role": "user", "content": "I'm liam\ncall look {}"}], **named).message
    asked = {"role": "user", "content": "What's my name?"}
    assert ask(sdk, [message, *answers(message), asked], **named).message.content == "Your name is Liam."


def test_a_call_that_nobody_waits_for(sdk: openai.OpenAI, session: str) -> None:
    with pytest.raises(openai.BadRequestError, match="is not open") as refused:
        ask(sdk, [{"role": "tool", "tool_call_id": "c", "content": "x"}], metadata={"session_id": session})
    assert (refused.value.code, refused.value.param) == ("call_not_open", "messages")


def test_without_a_session_nothing_is_held_or_kept(sdk: openai.OpenAI, stack: Stack) -> None:
    completion = sdk.chat.completions.create(model=MODEL, messages=[ASKED], tools=TOOLS)
    record = record_of(stack, completion)
    assert (record.calls, stack.store.history(record.session)) == ((), [])
    assert stack.store.read_hold(record.session) is None


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "I'm kate"}],
        [{"role": "user", "content": "I'm kate"}, {"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": "I'm kate"}, {"role": "assistant", "content": "Hello"}],
        [{"role": "user", "content": "I'm kate"}, {"role": "user", "content": ""}],
        [{"role": "user", "content": ""}],
    ],
    ids=["system", "system last", "assistant last", "empty last", "empty"],
)
@pytest.mark.parametrize("in_session", [False, True])
def test_messages_end_in_any_role(
    sdk: openai.OpenAI, stack: Stack, session: str, messages: list[Any], in_session: bool
) -> None:
    named: Any = {"metadata": {"session_id": session}} if in_session else {}
    completion = sdk.chat.completions.create(model=MODEL, messages=messages, **named)
    assert completion.choices[0].message.content
    options = record_of(stack, completion).options
    if len(messages) > 1:
        assert (options.before if in_session else options.history) == messages
    assert len(stack.store.history(session)) == (len(messages) + 1 if in_session else 0)
