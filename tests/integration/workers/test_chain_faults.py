"""Chains that raise what no program expects: each fails its own turn, once, and everything else goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from inspect import getsource
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda

from tests.chains import odd
from tests.chains.odd import Own
from tests.support.processes import Worker
from tests.support.wait import PATIENCE_SECONDS, wait_until
from tests.support.worker_parts import Flaky, chain, claimed, hello, started
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.workers.attempt.attempt import Attempt

SECRET = "a-secret-word"
_ERRORS = (asyncio.CancelledError, GeneratorExit, Own)


async def _failed(store: Flaky, runnable: Any, *, stream: bool = False) -> str:
    """Run a turn that fails for good at once; its message."""
    await store.submit("a", "foo", SECRET, Options(stream=stream))
    report = await asyncio.wait_for(Attempt(await claimed(store, "a"), runnable, store).run(), PATIENCE_SECONDS)
    record = await store.status("a")
    assert (report.status, record.state, record.code, record.attempts) == (State.FAILED, State.FAILED, "chain_error", 1)
    assert await store.history("foo") == []
    assert (await Attempt(await started(store, "next"), chain(hello), store).run()).status == State.COMPLETED
    assert SECRET not in str(record.message)
    return str(record.message).replace("RuntimeError", "GeneratorExit")  # which LangChain makes of it


@pytest.mark.parametrize("error", _ERRORS)
async def test_a_chain_raises_on_the_loop(flaky: Flaky, error: type[BaseException]) -> None:
    async def answer(_: object) -> str:
        raise error(SECRET)

    assert error.__name__ in await _failed(flaky, RunnableLambda(answer))


@pytest.mark.parametrize("error", _ERRORS)
async def test_a_chain_raises_in_a_thread(flaky: Flaky, error: type[BaseException]) -> None:
    def answer(_: object) -> str:
        raise error(SECRET)

    assert error.__name__ in await _failed(flaky, RunnableLambda(answer))


@pytest.mark.parametrize("error", _ERRORS)
async def test_a_chain_raises_in_the_middle_of_a_stream(flaky: Flaky, error: type[BaseException]) -> None:
    async def speak() -> AsyncIterator[str]:
        yield "half "
        raise error(SECRET)

    assert error.__name__ in await _failed(flaky, chain(speak), stream=True)


@pytest.mark.parametrize("error", _ERRORS)
async def test_a_callback_raises(flaky: Flaky, error: type[BaseException]) -> None:
    class Handler(BaseCallbackHandler):
        raise_error = True

        def on_chain_end(self, *_: Any, **__: Any) -> None:
            raise error(SECRET)

    config: RunnableConfig = {"callbacks": [Handler()]}
    assert error.__name__ in await _failed(flaky, chain(hello).with_config(config))


async def test_a_chain_cancels_the_task_that_it_runs_in(flaky: Flaky) -> None:
    async def answer(_: object) -> str:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.Event().wait()
        return "never"

    assert "CancelledError" in await _failed(flaky, RunnableLambda(answer))


async def test_a_chain_that_cancels_its_task_and_answers_has_answered(flaky: Flaky) -> None:
    async def answer(_: object) -> str:
        task = asyncio.current_task()
        assert task
        task.cancel()
        return "hello"

    report = await Attempt(await started(flaky, "a"), RunnableLambda(answer), flaky).run()
    assert report.status in (State.COMPLETED, State.FAILED)
    assert (await flaky.status("a")).state.ended


def _nested(depth: int = 100_000) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (lambda: AIMessage("hi", additional_kwargs={"deep": _nested()}), "chain_error"),
        (lambda: AIMessage("hi", response_metadata={"deep": _nested()}), "chain_error"),
        (lambda: AIMessage("hi", response_metadata={"model_name": "half \ud800"}), None),
    ],
    ids=["nested too deep", "metadata nested too deep", "half a character"],
)
async def test_an_answer_that_cannot_be_written_ends_its_turn(
    flaky: Flaky, message: Callable[[], AIMessage], code: str | None
) -> None:
    answer = message()
    await Attempt(await started(flaky, "a"), RunnableLambda(lambda _: answer), flaky).run()
    record = await flaky.status("a")
    assert (record.state.ended, record.code, record.attempts) == (True, code, 1)


@pytest.mark.parametrize("name", ["raising_in_a_thread", "raising_on_the_loop", "raising_in_a_stream"])
def test_a_worker_outlives_everything_that_its_chains_raise(tmp_path: Path, redis_url: str, name: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    errors = ("CancelledError", "GeneratorExit", "KeyboardInterrupt", "SystemExit", "Own")
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=f"tests.chains.odd:{name}") as worker:
        for error in errors:
            turns.submit(error, "foo", f"{error} {SECRET}")
        turns.submit("after", "foo", "hello")
        wait_until(lambda: turns.status("after").state.ended, "the turn after them has ended")
        assert turns.status("after").answer == "heard hello"
        records = [turns.status(error) for error in errors]
        assert {(record.code, record.attempts) for record in records} == {("chain_error", 1)}
        assert all(error in str(record.message) for error, record in zip(errors, records, strict=True))
        assert SECRET not in worker.text() + "".join(str(record.message) for record in records)
        assert worker.stop() == 0


def test_what_a_chain_leaves_behind_is_told_without_content(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN="tests.chains.odd:leaving_behind") as worker:
        turns.submit("a", "foo", SECRET)
        wait_until(lambda: turns.status("a").state.ended, "the turn has ended")
        wait_until(lambda: "left behind" in worker.text(), "the error is logged")
        assert "RuntimeError" in worker.text()
        assert worker.stop() == 0
        assert SECRET not in worker.text()


@pytest.mark.parametrize("shown", [False, True])
def test_a_chain_that_fails_leaves_its_type_and_place_and_its_text_where_content_may_be_shown(
    tmp_path: Path, redis_url: str, shown: bool
) -> None:
    turns = TurnStore(Settings(redis_url=redis_url, show_content=shown))
    chain = "tests.chains.odd:raising"
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain, TURNSTILE_SHOW_CONTENT=str(shown)) as worker:
        turns.submit("a", "foo", SECRET)
        wait_until(lambda: turns.status("a").state.ended, "the turn has ended")
        line = next(at for at, text in enumerate(getsource(odd).splitlines(), 1) if "raise RuntimeError(" in text)
        assert f"turn a: chain_error: RuntimeError at tests.chains.odd, line {line}" in worker.text()
        assert (f"RuntimeError: {SECRET}" in worker.text(), "Traceback" in worker.text()) == (shown, shown)
        assert (SECRET in worker.text()) == shown
        assert SECRET not in str(turns.status("a").message)
