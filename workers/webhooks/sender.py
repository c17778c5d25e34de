"""Delivery of webhooks in the form of Standard Webhooks, each until its receiver accepts it.

A webhook stays in Redis from the script that ended its turn until its delivery, so this process may die at any point.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import random
from time import time
from weakref import WeakValueDictionary

import aiohttp
import redis
from pydantic import SecretStr

from turnstile.turns.api_keys import secret_bytes
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.keyring import keyring
from turnstile.turns.repeated_errors import RecentTexts
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.store.webhooks import Delivery
from turnstile.workers.webhooks.networks import PrivateAddress, PublicSockets, read_networks

log = logging.getLogger(__name__)

_AT_ONCE = 100
_AT_ONCE_OF_A_KEY = 10
_SECONDS = 15.0
_LONGEST_DELAY = 3_600.0
_LIMIT = 100
_GIVE_UP = -1.0
_GONE = 410
_USER_AGENT = "Turnstile-Webhooks/1"


class WebhookSender:
    """A sender of webhooks on the running loop, a limited number at once. Raises SettingError when API keys cannot be read."""

    def __init__(self, settings: Settings) -> None:
        self.store = AsyncTurnStore(settings)
        self._settings = settings
        self._keys = keyring(settings)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._slots_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._recent = RecentTexts()
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        sockets = PublicSockets(read_networks(settings.webhook_networks))
        connector = aiohttp.TCPConnector(
            resolver=aiohttp.ThreadedResolver(), use_dns_cache=False, limit=_AT_ONCE, socket_factory=sockets
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=_SECONDS),
            headers={"user-agent": _USER_AGENT},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def notify(self, turn: str) -> None:
        """Start delivering one turn's webhook, unless its delivery is under way."""
        if turn not in self._deliveries:
            delivery = self._deliveries[turn] = asyncio.create_task(self._run(turn))
            delivery.add_done_callback(lambda _: self._deliveries.pop(turn, None))

    async def remind(self) -> None:
        """Queue the deliveries that are overdue."""
        await self.store.retry_webhooks(_LIMIT)

    async def close(self) -> None:
        """Drop deliveries that are under way, which are repeated later, and close the connections."""
        await end_all(list(self._deliveries.values()))
        await self._http.close()

    async def _run(self, turn: str) -> None:
        try:
            if found := await self.store.look_up(turn):
                # A key whose server hangs keeps its own webhooks waiting, and no other's.
                async with self._slots_of.setdefault(found.key, asyncio.Semaphore(_AT_ONCE_OF_A_KEY)), self._slots:
                    await self._claim_and_deliver(turn)
        except (QueueUnreachable, redis.RedisError, OSError) as error:
            log.debug("webhook of turn %s: %s", turn, type(error).__name__)

    async def _claim_and_deliver(self, turn: str) -> None:
        if delivery := await self.store.claim_webhook(turn):
            await self._deliver(delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        reason, wait = await self._attempt(delivery)
        delay = max(wait, backoff(delivery.attempt, self._settings.retry_base_seconds)) if reason and wait >= 0 else wait
        word = await self.store.record_delivery(delivery, reason, delay)
        self._tell(delivery, reason, word)

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


def signature(secret: bytes, event: str, body: str, now: int) -> dict[str, str]:
    """Return the headers of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com)."""
    signed = hmac.new(secret, f"{event}.{now}.{body}".encode(), hashlib.sha256).digest()
    return {"webhook-id": event, "webhook-timestamp": str(now), "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}


def backoff(attempt: int, first: float) -> float:
    """Return the seconds before the next attempt: doubled each time, up to an hour, with jitter."""
    return min(first * 2.0 ** min(attempt - 1, 20), _LONGEST_DELAY) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


def _retry_after(retry_after: str | None) -> float:
    return min(float(retry_after), _LONGEST_DELAY) if retry_after and retry_after.isdecimal() else 0.0
