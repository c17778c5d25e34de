"""Delivery of webhooks in the form of Standard Webhooks, each until its receiver accepts it.

A webhook stays in Redis from the script that ended its turn until its delivery, so this process may die at any point. It waits
there as well: this process holds only those that it is delivering.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from time import time
from typing import ParamSpec

import aiohttp
import redis
from pydantic import SecretStr

from turnstile.turns.api_keys import secret_bytes
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.http_connector import BoundedConnector
from turnstile.turns.keyring import keyring
from turnstile.turns.repeated_errors import RecentTexts, RepeatedWarnings
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.store.webhooks import ANY, Delivery
from turnstile.workers.webhooks.networks import PrivateAddress, PublicSockets, read_networks
from turnstile.workers.webhooks.resolver import Resolver, all_ended, note_lookups

P = ParamSpec("P")

log = logging.getLogger(__name__)

_AT_ONCE = 100
_AT_ONCE_OF_A_KEY = 10
_SECONDS = 15.0
_LONGEST_DELAY = 3_600.0
_LIMIT = 200
_ROUNDS = 20
_GIVE_UP = -1.0
_GONE = 410
_USER_AGENT = "Turnstile-Webhooks/1"


class WebhookSender:
    """A sender of webhooks on the running loop, a limited number at once. Raises SettingError when API keys cannot be read.

    `delivers`: False for a worker that leaves them to others.
    """

    def __init__(self, settings: Settings, *, delivers: bool = True) -> None:
        self.store = AsyncTurnStore(settings)
        self._settings = settings
        self._keys = keyring(settings)
        self._delivers = delivers
        self._claiming = asyncio.Lock()
        self._under_way: Counter[str] = Counter()
        self._draining = False
        self._too_many: int | None = None
        self._recent, self._warnings = RecentTexts(), RepeatedWarnings(__name__)
        self._tasks: set[asyncio.Task[None]] = set()
        sockets = PublicSockets(read_networks(settings.webhook_networks))
        connector = BoundedConnector(resolver=Resolver(), use_dns_cache=False, limit=_AT_ONCE, socket_factory=sockets)
        self._http = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=_SECONDS),
            headers={"user-agent": _USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    def notify(self, turn: str) -> None:
        """Start delivering one turn's webhook, or leave it in the line of its key."""
        self._spawn(self._start, turn)

    async def remind(self) -> None:
        """Have deliveries that are overdue wait in lines, and start those for which there is a place."""
        lines = 0
        for _ in range(_ROUNDS):
            seen, lines, too_many = await self.store.retry_webhooks(_LIMIT)
            self._tell_of_too_many(too_many)
            if seen < _LIMIT:
                break
        for _ in range(_AT_ONCE if lines and self._delivers else 0):
            if not await self._start():
                return

    def drain(self) -> None:
        """Take no more: webhooks wait in the lines of their keys for other workers."""
        self._draining = True

    async def finish(self, seconds: float) -> None:
        """Wait for the deliveries that are under way, at most so long."""
        if self._tasks and seconds:
            log.info("webhooks under way: %d; waiting for them", len(self._tasks))
            await asyncio.wait(self._tasks, timeout=seconds)

    async def close(self) -> None:
        """Drop deliveries that are under way, which are repeated later, and close the connections."""
        self.drain()
        await end_all(list(self._tasks))
        await self._http.close()

    def _spawn(self, work: Callable[P, Awaitable[object]], *args: P.args, **options: P.kwargs) -> None:
        # A task that is cancelled before its first step would leave a coroutine that nobody awaits.
        task = asyncio.create_task(_quietly(lambda: work(*args, **options)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, turn: str = "") -> bool:
        """Start one delivery, without a turn the next that waits; False: none was there for which there is a place."""
        async with self._claiming:
            full = self._full()
            if not turn and ANY in full:
                return False
            delivery = await self.store.claim_webhook(turn, full)
            if not delivery:
                return False
            self._under_way[delivery.key] += 1
        self._spawn(self._carry_out, delivery)
        return True

    def _full(self) -> list[str]:
        """Return the keys without a place. One whose server hangs keeps its own webhooks waiting, and no other's."""
        if self._draining or self._under_way.total() >= _AT_ONCE:
            return [ANY]
        return [key for key, count in self._under_way.items() if count >= _AT_ONCE_OF_A_KEY]

    async def _carry_out(self, delivery: Delivery) -> None:
        lookups = note_lookups()
        try:
            await self._deliver(delivery)
        finally:
            # Before, its place is not free: each retry would leave one more look-up that hangs.
            all_ended(lookups).add_done_callback(lambda _: self._leave(delivery.key))

    def _leave(self, key: str) -> None:
        self._under_way[key] -= 1
        self._under_way += Counter()  # without those at zero
        if not self._draining:
            self._spawn(self._start)

    async def _deliver(self, delivery: Delivery) -> None:
        reason, wait = await self._attempt(delivery)
        delay = max(wait, backoff(delivery.attempt, self._settings.retry_base_seconds)) if reason and wait >= 0 else wait
        word = await self.store.record_delivery(delivery, reason, delay)
        self._tell(delivery, reason, word)

    def _tell_of_too_many(self, count: int) -> None:
        if count > (count if self._too_many is None else self._too_many):
            self._warnings.warn(
                "webhooks were given up: their key has TURNSTILE_MAX_WEBHOOKS under way (`turnstile webhooks` lists them)"
            )
        self._too_many = count

    def _tell(self, delivery: Delivery, reason: str, word: str) -> None:
        """Log a webhook's first failure and its end after failures; of many that go the same way, one a minute."""
        ends = word != "waiting"
        if not reason and delivery.attempt == 1:
            return
        told = (ends or delivery.attempt == 1) and self._recent.add(f"{reason} {word}")
        level = logging.WARNING if told else logging.DEBUG
        log.log(
            level,
            "webhook of turn %s, attempt %d: %s",
            delivery.turn,
            delivery.attempt,
            f"{reason}, {word}" if reason else word,
        )

    async def _attempt(self, delivery: Delivery) -> tuple[str, float]:
        """Return why the attempt failed (empty if it did not) and the least wait until the next; below 0, give up."""
        secret = self._secret(delivery.key)
        if not secret:
            return "no_secret", 0
        try:
            return await self._send(delivery, secret)
        except aiohttp.InvalidURL:
            return "invalid_url", _GIVE_UP
        except TimeoutError:
            return "timeout", 0
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause = error.__cause__ or error.__context__
            return ("private_address" if isinstance(cause, PrivateAddress) else type(error).__name__), 0

    async def _send(self, delivery: Delivery, secret: bytes) -> tuple[str, float]:
        body = delivery.body()
        headers = {"content-type": "application/json", **signature(secret, delivery.event, body, int(time()))}
        async with self._http.post(delivery.url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
            if answer.status == _GONE:
                return f"http_{answer.status}", _GIVE_UP
            return ("" if 200 <= answer.status < 300 else f"http_{answer.status}"), _retry_after(
                answer.headers.get("retry-after")
            )

    def _secret(self, key: str) -> bytes:
        entry = self._keys.by_id(key)
        own = entry.webhook.secret if entry and entry.webhook else SecretStr("")
        return secret_bytes(own) or secret_bytes(self._settings.webhook_secret)


async def _quietly(work: Callable[[], Awaitable[object]]) -> None:
    try:
        await work()
    except (QueueUnreachable, redis.RedisError, OSError) as error:
        log.debug("a webhook is left for later: %s", type(error).__name__)


def signature(secret: bytes, event: str, body: str, now: int) -> dict[str, str]:
    """Return the headers of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com)."""
    signed = hmac.new(secret, f"{event}.{now}.{body}".encode(), hashlib.sha256).digest()
    return {"webhook-id": event, "webhook-timestamp": str(now), "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}


def backoff(attempt: int, first: float) -> float:
    """Return the seconds before the next attempt: doubled each time, up to an hour, with jitter."""
    return min(first * 2.0 ** min(attempt - 1, 20), _LONGEST_DELAY) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


def _retry_after(retry_after: str | None) -> float:
    return min(float(retry_after), _LONGEST_DELAY) if retry_after and retry_after.isdecimal() else 0.0
