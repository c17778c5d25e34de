"""Streams of turns that call tools and think: what holds for all of them, whatever their log."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.unit.gateway.test_events import RUNNING, ended, tell
from turnstile.producers.gateway.responses.item_events import item_events
from turnstile.producers.gateway.responses.output_items import output_items
from turnstile.turns.output import approval_request, called, reasoned, refused, said
from turnstile.turns.states import State

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
RAN = {"type": "mcp_call", "id": "c1", "name": "look", "arguments": '{"at":"Köln"}'}
CALL = called("c2", "pay", '{"amount":3}')
APPROVAL = approval_request("i1", 0, "pay", "{}")
OUTPUT = (reasoned("Hm."), *said("One moment."), {**RAN, "output": "sun"}, {**RAN, "error": "rain"}, CALL, APPROVAL)

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)
RUNS = st.lists(st.tuples(st.sampled_from(["reasoning", "text", "refusal"]), TEXT), max_size=4)
ITEMS = st.lists(st.sampled_from([{**RAN, "output": "sun"}, {**RAN, "error": "rain"}, APPROVAL]), max_size=3)
CALLS = st.lists(st.builds(called, st.uuids().map(str), st.just("pay"), st.sampled_from(["", "{}", "{broken"])), max_size=3)
ATTEMPTS = st.lists(RUNS, min_size=1, max_size=4)
MAKE = {"reasoning": lambda text: (reasoned(text),), "text": said, "refusal": refused}


def told_of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind."""
    return [event for event in events if event["type"] == f"response.{kind}"]


def test_all_kinds_of_items() -> None:
    events = tell(
        ended(State.COMPLETED, output=OUTPUT),
        ("started", 1, ""), ("reasoning", 1, "Hm."), ("text", 1, "One moment."), ("ended", 1, "completed"),
    )  # fmt: skip
    for event in events:
        EVENT.validate_python(event, strict=True)
    done = [event["item"] for event in told_of(events, "output_item.done")]
    assert [item["type"] for item in done] == [
        "reasoning", "message", "mcp_call", "mcp_call", "function_call", "mcp_approval_request"
    ]  # fmt: skip
    assert events[-1]["response"]["output"] == done
    assert len({item["id"] for item in done}) == len(done)
    assert [item["status"] for item in done if item["type"] == "mcp_call"] == ["completed", "failed"]


def test_events_of_a_call() -> None:
    [call] = output_items(ended(State.COMPLETED, output=(CALL,)))
    added, delta, done, end = item_events(call)
    assert added[1]["item"] == {**call, "arguments": "", "status": "in_progress"}
    assert delta == ("response.function_call_arguments.delta", {"item_id": call["id"], "delta": '{"amount":3}'})
    assert (done[1]["name"], done[1]["arguments"]) == ("pay", '{"amount":3}')
    assert end == ("response.output_item.done", {"item": call})


def test_reasoning_is_told_as_it_comes() -> None:
    record = ended(State.COMPLETED, output=(reasoned("Hm. Yes."), *said("Well.")))
    log = [
        ("started", 1, ""),
        ("reasoning", 1, "Hm."),
        ("reasoning", 1, " Yes."),
        ("text", 1, "Well."),
        ("ended", 1, "completed"),
    ]
    events = tell(record, *log)
    told = [event["type"].removeprefix("response.reasoning_summary_") for event in events if "reasoning" in event["type"]]
    assert told == ["part.added", "text.delta", "text.delta", "text.done", "part.done"]
    added, *_ = told_of(events, "output_item.added")
    assert (added["item"]["type"], added["item"]["summary"]) == ("reasoning", [])
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["reasoning", "message"]
    assert events[-1]["response"]["output"][0]["summary"] == [{"type": "summary_text", "text": "Hm. Yes."}]
    ids = {event["item_id"] for event in events if "item_id" in event}
    assert ids == {item["id"] for item in events[-1]["response"]["output"]}


def test_thoughts_and_words_in_turn_are_items_of_their_own() -> None:
    output = (reasoned("Hm."), *said("One "), {**RAN, "output": "sun"}, *said("moment."), reasoned("Yes."), *said("Sun."))
    record = ended(State.COMPLETED, output=output)
    log = [("reasoning", "Hm."), ("text", "One "), ("text", "moment."), ("reasoning", "Yes."), ("text", "Sun.")]
    events = tell(record, ("started", 1, ""), *((kind, 1, data) for kind, data in log), ("ended", 1, "completed"))
    items = events[-1]["response"]["output"]
    assert [item["id"] for item in items] == ["rs_1", "msg_1", "rs_1_o1", "msg_1_o1", "mcp_1_cd0f631ca"]
    assert [item["content"][0]["text"] for item in items if item["type"] == "message"] == ["One moment.", "Sun."]
    assert [event["item"] for event in told_of(events, "output_item.done")] == items


