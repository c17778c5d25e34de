"""Records, histories and counters as the CLI shows them."""

import json
from typing import Any

import pytest

from turnstile.producers.cli import formatting
from turnstile.producers.overview.turn import question_text
from turnstile.producers.transcript import HistoryMessage, read_history
from turnstile.turns.output import called, said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.turn import Record


def record(**more: Any) -> Record:
    blank: dict[str, Any] = dict.fromkeys(Record.__dataclass_fields__)
    known = {
        "id": "t",
        "session": "s",
        "question": "How are you?",
        "options": Options(),
        "attempts": 1,
        "uncounted_attempts": 0,
        "created": 1.0,
        "output": (),
    }
    return Record(**{**blank, **known, "state": State.QUEUED, "place": 0, "output": (), **more})


def element(kind: str, content: Any, **more: Any) -> bytes:
    return json.dumps({"type": kind, "data": {"content": content, **more}, "turnstile": {"turn": "t1"}}).encode()


def test_a_record_is_shown_without_what_is_not_known() -> None:
    text = formatting.record_text(record(state=State.COMPLETED, output=said("Fine."), usage={"input_tokens": 3, "details": {}}))
    assert "answer    Fine." in text
    assert "tokens    input_tokens 3" in text
    assert "None" not in text
    assert "started" not in text


def test_no_line_of_an_answer_looks_like_a_field() -> None:
    text = formatting.record_text(record(state=State.COMPLETED, output=said("Fine.\nstate     failed")))
    assert [line.split()[0] for line in text.splitlines() if line[0] != " "].count("state") == 1


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"place": 0}, "queued, next in its session"),
        ({"place": 2}, "queued, 2 before it in its session"),
        ({"state": State.RUNNING}, "running"),
        ({"state": State.FAILED, "code": "worker_lost", "message": "Gone."}, "failed: worker_lost: Gone."),
    ],
)
def test_a_state_says_what_else_there_is_to_know(known: dict[str, Any], text: str) -> None:
    assert formatting.state_text(record(**known)) == text


@pytest.mark.parametrize(("uncounted", "text"), [(0, "12"), (11, "1 (+11 not counted)")])
def test_attempts_that_do_not_count_are_told_apart(uncounted: int, text: str) -> None:
    tried = record(attempts=12, uncounted_attempts=uncounted, state=State.FAILED, code="internal", message="No.")
    assert f"attempts  {text}\n" in formatting.record_text(tried)
    assert formatting.failed_text(tried).endswith(f"internal: No., attempts {text}")
    shown = formatting.record_json(tried)
    assert (shown["attempts"], shown["uncounted_attempts"]) == (12, uncounted)


def test_a_record_is_json() -> None:
    shown = json.loads(json.dumps(formatting.record_json(record(output=said("hi")))))
    assert (shown["answer"], shown["output"]) == ("hi", list(said("hi")))
    assert (shown["id"], shown["state"], shown["options"]["queue"]) == ("t", "queued", "chat")


def test_the_parts_of_a_question_that_are_no_text_are_named() -> None:
    question: list[dict[str, Any]] = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "https://example.org"}},
    ]
    assert question_text(question) == "Look: [image_url]"


def test_a_history_is_read_oldest_first_with_its_roles() -> None:
    elements = [
        element("chat", "as you like", role="critic"),
        element("tool", "42"),
        element("ai", [{"type": "text", "text": "It is "}, "so"]),
        element("human", "Is it?"),
        element("system", "Be brief."),
    ]
    messages = read_history(elements)
    assert [(message.role, message.text) for message in messages] == [
        ("system", "Be brief."),
        ("user", "Is it?"),
        ("assistant", "It is so"),
        ("tool", "42"),
        ("critic", "as you like"),
    ]
    assert {message.turn for message in messages} == {"t1"}


def test_chunks_that_others_stored_are_messages() -> None:
    assert read_history([element("AIMessageChunk", "hi")]) == [HistoryMessage("assistant", "hi", "t1")]


@pytest.mark.parametrize(
    "broken", [b"{", b"[]", b"null", b'{"type": "ai"}', b'{"type": "ai", "data": {"content": 3}}', b"[" * 50_000, b"\xff"]
)
def test_what_does_not_parse_is_passed_over(broken: bytes) -> None:
    assert [message.text for message in read_history([broken, element("ai", "hi"), broken])] == ["hi"]


def test_a_message_from_elsewhere_has_no_turn() -> None:
    assert read_history([b'{"type": "human", "data": {"content": "hi"}}']) == [HistoryMessage("user", "hi", None)]


def test_calls_are_shown_after_the_text() -> None:
    call = {"id": "a", "name": "pay", "args": {"amount": 3}}
    asked, paid = read_history([element("tool", "paid", tool_call_id="a"), element("ai", "Well.", tool_calls=[call])])
    assert (asked.calls, paid.call_id) == ((called("a", "pay", '{"amount":3}'),), "a")
    assert formatting.history_text(asked) == 'assistant: Well. [pay {"amount":3}]'
    assert formatting.history_text(paid) == "tool: paid"


def test_half_a_character_of_a_history_can_be_shown() -> None:
    [message] = read_history([b'{"type": "human", "data": {"content": "I\'m bob \\ud83d"}}'])
    assert message.text == "I'm bob \ufffd"
