"""The check that a producer and the workers have the same settings, made at most every few seconds."""

from contextlib import suppress
from time import monotonic

from redis.exceptions import ResponseError

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.turns.store.registry import MUST_AGREE, Facts, objection
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore

_PAUSE_SECONDS = 5.0


class Agreement:
    """A comparison of one producer's settings with those of a working worker."""

    def __init__(self, settings: Settings, fields: tuple[str, ...] = MUST_AGREE) -> None:
        self._settings = settings
        self._fields = fields
        self._next = 0.0
        self._objection = ""

    def check(self, store: TurnStore) -> None:
        """Raise SettingError if they differ, and QueueUnreachable."""
        if self._due():
            # A user without the right to read the registry has nothing to compare with.
            with suppress(ResponseError):
                self._note(store.workers(1))
        self._raise()

    async def check_async(self, store: AsyncTurnStore) -> None:
        """Check as `check` does, awaited."""
        if self._due():
            with suppress(ResponseError):
                self._note(await store.workers(1))
        self._raise()

    def _due(self) -> bool:
        """Return True if it is time to look. The workers in the registry agree, so one stands for all."""
        if monotonic() < self._next:
            return False
        self._next = monotonic() + _PAUSE_SECONDS
        return True

    def _note(self, workers: dict[str, Facts]) -> None:
        self._objection = objection(self._settings, workers, self._fields)

    def _raise(self) -> None:
        if self._objection:
            raise SettingError(self._objection)


def of_a_client(settings: Settings) -> Agreement:
    """Return a client's comparison: it reads and erases histories, and a turn that it cancels may be a session's last."""
    return Agreement(settings, ("history_prefix", "history_ttl") if settings.history_ttl else ("history_prefix",))
