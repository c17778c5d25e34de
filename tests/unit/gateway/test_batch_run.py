"""Costs of a batch's lines to the others, by the event loop's time."""

import json
from collections.abc import AsyncIterator
from math import inf
from time import monotonic, thread_time
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from turnstile.producers.gateway.batches import answering
from turnstile.producers.gateway.batches import run as work
from turnstile.producers.gateway.batches.lines import Line
from turnstile.producers.gateway.batches.requests import Asked, BatchRequest, Done, Row
from turnstile.producers.gateway.batches.schemas import LOST
from turnstile.producers.gateway.batches.stop import EXPIRED, Stopped
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.edge.loop_accounts import Account, account_of
from turnstile.producers.gateway.edge.loop_time import loop_account
from turnstile.turns.errors import MissingRight, UnknownBatch, UnknownFile, UnknownTurn
from turnstile.turns.settings import Settings
from turnstile.turns.store.batches import FAILED, Place

LONG = 0.1


def batch_run(api_key: str, expires: float = inf, now: float = 0.0) -> work.BatchRun:
    """Return the work on a batch that an API key began, at the server's time `now`."""
    facts = {"endpoint": "/v1/responses", "retries": [], "api_key": api_key, "weight": 1}
    batch = Mock(tenant="acme", facts=json.dumps(facts), state="", expires=expires, started=False)
    backend = Mock(store=AsyncMock(**{"info.return_value": {}}), settings=Settings(redis_url="redis://127.0.0.1:1/0"))
    return work.BatchRun(backend, batch, "token", now)


@pytest.mark.parametrize(("api_key", "charged"), [("key", True), ("", False)])
async def test_the_batches_of_a_tenant_have_one_account(monkeypatch: pytest.MonkeyPatch, api_key: str, charged: bool) -> None:
    found: list[Account | None] = []

    async def note(*_: object) -> int:
        found.append(loop_account.get())
        raise UnknownBatch

    monkeypatch.setattr(work, "count_answers", note)
    for _ in range(2):
        await batch_run(api_key).run()
    assert found == [account_of("batches of acme") if charged else None] * 2
    assert account_of("acme") not in found


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_unknown_turn_was_erased_unless_redis_is_another(monkeypatch: pytest.MonkeyPatch, restarted: bool) -> None:
    requests = batch_run("key")._requests
    store: Any = requests._backend.store
    store.info.return_value = {"run_id": "first"}
    await requests.begin(0)
    store.info.return_value = {"run_id": "second" if restarted else "first"}
    monkeypatch.setattr(answering, "ended", AsyncMock(side_effect=UnknownTurn("There is no turn.")))
    done = await requests.result(Asked(Row(1, Place(1)), "turn"))
    assert done is None if restarted else (done and json.loads(done.text)["error"]["code"] == "deleted" and done.asked)


async def test_a_redis_that_tells_no_name_is_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = batch_run("key")._requests
    store: Any = requests._backend.store
    store.info.side_effect = MissingRight("The Redis user lacks +info.")
    await requests.begin(0)
    monkeypatch.setattr(answering, "ended", AsyncMock(side_effect=UnknownTurn("There is no turn.")))
    assert await requests.result(Asked(Row(1, Place(1)), "turn"))


@pytest.mark.parametrize(("file", "looks", "fault"), [(True, 3, LOST), (False, 1, work._GONE)])
async def test_results_that_stay_lost(monkeypatch: pytest.MonkeyPatch, file: bool, looks: int, fault: str) -> None:
    """The work is bounded, and the reason true."""
    run = batch_run("key")
    store: Any = run._backend.store
    store.read_batch.return_value = Mock(started=1, completed=1, failed=0)
    store.read_file.side_effect = None if file else UnknownFile("There is no file.")
    places: list[Place] = []

    async def lines(place: Place) -> AsyncIterator[Line]:
        places.append(place)
        for line in list[Line]():
            yield line

    monkeypatch.setattr(run, "_lines", lines)
    await run._answer_from(Place(7), 2, 0)
    await run._find_lost(2)
    await run._end(2)
    assert places == [Place(7), Place(), Place()][:looks]
    store.end_batch.assert_awaited_once_with(run._batch.id, "token", FAILED, fault)


async def test_a_line_that_is_refused_is_charged_for_its_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(line: Line, _: str) -> BatchRequest:
        began = thread_time()
        while thread_time() - began < LONG:
            pass
        return BatchRequest(Row(line.number, line.after), error=invalid("body", "wrong"))

    monkeypatch.setattr(answering, "read_request", read)
    account = Account()
    loop_account.set(account)
    began = monotonic()
    line: Any = Line(0, b'"a text"', Mock())
    assert isinstance(await batch_run("key")._requests.submit(line), Done)
    assert account._rested > began + 3 * LONG


async def test_a_batch_expires_by_the_servers_time() -> None:
    a_day = 86_400.0
    sign = batch_run("", expires=a_day, now=a_day - 1).sign
    sign.check()
    await sign.look("in_progress", a_day + 1)
    assert sign.stopped == EXPIRED
    with pytest.raises(Stopped):
        sign.check()
