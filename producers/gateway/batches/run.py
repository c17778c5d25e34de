"""The work on one batch, by the gateway that owns it. Another goes on with it when this one is gone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from turnstile.producers.batching import accepted, answer_all
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.lines import MOST_LINES, Line, TooManyLines, count_lines, read_lines
from turnstile.producers.gateway.batches.requests import BatchRequest, answered, not_asked, read_request, reading, result
from turnstile.producers.gateway.edge.api_errors import ApiError, translate
from turnstile.producers.gateway.edge.body import take_turn, values
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.files.contents import results
from turnstile.producers.reading.follow import ended
from turnstile.turns.errors import QueueUnreachable, TurnstileError, UnknownTurn
from turnstile.turns.keyring import keyring
from turnstile.turns.store.batches import COMPLETED, FAILED, Batch, Place

AT_ONCE = 200
"""Turns of a batch that are unfinished at one time."""

_EMPTY = "The file has no requests."
_TOO_MANY = f"The file has more than {MOST_LINES:,} lines: split it."
_GONE = "The file was deleted before all of its requests were read."
_REASONS = {"cancelled": "The batch was cancelled.", "expired": "The batch expired before this request was asked."}


class LostBatch(Exception):
    """Another gateway owns the batch by now."""


@dataclass(frozen=True, slots=True)
class Done:
    """A line with its result."""

    line: Line
    outcome: str
    text: str


class BatchRun:
    """One batch, from where an earlier owner left it."""

    def __init__(self, backend: Backend, batch: Batch, token: str) -> None:
        facts = json.loads(batch.facts)
        self._backend, self._batch, self._token = backend, batch, token
        self._endpoint: str = facts["endpoint"]
        self._caller = Caller(batch.tenant, facts["api_key"], facts["weight"])
        self._keys = keyring(backend.settings)
        self._stopped = "cancelled" if batch.state == "cancelling" else ""
        self._asked: set[str] = set()
        self._before = batch.place
        self._total = batch.total
        self._ahead: dict[int, Place] = {}
        self._unfinished: list[int] = []

    async def run(self) -> None:
        """Answer what has no result yet, and end the batch. Raises LostBatch, QueueUnreachable."""
        store, batch = self._backend.store, self._batch
        if batch.state == "validating":
            self._total, fault = await self._counted()
            if fault:
                await self._end("failed", fault)
                return
            self._owned(await store.start_batch(batch.id, self._token, self._total))
        answering = answer_all(self._lines(), self._submit, self._result, AT_ONCE)
        async with aclosing(answering) as done:
            async for one in done:
                await self._record(one)
        await self._end(self._stopped or "completed")

    async def _counted(self) -> tuple[int, str]:
        """Return the number of requests, and the fault of a file that has none or too many."""
        try:
            total = await count_lines(self._backend.store, self._batch.file, self._most_bytes)
        except TooManyLines:
            return 0, _TOO_MANY
        return total, "" if total else _EMPTY

    async def stop(self, reason: str) -> None:
        """Ask nothing more, and cancel the turns that have not ended. `reason`: cancelled or expired."""
        self._stopped = self._stopped or reason
        for id in list(self._asked):
            with suppress(TurnstileError):
                await self._backend.store.cancel(id)

    @property
    def overdue(self) -> bool:
        """True when the time for the batch is over."""
        return time.time() > self._batch.expires

    @property
    def key_removed(self) -> bool:
        """True when the API key that the batch was begun with is there no more."""
        return self._keys.enforced and self._keys.by_id(self._caller.api_key) is None

    @property
    def _most_bytes(self) -> int:
        return self._backend.settings.max_body_bytes

    async def _lines(self) -> AsyncIterator[Line]:
        """Yield the lines without a result."""
        store, batch = self._backend.store, self._batch
        fresh = batch.state == "validating"
        async for line in read_lines(store, batch.file, batch.place, self._most_bytes):
            self._unfinished.append(line.number)
            if not fresh and (await store.read_results(batch.id, [line.number]))[0]:
                self._advance(line)
            else:
                yield line

    async def _submit(self, line: Line) -> tuple[BatchRequest, str | Done]:
        """Return the request in a line, and its turn, or its result if it becomes none."""
        await self._paced(line)
        request = read_request(line, self._endpoint)
        if self._stopped:
            return request, self._not_asked(request)
        try:
            return request, await self._accepted(request)
        except ApiError as error:
            return request, Done(line, FAILED, result(self._batch.id, request, error.status, error.body()))

    async def _paced(self, line: Line) -> None:
        """Wait until earlier lines have had their time: reading a line's JSON keeps the process from everything else."""
        with suppress(ApiError):
            await take_turn(f"batches of {self._batch.tenant}", values(line.text or b""))

    async def _accepted(self, request: BatchRequest) -> str:
        if request.error:
            raise request.error
        ask = reading(self._endpoint, self._backend, self._caller, request, f"{self._batch.id}\0{request.line.number}")
        ids: list[str] = []

        async def once() -> None:
            ids.append(await ask())

        if refusal := await accepted(once):
            raise translate(refusal)
        self._asked.add(ids[0])
        return ids[0]

    async def _result(self, line: Line, submitted: tuple[BatchRequest, str | Done]) -> Done:
        request, turn = submitted
        if isinstance(turn, Done):
            return turn
        try:
            record = await ended(self._backend.store, self._backend.wakeups, turn)
        except UnknownTurn as error:
            return Done(line, FAILED, not_asked(self._batch.id, request, "deleted", str(error)))
        finally:
            self._asked.discard(turn)
        status, body = answered(self._endpoint, self._backend, self._caller, record)
        if status == 409 and self._stopped:
            return self._not_asked(request)
        return Done(line, COMPLETED if status == 200 else FAILED, result(self._batch.id, request, status, body))

    def _not_asked(self, request: BatchRequest) -> Done:
        text = not_asked(self._batch.id, request, f"batch_{self._stopped}", _REASONS[self._stopped])
        return Done(request.line, FAILED, text)

    async def _record(self, done: Done) -> None:
        self._advance(done.line)
        store, id = self._backend.store, self._batch.id
        self._owned(await store.record_result(id, self._token, done.line.number, done.outcome, done.text, self._before))

    def _advance(self, line: Line) -> None:
        """Note that a line has a result; the place moves on when all before it have one."""
        self._ahead[line.number] = line.after
        while self._unfinished and self._unfinished[0] in self._ahead:
            self._before = self._ahead.pop(self._unfinished.pop(0))

    async def _end(self, state: str, fault: str = "") -> None:
        store, id = self._backend.store, self._batch.id
        counts, files = [], []
        for outcome in (COMPLETED, FAILED):
            lines = [len(line) async for line in results(store, id, outcome)]
            counts.append(len(lines))
            if lines:
                files.append((outcome, f"file-{self._caller.key('results', f'{id} {outcome}')}", sum(lines)))
        if state == COMPLETED and sum(counts) < self._total:
            state, fault = "failed", _GONE
        self._owned(await store.end_batch(id, self._token, state, fault, (counts[0], counts[1]), files))

    def _owned(self, owned: bool) -> None:
        if not owned:
            raise LostBatch


async def keep(run: BatchRun, backend: Backend, batch: str, token: str, seconds: float) -> None:
    """Keep a batch for as long as this runs, and stop the run when it is cancelled or overdue. Raises LostBatch."""
    while True:
        await asyncio.sleep(seconds)
        with suppress(QueueUnreachable):
            state = await backend.store.renew_batch(batch, token)
            if state is None:
                raise LostBatch
            if state == "cancelling" or run.overdue or run.key_removed:
                await run.stop("expired" if run.overdue else "cancelled")
