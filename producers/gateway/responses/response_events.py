"""A turn as the Responses API's events.

The events depend on the turn's own events and record alone, so every reader, at any time, gets the same ones under the same
sequence numbers: from 0, without a gap. Each attempt that says something opens output items of its own; the open item of a lost
attempt is closed as incomplete, and none of its items is part of the response's output. Calls are told at the end, from the
record, so that a lost attempt shows none. Steps of a graph are told to readers who ask for them, for OpenAI has no such event:
each has the sequence number of the event before it, and a number of its own.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from turnstile.producers.gateway import sse
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.large_answers import SMALL_BYTES, Holding
from turnstile.producers.gateway.held import HeldOfTurn
from turnstile.producers.gateway.prompt_store import api_key
from turnstile.producers.gateway.records import as_shown
from turnstile.producers.gateway.responses import rendering
from turnstile.producers.gateway.responses.item_events import item_events
from turnstile.producers.gateway.responses.output_items import call_items
from turnstile.producers.gateway.responses.spoken import KINDS, Places, Run, Spoken, Told, run_status, runs
from turnstile.producers.reading.follow import follow, look
from turnstile.producers.reading.readers import EventReader
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.states import State
from turnstile.turns.text import loads
from turnstile.turns.turn import Event, TurnResult

STEP = "turnstile.step"
_ENDS = {State.COMPLETED: "completed", State.FAILED: "failed"}
ResponseEvent = dict[str, Any]


class ResponseEvents(HeldOfTurn):
    """The events of one turn. `session` is the reader's name for its session, `model` the default model."""

    def __init__(self, record: TurnResult, session: str, model: str) -> None:
        super().__init__()
        self._id = record.id
        self._record: TurnResult | None = self.hold_record(replace(record, output=(), calls=()))
        self._session = session
        self._model = model
        self._sequence = -1
        self._index = -1
        self._item: Spoken | None = None
        self._attempt = 0
        self._kinds: list[str] = []
        self._places = Places()
        self._working = False

    def begin(self) -> Iterator[ResponseEvent]:
        """Return the events before any of the turn's own."""
        record = self._record
        assert record
        if record.options.request.get("background"):
            for kind in ("created", "queued"):
                yield self._lifecycle(kind, record, State.QUEUED.value, record.first_place)
        else:
            yield self._lifecycle("created", record, "in_progress", record.first_place)
        self.let_go()

    @property
    def held(self) -> int:
        """The bytes of memory that these events take, with the record and the batch that they were told of."""
        return self.record_bytes + self.batch_bytes + (self._item.held if self._item else 0)

    def let_go(self) -> None:
        """Hold no batch, and no large record."""
        if self.record_bytes > SMALL_BYTES:
            self._record = None
        super().let_go()

    def needs_record(self, event: Event) -> bool:
        """Return True for an event that can only be translated with the latest record."""
        begins = not (self._working or self._record) and (event.type == "started" or event.type in KINDS)
        return begins or event.type == "ended"

    def translate(self, event: Event, record: TurnResult | None = None) -> Iterator[ResponseEvent]:
        """Return the events for one of the turn's own; `record` is the latest, where `needs_record`."""
        if event.type == "started":
            yield from self._start(event.attempt, record)
        elif event.type in KINDS:
            yield from self._write(event.data, event.attempt, event.type, record)
        elif event.type == "step":
            own = {"number": event.sequence, "attempt": event.attempt, **loads(event.data)}
            yield {"type": STEP, "sequence_number": self._sequence, **own}
        elif event.type == "ended":
            assert record
            yield from self._end(State(event.data), event.attempt, record)

    def whole(self, record: TurnResult) -> Iterator[ResponseEvent]:
        """Return the events of an ended turn whose own have expired."""
        if record.attempts:
            yield from self._start(record.attempts, record)
        yield from self._end(record.state, record.attempts, record)

    def trouble(self, code: str, message: str) -> ResponseEvent:
        """Return the event of a stream that cannot go on."""
        return self._event("error", {"code": code, "message": message, "param": None})

    def _start(self, attempt: int, record: TurnResult | None) -> Iterator[ResponseEvent]:
        yield from self._turn_to(attempt)
        if not self._working:
            self._working = True
            record = record or self._record
            assert record
            yield self._lifecycle("in_progress", record, "in_progress")
            self._record = None

    def _turn_to(self, attempt: int) -> Iterator[ResponseEvent]:
        yield from self._close("incomplete")
        # An attempt may take back what it has said, and no two items have the same id.
        self._places = self._places if attempt == self._attempt else Places()
        self._attempt, self._kinds = attempt, []

    def _write(self, text: str, attempt: int, kind: str, record: TurnResult | None) -> Iterator[ResponseEvent]:
        if attempt != self._attempt:  # a failover has lost the event of its start
            yield from self._start(attempt, record)
        if self._item and self._item.kind != kind:
            yield from self._close("completed")
        item = self._item
        if item is None:
            item = self._open(kind)
            yield from map(self._placed, item.begin())
        if text:
            yield self._placed(item.add(text))

    def _open(self, kind: str) -> Spoken:
        self._item = Spoken(kind, self._id, self._attempt, self._places.next(kind))
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
            yield from self._write(run.text, attempt, run.kind, record)
            yield from self._close(status, run)
        for item in call_items(record):
            self._index += 1
            yield from map(self._placed, item_events(item))

    def _lifecycle(self, kind: str, record: TurnResult, status: str, place: int | None = None) -> ResponseEvent:
        body = rendering.snapshot(record, self._session, self._model, status, place)
        return self._event(f"response.{kind}", {"response": body})

    def _placed(self, told: Told) -> ResponseEvent:
        kind, content = told
        return self._event(kind, {**content, "output_index": self._index})

    def _event(self, kind: str, content: Mapping[str, Any]) -> ResponseEvent:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **content}


