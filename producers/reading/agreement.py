"""Whether a producer stores as the workers at work do: looked at before it stores or reads, every few seconds at most."""

from contextlib import suppress
from time import monotonic

from redis.exceptions import ResponseError

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.turns.store.roster import MUST_AGREE, Facts, objection
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore

_PAUSE_SECONDS = 5.0


class Agreement:
    """The settings of one producer, held against those of a worker that is at work."""

    def __init__(self, settings: Settings, fields: tuple[str, ...] = MUST_AGREE) -> None:
        self._settings = settings
        self._fields = fields
        self._next = 0.0
        self._objection = ""

    def check(self, store: TurnStore) -> None:
        """Raises SettingError when they differ; QueueUnreachable."""
        if self._due():
            # Whoever may not read the roll has nobody to differ from.
            with suppress(ResponseError):
                self._note(store.roll(1))
        self._insist()

    async def check_async(self, store: AsyncTurnStore) -> None:
        """As `check`, awaited."""
        if self._due():
            with suppress(ResponseError):
                self._note(await store.roll(1))
        self._insist()

    def _due(self) -> bool:
        """Tell that it is time to look: those on the roll agree, so one stands for all."""
        if monotonic() < self._next:
            return False
        self._next = monotonic() + _PAUSE_SECONDS
        return True

    def _note(self, workers: dict[str, Facts]) -> None:
        self._objection = objection(self._settings, workers, self._fields)

    def _insist(self) -> None:
        if self._objection:
            raise SettingError(self._objection)


def of_a_client(settings: Settings) -> Agreement:
    """A client's: it writes no history, but reads and erases them, and a turn that it cancels may be a session's last."""
    return Agreement(settings, ("history_prefix", "history_ttl") if settings.history_ttl else ("history_prefix",))
