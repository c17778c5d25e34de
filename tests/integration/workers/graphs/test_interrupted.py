"""Graphs that another question interrupts: what has been done stays, and no call is left without its answer."""

import asyncio
from pathlib import Path

from tests.chains.agents import agent, entries
from tests.integration.workers.graphs.conftest import Stage
from tests.support.wait import wait_until_async
from tests.support.worker_parts import says
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.states import State


async def test_results_stay_and_calls_without_one_are_closed(stage: Stage, ledger: Path) -> None:
    claim = await stage.ask("call pay 1; call slowly 2 | call pay 3")
    attempt = stage.attempt(claim, agent)
    task = asyncio.create_task(attempt.run())
    await wait_until_async(says(lambda: len(entries()) == 2), "both tools have begun")
    await wait_until_async(lambda: _paid(stage), "one has ended")
    attempt.drop("interrupted")
    assert (await task).status == State.INCOMPLETE
    record = await stage.store.status("a")
    assert (record.code, record.calls, record.text) == (INTERRUPTED, (), "round 1. ")
    assert [item["type"] for item in record.output] == ["message", "mcp_call"]
    (human, ai, paid, closed) = await stage.history()
    assert (human, ai) == (("human", "call pay 1; call slowly 2 | call pay 3"), ("ai", "round 1. "))
    assert paid == ("tool", "paid 1")
    assert closed[0] == "tool"
    assert "output" in closed[1]
    assert not await stage.store.client.exists(stage.store.keys.steps("a"))
    ledger.with_name("go").touch()
    assert not any(entry.startswith("paid 3") for entry in entries())


async def _paid(stage: Stage) -> bool:
    return {"name": "pay", "status": "done"} in await stage.steps()
