"""The events of an answer on their way into a turn's stream: its text, the reasoning before it, the steps of its graph."""

import asyncio
from contextlib import suppress
from itertools import takewhile
from time import monotonic

from turnstile.turns.errors import BrokenRecord, QueueMemoryFull, QueueUnreachable, UnknownTurn
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import whole
from turnstile.turns.turn import Claim
from turnstile.workers.chains.run import (
    ChainEvent,
    GraphEvent,
    ModelSwitch,
    ReasoningDelta,
    RefusalDelta,
    StartsOver,
    StepDelta,
    TextDelta,
)

_KINDS: dict[type[ChainEvent], str] = {TextDelta: "text", RefusalDelta: "refusal", ReasoningDelta: "reasoning"}
_WHOLE: dict[type[GraphEvent], str] = {StepDelta: "step", ModelSwitch: "fallback"}
"""Events that are sent one by one."""
_PAUSE_SECONDS = 1 / 30
_RETRY_SECONDS = 0.5


class TextStream:
    """A writer of pieces of text and of steps, in order and at most 30 times a second.

    What may have been written already is sent again alone and unchanged, so that the script can tell.
    """

    def __init__(self, store: AsyncTurnStore, claim: Claim) -> None:
        self._store = store
        self._claim = claim
        self._sequence = claim.sequence
        self._waiting: list[tuple[str, str]] = []
        self._half = ""
        self._kind = "text"
        self._sent: tuple[str, list[str]] = ("text", [])
        self._last = 0.0
        self._writer: asyncio.Task[None] | None = None
        self._opened = False
        self.lost = False

    def hear(self, event: GraphEvent) -> None:
        """Write an event of the chain. An answer is text or a refusal all through."""
        if isinstance(event, StepDelta | ModelSwitch):
            self._put(_WHOLE[type(event)], event.encode())
            return
        if isinstance(event, StartsOver):
            self._half = ""
            self._put("started", "")
            return
        if (kind := _KINDS[type(event)]) != self._kind:
            self._end_half()
        self._kind = kind
        self.write(event.text)

    def write(self, text: str) -> None:
        """Take a piece of text; it is written soon, but for half a character at its end: that waits for the rest."""
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        if text:
            self._put(self._kind, whole(text))

    def _end_half(self) -> None:
        """Take half a character whose rest does not come."""
        if self._half:
            self._waiting.append((self._kind, whole(self._half)))
            self._half = ""

    def _put(self, kind: str, data: str) -> None:
        self._waiting.append((kind, data))
        if self._writer is None and not self.lost:
            self._writer = asyncio.create_task(self._write())

    async def close(self) -> tuple[int, str]:
        """Stop writing: the last sequence that was written, and the text that was not."""
        if self._writer:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        self._end_half()
        # The commit's last piece is text; what is none is written before it.
        while not self.lost and (self._sent[1] or any(kind != "text" for kind, _ in self._waiting)):
            self._sent = self._next()
            await self._send_or_pause()
        return self._sequence, "".join(data for kind, data in self._waiting if kind == "text")

    async def _write(self) -> None:
        while self._waiting and not self.lost:
            await asyncio.sleep(max(0.0, self._last + _PAUSE_SECONDS - monotonic()))
            self._sent = self._next()
            await self._send_or_pause()
        self._writer = None

    def _next(self) -> tuple[str, list[str]]:
        """Return what may have been written already, else what waits."""
        return self._sent if self._sent[1] else self._take()

    def _take(self) -> tuple[str, list[str]]:
        """Take the first pieces of one kind: text as one piece, each step as one."""
        kind = self._waiting[0][0]
        found = [data for _, data in takewhile(lambda piece: piece[0] == kind, self._waiting)]
        del self._waiting[: len(found)]
        return kind, found if kind in _WHOLE.values() else ["".join(found)]

    async def _send_or_pause(self) -> None:
        kind, pieces = self._sent
        opens = kind in ("text", "refusal") and not self._opened
        try:
            sequence = await self._store.emit(self._claim, self._sequence, pieces, kind, opens=opens)
        except QueueMemoryFull:
            await self._after_refusal()
            await asyncio.sleep(_RETRY_SECONDS)
        except QueueUnreachable:
            await asyncio.sleep(_RETRY_SECONDS)
        except BrokenRecord:
            # Nobody can read it either; the answer is in the record all the same.
            self.lost = True
        else:
            self._last = monotonic()
            self._sent = (kind, [])
            self._opened = self._opened or opens
            self.lost = sequence is None
            self._sequence = sequence or self._sequence

    async def _after_refusal(self) -> None:
        """Put refused text back, unless it was written just before and only the reply was lost."""
        with suppress(QueueUnreachable, UnknownTurn):
            sequence = (await self._store.outline(self._claim.id)).sequence
            kind, pieces = self._sent
            # Nobody waits for these: they are not worth their memory.
            if sequence == self._sequence and kind not in _WHOLE.values():
                self._waiting[:0] = [(kind, piece) for piece in pieces]
            self._sequence, self._sent = sequence, (kind, [])
