"""Failed turns by a filter: listed, requeued and discarded together, through clients and commands."""

import json

import pytest

from tests.integration.producers.conftest import Run
from tests.support.step_worker import StepWorker
from turnstile.producers import failed_turns
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import InvalidTurn, UnknownTurn
from turnstile.turns.settings import Settings


@pytest.fixture
def failures(asked: ChatClient, step_worker: StepWorker) -> ChatClient:
    """Six failed turns, t0 to t5 in the order in which they failed: of two tenants, queues, and codes."""
    for number in range(6):
        tenant, code = ("acme", "chain_error") if number % 2 else ("umbrella", "model_timeout")
        queue = "batch" if number == 5 else "chat"
        asked.ask(f"{tenant}/{number // 4}", "hello", id=f"t{number}", queue=queue)
        step_worker.fail(step_worker.take(queue), code)
    return asked


def names(client: ChatClient, **wanted: object) -> list[str]:
    return [record.id for record in client.failed(**wanted)]  # type: ignore[arg-type]  # the filter's own names


def test_a_filter_finds_failed_turns(failures: ChatClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_turns, "PAGE", 2)
    assert names(failures) == ["t5", "t4", "t3", "t2", "t1", "t0"]
    assert names(failures, limit=2, code="chain_error") == ["t5", "t3"]
    assert names(failures, session="acme/*") == ["t5", "t3", "t1"]
    assert names(failures, session="umbrella/1") == ["t4"]
    assert names(failures, queue="batch") == ["t5"]
    assert names(failures, chain="other") == []
    middle = failures.turn("t3").status().finished
    assert middle
    assert set(names(failures, since=middle)) | set(names(failures, until=middle)) == {f"t{n}" for n in range(6)}
    assert "t5" not in names(failures, until=middle - 1)


def test_a_slip_in_a_filter_means_no_turn(failures: ChatClient) -> None:
    with pytest.raises(InvalidTurn, match="cannot be filtered by sesion"):
        failures.discard_failed(sesion="acme/0")  # type: ignore[call-arg]  # the slip
    assert len(names(failures)) == 6


def test_failed_turns_are_requeued_in_their_order(failures: ChatClient, step_worker: StepWorker) -> None:
    assert failures.retry_failed(session="acme/*", queue="chat") == (2, 0)
    assert [failures.turn(f"t{n}").status().place for n in (1, 3)] == [0, 1]
    assert [step_worker.take().id, len(names(failures))] == ["t1", 4]


def test_a_turn_that_finds_no_room_stays_and_holds_up_no_other(settings: Settings, failures: ChatClient) -> None:
    narrow = ChatClient(settings=settings.model_copy(update={"max_waiting_per_session": 1}))
    narrow.ask("umbrella/0", "first")
    assert narrow.retry_failed(session="umbrella/*") == (2, 1)
    assert names(failures) == ["t5", "t3", "t2", "t1"]


def test_a_discard_forgets_only_what_still_has_failed(failures: ChatClient, step_worker: StepWorker) -> None:
    failures.retry("t1")
    step_worker.answer(step_worker.take(), "one")
    assert not failures.store.delete_turn("t1", failures.turn("t0").status().state)
    assert failures.discard_failed(session="acme/*") == (2, 0)
    assert names(failures) == ["t4", "t2", "t0"]
    assert failures.turn("t1").status().answer == "one"
    with pytest.raises(UnknownTurn):
        failures.turn("t3").status()


async def test_the_awaited_client_does_the_same(settings: Settings, failures: ChatClient) -> None:
    async with AsyncChatClient(settings=settings) as client:
        assert [record.id for record in await client.failed(code="chain_error")] == ["t5", "t3", "t1"]
        assert await client.retry_failed(limit=2, session="umbrella/*") == (2, 0)
        assert await client.discard_failed(code="chain_error") == (3, 0)
    assert names(failures) == ["t4"]


def test_commands_list_requeue_and_discard(run: Run, failures: ChatClient) -> None:
    assert [line.split()[0] for line in run("failed", "--code", "chain_error", "--limit", "2").stdout.splitlines()] == [
        "t5",
        "t3",
    ]
    assert run("failed", "--within", "0.000001").stdout == ""
    assert run("failed", "--session", "umbrella/*", "--retry").stdout == "requeued: 3, left: 0\n"
    assert json.loads(run("failed", "--discard", "--json").stdout) == {"discarded": 3, "left": 0}
    assert run("failed").stdout == ""
