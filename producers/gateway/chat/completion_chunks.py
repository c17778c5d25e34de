"""A turn as chunks of a chat completion."""

from collections.abc import AsyncGenerator
from io import StringIO
from typing import Any

from turnstile.memory.element import REASONING
from turnstile.producers.gateway import sse
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.chat import rendering
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.large_answers import Holding
from turnstile.producers.gateway.failure import failure
from turnstile.producers.gateway.held import HeldOfTurn
from turnstile.producers.gateway.prompt_store import api_key
from turnstile.producers.gateway.records import as_shown
from turnstile.producers.reading.follow import follow, look
from turnstile.producers.reading.readers import EventReader
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.output import reasoning_of
from turnstile.turns.turn import TurnResult


class Chunks(HeldOfTurn):
    """The chunks of one turn. Sent text cannot be taken back, so a new attempt must begin with the same words."""

    def __init__(self, record: TurnResult, model: str) -> None:
        super().__init__()
        self._head = rendering.completion_head(record, model, "chat.completion.chunk")
        self._sent = StringIO()
        self._length = self._place = 0  # of what was sent, and of what this attempt has said
        self._bytes_a_letter = 1
        self._refused = False
        self._thinks = True
        self._thought = False

    @property
    def held(self) -> int:
        """The bytes of memory that these chunks take, with the record and the batch that they were told of."""
        return self.record_bytes + self.batch_bytes + self._length * self._bytes_a_letter

    def chunk(self, delta: dict[str, Any], reason: str | None = None, logprobs: dict[str, Any] | None = None) -> bytes:
        """Return one chunk."""
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return sse.data({**self._head, "choices": [choice]})

    def restart(self) -> None:
        """Begin a new attempt. Its reasoning is another way to the same answer: one is enough."""
        self._place = 0
        self._thinks = not (self._thought or self._length)

    def think(self, text: str) -> bytes:
        """Return a chunk of reasoning."""
        if not (text and self._thinks):
            return b""
        self._thought = True
        return self.chunk({REASONING: text})

    def write(self, text: str, *, refused: bool = False) -> bytes:
        """Add text of the answer, and return a chunk of the new part. Raises ApiError if the answer has changed."""
        if self._length and refused != self._refused:
            raise _changed()
        self._refused = refused
        new = text[len(self._sent_again(text)) :]
        if new:
            self._sent.write(new)
            self._length += len(new)
            self._bytes_a_letter = self._bytes_a_letter if new.isascii() else 4
        self._place += len(text)
        return self.chunk({"refusal" if refused else "content": new}) if new else b""

    def _sent_again(self, text: str) -> str:
        """Return as much of a piece as an earlier attempt has sent. Raises ApiError where that was something else."""
        if self._place == self._length:
            return ""
        self._bytes_a_letter = 4
        self._sent.seek(self._place)
        before = self._sent.read(len(text))
        if not text.startswith(before):
            raise _changed()
        return before

    def end(self, record: TurnResult, usage: bool) -> bytes:
        """Return the last chunks. Raises ApiError if there is no answer, or another one than was sent."""
        record = as_shown(record)
        if not record.state.answered:
            raise failure(record)
        last = b"" if self._thought or self._length else self.think(reasoning_of(record.output))
        last += b"" if self._place or not record.answer else self.write(record.answer, refused=record.refused)
        if self._place != self._length:
            raise _changed()
        last += b"".join(map(self.chunk, rendering.call_deltas(record)))
        last += self.chunk({}, rendering.finish_reason(record), rendering.logprobs(record))
        if usage:
            last += sse.data({**self._head, "choices": [], "usage": rendering.chat_usage(record)})
        return last + sse.data("[DONE]")


async def stream(backend: Backend, record: TurnResult, usage: bool) -> AsyncGenerator[bytes]:
    """Yield a turn's chunks as its answer comes, and empty ones between."""
    chunks = Chunks(record, backend.settings.models[0])
    id = record.id
    del record
    with Holding(api_key.get()) as holding:
        async for chunk in _chunks(backend, id, chunks, usage):
            holding.set(len(chunk) + chunks.held)
            yield chunk
            del chunk


async def _chunks(backend: Backend, id: str, chunks: Chunks, usage: bool) -> AsyncGenerator[bytes]:
    reader = EventReader()
    yield chunks.chunk({"role": "assistant", "content": "", "refusal": None})
    try:
        async for batch in follow(backend.store, backend.wakeups, id, reader):
            chunks.hold_batch(batch)
            yield b""
            if not batch:
                continue
            for event in batch:
                if event.type == "started":
                    chunks.restart()
                elif event.type == "reasoning":
                    yield chunks.think(event.data)
                elif event.type in ("text", "refusal"):
                    yield chunks.write(event.data, refused=event.type == "refusal")
                elif event.type == "ended":
                    yield chunks.end(chunks.hold_record(await look(backend.store, backend.wakeups, id)), usage)
            del batch, event  # the next batch may be long in coming
            chunks.let_go()
        if reader.left:
            yield chunks.end(chunks.hold_record(reader.left), usage)
    except (ApiError, UnknownTurn) as error:
        yield _error(error)


def _changed() -> ApiError:
    return ApiError(500, "The turn was restarted and the answer changed; please retry.", None, "started_again")


def _error(error: ApiError | UnknownTurn) -> bytes:
    shown = error if isinstance(error, ApiError) else ApiError(404, "The completion was deleted.", None, "not_found")
    return sse.data({"error": {"message": shown.message, "type": "server_error", "param": None, "code": shown.code}})
