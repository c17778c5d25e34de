"""The order in which a worker looks into its queues: `chat` before `batch`, which has its share all the same."""

from collections.abc import Iterable

from turnstile.turns.celery_message import BATCH, CHAT
from turnstile.turns.settings import settings


class ChatFirst:
    """A cycle of queues, in kombu's form (`queue_order_strategy`). `webhooks` takes turns with `chat`.

    Of the dispatches that are taken while turns wait in both, TURNSTILE_BATCH_SHARE are those of `batch`.
    """

    def __init__(self) -> None:
        share = settings().batch_share
        self._queues: list[str] = []
        self._each = share / (1 - share)
        self._owed = 0.0

    def update(self, queues: Iterable[str]) -> None:
        """Take these queues in place of all earlier ones."""
        self._queues = list(queues)

    def consume(self, n: int) -> list[str]:
        """Return the queues in the order in which the next dispatch is looked for."""
        batch_first = self._owed >= 1
        return sorted(self._queues[:n], key=lambda queue: (queue == BATCH) != batch_first)

    def rotate(self, last_used: str) -> str:
        """Note from which queue a message was taken."""
        if last_used == CHAT:
            # One at most: what nobody has asked for is not owed.
            self._owed = min(1.0, self._owed + self._each)
        elif last_used == BATCH:
            self._owed = max(0.0, self._owed - 1)
        if last_used in self._queues:
            self._queues.remove(last_used)
            self._queues.append(last_used)
        return last_used
