"""Failed turns as a whole: found by a filter, requeued and discarded, for blocking and awaited clients alike.

A plan yields what a store's operation returns and is sent its result: at once by `blocking`, when it is there by `awaited`.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import count
from typing import Any, NamedTuple, TypedDict, TypeVar

from turnstile.turns.errors import CallNotOpen, InvalidTurn, TooManyWaiting, TurnNotEnded, TurnstileError, UnknownTurn
from turnstile.turns.states import State
from turnstile.turns.turn import Record

T = TypeVar("T")
Plan = Generator[Any, Any, T]
PAGE = 1000
"""Failed turns that are listed by one request."""
_STAYS = (UnknownTurn, TooManyWaiting, CallNotOpen, TurnNotEnded)


class FailedFilter(TypedDict, total=False):
    """Conditions that all hold for a failed turn.

    `session` may be a pattern such as `acme/*`. `since` and `until` are seconds since the epoch, of the turn's end.
    """

    session: str
    code: str
    queue: str
    chain: str
    since: float
    until: float


class Handled(NamedTuple):
    """The number of turns that were requeued or discarded, and of those that were found and stay."""

    done: int
    left: int


def find(store: Any, limit: int, wanted: FailedFilter, *, oldest_first: bool = False) -> Plan[list[Record]]:
    """Find `limit` failed turns, newest first unless `oldest_first`. Raises InvalidTurn for a filter that nothing can pass."""
    if unknown := wanted.keys() - FailedFilter.__annotations__.keys():
        raise InvalidTurn(f"Failed turns cannot be filtered by {', '.join(sorted(unknown))}.", param=min(unknown))
    found: list[Record] = []
    for start in count(0, PAGE):
        ids = yield store.failed(PAGE, start, oldest_first=oldest_first)
        for id in ids:
            if len(found) == limit:
                return found
            with suppress(UnknownTurn):
                record = yield store.status(id)
                found += [record] * _is_meant(record, wanted)
        if len(ids) < PAGE:
            break
    return found


def retry(store: Any, limit: int, wanted: FailedFilter) -> Plan[Handled]:
    """Requeue the oldest failed turns in the order in which they failed, so that each session keeps its order."""
    return _each(store, store.retry, State.QUEUED, limit, wanted)


def discard(store: Any, limit: int, wanted: FailedFilter) -> Plan[Handled]:
    """Forget the oldest failed turns; one that was retried meanwhile stays."""

    def delete(id: str) -> Any:
        return store.delete_turn(id, State.FAILED)

    return _each(store, delete, True, limit, wanted)


def _each(store: Any, act: Callable[[str], Any], expected: object, limit: int, wanted: FailedFilter) -> Plan[Handled]:
    records = yield from find(store, limit, wanted, oldest_first=True)
    done = 0
    for record in records:
        with suppress(*_STAYS):
            reply = yield act(record.id)
            done += reply == expected
    return Handled(done, len(records) - done)


def _is_meant(record: Record, wanted: FailedFilter) -> bool:
    named = {"code": record.code, "queue": record.queue, "chain": record.options.chain}
    ended = record.finished or 0.0
    return (
        fnmatchcase(record.session, wanted.get("session", "*"))
        and wanted.get("since", ended) <= ended <= wanted.get("until", ended)
        and all(wanted.get(name, value) == value for name, value in named.items())
    )


def blocking(plan: Plan[T]) -> T:
    """Carry out a plan of a blocking store."""
    try:
        result = next(plan)
        while True:
            result = plan.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a plan's return value


async def awaited(plan: Plan[T]) -> T:
    """Carry out a plan of an awaited store."""
    try:
        step = next(plan)
        while True:
            try:
                result = await step
            except TurnstileError as error:
                step = plan.throw(error)
            else:
                step = plan.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a plan's return value
