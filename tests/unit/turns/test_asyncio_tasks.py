"""Tasks that run together end together, and a cancellation is never lost, whatever else happens at that moment."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.asyncio_tasks import end_all, run_together

Work = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Work], None]:
    """Runs a test's work on a loop of each kind, and fails when the loop has something to report."""

    def on_this_loop(work: Work) -> None:
        reports: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.get_loop().set_exception_handler(lambda _, report: reports.append(report))
            runner.run(asyncio.wait_for(work(), PATIENCE_SECONDS))
        assert reports == []

    return on_this_loop


class _Slow:
    """Goes on until cancelled, and takes its time to end."""

    def __init__(self) -> None:
        self.ending, self.may_end, self.ended = asyncio.Event(), asyncio.Event(), False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            await self.may_end.wait()
            self.ended = True


async def _fail(words: str) -> None:
    await asyncio.sleep(0)
    raise OSError(words)


async def _deaf(times: int) -> None:
    """Swallow so many cancellations."""
    for _ in range(times + 1):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            cancelled = error
    raise cancelled


def test_the_first_error_ends_the_others_and_is_raised(run: Callable[[Work], None]) -> None:
    async def work() -> None:
        slow = _Slow()
        slow.may_end.set()
        with pytest.raises(OSError, match="first"):
            await run_together(slow.run(), _fail("first"), _fail("second"))
        assert slow.ended

    run(work)


def test_the_first_return_ends_the_others(run: Callable[[Work], None]) -> None:
    async def work() -> None:
        slow = _Slow()
        slow.may_end.set()
        await run_together(slow.run(), asyncio.sleep(0))
        assert slow.ended

    run(work)


def test_a_cancellation_comes_before_an_error(run: Callable[[Work], None]) -> None:
    async def work() -> None:
        slow, again = _Slow(), 0

        async def try_for_ever() -> None:
            nonlocal again
            while True:
                try:
                    await run_together(slow.run(), _fail("lost"))
                except OSError:
                    again += 1

        task = asyncio.create_task(try_for_ever())
        await slow.ending.wait()
        # The error is known, and not all have ended yet.
        task.cancel()
        await asyncio.sleep(0)
        slow.may_end.set()
        await asyncio.wait([task], timeout=10)
        assert (task.done(), again) == (True, 0)
        assert task.cancelled()

    run(work)


def test_a_cancellation_reaches_all(run: Callable[[Work], None]) -> None:
    async def work() -> None:
        first, second = _Slow(), _Slow()
        first.may_end.set()
        second.may_end.set()
        task = asyncio.create_task(run_together(first.run(), second.run()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (first.ended, second.ended) == (True, True)

    run(work)


@pytest.mark.parametrize("times", [1, 2])
def test_one_that_swallows_a_cancellation_is_cancelled_again(run: Callable[[Work], None], times: int) -> None:
    async def work() -> None:
        with pytest.raises(OSError, match="lost"):
            await run_together(_deaf(times), _fail("lost"))
        deaf = asyncio.create_task(_deaf(times))
        await asyncio.sleep(0)
        await end_all([deaf])
        assert deaf.cancelled()

    run(work)


def test_ending_can_be_given_up(run: Callable[[Work], None]) -> None:
    async def work() -> None:
        slow = _Slow()
        task = asyncio.create_task(slow.run())
        await asyncio.sleep(0)
        closing = asyncio.create_task(end_all([task]))
        await slow.ending.wait()
        closing.cancel()
        await asyncio.wait([closing], timeout=10)
        assert closing.cancelled()
        slow.may_end.set()
        await asyncio.wait([task], timeout=10)

    run(work)