async def stream(
    backend: Backend, record: TurnResult, session: str, after: int | None, *, steps: bool = False, created: bool = False
) -> AsyncGenerator[bytes]:
    """Yield all events of a response after sequence number `after`, as they happen, encoded; empty ones between.

    `created`: the request that is answered has created the response, so its first event is sent in any case.
    """
    events = ResponseEvents(record, session, backend.settings.models[0])
    id, first = record.id, -1 if after is None else after
    del record
    with Holding(api_key.get(), sure=created) as holding:
        async for event in _events(backend, id, events):
            chunk = _encoded(event, first, steps) if event else b""
            if event is None or chunk:
                del event
                holding.set(len(chunk) + events.held)
                yield chunk
            del chunk


def _encoded(event: ResponseEvent, first: int, steps: bool) -> bytes:
    """Return an event as it is sent; nothing where the reader has it already, or does not ask for it."""
    number = event["sequence_number"]
    told = steps and number >= first if event["type"] == STEP else number > first
    return sse.event(event) if told else b""


async def _events(backend: Backend, id: str, events: ResponseEvents) -> AsyncGenerator[ResponseEvent | None]:
    reader = EventReader()
    event: ResponseEvent | None = None
    for event in events.begin():
        yield event
    try:
        async for batch in follow(backend.store, backend.wakeups, id, reader):
            events.hold_batch(batch)
            yield None
            if not batch:
                continue
            for own in batch:
                latest = await look(backend.store, backend.wakeups, id) if events.needs_record(own) else None
                for event in events.translate(own, events.hold_record(latest) if latest else None):
                    yield event
            del batch, own, latest  # the next batch may be long in coming
            event = None
            events.let_go()
        for event in events.whole(events.hold_record(reader.left)) if reader.left else ():
            yield event
    except UnknownTurn:
        yield events.trouble("not_found", "The response was deleted.")
