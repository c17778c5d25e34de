"""The work on one batch, by the gateway that owns it. Another goes on with it when this one is gone."""

import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from turnstile.producers.batching import accepted, answer_all
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.lines import MOST_LINES, Line, TooManyLines, count_lines, read_lines
from turnstile.producers.gateway.batches.requests import (
    Asked,
    BatchRequest,
    Done,
    Row,
    answered,
    asking,
    not_asked,
    read_request,
    result,
    turn_id,
)
from turnstile.producers.gateway.batches.retries import Recorded, ResultsGone, count_answers
from turnstile.producers.gateway.batches.schemas import FULL
from turnstile.producers.gateway.batches.stop import Stopped, StopSign
from turnstile.producers.gateway.edge.api_errors import INTERNAL, ApiError, invalid, translate
from turnstile.producers.gateway.edge.body import take_turn, values
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.edge.loop_time import account_of, loop_account, metered
from turnstile.producers.gateway.prompt_store import api_key
from turnstile.producers.reading.follow import ended
from turnstile.turns.errors import QueueUnreachable, TurnConflict, TurnstileError, UnknownBatch, UnknownFile, UnknownTurn
from turnstile.turns.store.batches import COMPLETED, FAILED, Batch, Place, result_file

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Turns of a batch that are unfinished at one time."""
_BYTES_A_PLACE = 40_960
"""A line with more bytes counts as several, so that large ones do not take the gateway's memory."""

_EMPTY = "The file has no requests."
_TOO_MANY = f"The file has more than {MOST_LINES:,} lines: split it."
_GONE = "The file was deleted, or expired, before all of its requests were read."
_RESULTS_GONE = "Results of the batch to retry were deleted, or have expired: which requests have no answer is not known."
_FORGOTTEN = "The batch stood still for so long that an answer would have expired: ask this request again if that is safe."


class LostBatch(Exception):
    """Another gateway owns the batch by now."""


