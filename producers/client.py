"""Clients that ask questions and read answers: `ChatClient` blocks, `AsyncChatClient` is awaited; otherwise they are alike.

    turn = ChatClient().ask("foo", "Hi! I'm bob")
    for piece in turn.stream():
        print(piece, end="")

Errors are those of `turnstile.turns.errors`. Readers tolerate an outage of Redis until their time-out (without one, for a
minute). Every other call raises QueueUnreachable: after a few seconds if nothing listens there, after half a minute if a
connection is open and silent.
"""

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Self, TypeVar, Unpack

from turnstile.producers import failed_turns
from turnstile.producers.ask_options import AskOptions
from turnstile.producers.failed_turns import FailedFilter, Handled
from turnstile.producers.reading import agreement
from turnstile.producers.reading.blocking import follow_blocking
from turnstile.producers.reading.chains import Chains
from turnstile.producers.reading.follow import follow
from turnstile.producers.reading.readers import EndReader, EventReader, OnStep, Piece, Reader, TextReader
from turnstile.producers.reading.wakeups import Wakeups, wakeups_at
from turnstile.producers.transcript import HistoryMessage, read_history
from turnstile.turns.answers import encode_answers
from turnstile.turns.counters import without_notes
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.ids import check_turn
from turnstile.turns.question import Options, Question
from turnstile.turns.redis.connection import close_async
from turnstile.turns.schedules import UTC, Schedule
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.states import State
from turnstile.turns.store.acceptance import Submitted
from turnstile.turns.store.bounded import BoundedStore
from turnstile.turns.store.holds import HeldSession
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.turn import Event, Record

T = TypeVar("T")


def _turn_id(id: str | None) -> str:
    return str(uuid.uuid4()) if id is None else id


def _with_answers(options: AskOptions, answers: Mapping[str, object]) -> Options:
    if not answers:
        raise InvalidTurn("`answers` are empty: name a call and its output.", param="answers")
    return Options.of({**options, "answers": encode_answers(answers)})


class _Turn:
    """A turn. `session` and `submitted` are None if it was looked up by its id."""

    def __init__(self, id: str, session: str | None, submitted: Submitted | None) -> None:
        self.id = check_turn(id)
        self.session = session
        self.submitted = submitted

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


