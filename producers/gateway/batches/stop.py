"""The end of a batch before its last line: it is cancelled or overdue, or its API key was removed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.server_time import ServerTime
from turnstile.turns.errors import TurnstileError, UnknownTurn
from turnstile.turns.keyring import keyring
from turnstile.turns.store.batches import Batch

CANCELLED, EXPIRED = "cancelled", "expired"
_CANCELLED = ("batch_cancelled", "The batch was cancelled.")
_EXPIRED = ("batch_expired", "The batch expired before this request was answered.")
_KEY_REMOVED = ("batch_cancelled", "The API key of the batch was removed.")


class Stopped(Exception):
    """Nothing more of the batch is asked."""


class StopSign:
    """A sign that tells the work on a batch to stop, and the limits of the batch's API key. It knows the unfinished turns."""

    def __init__(self, backend: Backend, batch: Batch, api_key: str, now: float) -> None:
        self._backend, self._batch, self._api_key = backend, batch, api_key
        self.time = ServerTime(now)
        self._keys = keyring(backend.settings)
        self._key = self._keys.by_id(api_key)
        self._stopping = asyncio.Event()
        self._turns: set[str] = set()
        self._told = _CANCELLED
        self._raise_for(batch.state)

    @property
    def stopped(self) -> str:
        """The state in which the batch ends, if it has to."""
        if not self._stopping.is_set():
            return ""
        return EXPIRED if self._told == _EXPIRED else CANCELLED

    @property
    def most_bytes(self) -> int:
        """The largest request that the API key may make."""
        most = self._backend.settings.max_body_bytes
        return min(most, self._key.limits.max_body_bytes or most) if self._key else most

    @property
    def models(self) -> tuple[str, ...] | None:
        """The models that requests may name."""
        return self._key.limits.models if self._key else None

    @property
    def quotas(self) -> str:
        """The limits of the API key that the scripts count."""
        return self._key.limits.with_requests(self._api_key) if self._key else ""

    def reason(self) -> tuple[str, str]:
        """Return a code and a message for requests that are not asked."""
        return self._told

    def check(self) -> None:
        """Raise Stopped when nothing more is to be asked."""
        if self.time.now() > self._batch.expires:
            self._raise(_EXPIRED)
        if self._stopping.is_set():
            raise Stopped

    async def look(self, state: str, now: float) -> None:
        """Stop for this state of the batch, the server's time, or a removed key, and cancel what is unfinished then."""
        self.time.tell(now)
        self._key = self._keys.by_id(self._api_key)
        self._raise_for(state)
        if self._stopping.is_set():
            for id in list(self._turns):
                with suppress(TurnstileError):
                    await self._backend.store.cancel(id)

    async def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        self.check()

    @asynccontextmanager
    async def asking(self, turn: str) -> AsyncIterator[None]:
        """Note a turn as unfinished from before it is accepted; one that was accepted before a stop is cancelled."""
        self._turns.add(turn)
        try:
            yield
        except Stopped:
            # The answer to an earlier call may have been lost: the turn is there, and is cancelled and followed to its end.
            try:
                await self._backend.store.cancel(turn)
            except UnknownTurn:
                self._turns.discard(turn)
                raise Stopped from None
        except BaseException:
            self._turns.discard(turn)
            raise

    def forget(self, turn: str) -> None:
        """Note that a turn has ended."""
        self._turns.discard(turn)

    def _raise_for(self, state: str) -> None:
        if state == "cancelling":
            self._raise(_CANCELLED)
        if self._keys.enforced and self._key is None:
            self._raise(_KEY_REMOVED)
        if self.time.now() > self._batch.expires:
            self._raise(_EXPIRED)

    def _raise(self, told: tuple[str, str]) -> None:
        if not self._stopping.is_set():
            self._told = told
            self._stopping.set()
