"""A turn as the Responses API's events.

The events depend on the turn's own events and record alone, so every reader, at any time, gets the same ones under the same
sequence numbers: from 0, without a gap. Each attempt that writes text opens an output item of its own; the item of a lost
attempt is closed as incomplete, and is not part of the response's output.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from turnstile.producers.gateway import sse
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.records import as_shown, output_id
from turnstile.producers.gateway.responses import rendering
from turnstile.producers.reading.follow import follow, look
from turnstile.producers.reading.readers import EventReader
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.states import State
from turnstile.turns.turn import Event, Record

_ENDS = {State.COMPLETED: "completed", State.FAILED: "failed"}
ResponseEvent = dict[str, Any]


class ResponseEvents:
    """The events of one turn. `session` is the reader's name for its session, `model` the default model."""

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

    def begin(self) -> Iterator[ResponseEvent]:
        """Return the events before any of the turn's own."""
        if not self._record.options.request.get("background"):
            yield self._lifecycle("created", "in_progress", self._record.first_place)
            return
        for kind in ("created", "queued"):
            yield self._lifecycle(kind, State.QUEUED.value, self._record.first_place)

    def translate(self, event: Event, record: Record | None = None) -> Iterator[ResponseEvent]:
        """Return the events for one of the turn's own; `record` is the ended turn's."""
        if event.type == "started":
            yield from self._start(event.attempt)
        elif event.type in ("text", "refusal"):
            yield from self._write(event.data, event.attempt, event.type == "refusal")
        elif event.type == "ended":
            yield from self._end(State(event.data), event.attempt, record or self._record)

    def whole(self, record: Record) -> Iterator[ResponseEvent]:
        """Return the events of an ended turn whose own have expired."""
        if record.attempts:
            yield from self._start(record.attempts)
        yield from self._end(record.state, record.attempts, record)

    def trouble(self, code: str, message: str) -> ResponseEvent:
        """Return the event of a stream that cannot go on."""
        return self._event("error", {"code": code, "message": message, "param": None})

    def _start(self, attempt: int) -> Iterator[ResponseEvent]:
        yield from self._close("incomplete")
        self._attempt = attempt
        if not self._working:
            self._working = True
            yield self._lifecycle("in_progress", "in_progress")

    def _write(self, text: str, attempt: int, refused: bool) -> Iterator[ResponseEvent]:
        if attempt != self._attempt:  # a failover has lost the event of its start
            yield from self._start(attempt)
        if self._item is None:
            yield from self._open(attempt, refused)
        self._text.append(text)
        yield self._content_event("delta", {"delta": text})

    def _open(self, attempt: int, refused: bool) -> Iterator[ResponseEvent]:
        self._attempt, self._refused = attempt, refused
        self._index += 1
        self._item = output_id(self._record.id, attempt)
        added = rendering.message(self._record, attempt, "in_progress")
        yield self._event("response.output_item.added", {"output_index": self._index, "item": added})
        yield self._event("response.content_part.added", {**self._place(), "part": rendering.part("", self._refused)})

    def _close(self, status: str, answer: str | None = None) -> Iterator[ResponseEvent]:
        if self._item is None:
            return
        text = "".join(self._text) if answer is None else answer
        yield self._content_event("done", {"refusal" if self._refused else "text": text})
        part = rendering.part(text, self._refused)
        yield self._event("response.content_part.done", {**self._place(), "part": part})
        item = rendering.message(self._record, self._attempt, status, part)
        yield self._event("response.output_item.done", {"output_index": self._index, "item": item})
        self._item, self._text = None, []

    def _end(self, state: State, attempt: int, record: Record) -> Iterator[ResponseEvent]:
        is_current = record.state is state
        if is_current:
            record = as_shown(record)
            state = record.state
        if state.answered and self._item is None and record.answer is not None:
            yield from self._open(attempt, record.refused)
            if record.answer:
                yield from self._write(record.answer, attempt, record.refused)
        done = state is State.COMPLETED
        yield from self._close("completed" if done else "incomplete", record.answer if state.answered else None)
        if is_current:
            body = rendering.response(record, self._session, self._model)
        else:  # an operator has retried it since
            body = rendering.snapshot(record, self._session, self._model, state.value)
        # Clients know no event for a cancelled response.
        yield self._event(f"response.{_ENDS.get(state, 'incomplete')}", {"response": body})

    def _lifecycle(self, kind: str, status: str, place: int | None = None) -> ResponseEvent:
        body = rendering.snapshot(self._record, self._session, self._model, status, place)
        return self._event(f"response.{kind}", {"response": body})

    def _content_event(self, step: str, content: Mapping[str, Any]) -> ResponseEvent:
        if self._refused:
            return self._event(f"response.refusal.{step}", {**self._place(), **content})
        return self._event(f"response.output_text.{step}", {**self._place(), **content, "logprobs": []})

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item, "output_index": self._index, "content_index": 0}

    def _event(self, kind: str, content: Mapping[str, Any]) -> ResponseEvent:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **content}


async def stream(backend: Backend, record: Record, session: str, after: int | None) -> AsyncGenerator[bytes]:
    """Yield all events of a response after sequence number `after`, as they happen, encoded; empty ones between."""
    events = ResponseEvents(record, session, backend.settings.model)
    first = -1 if after is None else after
    async for event in _events(backend, record, events):
        if event is None:
            yield b""
        elif event["sequence_number"] > first:
            yield sse.event(event)


async def _events(backend: Backend, record: Record, events: ResponseEvents) -> AsyncGenerator[ResponseEvent | None]:
    reader = EventReader()
    for event in events.begin():
        yield event
    try:
        async for batch in follow(backend.store, backend.wakeups, record.id, reader):
            yield None
            for own in batch:
                latest = await look(backend.store, backend.wakeups, record.id) if own.type == "ended" else None
                for event in events.translate(own, latest):
                    yield event
        for event in events.whole(reader.left) if reader.left else ():
            yield event
    except UnknownTurn:
        yield events.trouble("not_found", "The response was deleted.")
