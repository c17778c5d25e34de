"""Ways to ask, now or later, and to follow a turn: as our clients, as a plain Celery app, as a reader, over the gateway."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import httpx
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from tests.chaos import scheduled, tenants
from tests.chaos.record import CRON, LATER, WEB, question, stored_id
from tests.support.gateways import read_events
from turnstile.producers.client import AsyncChatClient
from turnstile.turns.celery_message import TASK
from turnstile.turns.errors import QueueUnreachable, QuotaExceeded, SessionBusy
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

CELERY, READER = "celery", "reader"
# Far longer than any turn takes among faults.
FOLLOW_SECONDS = 240.0
_PAUSE_SECONDS = 0.2
_HTTP_SECONDS = 20.0
_COMPLETED = "response.completed"

DECLINED = (QuotaExceeded, SessionBusy)
TRANSIENT = (QueueUnreachable, OperationalError, RedisError, httpx.TransportError, TimeoutError)


class Caller(Protocol):
    """Submits turns; `follow` reads one to its end, and says what was wrong with what it read."""

    def submit(self, turn: str, session: str) -> None:
        """Return once the turn is accepted. Raises QueueMemoryFull, or one of TRANSIENT or DECLINED."""

    def follow(self, turn: str) -> str:
        """Return what was wrong, in words; nothing when all came that should."""


class ByStore:
    """Submits as our own clients do."""

    def __init__(self, url: str) -> None:
        self._store = TurnStore(Settings(redis_url=url))

    def submit(self, turn: str, session: str) -> None:
        """See Caller."""
        self._store.submit(turn, session, question(turn), **tenants.terms(turn, session))

    def follow(self, _: str) -> str:
        """See Caller."""
        return ""


class ByLater(ByStore):
    """Notes turns that are to be asked some seconds later."""

    def submit(self, turn: str, session: str) -> None:
        """See Caller."""
        not_before = scheduled.not_before(turn)
        self._store.ask_later(turn, session, question(turn), not_before=not_before, **tenants.terms(turn, session))


class ByCron(ByStore):
    """Notes cron rules whose ticks have been missed for a while."""

    def submit(self, turn: str, session: str) -> None:
        """See Caller."""
        rule: dict[str, Any] = {"cron": scheduled.RULE, "now": scheduled.begins(turn), "missed": scheduled.missed(turn)}
        self._store.schedule(turn, session, question(turn), **rule, **tenants.terms(turn, session))


class ByCelery:
    """Sends tasks as a plain Celery app does that knows nothing of us."""

    def __init__(self, url: str) -> None:
        timeouts = {"socket_timeout": 5, "socket_connect_timeout": 5, "socket_keepalive": True}
        self._app = Celery("plain", broker=url)
        self._app.conf.update(broker_transport_options=timeouts, task_ignore_result=True)

    def submit(self, turn: str, session: str) -> None:
        """See Caller."""
        self._app.send_task(TASK, args=[session, question(turn)], task_id=turn, retry=False)

    def follow(self, _: str) -> str:
        """See Caller."""
        return ""


class ByReader:
    """Asks and reads with one `AsyncChatClient`, all of a process's streams over its one connection."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="reader", daemon=True).start()
        self._client = AsyncChatClient(settings=Settings(redis_url=url))

    def submit(self, turn: str, session: str) -> None:
        """See Caller."""
        asyncio.run_coroutine_threadsafe(self._ask(turn, session), self._loop).result()

    def follow(self, turn: str) -> str:
        """See Caller."""
        return asyncio.run_coroutine_threadsafe(self._read(turn), self._loop).result()

    async def _ask(self, turn: str, session: str) -> None:
        await self._client.ask(session, question(turn), id=turn)

    async def _read(self, turn: str) -> str:
        live = await self._events(turn)
        if [event.sequence for event in live] != list(range(1, len(live) + 1)):
            return f"what a reader got has a gap or a repeat: {[event.sequence for event in live]}"
        return "" if live == await self._events(turn) else "what a reader got is not what it gets when it reads again"

    async def _events(self, turn: str) -> list[Any]:
        """Return all events of a turn to its end, resumed after each outage."""
        seen: list[Any] = []
        async with asyncio.timeout(FOLLOW_SECONDS):
            while not seen or seen[-1].type != "ended":
                after = seen[-1].sequence if seen else 0
                try:
                    async for event in self._client.turn(turn).events(after):
                        seen.append(event)  # noqa: PERF401  # what came before a break counts
                except (QueueUnreachable, RedisError):
                    await asyncio.sleep(_PAUSE_SECONDS)
        return seen


