"""The chains that the workers have, beside the one that answers unless a turn chooses."""

from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from redis.exceptions import ResponseError

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.store.registry import Facts
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore

_PAUSE_SECONDS = 5.0


class Chains:
    """The names of chains that the workers at work tell of, looked up at most every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0
        self._present = False
        self._names: frozenset[str] = frozenset()

    async def names(self, store: AsyncTurnStore) -> frozenset[str]:
        """Return the names of all chains."""
        if self._due():
            # A user without the right to read the registry knows of none.
            with suppress(ResponseError):
                self._note(await store.workers())
        return self._names

    async def check_async(self, store: AsyncTurnStore, chain: str | None) -> None:
        """Raise InvalidTurn if workers are at work, and none has the chain that a turn chooses."""
        if chain and chain not in self._names:
            self._note(await store.workers())
            self._refuse(chain)

    def check(self, store: TurnStore, chain: str | None) -> None:
        """Check as `check_async` does, blocking."""
        if chain and chain not in self._names:
            self._note(store.workers())
            self._refuse(chain)

    def _due(self) -> bool:
        if monotonic() < self._next:
            return False
        self._next = monotonic() + _PAUSE_SECONDS
        return True

    def _note(self, workers: Mapping[str, Facts]) -> None:
        self._present = bool(workers)
        self._names = frozenset(name for facts in workers.values() for name in facts.get("chains", ()))

    def _refuse(self, chain: str) -> None:
        # Without a worker nobody knows: the turn waits for one.
        if self._present and chain not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            raise InvalidTurn(f"No worker has a chain of the name that `chain` gives; there are: {known}.", param="chain")
