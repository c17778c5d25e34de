"""Celery's revoke is a cancel: of turns that wait and of turns that run, from Celery and from Flower."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError

from tests.support.flower import Flower
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from tests.support.worker_parts import plain_app
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

SECRET = "a-secret-word"


@pytest.fixture(scope="module")
def url(server: EmbeddedServer, _numbers: Iterator[int]) -> str:
    return f"{server.url.rpartition('/')[0]}/{next(_numbers)}"


@pytest.fixture(scope="module")
def workers(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Worker]]:
    """Two of them: every worker hears of a revoke."""
    folder = tmp_path_factory.mktemp("workers")
    with offline_model() as model:
        env: dict[str, Any] = {"OPENAI_BASE_URL": model, "TURNSTILE_MAX_ATTEMPTS": "1"}
        with Worker(url, folder, **env) as first, Worker(url, folder, **env) as second:
            yield [first, second]


@pytest.fixture
def turns(url: str, workers: list[Worker]) -> Iterator[TurnStore]:
    yield TurnStore(Settings(redis_url=url))
    for worker in workers:
        assert worker.process
        assert worker.process.poll() is None
        assert "Traceback" not in worker.text()
        assert SECRET not in worker.text()


@pytest.fixture
def stranger(url: str) -> Iterator[Celery]:
    """Yield a plain Celery app."""
    with plain_app(url) as app:
        yield app


def _ask(stranger: Celery, session: str, *questions: str) -> list[Any]:
    return [stranger.send_task("workers.answer", args=[session, f"{question} {SECRET}"]) for question in questions]


def _running(turns: TurnStore, turn: str) -> None:
    wait_until(lambda: turns.client.exists(turns.keys.turn(turn)), f"{turn} is accepted")
    wait_until(lambda: turns.status(turn).state is State.RUNNING, f"{turn} runs")


def _state(turns: TurnStore, turn: str) -> State | None:
    return turns.status(turn).state if turns.client.exists(turns.keys.turn(turn)) else None


_HOW: dict[str, dict[str, Any]] = {
    "plain": {},
    "terminate": {"terminate": True},
    "signal": {"terminate": True, "signal": "SIGKILL"},
    "no such signal": {"terminate": True, "signal": "SIGNONE"},
}


@pytest.mark.parametrize("how", _HOW)
def test_a_waiting_turn_that_is_revoked_leaves_its_session_free(
    turns: TurnStore, stranger: Celery, session: str, how: str
) -> None:
    running, waiting, last = _ask(stranger, session, "[[hang]]", "never", "last")
    _running(turns, running.id)
    wait_until(lambda: _state(turns, last.id), "all are accepted")
    waiting.revoke(**_HOW[how])
    with pytest.raises(TaskRevokedError):
        waiting.get(timeout=PATIENCE_SECONDS)
    assert (waiting.state, turns.status(waiting.id).state) == ("REVOKED", State.CANCELLED)
    assert turns.status(running.id).state is State.RUNNING
    turns.cancel(running.id)
    assert last.get(timeout=PATIENCE_SECONDS) == f"You said: last {SECRET}"
    assert len(turns.history(session)) == 2


@pytest.mark.parametrize("how", _HOW)
def test_a_running_turn_that_is_revoked_is_dropped(turns: TurnStore, stranger: Celery, session: str, how: str) -> None:
    running, last = _ask(stranger, session, "[[hang]]", "last")
    _running(turns, running.id)
    running.revoke(**_HOW[how])
    with pytest.raises(TaskRevokedError):
        running.get(timeout=PATIENCE_SECONDS)
    assert turns.status(running.id).state is State.CANCELLED
    assert last.get(timeout=PATIENCE_SECONDS) == f"You said: last {SECRET}"
    assert len(turns.history(session)) == 2


def test_many_are_revoked_at_once(turns: TurnStore, stranger: Celery, session: str) -> None:
    asked = [_ask(stranger, f"{session}-{n}", "[[hang]]", "never") for n in range(3)]
    ids = [result.id for pair in asked for result in pair]
    for running, waiting in asked:
        _running(turns, running.id)
        wait_until(lambda id=waiting.id: _state(turns, id), "all are accepted")  # type: ignore[misc]  # mypy and defaults
    odd: list[Any] = ["unknown", "\ud800", 5, None, {}]
    replies = stranger.control.revoke([*ids, *odd], reply=True, timeout=PATIENCE_SECONDS, limit=2)
    assert {next(iter(reply.values()))["ok"] for reply in replies or ()} == {"6 turns cancelled, or ended before"}
    assert {turns.status(id).state for id in ids} == {State.CANCELLED}


def test_a_question_that_is_revoked_as_soon_as_it_is_sent_is_never_answered(
    turns: TurnStore, stranger: Celery, session: str
) -> None:
    for n in range(10):
        (result,) = _ask(stranger, f"{session}-{n}", "[[hang]]")
        result.revoke()
        with pytest.raises(TaskRevokedError):
            result.get(timeout=PATIENCE_SECONDS)
        assert turns.status(result.id).state is State.CANCELLED


def test_a_turn_that_failed_and_was_revoked_can_be_retried(turns: TurnStore, stranger: Celery, session: str) -> None:
    (failing,) = _ask(stranger, session, f"[[fail=500 times=1 key={session}]]")
    wait_until(lambda: _state(turns, failing.id) is State.FAILED, "the turn has failed")
    replies = stranger.control.revoke(failing.id, reply=True, timeout=PATIENCE_SECONDS, limit=2)
    assert len(replies or ()) == 2
    assert turns.status(failing.id).state is State.FAILED
    assert turns.retry(failing.id) is State.QUEUED
    wait_until(lambda: _state(turns, failing.id) is State.COMPLETED, "the retry is answered")
    assert turns.status(failing.id).dispatches == 2


def test_an_id_that_was_revoked_before_anybody_used_it_does_not_wedge_its_session(
    turns: TurnStore, stranger: Celery, session: str
) -> None:
    early = f"early-{session}"
    assert len(stranger.control.revoke(early, reply=True, timeout=PATIENCE_SECONDS, limit=2) or ()) == 2
    turns.submit(early, session, "hello")
    wait_until(lambda: _state(turns, early) is State.COMPLETED, "the turn is answered")
    assert turns.status(early).dispatches == 1


def test_commands_about_stamps_do_nothing(turns: TurnStore, stranger: Celery) -> None:
    for terminate in (False, True):
        stranger.control.revoke_by_stamped_headers(
            {"x": SECRET}, terminate=terminate, reply=True, timeout=PATIENCE_SECONDS, limit=2
        )


def test_a_worker_that_starts_later_does_not_take_over_what_others_revoked(
    turns: TurnStore, stranger: Celery, session: str, url: str, tmp_path: Path
) -> None:
    early = f"early-{session}"
    assert len(stranger.control.revoke(early, reply=True, timeout=PATIENCE_SECONDS, limit=2) or ()) == 2
    with offline_model() as model, Worker(url, tmp_path, OPENAI_BASE_URL=model) as late:
        assert "sync with 2 nodes" in late.text()
        for n in range(6):
            turns.submit(f"{early}-{n}", f"{session}-{n}", "hello")
        turns.submit(early, session, "hello")
        wait_until(lambda: _state(turns, early) is State.COMPLETED, "the turn is answered")
        assert "Discarding" not in late.text()


def test_flower_revokes(turns: TurnStore, stranger: Celery, session: str, url: str, tmp_path: Path) -> None:
    running, waiting, last = _ask(stranger, session, "[[hang]]", "never", "last")
    _running(turns, running.id)
    wait_until(lambda: _state(turns, last.id), "all are accepted")
    with Flower(url, tmp_path, FLOWER_READ_ONLY="false") as seen:
        for result, query in ((waiting, ""), (running, "?terminate=true&signal=SIGKILL")):
            with urlopen(
                Request(f"{seen.base}/api/task/revoke/{result.id}{query}", method="POST"), timeout=PATIENCE_SECONDS
            ) as reply:
                assert reply.status == 200
            with pytest.raises(TaskRevokedError):
                result.get(timeout=PATIENCE_SECONDS)
    assert last.get(timeout=PATIENCE_SECONDS) == f"You said: last {SECRET}"
    assert [turns.status(result.id).state for result in (running, waiting)] == [State.CANCELLED] * 2