class ByGateway:
    """Asks over HTTP in the background, streams, resumes where a stream broke off, and reads all of it again.

    Of several gateways, each with a comma before the next, it goes to the next when one does not answer, as a proxy does.
    """

    def __init__(self, urls: str) -> None:
        self._gateways = itertools.cycle([httpx.Client(base_url=url, timeout=_HTTP_SECONDS) for url in urls.split(",")])
        self._http = next(self._gateways)

    @contextmanager
    def _moving_on(self) -> Iterator[None]:
        try:
            yield
        except TRANSIENT:
            self._http = next(self._gateways)
            raise

    def submit(self, turn: str, session: str) -> None:
        """See Caller."""
        body = {"input": question(stored_id(turn)), "conversation": session, "background": True}
        with self._moving_on():
            reply = self._http.post("/v1/responses", json=body, headers={"idempotency-key": turn})
            if reply.status_code >= 500:
                raise QueueUnreachable(reply.text)
        if not reply.is_success or reply.json()["id"] != stored_id(turn):
            raise AssertionError(f"{turn} at the gateway: {reply.status_code} {reply.text[:200]}")

    def follow(self, turn: str) -> str:
        """See Caller."""
        live = self._events(turn)
        if [event["sequence_number"] for event in live] != list(range(len(live))):
            return f"a stream has a gap or a repeat: {[event['sequence_number'] for event in live]}"
        again = self._events(turn)
        if [_told(event) for event in live] != [_told(event) for event in again]:
            return "a stream is not what it is when it is read again"
        last = live[-1]
        if last["type"] != _COMPLETED:
            return ""
        return "" if _text(live) == last["response"]["output"][0]["content"][0]["text"] else "a stream's text is not the answer"

    def _events(self, turn: str) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        deadline = time.monotonic() + FOLLOW_SECONDS
        while not seen or not _is_last(seen[-1]):
            if time.monotonic() > deadline:
                raise TimeoutError
            with suppress(httpx.TransportError), self._moving_on():
                seen.extend(self._stream(turn, seen[-1]["sequence_number"] if seen else None))
            time.sleep(0 if seen and _is_last(seen[-1]) else _PAUSE_SECONDS)
        return seen

    def _stream(self, turn: str, after: int | None) -> Iterator[dict[str, Any]]:
        params = {"stream": "true", **({} if after is None else {"starting_after": str(after)})}
        with self._http.stream("GET", f"/v1/responses/{stored_id(turn)}", params=params) as reply:
            if reply.is_success:
                yield from read_events(reply.iter_lines())


def _is_last(event: dict[str, Any]) -> bool:
    return event["type"] in (_COMPLETED, "response.incomplete", "response.failed", "response.cancelled", "error")


def _told(event: dict[str, Any]) -> str:
    """Return an event without what was known of the response at the moment, which a later reading knows better."""
    return json.dumps({name: value for name, value in event.items() if name != "response"}, sort_keys=True)


def _text(events: list[dict[str, Any]]) -> str:
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    return "".join(event["delta"] for event in deltas if event["item_id"] == deltas[-1]["item_id"])


def caller(name: str, url: str) -> Caller:
    """Return the caller for the producer of this name."""
    kinds: dict[str, type[ByStore | ByCelery | ByReader | ByGateway]] = {CELERY: ByCelery, READER: ByReader, WEB: ByGateway}
    kinds |= {LATER: ByLater, CRON: ByCron}
    return next((kind for start, kind in kinds.items() if name.startswith(start)), ByStore)(url)
