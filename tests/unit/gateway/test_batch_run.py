"""Costs of a batch's lines to the others, by the event loop's time."""

import json
from math import inf
from time import monotonic, thread_time
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from turnstile.producers.gateway.batches import run as work
from turnstile.producers.gateway.batches.lines import Line
from turnstile.producers.gateway.batches.requests import BatchRequest, Done, Row
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.edge.loop_time import Account, account_of, loop_account
from turnstile.turns.errors import UnknownBatch
from turnstile.turns.settings import Settings

LONG = 0.1


def batch_run(api_key: str) -> work.BatchRun:
    """Return the work on a batch that an API key began."""
    facts = {"endpoint": "/v1/responses", "retries": [], "api_key": api_key, "weight": 1}
    batch = Mock(tenant="acme", facts=json.dumps(facts), state="", expires=inf, started=False)
    backend = Mock(store=AsyncMock(), settings=Settings(redis_url="redis://127.0.0.1:1/0"))
    return work.BatchRun(backend, batch, "token")


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


async def test_a_line_that_is_refused_is_charged_for_its_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(line: Line, _: str) -> BatchRequest:
        began = thread_time()
        while thread_time() - began < LONG:
            pass
        return BatchRequest(Row(line.number, line.after), error=invalid("body", "wrong"))

    monkeypatch.setattr(work, "read_request", read)
    account = Account()
    loop_account.set(account)
    began = monotonic()
    line: Any = Line(0, b'"a text"', Mock())
    assert isinstance(await batch_run("key")._submit(line), Done)
    assert account._rested > began + 3 * LONG
