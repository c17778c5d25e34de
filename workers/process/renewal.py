"""The renewal of leases, in a thread with a connection of its own: nothing that a turn does on the loop can starve it."""

import asyncio
import random
import threading
from time import monotonic

import redis

from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.redis.silence import SILENT_SECONDS
from turnstile.turns.repeated_errors import RepeatedWarnings
from turnstile.turns.settings import Settings
from turnstile.turns.store.bounded import BoundedStore
from turnstile.workers.process.health import Beat, Health
from turnstile.workers.process.leases import LeaseKeeper

HUNG_SECONDS = 60.0
"""A loop that does not turn for so long has lost its turns: it may hang for ever, and others are to answer them."""
_PATIENCE = 10.0


class LeaseRenewal:
    """A thread that renews all leases of a process in one call, about four times a lease."""

    def __init__(self, settings: Settings, leases: LeaseKeeper) -> None:
        self._store = BoundedStore(settings)
        self._leases = leases
        self._lease = settings.lease_seconds
        self._turned = monotonic()
        self._ended = threading.Event()
        self._warnings = RepeatedWarnings(__name__)

    def start(self, health: Health) -> None:
        """Start renewing for the running loop, watched by `health`."""
        arguments = (asyncio.get_running_loop(), health.part("renewing", _PATIENCE + self._lease).beat)
        threading.Thread(target=self._run, args=arguments, name="renewing", daemon=True).start()

    def stop(self) -> None:
        """Stop renewing."""
        self._ended.set()

    def renew(self, loop: asyncio.AbstractEventLoop) -> None:
        """Renew every lease once, and have the loop drop the turns that are no longer ours."""
        loop.call_soon_threadsafe(self._loop_turns)
        if monotonic() - self._turned > HUNG_SECONDS:
            return self._warnings.warn(f"the loop has not turned for {HUNG_SECONDS:.0f} s: its leases run out")
        held = self._leases.held()
        if not held:
            return None
        words = self._store.within(SILENT_SECONDS).renew(self._leases.worker, [turn.claim for turn in held])
        for turn, word in zip(held, words, strict=True):
            if word != "kept":
                loop.call_soon_threadsafe(self._leases.heed, turn, word)
        return None

    def _loop_turns(self) -> None:
        self._turned = monotonic()

    def _run(self, loop: asyncio.AbstractEventLoop, beat: Beat) -> None:
        pause = self._lease / 4
        while not self._ended.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - no secret
            pause = self._lease / 4
            try:
                self.renew(loop)
                beat()
            except (QueueUnreachable, redis.RedisError, OSError) as error:
                # The next connection may lead to another server.
                self._store.close()
                self._warnings.warn(f"cannot renew leases: {error}")
                pause = self._lease / 40
            except Exception as error:  # a worker that no longer renews would look alive, so no error may end it
                if not loop.is_closed():
                    self._warnings.warn(f"renewing failed with {type(error).__name__} (it goes on)")
        self._store.close()
