"""Ask questions, and follow them: `ChatClient` blocks, `AsyncChatClient` is awaited; otherwise they are the same.

    turn = ChatClient().ask("foo", "Hi! I'm bob")
    for piece in turn.stream():
        print(piece, end="")

Errors are those of `turns.errors`. Reading waits out an outage of Redis until the reader's time-out (without one, for a
minute); everything else raises QueueUnreachable: after a few seconds when nobody answers there, after half a minute when a
connection stands and nothing comes.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Self, TypedDict, TypeVar, Unpack

from turnstile.producers.reading import agreement
from turnstile.producers.reading.blocking import BoundedStore
from turnstile.producers.reading.readers import EndReader, EventReader, Look, Patience, Piece, Read, Reader, Step, TextReader
from turnstile.producers.reading.watch import SAFETY_POLL_SECONDS, Bell, Watch, watch_at
from turnstile.producers.transcript import HistoryMessage, read_history
from turnstile.turns.errors import QueueUnreachable, UnknownTurn
from turnstile.turns.ids import check_turn
from turnstile.turns.question import Options, Question
from turnstile.turns.redis.connection import LONGEST_BLOCK_SECONDS, close_async
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.states import State
from turnstile.turns.store.asking import Submitted
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.turn import Event, Record

T = TypeVar("T")


class Wishes(TypedDict, total=False):
    """What `ask` takes beside the question; `turnstile.turns.question.Options` says what each does."""

    stream: bool
    queue: str
    name: str | None
    model: str | None
    instructions: str | None
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    response_format: dict[str, Any] | None
    deadline_seconds: float | None
    store: bool
    history: list[dict[str, Any]] | None
    before: list[dict[str, Any]]
    metadata: dict[str, str]
    webhook: dict[str, str]
    request: dict[str, Any]


class _Turn:
    """`session` and `submitted` are None for a turn that was looked up by its id."""

    def __init__(self, id: str, session: str | None, submitted: Submitted | None) -> None:
        self.id = check_turn(id)
        self.session = session
        self.submitted = submitted

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"


class Turn(_Turn):
    """One question on its way to its answer."""

    def __init__(self, client: "ChatClient", id: str, session: str | None = None, submitted: Submitted | None = None) -> None:
        super().__init__(id, session, submitted)
        self._client = client

    def result(self, timeout: float | None = None) -> str:
        """The answer; waits for it, `timeout` seconds at most. A turn that ended `incomplete` gives what it has.

        Raises:
            TurnFailed, TurnCancelled: it ended without an answer.
            TurnNotFinished: the time-out passed; the turn goes on. It is a TimeoutError, too.
            UnknownTurn: never accepted, erased, or expired.
        """
        [record] = self._follow(EndReader(), timeout)
        return record.outcome()

    def stream(self, after: int = 0, timeout: float | None = None) -> Iterator[Piece]:
        """The answer in pieces, as they come; every reader gets all of it, however late. Raises as `result` does.

        A piece is a `str`. When `piece.starts_over`, the turn had to start again (its worker died, say): forget the pieces
        before. To resume, give the `sequence` of the last piece that you have as `after`. `timeout` is for the whole answer.
        """
        return self._follow(TextReader(after), timeout)

    def events(self, after: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """All that happens to the turn after sequence `after`, as it happens, up to its end.

        Events expire (TURNSTILE_EVENTS_TTL) before the turn's record does: then there are none, and `status` tells the end.
        """
        return self._follow(EventReader(after), timeout)

    def status(self) -> Record:
        """The turn's record as it is now. Raises UnknownTurn."""
        return self._client.store.status(self.id)

    def cancel(self) -> State:
        """Cancel the turn: `cancelled`, or the state in which it had ended already. Raises UnknownTurn, SettingError."""
        self._client.agree()
        return self._client.store.cancel(self.id)

    def _follow(self, reader: Reader[T], timeout: float | None) -> Iterator[T]:
        patience = Patience(timeout)
        while (step := reader.step) is not None:
            patience.check(step)
            try:
                reply = self._fetch(step, patience.left(LONGEST_BLOCK_SECONDS))
            except QueueUnreachable as error:
                time.sleep(patience.bear(error))
            else:
                patience.answered()
                yield from reader.take(reply)

    def _fetch(self, step: Step, seconds: float) -> Sequence[Event] | Record:
        store = self._client.waiting.within(seconds)
        if isinstance(step, Look):
            return store.status(self.id)
        return store.wait_events(self.id, step.after, seconds) if step.wait else store.events(self.id, step.after)


