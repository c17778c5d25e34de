"""What happened to a turn, told as the Responses API's events.

The telling depends on the turn's own events and record alone, so that every reader, at any time, is told the same under the
same sequence numbers: from 0, without a gap. Each attempt that writes text opens an output item of its own; the item of one
that was lost is closed as incomplete, and is not part of the response's output.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from turnstile.producers.gateway import rendering
from turnstile.turns.states import State
from turnstile.turns.turn import REFUSAL, Event, Record

_ENDS = {State.COMPLETED: "completed", State.FAILED: "failed"}
Told = dict[str, Any]


class Narrator:
    """Tells one turn. `session` is the reader's name for it, `model` the one that answers by default."""

    def __init__(self, record: Record, session: str, model: str) -> None:
        self._record = record
        self._session = session
        self._model = model
        self._sequence = -1
        self._index = -1
        self._item: str | None = None
        self._attempt = 0
        self._text: list[str] = []
        self._refused = False
        self._working = False

    def begin(self) -> Iterator[Told]:
        """Before anything has happened."""
        for kind in ("created", "queued"):
            yield self._lifecycle(kind, State.QUEUED.value, self._record.first_place)

    def tell(self, event: Event, record: Record | None = None) -> Iterator[Told]:
        """One event of the turn; `record` is the turn's own once it has ended."""
        if event.type == "started":
            yield from self._start(event.attempt)
        elif event.type == "text":
            yield from self._write(event.data, event.attempt)
        elif event.type == "ended":
            yield from self._end(State(event.data), event.attempt, record or self._record)

    def retell(self, record: Record) -> Iterator[Told]:
        """The whole of a turn whose events have expired."""
        if record.attempts:
            yield from self._start(record.attempts)
        yield from self._end(record.state, record.attempts, record)

    def trouble(self, code: str, message: str) -> Told:
        """The telling cannot go on."""
        return self._event("error", {"code": code, "message": message, "param": None})

    def _start(self, attempt: int) -> Iterator[Told]:
        yield from self._close("incomplete")
        self._attempt = attempt
        if not self._working:
            self._working = True
            yield self._lifecycle("in_progress", "in_progress")

    def _write(self, text: str, attempt: int) -> Iterator[Told]:
        if attempt != self._attempt:  # a failover has lost the event of its start
            yield from self._start(attempt)
        if self._item is None:
            yield from self._open(attempt)
        self._text.append(text)
        yield self._said("delta", {"delta": text})

    def _open(self, attempt: int) -> Iterator[Told]:
        self._attempt = attempt
        self._index += 1
        self._item = rendering.output_id(self._record.id, attempt)
        added = rendering.message(self._record, attempt, "in_progress")
        yield self._event("response.output_item.added", {"output_index": self._index, "item": added})
        yield self._event("response.content_part.added", {**self._place(), "part": rendering.part("", self._refused)})

    def _close(self, status: str, answer: str | None = None) -> Iterator[Told]:
        if self._item is None:
            return
        text = "".join(self._text) if answer is None else answer
        yield self._said("done", {"refusal" if self._refused else "text": text})
        part = rendering.part(text, self._refused)
        yield self._event("response.content_part.done", {**self._place(), "part": part})
        item = rendering.message(self._record, self._attempt, status, part)
        yield self._event("response.output_item.done", {"output_index": self._index, "item": item})
        self._item, self._text = None, []

    def _end(self, state: State, attempt: int, record: Record) -> Iterator[Told]:
        stands = record.state is state
        if stands:
            record = rendering.as_told(record)
            state = record.state
        if state.answered and self._item is None and record.answer is not None:
            self._refused = record.code == REFUSAL
            yield from self._open(attempt)
            if record.answer:
                yield from self._write(record.answer, attempt)
        done = state is State.COMPLETED
        yield from self._close("completed" if done else "incomplete", record.answer if state.answered else None)
        if stands:
            body = rendering.response(record, self._session, self._model)
        else:  # an operator has queued it again since
            body = rendering.snapshot(record, self._session, self._model, state.value)
        # There is no event of its own for a cancelled response that clients know.
        yield self._event(f"response.{_ENDS.get(state, 'incomplete')}", {"response": body})

    def _lifecycle(self, kind: str, status: str, place: int | None = None) -> Told:
        body = rendering.snapshot(self._record, self._session, self._model, status, place)
        return self._event(f"response.{kind}", {"response": body})

    def _said(self, step: str, content: Mapping[str, Any]) -> Told:
        if self._refused:
            return self._event(f"response.refusal.{step}", {**self._place(), **content})
        return self._event(f"response.output_text.{step}", {**self._place(), **content, "logprobs": []})

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": self._index, "content_index": 0}

    def _event(self, kind: str, content: Mapping[str, Any]) -> Told:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **content}