class BatchRun:
    """One batch, from where an earlier owner left it."""

    def __init__(self, backend: Backend, batch: Batch, token: str) -> None:
        facts = json.loads(batch.facts)
        self._backend, self._batch, self._token = backend, batch, token
        self._endpoint: str = facts["endpoint"]
        self._retries: list[str] = facts["retries"]
        self.sign = StopSign(backend, batch, facts["api_key"])
        self._caller = Caller(batch.tenant, facts["api_key"], facts["weight"], self.sign.quotas, self.sign.models)
        # The batches of a tenant share what one API key may have of the connection, and a tenant of the event loop.
        self._shared = f"batches of {batch.tenant}"
        self._room = True
        """Stays False once there was no room for results: the batch ends with what was asked until then."""
        self._maybe_asked = AT_ONCE if batch.started else 0
        """So many lines without a result may be those that an earlier owner has asked."""
        self._before = batch.place
        self._ahead: dict[int, Place] = {}
        self._unfinished: deque[int] = deque()

    async def run(self) -> None:
        """Answer what has no result yet, and end the batch. Raises LostBatch, QueueUnreachable."""
        api_key.set(self._shared)
        if self._caller.api_key:
            loop_account.set(account_of(self._shared))
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
        self._room = self._owned(await store.start_batch(batch.id, self._token, total))
        answering = answer_all(self._lines(), self._submit, self._result, AT_ONCE, _places)
        async with aclosing(answering) as done:
            async for one in done:
                await self._record(one)
        await self._end(total)

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

    async def _lines(self) -> AsyncIterator[Line]:
        """Yield the lines without a result."""
        store, batch = self._backend.store, self._batch
        own = (COMPLETED, FAILED) if batch.started else ()
        files = [*(result_file(id, COMPLETED) for id in self._retries), *(result_file(batch.id, outcome) for outcome in own)]
        recorded = Recorded(store, files)
        async for line in read_lines(store, batch.file, batch.place, self.sign.most_bytes):
            if not (self._room or self._maybe_asked):
                return
            self._unfinished.append(line.number)
            if await recorded.has(line.number):
                self._advance(line.number, line.after)
            else:
                yield line

    async def _submit(self, line: Line) -> Asked | Done:
        if account := loop_account.get():
            await account.go_on()
        return await metered(self._submitted(line))

    async def _submitted(self, line: Line) -> Asked | Done:
        """Have the turn of a line accepted, or return the result of a line that becomes none."""
        row = Row(line.number, line.after)
        try:
            # Reading a line's JSON keeps the process from everything else: earlier lines have had their time first.
            await take_turn(self._shared, values(line.text or b""))
            request = read_request(line, self._endpoint)
            row = request.row
            return await self._asked(request)
        except Stopped:
            return self._not_asked(row)
        except QueueUnreachable:
            raise
        except Exception as error:
            return self._refused(row, error)

    async def _asked(self, request: BatchRequest) -> Asked | Done:
        row = request.row
        ask = asking(self._endpoint, self._batch.id, self._backend, self._caller, request)
        if self._maybe_asked:
            self._maybe_asked -= 1
            await self._look_for(row)
        else:
            self.sign.check()
            if not self._room:
                raise Stopped
        turn = turn_id(self._endpoint, self._batch.id, self._caller, row)
        async with self.sign.asking(turn):
            self.sign.check()
            if refusal := await accepted(ask, self.sign.pause):
                raise refusal
        return Asked(row, turn)

    async def _look_for(self, row: Row) -> None:
        """Look for the turn of a request that may have been asked, where it must not be asked now.

        Raises:
            ApiError: it is not there: its answer has no room, or may be forgotten, so that it might be answered twice.
        """
        if self._room and time.time() - self._batch.left < self._backend.settings.result_ttl:
            return
        try:
            await self._backend.store.outline(turn_id(self._endpoint, self._batch.id, self._caller, row))
        except UnknownTurn:
            raise ApiError(410, _FORGOTTEN, None, "result_expired") from None

    def _refused(self, row: Row, error: Exception) -> Done:
        match error:
            case ApiError():
                shown = error
            case TurnConflict():
                shown = invalid("custom_id", "An earlier line has this `custom_id`.", "duplicate_custom_id")
            case TurnstileError():
                shown = translate(error)
            case _:
                log.error("a line of batch %s cannot be asked: %s", self._batch.id, type(error).__name__)
                shown = ApiError(500, INTERNAL, None, "internal")
        return Done(row, FAILED, result(self._batch.id, row, shown.status, shown.body()))

    async def _result(self, asked: Asked | Done) -> Done:
        return asked if isinstance(asked, Done) else replace(await self._outcome(asked), asked=True)

    async def _outcome(self, asked: Asked) -> Done:
        try:
            return await self._answer(asked)
        except QueueUnreachable:
            raise
        except UnknownTurn as error:
            return Done(asked.row, FAILED, not_asked(self._batch.id, asked.row, "deleted", str(error)))
        except Exception as error:
            return self._refused(asked.row, error)
        finally:
            self.sign.forget(asked.turn)

    async def _answer(self, asked: Asked) -> Done:
        record = await ended(self._backend.store, self._backend.wakeups, asked.turn)
        status, body = answered(self._endpoint, self._backend, self._caller, record)
        if status == 409 and self.sign.stopped:
            return self._not_asked(asked.row)
        return Done(asked.row, COMPLETED if status == 200 else FAILED, result(self._batch.id, asked.row, status, body))

    def _not_asked(self, row: Row) -> Done:
        return Done(row, FAILED, not_asked(self._batch.id, row, *self.sign.reason()))

    async def _record(self, done: Done) -> None:
        if not (self._room or done.asked):
            return
        row, before = done.row, self._before
        self._advance(row.number, row.after)
        room = await self._backend.store.record_result(
            self._batch.id, self._token, row.number, done.outcome, done.text, self._before, done.asked
        )
        if not self._owned(room):
            # The line may have no result: the next owner has to read it again.
            self._room, self._before = False, before

    def _advance(self, number: int, after: Place) -> None:
        """Note that a line has a result; the place moves on when all before it have one, and stands when there is no room."""
        if not self._room:
            return
        self._ahead[number] = after
        while self._unfinished and self._unfinished[0] in self._ahead:
            self._before = self._ahead.pop(self._unfinished.popleft())

    async def _end(self, total: int) -> None:
        store, id = self._backend.store, self._batch.id
        state, fault = self.sign.stopped or COMPLETED, ""
        if state == COMPLETED:
            batch = await store.read_batch(id)
            if batch.completed + batch.failed < total:
                state, fault = FAILED, _GONE if self._room else FULL
        self._owned(await store.end_batch(id, self._token, state, fault))

    def _owned(self, reply: bool | None) -> bool:
        """Return the reply to an owner. Raises LostBatch."""
        if reply is None:
            raise LostBatch
        return reply


def _places(line: Line) -> int:
    return 1 + len(line.text or b"") // _BYTES_A_PLACE
