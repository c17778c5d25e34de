"""Refusals: kept back while they stream in, then given whole and by name."""

from typing import Any

import pytest

from turnstile.workers.chains.openai.refusals import HeldRefusal, speak_refusal

Chunks = list[tuple[Any, Any]]


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def collected(*chunks: dict[str, Any]) -> Chunks:
    """Content and finish reason of each chunk that is handed on."""
    refusal = HeldRefusal()
    choices = [chunk["choices"][0] for chunk in [*map(refusal.hold, chunks), *refusal.rest()]]
    return [(choice["delta"].get("content"), choice["finish_reason"]) for choice in choices]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([chunk(refusal="I'm "), chunk(refusal="sorry."), chunk("stop")], [(None, None)] * 2 + [("I'm sorry.", "refusal")]),
        ([chunk(refusal="No.")], [(None, None), ("No.", "refusal")]),
        ([chunk(refusal="No"), chunk("stop", refusal=".")], [(None, None), ("No.", "refusal")]),
        ([chunk(content="", refusal="No."), chunk("content_filter")], [("", None), ("No.", "content_filter")]),
        ([chunk(content="Well, "), chunk(refusal="no."), chunk("stop")], [("Well, ", None), ("no.", None), (None, "stop")]),
        ([chunk(refusal="No. "), chunk(content="But"), chunk("stop")], [(None, None), ("No. But", None), (None, "stop")]),
        ([chunk(content="Hi", refusal=None), chunk("stop")], [("Hi", None), (None, "stop")]),
    ],
)
def test_a_streamed_refusal(chunks: list[dict[str, Any]], expected: Chunks) -> None:
    assert collected(*chunks) == expected


def test_chunks_without_a_delta_are_borne() -> None:
    assert HeldRefusal().hold({"choices": [{"delta": None}], "usage": None})["choices"] == [{"delta": {}}]
    assert HeldRefusal().hold({"usage": {}}) == {"usage": {}}


@pytest.mark.parametrize(
    ("message", "reason", "expected"),
    [
        ({"content": None, "refusal": "No."}, "stop", ("No.", "refusal")),
        ({"content": None, "refusal": "No."}, "content_filter", ("No.", "content_filter")),
        ({"content": "Yes.", "refusal": None}, "stop", ("Yes.", "stop")),
    ],
)
def test_a_whole_refusal(message: dict[str, Any], reason: str, expected: tuple[str, str]) -> None:
    choice = {"message": message, "finish_reason": reason}
    speak_refusal(choice)
    assert (message["content"], choice["finish_reason"]) == expected


def test_a_choice_without_a_message_is_borne() -> None:
    speak_refusal({"finish_reason": "stop"})