class Turn(_Turn):
    """A question and its answer."""

    def __init__(self, client: "ChatClient", id: str, session: str | None = None, submitted: Submitted | None = None) -> None:
        super().__init__(id, session, submitted)
        self._client = client

    def result(self, timeout: float | None = None) -> str:
        """Return the answer, and wait for it, `timeout` seconds at most. A turn that ended `incomplete` has part of one.

        Raises:
            TurnFailed, TurnCancelled: it ended without an answer.
            TurnNotFinished: the time-out passed; the turn continues. It is also a TimeoutError.
            UnknownTurn: never accepted, erased, or expired.
        """
        [record] = self._follow(EndReader(), timeout)
        return record.outcome()

    def stream(self, after: int = 0, timeout: float | None = None, on_step: OnStep | None = None) -> Iterator[Piece]:
        """Yield the answer in pieces, as they come; even a late reader gets all of them. Raises as `result` does.

        A piece is a `str`. If `piece.starts_over`, the answer began anew (its worker died, say): discard the earlier pieces.
        To resume, pass the `sequence` of your last piece as `after`. `timeout` is for the whole answer. `on_step` is called
        with the name of each step of a graph, and whether it is done.
        """
        return self._follow(TextReader(after, on_step), timeout)

    def events(self, after: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """Yield the turn's events after sequence `after`, as they happen, up to its end.

        Events expire (TURNSTILE_EVENTS_TTL) before the turn's record: then there are none, and `status` has the outcome.
        """
        return self._follow(EventReader(after), timeout)

    def status(self) -> Record:
        """Return the turn's record as it is now. Raises UnknownTurn."""
        return self._client.store.status(self.id)

    def cancel(self, *, keep: bool = False) -> State:
        """Cancel the turn, and return `cancelled`, or the state in which it had ended.

        With `keep`, one that has been at work ends as `incomplete`, and what it has said is in the history. Its worker does so:
        until then the state is `running`, or `queued`.

        Raises:
            UnknownTurn, SettingError: as `status`, and as `agree`.
        """
        self._client.agree()
        return self._client.store.cancel(self.id, keep=keep)

    def _follow(self, reader: Reader[T], timeout: float | None) -> Iterator[T]:
        return follow_blocking(self._client.waiting, self.id, reader, timeout)


class ChatClient:
    """A client of the queue; thread-safe. `url` overrides `REDIS_URL`; settings come from the environment."""

    def __init__(self, url: str | None = None, settings: Settings | None = None) -> None:
        self.store = TurnStore(settings or read_settings(), url)
        self.waiting = BoundedStore(self.store.settings, self.store.url)
        self._agreement = agreement.of_a_client(self.store.settings)
        self._chains = Chains()

    def agree(self) -> None:
        """Raise SettingError if the workers keep histories by other settings than this client."""
        self._agreement.check(self.store)

    def ask(
        self,
        session: str,
        question: Question,
        *,
        id: str | None = None,
        when_held: str | None = None,
        when_busy: str | None = None,
        not_before: datetime | float | None = None,
        **options: Unpack[AskOptions],
    ) -> Turn:
        """Enqueue a question. Repeating it with the same `id` returns the same turn.

        While the session waits for answers to open calls, the question waits behind them (`when_held="queue"`), is refused
        (`"reject"`), or closes the calls without answers (`"close"`); the default is TURNSTILE_WHEN_HELD. While the session is
        at work on another question, this one waits (`when_busy="queue"`), is refused (`"reject"`), ends that turn with what it
        has said (`"interrupt"`), cancels it (`"rollback"`), becomes one turn with others that wait (`"merge"`), or part of the
        turn under way (`"steer"`); the default is TURNSTILE_WHEN_BUSY.

        `not_before` (a datetime with a time zone, or seconds since the epoch) has the question asked then: it takes its place
        in its session at that time, and its turn is `queued` until then. Cancelled before, it leaves nothing (UnknownTurn).

        Raises:
            TurnRefused: not accepted, and nothing was stored; its subclasses name the reason.
        """
        self._chains.check(self.store, options.get("chain"))
        if not_before is not None:
            later, asked = _turn_id(id), Options.of(options)
            self.store.ask_later(
                later, session, question, asked, not_before=not_before, when_held=when_held, when_busy=when_busy
            )
            return Turn(self, later, session)
        submitted = self.store.submit(
            _turn_id(id), session, question, Options.of(options), when_held=when_held, when_busy=when_busy
        )
        return Turn(self, submitted.id, session, submitted)

    def schedule(
        self,
        session: str,
        question: Question,
        *,
        cron: str,
        time_zone: str = UTC,
        missed: str = "once",
        id: str | None = None,
        when_held: str | None = None,
        when_busy: str | None = None,
        **options: Unpack[AskOptions],
    ) -> str:
        """Have a question asked at each tick of a cron rule, and return the id of the schedule; the turns are `ID-TICK` (ms).

        `cron` has five fields, read in `time_zone` (a name such as Europe/Paris). Ticks that no worker was there for are asked
        `once` for all of them, `all`, or `none`. Repeating it with the same `id` is the same schedule.

        Raises:
            InvalidTurn: the rule or the zone cannot be read.
            TurnRefused: not accepted, and nothing was stored; its subclasses name the reason.
        """
        self._chains.check(self.store, options.get("chain"))
        schedule = _turn_id(id)
        self.store.schedule(
            schedule,
            session,
            question,
            Options.of(options),
            cron=cron,
            time_zone=time_zone,
            missed=missed,
            now=self.store.now(),
            when_held=when_held,
            when_busy=when_busy,
        )
        return schedule

    def schedules(self, session: str | None = None, tenant: str | None = None, limit: int = 100) -> list[Schedule]:
        """Return the schedules of a session, of a tenant, or of all, at most `limit`."""
        return self.store.schedules(session, tenant, limit)

    def remove_schedule(self, id: str) -> bool:
        """Remove a schedule, or a turn that is asked later; False when there is none. Turns that it has asked stay."""
        return self.store.remove_schedule(id)

    def answer(
        self,
        session: str,
        answers: Mapping[str, object],
        question: Question = "",
        *,
        id: str | None = None,
        **options: Unpack[AskOptions],
    ) -> Turn:
        """Answer all open calls of a session (call id → output), and go on, with a further question if there is one.

        An output is text, or anything that becomes JSON. An approval is answered by True or False, `approve` or `reject`, or a
        decision of LangChain's HumanInTheLoopMiddleware. The turn goes before all that wait; answering twice is one turn.

        Raises:
            CallNotOpen, CallNotAnswered: these are not the open calls; the message names one.
            TurnRefused: not accepted, and nothing was stored; its subclasses name the reason.
        """
        self._chains.check(self.store, options.get("chain"))
        submitted = self.store.submit(_turn_id(id), session, question, _with_answers(options, answers))
        return Turn(self, submitted.id, session, submitted)

    def calls(self, session: str) -> HeldSession | None:
        """Return the open calls of a session; None if it waits for none."""
        return self.store.read_hold(session)

    def held(self, limit: int = 100) -> list[str]:
        """Return the sessions that wait for answers to open calls, the longest first."""
        return self.store.held(limit)

    def release(self, session: str) -> bool:
        """Close a session's open calls without answers, and let its next turn go; False if it waits for none."""
        self.agree()
        return self.store.release_session(session)

    def turn(self, id: str) -> Turn:
        """Return a handle for this turn id, without a request. Raises InvalidTurn if no turn can have this id."""
        return Turn(self, id)

    def unfinished(self, session: str, limit: int = 100) -> list[Turn]:
        """Return a session's first `limit` turns that have not ended, in the order in which they run."""
        return [self.turn(id) for id in self.store.unfinished(session, limit)]

    def history(self, session: str, limit: int | None = None) -> list[HistoryMessage]:
        """Return a session's newest `limit` messages, oldest first. Raises SettingError as `agree`."""
        self.agree()
        return [] if limit == 0 else read_history(self.store.history(session, limit or 0))

    def erase(self, session: str) -> tuple[int, int]:
        """Erase a session in any state, and return the numbers of erased turns and messages. Raises SettingError as `agree`."""
        self.agree()
        return self.store.erase(session)

    def failed(self, limit: int = 100, **wanted: Unpack[FailedFilter]) -> list[Record]:
        """Return the newest `limit` turns that failed permanently and pass the filter, newest first."""
        return failed_turns.blocking(failed_turns.find(self.store, limit, wanted))

    def retry_failed(self, limit: int = 1000, **wanted: Unpack[FailedFilter]) -> Handled:
        """Requeue the oldest `limit` failed turns that pass the filter, in the order in which they failed.

        Those that their session has no room for, or that answer calls no longer open, stay.
        """
        return failed_turns.blocking(failed_turns.retry(self.store, limit, wanted))

    def discard_failed(self, limit: int = 1000, **wanted: Unpack[FailedFilter]) -> Handled:
        """Forget the oldest `limit` failed turns that pass the filter: their questions are lost."""
        return failed_turns.blocking(failed_turns.discard(self.store, limit, wanted))

    def retry(self, id: str) -> State:
        """Requeue a failed turn, and return `queued`, or the state of one that has not failed. Raises UnknownTurn."""
        return self.store.retry(id)

    def stats(self) -> dict[str, int]:
        """Return the exact counters by name."""
        return without_notes(self.store.stats())


class AsyncTurn(_Turn):
    """A Turn, awaited."""

    def __init__(
        self, client: "AsyncChatClient", id: str, session: str | None = None, submitted: Submitted | None = None
    ) -> None:
        super().__init__(id, session, submitted)
        self._client = client

    async def result(self, timeout: float | None = None) -> str:  # noqa: ASYNC109 - the same time-out as Turn.result
        """See Turn.result."""
        [record] = [record async for record in self._follow(EndReader(), timeout)]
        return record.outcome()

    def stream(self, after: int = 0, timeout: float | None = None, on_step: OnStep | None = None) -> AsyncIterator[Piece]:
        """See Turn.stream."""
        return self._follow(TextReader(after, on_step), timeout)

    def events(self, after: int = 0, timeout: float | None = None) -> AsyncIterator[Event]:
        """See Turn.events."""
        return self._follow(EventReader(after), timeout)

    async def status(self) -> Record:
        """See Turn.status."""
        return await self._client.store.status(self.id)

    async def cancel(self, *, keep: bool = False) -> State:
        """See Turn.cancel."""
        await self._client.agree()
        return await self._client.store.cancel(self.id, keep=keep)

    async def _follow(self, reader: Reader[T], seconds: float | None) -> AsyncIterator[T]:
        async for batch in follow(self._client.store, self._client.wakeups, self.id, reader, seconds):
            for found in batch:
                yield found


class AsyncChatClient:
    """A ChatClient, awaited; any number of turns are read over one pub/sub connection and the loop's pool."""

    def __init__(self, url: str | None = None, settings: Settings | None = None) -> None:
        self.store = AsyncTurnStore(settings or read_settings(), url)
        self._agreement = agreement.of_a_client(self.store.settings)
        self._chains = Chains()

    async def agree(self) -> None:
        """See ChatClient.agree."""
        await self._agreement.check_async(self.store)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the running loop's connections to this server. End your readers first."""
        await self.wakeups.close()
        await close_async(self.store.url)

    @property
    def wakeups(self) -> Wakeups:
        """The wake-ups of the running loop's readers."""
        return wakeups_at(self.store.url, self.store.keys)

    async def ask(
        self,
        session: str,
        question: Question,
        *,
        id: str | None = None,
        when_held: str | None = None,
        when_busy: str | None = None,
        not_before: datetime | float | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncTurn:
        """See ChatClient.ask."""
        await self._chains.check_async(self.store, options.get("chain"))
        if not_before is not None:
            later, asked = _turn_id(id), Options.of(options)
            await self.store.ask_later(
                later, session, question, asked, not_before=not_before, when_held=when_held, when_busy=when_busy
            )
            return AsyncTurn(self, later, session)
        submitted = await self.store.submit(
            _turn_id(id), session, question, Options.of(options), when_held=when_held, when_busy=when_busy
        )
        return AsyncTurn(self, submitted.id, session, submitted)

    async def schedule(
        self,
        session: str,
        question: Question,
        *,
        cron: str,
        time_zone: str = UTC,
        missed: str = "once",
        id: str | None = None,
        when_held: str | None = None,
        when_busy: str | None = None,
        **options: Unpack[AskOptions],
    ) -> str:
        """See ChatClient.schedule."""
        await self._chains.check_async(self.store, options.get("chain"))
        schedule = _turn_id(id)
        await self.store.schedule(
            schedule,
            session,
            question,
            Options.of(options),
            cron=cron,
            time_zone=time_zone,
            missed=missed,
            now=await self.store.now(),
            when_held=when_held,
            when_busy=when_busy,
        )
        return schedule

    async def schedules(self, session: str | None = None, tenant: str | None = None, limit: int = 100) -> list[Schedule]:
        """See ChatClient.schedules."""
        return await self.store.schedules(session, tenant, limit)

    async def remove_schedule(self, id: str) -> bool:
        """See ChatClient.remove_schedule."""
        return await self.store.remove_schedule(id)

    async def answer(
        self,
        session: str,
        answers: Mapping[str, object],
        question: Question = "",
        *,
        id: str | None = None,
        **options: Unpack[AskOptions],
    ) -> AsyncTurn:
        """See ChatClient.answer."""
        await self._chains.check_async(self.store, options.get("chain"))
        submitted = await self.store.submit(_turn_id(id), session, question, _with_answers(options, answers))
        return AsyncTurn(self, submitted.id, session, submitted)

    async def calls(self, session: str) -> HeldSession | None:
        """See ChatClient.calls."""
        return await self.store.read_hold(session)

    async def held(self, limit: int = 100) -> list[str]:
        """See ChatClient.held."""
        return await self.store.held(limit)

    async def release(self, session: str) -> bool:
        """See ChatClient.release."""
        await self.agree()
        return await self.store.release_session(session)

    def turn(self, id: str) -> AsyncTurn:
        """See ChatClient.turn."""
        return AsyncTurn(self, id)

    async def unfinished(self, session: str, limit: int = 100) -> list[AsyncTurn]:
        """See ChatClient.unfinished."""
        return [self.turn(id) for id in await self.store.unfinished(session, limit)]

    async def history(self, session: str, limit: int | None = None) -> list[HistoryMessage]:
        """See ChatClient.history."""
        await self.agree()
        return [] if limit == 0 else read_history(await self.store.history(session, limit or 0))

    async def erase(self, session: str) -> tuple[int, int]:
        """See ChatClient.erase."""
        await self.agree()
        return await self.store.erase(session)

    async def failed(self, limit: int = 100, **wanted: Unpack[FailedFilter]) -> list[Record]:
        """See ChatClient.failed."""
        return await failed_turns.awaited(failed_turns.find(self.store, limit, wanted))

    async def retry_failed(self, limit: int = 1000, **wanted: Unpack[FailedFilter]) -> Handled:
        """See ChatClient.retry_failed."""
        return await failed_turns.awaited(failed_turns.retry(self.store, limit, wanted))

    async def discard_failed(self, limit: int = 1000, **wanted: Unpack[FailedFilter]) -> Handled:
        """See ChatClient.discard_failed."""
        return await failed_turns.awaited(failed_turns.discard(self.store, limit, wanted))

    async def retry(self, id: str) -> State:
        """See ChatClient.retry."""
        return await self.store.retry(id)

    async def stats(self) -> dict[str, int]:
        """See ChatClient.stats."""
        return without_notes(await self.store.stats())
