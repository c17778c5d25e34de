"""Readiness: whether this gateway can work now, looked at once a second.

A probe is answered at once, by the last look: one of its own would wait behind everything that a busy gateway does.
"""

import asyncio
import logging
import signal
from time import monotonic
from typing import Any

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.api_errors import ApiError, Restarting, translate
from turnstile.turns.errors import TurnstileError
from turnstile.turns.keyring import keyring
from turnstile.turns.service_manager import ALIVE, tell

log = logging.getLogger(__name__)

_PING_SECONDS = 2.0
_WATCH_SECONDS = 1.0
_LAST_SECONDS = 2 * _WATCH_SECONDS + _PING_SECONDS
"""The age up to which a look counts."""
_AWAY = ApiError(503, "Redis does not answer.", None, "queue_unreachable", {"retry-after": "2"})


class Readiness:
    """The readiness of one gateway process."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._problem: ApiError | None = None
        self._looked, self._away_since = 0.0, 0.0
        self._look: asyncio.Task[None] | None = None
        self.draining = False
        """True once the process is told to stop: no new request should come."""

    async def problem(self) -> ApiError | None:
        """Return why the gateway cannot work; None if it can."""
        if self.draining:
            return Restarting()
        if keyring(self._backend.settings).problem:
            reason = "The file of API keys cannot be read; the gateway's log names the reason."
            return ApiError(503, reason, None, "keys_unreadable")
        if self._looked < monotonic() - _LAST_SECONDS:
            await self._fresh()
        return self._problem

    async def watch(self) -> None:
        """Look once a second for as long as the gateway runs, and log when Redis goes and when it is back.

        The service manager is told that the gateway is alive, whatever the look has found.
        """
        while True:
            await self._fresh()
            tell(ALIVE)
            await asyncio.sleep(_WATCH_SECONDS)

    async def _fresh(self) -> None:
        self._look = self._look or asyncio.create_task(self._look_once())
        await asyncio.wait([self._look])

    async def _look_once(self) -> None:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self._backend.store.ping()
                self._note_answer()
                await self._backend.agree()
            self._problem = None
        except TimeoutError:
            self._note_silence(_AWAY, _AWAY.message)
        except ApiError as error:
            self._problem = error
        except TurnstileError as error:
            self._note_silence(translate(error), str(error))
        finally:
            self._looked, self._look = monotonic(), None

    def _note_silence(self, problem: ApiError, reason: str) -> None:
        self._problem = problem
        if not self._away_since:
            self._away_since = monotonic()
            log.error("not ready: %s", reason)

    def _note_answer(self) -> None:
        if self._away_since:
            log.warning("Redis answers again, after %.1f s", monotonic() - self._away_since)
        self._away_since = 0.0


def drain_first(readiness: Readiness, seconds: float) -> None:
    """On SIGTERM let readiness drop first, and the server stop `seconds` later; a second signal stops it at once."""
    stop: Any = signal.getsignal(signal.SIGTERM)
    if not callable(stop) or not seconds:
        return
    loop = asyncio.get_running_loop()

    def begin(number: int, frame: Any) -> None:
        if readiness.draining:
            stop(number, frame)
            return
        readiness.draining = True
        log.warning("draining: not ready any more, and no connection is taken after %g s", seconds)
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, frame)

    try:
        signal.signal(signal.SIGTERM, begin)
    except ValueError:
        log.debug("not in the main thread: signals are another's")
