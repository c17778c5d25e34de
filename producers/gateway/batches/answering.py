"""The requests of a batch: each becomes a turn, whose end is its result."""

import json
import logging
from contextlib import suppress
from dataclasses import replace

from turnstile.producers.batching import accepted
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.lines import Line
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
from turnstile.producers.gateway.batches.stop import Stopped, StopSign
from turnstile.producers.gateway.edge.api_errors import INTERNAL, ApiError, invalid, translate
from turnstile.producers.gateway.edge.body import take_turn, values
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.edge.loop_time import loop_account, metered
from turnstile.producers.reading.follow import ended
from turnstile.turns.errors import MissingRight, QueueUnreachable, TurnConflict, TurnstileError, UnknownTurn
from turnstile.turns.store.batches import COMPLETED, FAILED, Batch

log = logging.getLogger(__name__)

_FORGOTTEN = "It is so long ago that an answer would have expired: ask this request again if that is safe."


class Answering:
    """The answering of one batch's requests, for its owner."""

    def __init__(self, backend: Backend, batch: Batch, now: float) -> None:
        facts = json.loads(batch.facts)
        self._backend, self._batch = backend, batch
        self._endpoint: str = facts["endpoint"]
        self.sign = StopSign(backend, batch, facts["api_key"], now)
        self.caller = Caller(batch.tenant, facts["api_key"], facts["weight"], self.sign.quotas, self.sign.models)
        # The batches of a tenant share what one API key may have of the connection, and a tenant of the event loop.
        self.shared = f"batches of {batch.tenant}"
        self.room = True
        """Stays False once there was no room for results: the batch ends with what was asked until then."""
        self.maybe_asked = 0
        """So many lines without a result may be those that were asked before."""
        self._server = ""

    async def begin(self, maybe_asked: int) -> None:
        """Note that lines follow, of which so many may have been asked before."""
        self.maybe_asked, self._server = maybe_asked, await self._server_now()

    async def submit(self, line: Line) -> Asked | Done:
        """Have the turn of a line accepted, or return the result of a line that becomes none."""
        if account := loop_account.get():
            await account.go_on()
        return await metered(self._submitted(line))

    async def _submitted(self, line: Line) -> Asked | Done:
        row = Row(line.number, line.after)
        try:
            # Reading a line's JSON keeps the process from everything else: earlier lines have had their time first.
            await take_turn(self.shared, values(line.text or b""))
            request = read_request(line, self._endpoint)
            row = request.row
            return await self._asked(request)
        except Stopped:
            return self._not_asked(row)
        except QueueUnreachable:
            raise
        except TurnConflict:
            return await self._taken(row)
        except Exception as error:
            return self._refused(row, error)

    async def _taken(self, row: Row) -> Done:
        """Return the result of a request whose turn's id is taken: by another line's turn, or by its own that was deleted."""
        try:
            await self._backend.store.outline(turn_id(self._endpoint, self._batch.id, self.caller, row))
        except UnknownTurn as error:
            return self._deleted(row, error)
        return self._refused(row, invalid("custom_id", "An earlier line has this `custom_id`.", "duplicate_custom_id"))

    async def _asked(self, request: BatchRequest) -> Asked | Done:
        row = request.row
        ask = asking(self._endpoint, self._batch.id, self._backend, self.caller, request)
        if self.maybe_asked:
            self.maybe_asked -= 1
            await self._look_for(row)
        else:
            self.sign.check()
            if not self.room:
                raise Stopped
        turn = turn_id(self._endpoint, self._batch.id, self.caller, row)
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
        if self.room and self.sign.time.now() - self._batch.left < self._backend.settings.result_ttl:
            return
        try:
            await self._backend.store.outline(turn_id(self._endpoint, self._batch.id, self.caller, row))
        except UnknownTurn:
            raise ApiError(410, _FORGOTTEN, None, "result_expired") from None

    def _refused(self, row: Row, error: Exception) -> Done:
        match error:
            case ApiError():
                shown = error
            case TurnstileError():
                shown = translate(error)
            case _:
                log.error("a line of batch %s cannot be asked: %s", self._batch.id, type(error).__name__)
                shown = ApiError(500, INTERNAL, None, "internal")
        return Done(row, FAILED, result(self._batch.id, row, shown.status, shown.body()))

    async def result(self, asked: Asked | Done) -> Done | None:
        """Return the result of a request; None for one whose turn Redis has lost."""
        if isinstance(asked, Done):
            return asked
        done = await self._outcome(asked)
        return done and replace(done, asked=True)

    async def _outcome(self, asked: Asked) -> Done | None:
        try:
            return await self._answer(asked)
        except QueueUnreachable:
            raise
        except UnknownTurn as error:
            # An erased turn is not asked again.
            is_lost = await self._server_now() not in ("", self._server)
            return None if is_lost else self._deleted(asked.row, error)
        except Exception as error:
            return self._refused(asked.row, error)
        finally:
            self.sign.forget(asked.turn)

    async def _answer(self, asked: Asked) -> Done:
        record = await ended(self._backend.store, self._backend.wakeups, asked.turn)
        status, body = answered(self._endpoint, self._backend, self.caller, record)
        if status == 409 and self.sign.stopped:
            return self._not_asked(asked.row)
        return Done(asked.row, COMPLETED if status == 200 else FAILED, result(self._batch.id, asked.row, status, body))

    def _deleted(self, row: Row, error: UnknownTurn) -> Done:
        return Done(row, FAILED, not_asked(self._batch.id, row, "deleted", str(error)))

    def _not_asked(self, row: Row) -> Done:
        return Done(row, FAILED, not_asked(self._batch.id, row, *self.sign.reason()))

    async def _server_now(self) -> str:
        """Return the name of the Redis process, if it tells one: another one may lack what this one was told last."""
        with suppress(MissingRight):
            return (await self._backend.store.info()).get("run_id", "")
        return ""