def test_what_an_attempt_takes_back_shares_no_id() -> None:
    record = ended(State.COMPLETED, output=said("Sun."))
    log = [("text", "Ra"), ("started", ""), ("text", "Sun.")]
    events = tell(record, ("started", 1, ""), *((kind, 1, data) for kind, data in log), ("ended", 1, "completed"))
    done = [event["item"] for event in told_of(events, "output_item.done")]
    assert [(item["id"], item["status"]) for item in done] == [("msg_1", "incomplete"), ("msg_1_o1", "completed")]
    assert events[-1]["response"]["output"][0]["content"] == done[1]["content"]
    check_items(events)


def test_reasoning_that_was_not_told_comes_later() -> None:
    record = ended(State.COMPLETED, output=(reasoned("Hm."), *said("Well.")))
    events = tell(record, ("started", 1, ""), ("text", 1, "Well."), ("ended", 1, "completed"))
    assert [event["item"]["type"] for event in told_of(events, "output_item.done")] == ["message", "reasoning"]


@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_events_of_a_call_that_a_worker_ran(kind: str) -> None:
    outcome = {"output": "sun"} if kind == "completed" else {"error": "rain"}
    [ran] = output_items(ended(State.COMPLETED, output=({**RAN, **outcome},)))
    told = list(item_events(ran))
    assert (told[0][1]["item"]["output"], told[0][1]["item"]["error"]) == (None, None)
    assert [one.removeprefix("response.mcp_call") for one, _ in told[1:-1]] == [
        ".in_progress", "_arguments.delta", "_arguments.done", f".{kind}"
    ]  # fmt: skip


def test_a_lost_attempt_shows_no_call() -> None:
    record = ended(State.COMPLETED, output=(*said("Well."), CALL), attempts=2)
    events = tell(record, ("started", 1, ""), ("text", 1, "We"), ("started", 2, ""), ("ended", 2, "completed"))
    added = told_of(events, "output_item.added")
    assert [(event["output_index"], event["item"]["type"]) for event in added] == [
        (0, "message"), (1, "message"), (2, "function_call")
    ]  # fmt: skip
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message", "function_call"]


@settings(max_examples=60)
@given(
    attempts=ATTEMPTS,
    streams=st.booleans(),
    items=ITEMS,
    calls=CALLS,
    state=st.sampled_from([State.COMPLETED, State.INCOMPLETE, State.FAILED]),
)
def test_every_stream(
    attempts: list[list[tuple[str, str]]], streams: bool, items: list[Any], calls: list[Any], state: State
) -> None:
    spoken = [one for kind, text in attempts[-1] for one in MAKE[kind](text)]
    output = (*spoken[:1], *items, *spoken[1:], *(() if spoken or items or calls else said("")), *calls)
    record = ended(state, output=output if state is not State.FAILED else (), attempts=len(attempts), code="x")
    log: list[tuple[str, int, str]] = []
    for number, pieces in enumerate(attempts, 1):
        log.append(("started", number, ""))
        log += [(kind, number, piece) for kind, piece in pieces if streams]
    log.append(("ended", len(attempts), str(state)))
    events = tell(record, *log)
    for event in events:
        EVENT.validate_python(event)
    check_items(events)
    body = events[-1]["response"]
    assert body["output"] == output_items(record)
    done = [event["item"] for event in told_of(events, "output_item.done")]
    assert done[len(done) - len(body["output"]) :] == body["output"]
    # An approval's id is that of its call.
    ids = [item["id"] for item in body["output"] if item["type"] != "mcp_approval_request"]
    assert len(set(ids)) == len(ids)
    assert tell(record, *log) == events


def check_items(events: list[dict[str, Any]]) -> None:
    """Each item is added, told and done before the next, under indexes without a gap; what was added stays."""
    open_item: dict[str, Any] | None = None
    count, told = 0, ""
    for event in events:
        if event["type"].endswith("output_item.added"):
            assert open_item is None
            assert event["output_index"] == count
            open_item, told, count = event["item"], "", count + 1
        elif event["type"].endswith("output_item.done"):
            item = event["item"]
            assert open_item
            assert (open_item["id"], open_item.get("call_id")) == (item["id"], item.get("call_id"))
            assert event["output_index"] == count - 1
            assert "arguments" not in item or item["type"] == "mcp_approval_request" or told == item["arguments"]
            open_item = None
        elif "output_index" in event:
            assert open_item
            assert (event["item_id"], event["output_index"]) == (open_item["id"], count - 1)
            told += event["delta"] if "arguments.delta" in event["type"] else ""
    assert open_item is None
    assert events[0]["type"] == "response.created"
    assert events[0]["response"]["output"] == []
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    assert RUNNING.id == events[0]["response"]["id"]
