"""Streamed events and chunks of a turn, without a turn."""

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from turnstile.producers.gateway.chat.completion_chunks import Chunks
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.responses import spoken
from turnstile.producers.gateway.responses.response_events import ResponseEvents
from turnstile.turns.output import approval_request, reasoned, refused, said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.turn import Event, Record

RUNNING = Record(
    id="resp_1", session="foo", state=State.RUNNING, queue="chat", place=0, first_place=0, attempts=1, dispatches=1, sequence=1,
    created=1.0, started=2.0, finished=None, question="hi", options=Options(request={"background": True}), output=(),
    usage=None, model=None, code=None, message=None,
)  # fmt: skip
BEGINNING = ["response.created", "response.queued"]
OPENING = ["response.output_item.added", "response.content_part.added"]
CLOSING = ["response.output_text.done", "response.content_part.done", "response.output_item.done"]


def ended(state: State, **more: Any) -> Record:
    """Return the record at the end."""
    return replace(RUNNING, state=state, finished=3.0, **more)


def tell(record: Record, *events: tuple[str, int, str]) -> list[dict[str, Any]]:
    """Return the stream for these events."""
    translator = ResponseEvents(RUNNING, "foo", "a-model")
    translated = list(translator.begin())
    for sequence, (kind, attempt, data) in enumerate(events, 1):
        translated += translator.translate(Event(sequence, kind, attempt, data), record if kind == "ended" else None)
    assert [event["sequence_number"] for event in translated] == list(range(len(translated)))
    return translated


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return the events' types."""
    return [event["type"] for event in events]


def test_an_answer() -> None:
    events = tell(
        ended(State.COMPLETED, output=said("hello")),
        ("started", 1, ""), ("text", 1, "hel"), ("text", 1, "lo"), ("ended", 1, "completed"),
    )  # fmt: skip
    delta = "response.output_text.delta"
    assert kinds(events) == [*BEGINNING, "response.in_progress", *OPENING, delta, delta, *CLOSING, "response.completed"]
    assert events[-1]["response"]["output"] == [events[-2]["item"]]
    assert events[-2]["item"]["content"][0]["text"] == "hello"


def test_a_foreground_response_is_in_progress_from_the_start() -> None:
    record = replace(RUNNING, options=Options())
    translator = ResponseEvents(record, "foo", "a-model")
    told = [*translator.begin(), *translator.translate(Event(1, "started", 1, ""))]
    assert kinds(told) == ["response.created", "response.in_progress"]
    assert [event["response"]["status"] for event in told] == ["in_progress", "in_progress"]


def test_a_large_record_is_held_only_while_it_is_told_of() -> None:
    record = replace(RUNNING, options=Options(instructions="x" * 100_000, request={"background": True}))
    translator, start = ResponseEvents(record, "foo", "a-model"), Event(1, "started", 1, "")
    begin = translator.begin()
    assert (next(begin)["type"], translator.held > 100_000) == ("response.created", True)
    assert (len(list(begin)), translator.held) == (1, 0)
    assert translator.needs_record(start)
    (told,) = translator.translate(start, translator.hold_record(record))
    assert (told["response"]["instructions"], translator.held > 100_000) == ("x" * 100_000, True)
    translator.let_go()
    assert (translator.held, translator.needs_record(start)) == (0, False)


def test_text_counts_as_held_until_its_item_is_closed() -> None:
    translator = ResponseEvents(RUNNING, "foo", "a-model")
    for kind, text in (("started", ""), ("text", "a" * 50_000), ("text", "é" * 10)):
        list(translator.translate(Event(1, kind, 1, text)))
    translator.let_go()
    assert translator.held == 4 * 50_010
    list(translator.translate(Event(1, "reasoning", 1, "")))
    assert translator.held == 0


def test_an_answer_that_was_not_streamed() -> None:
    events = tell(ended(State.COMPLETED, output=said("hello")), ("ended", 1, "completed"))
    assert kinds(events) == [*BEGINNING, *OPENING, "response.output_text.delta", *CLOSING, "response.completed"]


