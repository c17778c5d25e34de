"""A turn as the Responses API's events.

The events depend on the turn's own events and record alone, so every reader, at any time, gets the same ones under the same
sequence numbers: from 0, without a gap. Each attempt that says something opens output items of its own; the open item of a lost
attempt is closed as incomplete, and none of its items is part of the response's output. Calls are told at the end, from the
record, so that a lost attempt shows none. Steps of a graph are told to readers who ask for them, for OpenAI has no such event:
each has the sequence number of the event before it, and a number of its own.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from turnstile.producers.gateway import sse
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.records import as_shown
from turnstile.producers.gateway.responses import rendering
from turnstile.producers.gateway.responses.item_events import item_events
from turnstile.producers.gateway.responses.output_items import call_items
from turnstile.producers.gateway.responses.spoken import KINDS, Run, Spoken, Told, run_status, runs
from turnstile.producers.reading.follow import follow, look
from turnstile.producers.reading.readers import EventReader
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.states import State
from turnstile.turns.text import loads
from turnstile.turns.turn import Event, TurnResult

STEP = "turnstile.step"
_ENDS = {State.COMPLETED: "completed", State.FAILED: "failed"}
ResponseEvent = dict[str, Any]


class ResponseEvents:
    """The events of one turn. `session` is the reader's name for its session, `model` the default model."""

    def __init__(self, record: TurnResult, session: str, model: str) -> None:
        self._record = record
        self._session = session
        self._model = model
        self._sequence = -1
        self._index = -1
        self._item: Spoken | None = None
        self._attempt = 0
        self._kinds: list[str] = []
        self._taken_back: list[str] = []
        self._working = False

    def begin(self) -> Iterator[ResponseEvent]:
        """Return the events before any of the turn's own."""
        if not self._record.options.request.get("background"):
            yield self._lifecycle("created", "in_progress", self._record.first_place)
            return
        for kind in ("created", "queued"):
            yield self._lifecycle(kind, State.QUEUED.value, self._record.first_place)

    def translate(self, event: Event, record: TurnResult | None = None) -> Iterator[ResponseEvent]:
        """Return the events for one of the turn's own; `record` is the ended turn's."""
        if event.type == "started":
            yield from self._start(event.attempt)
        elif event.type in KINDS:
            yield from self._write(event.data, event.attempt, event.type)
        elif event.type == "step":
            own = {"number": event.sequence, "attempt": event.attempt, **loads(event.data)}
            yield {"type": STEP, "sequence_number": self._sequence, **own}
        elif event.type == "ended":
            yield from self._end(State(event.data), event.attempt, record or self._record)

    def whole(self, record: TurnResult) -> Iterator[ResponseEvent]:
        """Return the events of an ended turn whose own have expired."""
        if record.attempts:
            yield from self._start(record.attempts)
        yield from self._end(record.state, record.attempts, record)

    def trouble(self, code: str, message: str) -> ResponseEvent:
        """Return the event of a stream that cannot go on."""
        return self._event("error", {"code": code, "message": message, "param": None})

    def _start(self, attempt: int) -> Iterator[ResponseEvent]:
        yield from self._turn_to(attempt)
        if not self._working:
            self._working = True
            yield self._lifecycle("in_progress", "in_progress")

    def _turn_to(self, attempt: int) -> Iterator[ResponseEvent]:
        yield from self._close("incomplete")
        # An attempt may take back what it has said, and no two items have the same id.
        self._taken_back = [*self._taken_back, *self._kinds] if attempt == self._attempt else []
        self._attempt, self._kinds = attempt, []

    def _write(self, text: str, attempt: int, kind: str) -> Iterator[ResponseEvent]:
        if attempt != self._attempt:  # a failover has lost the event of its start
            yield from self._start(attempt)
        if self._item and self._item.kind != kind:
            yield from self._close("completed")
        item = self._item
        if item is None:
            item = self._open(kind)
            yield from map(self._placed, item.begin())
        if text:
            yield self._placed(item.add(text))

    def _open(self, kind: str) -> Spoken:
        self._item = Spoken(kind, self._record.id, self._attempt, [*self._taken_back, *self._kinds])
        self._kinds.append(kind)
        self._index += 1
        return self._item

    def _close(self, status: str, run: Run | None = None) -> Iterator[ResponseEvent]:
        if self._item:
            yield from map(self._placed, self._item.end(status, run))
        self._item = None

    def _end(self, state: State, attempt: int, record: TurnResult) -> Iterator[ResponseEvent]:
        is_current = record.state is state
        if is_current:
            record = as_shown(record)
            state = record.state
        yield from self._finish(record, attempt) if state.answered else self._close("incomplete")
        if is_current:
            body = rendering.response(record, self._session, self._model)
        else:  # an operator has retried it since
            body = rendering.snapshot(record, self._session, self._model, state.value)
        # Clients know no event for a cancelled response.
        yield self._event(f"response.{_ENDS.get(state, 'incomplete')}", {"response": body})

    def _finish(self, record: TurnResult, attempt: int) -> Iterator[ResponseEvent]:
        """Return the events of what is left to tell of an output."""
        if attempt != self._attempt:
            yield from self._turn_to(attempt)
        said, told, left = runs(record), 0, []
        for n, run in enumerate(said):
            is_told = told < len(self._kinds) and run.kind == self._kinds[told]
            told += is_told
            if is_told and told == len(self._kinds):
                yield from self._close(run_status(record, n == len(said) - 1), run)
            elif not is_told:
                left.append((run, run_status(record, n == len(said) - 1)))
        yield from self._close("incomplete")
        for run, status in left:
            yield from self._write(run.text, attempt, run.kind)
            yield from self._close(status, run)
        for item in call_items(record):
            self._index += 1
            yield from map(self._placed, item_events(item))

    def _lifecycle(self, kind: str, status: str, place: int | None = None) -> ResponseEvent:
        body = rendering.snapshot(self._record, self._session, self._model, status, place)
        return self._event(f"response.{kind}", {"response": body})

    def _placed(self, told: Told) -> ResponseEvent:
        kind, content = told
        return self._event(kind, {**content, "output_index": self._index})

    def _event(self, kind: str, content: Mapping[str, Any]) -> ResponseEvent:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **content}


async def stream(
    backend: Backend, record: TurnResult, session: str, after: int | None, *, steps: bool = False
) -> AsyncGenerator[bytes]:
    """Yield all events of a response after sequence number `after`, as they happen, encoded; empty ones between."""
    events = ResponseEvents(record, session, backend.settings.models[0])
    first = -1 if after is None else after
    async for event in _events(backend, record, events):
        if event is None:
            yield b""
        elif event["type"] == STEP:
            if steps and event["sequence_number"] >= first:
                yield sse.event(event)
        elif event["sequence_number"] > first:
            yield sse.event(event)


async def _events(backend: Backend, record: TurnResult, events: ResponseEvents) -> AsyncGenerator[ResponseEvent | None]:
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
