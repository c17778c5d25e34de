"""A request's items, sorted into answers and messages."""

import time
from typing import Any

import pytest

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.items.given import chat_messages, split_question
from turnstile.producers.gateway.items.known import Known
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.responses.continuation import Brought, alone, sort_out

HI: Any = {"role": "user", "content": "hi"}
THOUGHT: Any = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
DECISION: Any = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": "no"}


def call(id: str) -> Any:
    """Return a call."""
    return {"type": "function_call", "call_id": id, "name": "f", "arguments": "{"}


def output(id: str, text: Any = "done") -> Any:
    """Return the output of a call."""
    return {"type": "function_call_output", "call_id": id, "output": text}


def made(*ids: str) -> Any:
    """Return calls as a chat message has them."""
    return [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{"}} for id in ids]


def told(id: str) -> Any:
    """Return the chat message of an output."""
    return {"role": "tool", "tool_call_id": id, "content": "done"}


def brought(*items: Any, known: Known | None = None, waits: tuple[str, ...] = ()) -> Brought:
    """Return what items bring to a conversation."""
    return sort_out(read_items(items, "input"), known or Known(), waits)


def test_a_whole_replay_is_a_transcript() -> None:
    messages = brought(HI, THOUGHT, call("a"), call("b"), output("a"), output("b")).messages()
    calling = {"role": "assistant", "content": "", "tool_calls": made("a", "b"), "reasoning_content": "hm"}
    assert messages == [HI, calling, told("a"), told("b")]
    assert split_question(messages) == (messages, "")


def test_text_and_calls_of_one_answer_are_one_message() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]}
    [calling, *_] = brought(said, call("a"), output("a"), call("b"), output("b")).messages()
    assert calling == {"role": "assistant", "content": "Wait.", "tool_calls": made("a")}


def test_reasoning_without_an_answer_is_dropped() -> None:
    assert brought(THOUGHT, HI, {"role": "assistant", "content": "Hello."}).messages() == [
        HI, {"role": "assistant", "content": "Hello."}
    ]  # fmt: skip


def test_reasoning_before_several_calls_is_one_text() -> None:
    second = {**THOUGHT, "id": "rs_2", "summary": [{"type": "summary_text", "text": "so"}]}
    [calling, *_] = brought(THOUGHT, second, call("a"), THOUGHT, call("b"), output("a"), output("b")).messages()
    assert calling["reasoning_content"] == "hmsohm"


@pytest.mark.parametrize("between", [[], [call("a")]], ids=["waiting", "in one message"])
def test_thousands_of_reasonings_are_joined_once(between: list[Any]) -> None:
    told = [{**THOUGHT, "summary": [{"type": "summary_text", "text": f"{n} {'x' * 3_000}"}]} for n in range(990)]
    items = [part for thought in told for part in (thought, *between)]
    began = time.process_time()
    given = read_items(items, "input")
    reading = time.process_time() - began
    began = time.process_time()
    chat_messages(given)
    assert time.process_time() - began < 4 * reading


def test_a_call_that_a_worker_ran_is_both_halves() -> None:
    ran = {"type": "mcp_call", "id": "mcp_1", "name": "f", "arguments": "{", "server_label": "s", "output": "done"}
    [calling, answer] = brought(ran).messages()
    assert calling["tool_calls"] == made(answer["tool_call_id"])
    assert len(answer["tool_call_id"]) < 40
    [_, failed] = brought({**ran, "output": None, "error": {"content": [{"type": "text", "text": "bad"}]}}).messages()
    assert failed["content"] == "bad"


def test_what_only_tells_a_client_something_is_passed_over() -> None:
    assert brought(HI, {"type": "mcp_approval_request", "id": "m"}, {"type": "mcp_list_tools"}).messages() == [HI]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([output("a")], "No tool call found for function call output with call_id a."),
        ([HI, call("a")], "No tool output found for function call a."),
        ([call("a"), call("b"), output("b")], "No tool output found for function call a."),
    ],
)
def test_halves_are_refused_in_openai_s_words(items: list[Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        brought(*items)
    assert (refused.value.status, refused.value.message) == (400, message)
    assert (refused.value.param, refused.value.code) == ("input", None)


def test_all_strange_types_are_named_at_once() -> None:
    with pytest.raises(ApiError, match=r"computer_call, shell_call\.") as refused:
        brought(HI, {"type": "shell_call"}, {"type": "computer_call"}, {"type": "shell_call"})
    assert refused.value.param == "input[1].type"


def test_outputs_of_open_calls_are_answers() -> None:
    found = brought(output("b"), output("a", [{"type": "input_text", "text": "x"}]), HI, waits=("a", "b"))
    assert list(found.answers.items()) == [("a", "x"), ("b", "done")]
    assert found.messages() == [HI]


def test_what_the_conversation_has_is_dropped() -> None:
    known = Known({"1", "7"}, {"a": "resp_1", "b": "resp_2"}, {"a"})
    repeated = [{**HI, "id": "msg_1_i0"}, call("a"), output("a"), {**call("b"), "id": "fc_7_c00000000"}]
    found = brought(*repeated, output("b"), known=known, waits=("b",))
    assert (found.answers, found.messages()) == ({"b": "done"}, [])


def test_the_last_question_may_come_with_the_outputs_again() -> None:
    found = brought(HI, call("a"), output("a"), HI, known=Known(calls={"a": "resp_1"}), waits=("a",))
    assert found.messages([HI]) == [HI]
    assert found.messages() == [HI, HI]


def test_answers_that_nobody_waits_for_are_for_the_queue_to_judge() -> None:
    assert brought(output("a"), known=Known(calls={"a": "resp_1"})).answers == {"a": "done"}
    assert brought(DECISION).answers == {"mcpr_1": '{"approve":false,"reason":"no"}'}


def test_the_same_answers_once_more_are_those_of_the_last_calls() -> None:
    known = Known(calls={"a": "resp_1", "b": "resp_2", "c": "resp_2"}, answered={"a", "b", "c"})
    items = [call("a"), output("a"), call("b"), call("c"), output("b"), output("c")]
    assert brought(*items, known=known).answers == {"b": "done", "c": "done"}
    assert brought(*items, HI, known=known).answers == {}


def test_the_first_of_several_outputs_counts() -> None:
    assert brought(output("a", "one"), output("a", "two"), waits=("a",)).answers == {"a": "one"}
    assert len(brought(call("a"), output("a", "one"), output("a", "two")).messages()) == 3


def test_an_approval_needs_its_conversation() -> None:
    with pytest.raises(ApiError) as refused:
        alone(read_items([HI, DECISION], "input"))
    assert refused.value.param == "input[1]"


def test_pictures_of_an_output_are_shown_by_a_message_behind_the_outputs() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    shown = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture["image_url"]}}]}
    looked = output("a", [{"type": "input_text", "text": "done"}, picture])
    found = brought(call("a"), call("b"), looked, output("b"), {"role": "assistant", "content": "Nice."})
    assert found.messages()[1:] == [told("a"), told("b"), shown, {"role": "assistant", "content": "Nice."}]
    found = brought(output("a", [picture]), known=Known(calls={"a": "resp_1"}), waits=("a",))
    assert (found.answers, found.messages()) == ({"a": "See below."}, [shown])
    known = Known(calls={"a": "resp_1"}, answered={"a"})
    assert brought(looked, HI, known=known).messages() == [HI]
    assert brought(looked, known=known).answers == {"a": "done"}