class ChatClient:
    """Asks and looks things up; thread-safe. `url` comes before what the settings say; settings come from the environment."""

    def __init__(self, url: str | None = None, settings: Settings | None = None) -> None:
        self.store = TurnStore(settings or read_settings(), url)
        self.waiting = BoundedStore(self.store.settings, self.store.url)
        self._agreement = agreement.of_a_client(self.store.settings)

    def agree(self) -> None:
        """Raises SettingError when histories are kept by other settings here than at the workers."""
        self._agreement.check(self.store)

    def ask(self, session: str, question: Question, *, id: str | None = None, **wishes: Unpack[Wishes]) -> Turn:
        """Enqueue a question. The same `id` again, with the same question, is the same turn.

        Raises:
            TurnRefused: not accepted, and nothing was stored; its subclasses say why.
        """
        submitted = self.store.submit(id or str(uuid.uuid4()), session, question, Options(**wishes))
        return Turn(self, submitted.id, session, submitted)

    def turn(self, id: str) -> Turn:
        """The turn of this id, which nobody looks up yet. Raises InvalidTurn when no turn can have it."""
        return Turn(self, id)

    def history(self, session: str, limit: int | None = None) -> list[HistoryMessage]:
        """A session's messages, oldest first; the newest `limit` of them. Raises SettingError: they are kept elsewhere."""
        self.agree()
        return [] if limit == 0 else read_history(self.store.history(session, limit or 0))

    def erase(self, session: str) -> tuple[int, int]:
        """Forget a session, whatever it is doing; how many turns and messages are gone. Raises SettingError as `history`."""
        self.agree()
        return self.store.erase(session)

    def failed(self, limit: int = 100) -> list[Record]:
        """The turns that gave up, newest first."""
        records = []
        for id in self.store.failed(limit):
            with suppress(UnknownTurn):
                records.append(self.store.status(id))
        return records

    def retry(self, id: str) -> State:
        """Queue a failed turn again: `queued`, or the state of a turn that has not failed. Raises UnknownTurn."""
        return self.store.retry(id)

    def stats(self) -> dict[str, int]:
        """The exact counters, by name."""
        return self.store.stats()


class AsyncTurn(_Turn):
    """As Turn, awaited."""

    def __init__(
        self, client: "AsyncChatClient", id: str, session: str | None = None, submitted: Submitted | None = None
    ) -> None:
        super().__init__(id, session, submitted)
        self._client = client

    async def result(self, timeout: float | None = None) -> str:  # noqa: ASYNC109 - the same time-out as Turn.result
        """See Turn.result."""
        [record] = [record async for record in self._follow(EndReader(), timeout)]
        return record.outcome()

    def stream(self, after: int = 0, timeout: float | None = None) -> AsyncIterator[Piece]:
        """See Turn.stream."""
        return self._follow(TextReader(after), timeout)

    def events(self, after: int = 0, timeout: float | None = None) -> AsyncIterator[Event]:
        """See Turn.events."""
        return self._follow(EventReader(after), timeout)

    async def status(self) -> Record:
        """See Turn.status."""
        return await self._client.store.status(self.id)

    async def cancel(self) -> State:
        """See Turn.cancel."""
        await self._client.agree()
        return await self._client.store.cancel(self.id)

    async def _follow(self, reader: Reader[T], seconds: float | None) -> AsyncIterator[T]:
        patience = Patience(seconds)
        with ExitStack() as stack:
            bell: Bell | None = None
            waited: Step | None = None
            while (step := reader.step) is not None:
                patience.check(step)
                if isinstance(step, Read) and step.wait and step is not waited:
                    bell = bell or stack.enter_context(self._client.watch.bell(self.id, step.ending))
                    await bell.heard(patience.left(SAFETY_POLL_SECONDS))
                    waited = step
                try:
                    reply = await self._fetch(step, patience.left(LONGEST_BLOCK_SECONDS))
                except QueueUnreachable as error:
                    await asyncio.sleep(patience.bear(error))
                else:
                    patience.answered()
                    for found in reader.take(reply):
                        yield found

    async def _fetch(self, step: Step, seconds: float) -> Sequence[Event] | Record:
        store = self._client.store
        try:
            async with asyncio.timeout(seconds):
                if isinstance(step, Look):
                    return await store.status(self.id)
                return () if step.ending else await store.events(self.id, step.after)
        except TimeoutError:
            raise QueueUnreachable(f"Redis did not answer within {seconds:.1f} seconds.") from None


class AsyncChatClient:
    """As ChatClient, awaited; any number of turns are read over one pub/sub connection and the loop's pool."""

    def __init__(self, url: str | None = None, settings: Settings | None = None) -> None:
        self.store = AsyncTurnStore(settings or read_settings(), url)
        self._agreement = agreement.of_a_client(self.store.settings)

    async def agree(self) -> None:
        """See ChatClient.agree."""
        await self._agreement.check_async(self.store)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the running loop's connections to this server. End your readers first."""
        await self.watch.close()
        await close_async(self.store.url)

    @property
    def watch(self) -> Watch:
        """What wakes the running loop's readers."""
        return watch_at(self.store.url, self.store.keys)

    async def ask(self, session: str, question: Question, *, id: str | None = None, **wishes: Unpack[Wishes]) -> AsyncTurn:
        """See ChatClient.ask."""
        submitted = await self.store.submit(id or str(uuid.uuid4()), session, question, Options(**wishes))
        return AsyncTurn(self, submitted.id, session, submitted)

    def turn(self, id: str) -> AsyncTurn:
        """See ChatClient.turn."""
        return AsyncTurn(self, id)

    async def history(self, session: str, limit: int | None = None) -> list[HistoryMessage]:
        """See ChatClient.history."""
        await self.agree()
        return [] if limit == 0 else read_history(await self.store.history(session, limit or 0))

    async def erase(self, session: str) -> tuple[int, int]:
        """See ChatClient.erase."""
        await self.agree()
        return await self.store.erase(session)

    async def failed(self, limit: int = 100) -> list[Record]:
        """See ChatClient.failed."""
        records = []
        for id in await self.store.failed(limit):
            with suppress(UnknownTurn):
                records.append(await self.store.status(id))
        return records

    async def retry(self, id: str) -> State:
        """See ChatClient.retry."""
        return await self.store.retry(id)

    async def stats(self) -> dict[str, int]:
        """See ChatClient.stats."""
        return await self.store.stats()