def test_an_empty_answer_is_an_item_too() -> None:
    events = tell(ended(State.COMPLETED, output=said("")), ("started", 1, ""), ("ended", 1, "completed"))
    assert kinds(events) == [*BEGINNING, "response.in_progress", *OPENING, *CLOSING, "response.completed"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_a_second_attempt_opens_an_item_of_its_own() -> None:
    events = tell(
        ended(State.COMPLETED, output=said("hello"), attempts=2),
        ("started", 1, ""), ("text", 1, "he"), ("started", 2, ""), ("text", 2, "hello"), ("ended", 2, "completed"),
    )  # fmt: skip
    items = [(e["output_index"], e["item"]["id"], e["item"]["status"]) for e in events if e["type"].endswith("item.done")]
    assert items == [(0, "msg_1", "incomplete"), (1, "msg_1_a2", "completed")]
    assert [item["id"] for item in events[-1]["response"]["output"]] == ["msg_1_a2"]
    assert kinds(events).count("response.in_progress") == 1


def test_a_second_attempt_whose_start_is_lost_opens_an_item_too() -> None:
    events = tell(
        ended(State.COMPLETED, output=said("hello"), attempts=2),
        ("started", 1, ""), ("text", 1, "he"), ("text", 2, "hello"), ("ended", 2, "completed"),
    )  # fmt: skip
    deltas = [(event["item_id"], event["delta"]) for event in events if event["type"] == "response.output_text.delta"]
    assert deltas == [("msg_1", "he"), ("msg_1_a2", "hello")]


def test_text_that_was_told_stays_text_when_a_second_attempt_refuses() -> None:
    events = tell(
        ended(State.COMPLETED, output=refused("no"), attempts=2),
        ("started", 1, ""), ("text", 1, "he"), ("started", 2, ""), ("ended", 2, "completed"),
    )  # fmt: skip
    said = [kind.removeprefix("response.") for kind in kinds(events) if "output_text" in kind or "refusal" in kind]
    assert said == ["output_text.delta", "output_text.done", "refusal.delta", "refusal.done"]
    assert events[-1]["response"]["output"] == [events[-2]["item"]]


def test_a_refusal_is_told_as_one_while_it_comes() -> None:
    events = tell(
        ended(State.COMPLETED, output=refused("no")),
        ("started", 1, ""), ("refusal", 1, "no"), ("ended", 1, "completed"),
    )  # fmt: skip
    said = [kind.removeprefix("response.") for kind in kinds(events) if "output_text" in kind or "refusal" in kind]
    assert said == ["refusal.delta", "refusal.done"]
    assert events[-1]["response"]["output"] == [events[-2]["item"]]


def test_an_attempt_without_text_leaves_no_item() -> None:
    events = tell(
        ended(State.COMPLETED, output=said("hello"), attempts=2),
        ("started", 1, ""), ("started", 2, ""), ("text", 2, "hello"), ("ended", 2, "completed"),
    )  # fmt: skip
    assert [e["output_index"] for e in events if e["type"] == "response.output_item.added"] == [0]


@pytest.mark.parametrize(
    ("state", "last", "status"),
    [
        (State.INCOMPLETE, "response.incomplete", "incomplete"),
        (State.FAILED, "response.failed", "failed"),
        (State.CANCELLED, "response.incomplete", "cancelled"),
    ],
)
def test_other_ends(state: State, last: str, status: str) -> None:
    events = tell(ended(state, code="model_timeout"), ("started", 1, ""), ("text", 1, "he"), ("ended", 1, str(state)))
    assert kinds(events)[-4:] == [*CLOSING, last]
    assert events[-1]["response"]["status"] == status
    assert events[-2]["item"]["status"] == "incomplete"
    assert (events[-1]["response"]["error"] is not None) == (state is State.FAILED)


def test_what_a_filter_refused_outright_has_no_item() -> None:
    events = tell(ended(State.FAILED, code="content_filter", message="No."), ("started", 1, ""), ("ended", 1, "failed"))
    assert kinds(events) == [*BEGINNING, "response.in_progress", "response.incomplete"]
    assert (events[-1]["response"]["status"], events[-1]["response"]["output"]) == ("incomplete", [])


def test_a_turn_that_was_queued_again_has_still_failed_once() -> None:
    events = tell(replace(RUNNING, state=State.QUEUED), ("started", 1, ""), ("ended", 1, "failed"))
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["status"] == "failed"


def test_a_turn_whose_events_are_gone() -> None:
    translator = ResponseEvents(ended(State.COMPLETED, output=said("hello")), "foo", "a-model")
    events = [*translator.begin(), *translator.whole(ended(State.COMPLETED, output=said("hello")))]
    assert kinds(events)[2:6] == ["response.in_progress", *OPENING, "response.output_text.delta"]
    assert events[-1]["type"] == "response.completed"


def test_chunks_go_on_where_a_second_attempt_says_the_same() -> None:
    chunks = Chunks(RUNNING, "a-model")
    assert b'"hello wo"' in chunks.write("hello wo")
    chunks.restart()
    assert chunks.write("hello") == b""
    assert b'"rld"' in chunks.write(" world")
    assert chunks.end(ended(State.COMPLETED, output=said("hello world")), usage=False).endswith(b"data: [DONE]\n\n")


def test_chunks_go_on_where_a_third_attempt_says_more_than_the_second_had() -> None:
    chunks = Chunks(RUNNING, "a-model")
    told = b""
    for words in (["hello", " world"], ["he", "llo"], ["hello w", "orld, and", " all"]):
        chunks.restart()
        told += b"".join(map(chunks.write, words))
    assert told.count(b"data: ") == 4
    assert b'", and"' in told
    assert chunks.end(ended(State.COMPLETED, output=said("hello world, and all")), usage=False).endswith(b"data: [DONE]\n\n")


def test_a_chunk_takes_no_copy_of_all_that_was_sent() -> None:
    """Each one copied the answer so far three times."""
    chunks = Chunks(RUNNING, "a-model")
    chunks.write("x" * 8_000_000)
    taken = []
    tracemalloc.start()
    for _ in range(21):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        chunks.write("more")
        taken.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    # The text may have to grow at some of them.
    assert sorted(taken)[10] < 100_000
    assert chunks.held < 8_100_000


class Kind(str):
    """A kind of a run, which counts how often it is compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Kind.compared += 1
        return str.__eq__(self, other)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> type[Kind]:
    monkeypatch.setattr(Kind, "compared", 0)
    return Kind


def test_places_of_many_runs_are_counted_as_they_come(monkeypatch: pytest.MonkeyPatch, compared: type[Kind]) -> None:
    """For each run all earlier ones were gone through: 8,000 took a second and a half."""
    told = [spoken.Run(compared(kind), "a") for _ in range(500) for kind in ("reasoning", "text")]
    monkeypatch.setattr(spoken, "runs", lambda _: told)
    ids = [item["id"] for item in spoken.spoken_items(ended(State.COMPLETED))]
    assert (ids[:4], ids[-1]) == (["rs_1", "msg_1", "rs_1_o1", "msg_1_o1"], "msg_1_o499")
    assert compared.compared < 20 * len(told)


def test_places_of_many_streamed_runs_are_counted_as_they_come(compared: type[Kind]) -> None:
    translator = ResponseEvents(RUNNING, "foo", "a-model")
    events = [Event(n, compared(kind), 1, "a") for n in range(500) for kind in ("reasoning", "text")]
    told = [new["item_id"] for event in events for new in translator.translate(event) if new["type"].endswith("text.delta")]
    assert (told[:4], told[-1]) == (["rs_1", "msg_1", "rs_1_o1", "msg_1_o1"], "msg_1_o499")
    assert compared.compared < 50 * len(events)


@pytest.mark.parametrize("second", ["goodbye", "hello wood"])
def test_chunks_cannot_take_back_what_they_told(second: str) -> None:
    chunks = Chunks(RUNNING, "a-model")
    chunks.write("hello world")
    chunks.restart()
    with pytest.raises(ApiError) as error:
        chunks.write(second)
    assert error.value.code == "started_again"


def test_chunks_tell_when_a_second_answer_is_shorter() -> None:
    chunks = Chunks(RUNNING, "a-model")
    chunks.write("hello world")
    chunks.restart()
    chunks.write("hello")
    with pytest.raises(ApiError) as error:
        chunks.end(ended(State.COMPLETED, output=said("hello")), usage=False)
    assert error.value.code == "started_again"


def test_chunks_that_refused_cannot_answer() -> None:
    chunks = Chunks(RUNNING, "a-model")
    assert b'"refusal":"no"' in chunks.write("no", refused=True)
    chunks.restart()
    with pytest.raises(ApiError) as error:
        chunks.write("no")
    assert error.value.code == "started_again"


def test_chunks_of_reasoning_come_once_whatever_later_attempts_think() -> None:
    chunks = Chunks(RUNNING, "a-model")
    assert b'"reasoning_content":"hm"' in chunks.think("hm")
    assert chunks.think("") == b""
    chunks.restart()
    assert chunks.think("well") == b""
    assert chunks.write("hello")
    assert b"reasoning" not in chunks.end(ended(State.COMPLETED, output=(reasoned("well"), *said("hello"))), usage=False)


def test_reasoning_that_was_not_streamed_comes_with_the_end() -> None:
    last = Chunks(RUNNING, "a-model").end(ended(State.COMPLETED, output=(reasoned("hm"), *said("hello"))), usage=False)
    assert 0 < last.index(b'"reasoning_content":"hm"') < last.index(b'"content":"hello"')


def test_a_call_that_waits_for_an_approval_is_told_as_a_call() -> None:
    asks = approval_request("i", 0, "pay", '{"amount":3}')
    last = Chunks(RUNNING, "a-model").end(ended(State.COMPLETED, output=(asks,), calls=(asks,)), usage=False)
    assert f'"id":"{asks["id"]}","type":"function","function":{{"name":"pay","arguments":""}}'.encode() in last
    assert b'"finish_reason":"tool_calls"' in last
