"""A worker with a single slot: another tenant's question is next, and nothing waits for a sweep."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import Worker
from tests.support.wait import wait_until
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore


@contextmanager
def _worker(redis_url: str, folder: Path, model: str, **env: str) -> Iterator[TurnStore]:
    """Yield the turns of a worker that has told of its slot."""
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, folder, 1, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="0", **env):
        wait_until(lambda: turns.stats().get("slots") == 1, "the worker has told of its slot")
        yield turns


def _ask(turns: TurnStore, name: str, count: int, question: str) -> None:
    for number in range(count):
        turns.submit(f"{name}{number}", f"{name}/{number}", question)


def _answered(turns: TurnStore, name: str, count: int) -> None:
    ids = [f"{name}{number}" for number in range(count)]
    wait_until(lambda: all(turns.status(id).state is State.COMPLETED for id in ids), f"{name} is answered")


def _runs(turns: TurnStore, id: str) -> None:
    wait_until(lambda: turns.status(id).state is State.RUNNING, "the slot is taken")


def test_another_tenant_is_next_when_the_slot_falls_free(redis_url: str, tmp_path: Path, model: str) -> None:
    with _worker(redis_url, tmp_path, model) as turns:
        _ask(turns, "a", 5, "hi [[latency=600]]")
        for slow, other in enumerate("bcd"):
            _runs(turns, f"a{slow}")
            _ask(turns, other, 1, "hi")
            turns.cancel(f"a{slow}")
            _answered(turns, other, 1)


def test_one_turn_after_the_other_without_sweeps(redis_url: str, tmp_path: Path, model: str) -> None:
    with _worker(redis_url, tmp_path, model, TURNSTILE_SWEEP_SECONDS="60") as turns:
        for name in "ab":
            _ask(turns, name, 20, "hi")
        for name in "ab":
            _answered(turns, name, 20)
        assert {turns.status(f"{name}{number}").dispatches for name in "ab" for number in range(20)} == {1}
