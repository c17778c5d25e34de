"""The text of an answer on its way into a turn's events."""

import asyncio
from contextlib import suppress
from time import monotonic

from turnstile.turns.errors import BrokenRecord, QueueMemoryFull, QueueUnreachable, UnknownTurn
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.text import whole
from turnstile.turns.turn import Claim
from turnstile.workers.chains.run import ChainEvent, RefusalDelta

_PAUSE_SECONDS = 1 / 30
_RETRY_SECONDS = 0.5


class TextStream:
    """A writer of pieces of text, in order and at most 30 times a second.

    A piece that may have been written already is sent again alone and unchanged, so that the script can tell.
    """

    def __init__(self, store: AsyncTurnStore, claim: Claim) -> None:
        self._store = store
        self._claim = claim
        self._sequence = claim.sequence
        self._waiting: list[str] = []
        self._half = ""
        self._kind = "text"
        self._sent = ""
        self._last = 0.0
        self._writer: asyncio.Task[None] | None = None
        self.lost = False

    def hear(self, event: ChainEvent) -> None:
        """Write an event of the chain. An answer is text or a refusal all through."""
        self._kind = "refusal" if isinstance(event, RefusalDelta) else "text"
        self.write(event.text)

    def write(self, text: str) -> None:
        """Take a piece of text; it is written soon, but for half a character at its end: that waits for the rest."""
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        if not text:
            return
        self._waiting.append(whole(text))
        if self._writer is None and not self.lost:
            self._writer = asyncio.create_task(self._write())

    async def close(self) -> tuple[int, str]:
        """Stop writing: the last sequence that was written, and the text that was not."""
        if self._writer:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        if self._kind != "text" and not self._sent:
            self._sent = self._take() + whole(self._half)
        while self._sent and not self.lost:
            await self._send_or_pause()
        # The commit's last piece is text. The record tells readers the rest of a refusal.
        return self._sequence, "".join(self._waiting) + whole(self._half) if self._kind == "text" else ""

    async def _write(self) -> None:
        while self._waiting and not self.lost:
            await asyncio.sleep(max(0.0, self._last + _PAUSE_SECONDS - monotonic()))
            self._sent = self._sent or self._take()
            await self._send_or_pause()
        self._writer = None

    def _take(self) -> str:
        text = "".join(self._waiting)
        self._waiting.clear()
        return text

    async def _send_or_pause(self) -> None:
        try:
            sequence = await self._store.emit(self._claim, self._sequence, [self._sent], self._kind)
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
            self._sent = ""
            self.lost = sequence is None
            self._sequence = sequence or self._sequence

    async def _after_refusal(self) -> None:
        """What is refused may grow; but it may have been written just before, and only the reply been lost."""
        with suppress(QueueUnreachable, UnknownTurn):
            sequence = (await self._store.status(self._claim.id)).sequence
            if sequence == self._sequence:
                self._waiting.insert(0, self._sent)
            self._sequence, self._sent = sequence, ""
