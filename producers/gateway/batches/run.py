"""The work on one batch, by the gateway that owns it. Another goes on with it when this one is gone."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

from turnstile.producers.batching import answer_all
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.answering import Answering
from turnstile.producers.gateway.batches.lines import MOST_LINES, Line, TooManyLines, count_lines, read_lines
from turnstile.producers.gateway.batches.progress import Progress
from turnstile.producers.gateway.batches.requests import Done
from turnstile.producers.gateway.batches.retries import Recorded, ResultsGone, count_answers
from turnstile.producers.gateway.batches.schemas import FULL, LOST
from turnstile.producers.gateway.edge.loop_accounts import account_of
from turnstile.producers.gateway.edge.loop_time import loop_account
from turnstile.producers.gateway.prompt_store import api_key
from turnstile.turns.errors import UnknownBatch, UnknownFile
from turnstile.turns.store.batches import COMPLETED, FAILED, Batch, Place, result_file

AT_ONCE = 200
"""Turns of a batch that are unfinished at one time."""
_MORE_LOOKS = 2
"""So often a batch whose results Redis has lost is gone through once more."""
_BYTES_A_PLACE = 40_960
"""A line with more bytes counts as several, so that large ones do not take the gateway's memory."""

_EMPTY = "The file has no requests."
_TOO_MANY = f"The file has more than {MOST_LINES:,} lines: split it."
_GONE = "The file was deleted, or expired, before all of its requests were read."
_RESULTS_GONE = "Results of the batch to retry were deleted, or have expired: which requests have no answer is not known."


class LostBatch(Exception):
    """Another gateway owns the batch by now."""


class BatchRun:
    """One batch, from where an earlier owner left it; `now` is the server's time."""

    def __init__(self, backend: Backend, batch: Batch, token: str, now: float) -> None:
        self._backend, self._batch, self._token = backend, batch, token
        self._retries: list[str] = json.loads(batch.facts)["retries"]
        self._requests = Answering(backend, batch, now)
        self.sign = self._requests.sign
        self._progress = Progress(batch.place)

    async def run(self) -> None:
        """Answer what has no result yet, and end the batch. Raises LostBatch, QueueUnreachable."""
        api_key.set(self._requests.shared)
        if self._requests.caller.api_key:
            loop_account.set(account_of(self._requests.shared))
        store, batch = self._backend.store, self._batch
        try:
            answers = await count_answers(store, self._retries)
        except (ResultsGone, UnknownBatch):
            self._owned(await store.end_batch(batch.id, self._token, FAILED, _RESULTS_GONE))
            return
        total = batch.total
        if not batch.started:
            total, fault = await self._counted()
            total -= answers
            if fault:
                self._owned(await store.end_batch(batch.id, self._token, FAILED, fault))
                return
        await self._answer_from(batch.place, total, AT_ONCE if batch.started else 0)
        await self._find_lost(total)
        await self._end(total)

    async def _answer_from(self, place: Place, total: int, maybe_asked: int) -> None:
        """Answer the lines from a place on that have no result; so many of them may have been asked before."""
        requests = self._requests
        requests.room = self._owned(await self._backend.store.start_batch(self._batch.id, self._token, total))
        await requests.begin(maybe_asked)
        self._progress = Progress(place)
        answering = answer_all(self._lines(place), requests.submit, requests.result, AT_ONCE, _places)
        async with aclosing(answering) as done:
            async for one in done:
                if one:
                    await self._record(one)

    async def _find_lost(self, total: int) -> None:
        """Go through the file once more while there are fewer results than requests: Redis has lost some.

        A turn that was answered is not asked again, since it has the same id.
        """
        for _ in range(_MORE_LOOKS):
            if not self._requests.room or not await self._is_short(total) or not await self._has_file():
                return
            await self._answer_from(Place(), total, MOST_LINES)

    async def _is_short(self, total: int) -> bool:
        """Return whether results are missing; have it begun again where that was lost."""
        batch = await self._backend.store.read_batch(self._batch.id)
        if not batch.started:
            self._owned(await self._backend.store.start_batch(batch.id, self._token, total))
        return batch.completed + batch.failed < total

    async def _has_file(self) -> bool:
        with suppress(UnknownFile):
            await self._backend.store.read_file(self._batch.file)
            return True
        return False

    async def _counted(self) -> tuple[int, str]:
        """Return the number of requests, and the fault of a file that has none or too many."""
        store, file = self._backend.store, self._batch.file
        try:
            total = await count_lines(store, file, self.sign.most_bytes)
            await store.read_file(file)
        except TooManyLines:
            return 0, _TOO_MANY
        except UnknownFile:
            return 0, _GONE
        return total, "" if total else _EMPTY

    async def _lines(self, place: Place) -> AsyncIterator[Line]:
        """Yield the lines without a result."""
        store, batch = self._backend.store, self._batch
        own = (COMPLETED, FAILED) if self._requests.maybe_asked else ()
        files = [*(result_file(id, COMPLETED) for id in self._retries), *(result_file(batch.id, outcome) for outcome in own)]
        recorded = Recorded(store, files)
        async for line in read_lines(store, batch.file, place, self.sign.most_bytes):
            if not (self._requests.room or self._requests.maybe_asked):
                return
            self._progress.begin(line.number)
            if await recorded.has(line.number):
                self._advance(line.number, line.after)
            else:
                yield line

    async def _record(self, done: Done) -> None:
        if not (self._requests.room or done.asked):
            return
        row, before = done.row, self._progress.before
        self._advance(row.number, row.after)
        room = await self._backend.store.record_result(
            self._batch.id, self._token, row.number, done.outcome, done.text, self._progress.before, done.asked
        )
        if not self._owned(room):
            # The line may have no result: the next owner has to read it again.
            self._requests.room, self._progress.before = False, before

    def _advance(self, number: int, after: Place) -> None:
        # The place stands when there is no room.
        if self._requests.room:
            self._progress.end(number, after)

    async def _end(self, total: int) -> None:
        state, fault = self.sign.stopped or COMPLETED, ""
        if state == COMPLETED and await self._is_short(total):
            state, fault = FAILED, await self._fault()
        self._owned(await self._backend.store.end_batch(self._batch.id, self._token, state, fault))

    async def _fault(self) -> str:
        """Return why results are missing."""
        if not self._requests.room:
            return FULL
        return LOST if await self._has_file() else _GONE

    def _owned(self, reply: bool | None) -> bool:
        """Return the reply to an owner. Raises LostBatch."""
        if reply is None:
            raise LostBatch
        return reply


def _places(line: Line) -> int:
    return 1 + len(line.text or b"") // _BYTES_A_PLACE
