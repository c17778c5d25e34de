"""Quotas of tenants with a real worker: slow turns of one tenant leave slots to others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.turns.api_keys import Limits
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

_SLOTS = 8
_SLOW, _BATCH = "hi [[latency=600]]", Options(queue="batch")


@pytest.fixture
def turns(redis_url: str, tmp_path: Path, model: str) -> Iterator[TurnStore]:
    """Yield the turns of a worker with a few slots, when it has told how many."""
    store = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, _SLOTS, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="0"):
        wait_until(lambda: store.stats().get("slots") == _SLOTS, "the worker has told of its slots")
        yield store


def _ask(turns: TurnStore, name: str, count: int, question: str, options: Options | None = None, quotas: str = "") -> None:
    for number in range(count):
        turns.submit(f"{name}{number}", f"{name}/{number}", question, options or Options(), quotas=quotas)


def _run(turns: TurnStore, name: str, count: int, running: int) -> None:
    """Wait until so many of a tenant's slow turns run."""

    def run() -> bool:
        return [turns.status(f"{name}{number}").state for number in range(count)].count(State.RUNNING) == running

    wait_until(run, f"{running} turns of {name} run")


def _answers(turns: TurnStore, name: str) -> None:
    """Another tenant is answered, while all those turns run."""
    _ask(turns, name, 3, "hi")
    wait_until(lambda: all(turns.status(f"{name}{n}").state is State.COMPLETED for n in range(3)), f"{name} is answered")


def _leave(turns: TurnStore, how: str) -> None:
    """Stop the turn `a` in one of the ways in which a caller can."""
    match how:
        case "cancel":
            turns.cancel("a")
        case "erase":
            turns.erase("a/1")
        case _:
            turns.submit("b", "a/1", "hi", when_busy=how)


@pytest.mark.parametrize(
    ("how", "least"), [("cancel", 400), ("erase", 400), ("rollback", 400), ("interrupt", 850), ("steer", 850)]
)
def test_what_was_read_of_an_answer_that_is_left_counts(turns: TurnStore, how: str, least: int) -> None:
    turns.submit("a", "a/1", "word " * 400 + "[[tokens_per_second=50]]", Options(stream=True))
    wait_until(lambda: any(event.type == "text" for event in turns.events("a")), "the answer has begun")
    _leave(turns, how)

    def counted() -> bool:
        return any(tenant.name == "a" and tenant.tokens >= least for tenant in turns.tenants())

    wait_until(counted, "what was asked and answered counts")


def test_slow_turns_of_a_tenant_with_a_limit_leave_slots(turns: TurnStore) -> None:
    _ask(turns, "a", 12, _SLOW, quotas=Limits(running_turns=3).quotas)
    _run(turns, "a", 12, 3)
    _answers(turns, "b")
    _run(turns, "a", 12, 3)
    turns.cancel("a0")
    _run(turns, "a", 12, 3)


def test_slow_turns_of_a_tenant_have_its_share_beside_others(turns: TurnStore) -> None:
    _answers(turns, "b")
    _ask(turns, "a", 12, _SLOW)
    _run(turns, "a", 12, _SLOTS * 3 // 4)
    _answers(turns, "c")
    _run(turns, "a", 12, _SLOTS * 3 // 4)


def test_slow_turns_of_batch_leave_slots_to_chat(turns: TurnStore) -> None:
    _ask(turns, "a", 12, _SLOW, _BATCH)
    _run(turns, "a", 12, _SLOTS - 1)
    _answers(turns, "b")
