"""The latency that the queue adds to a direct call at low load: to the answer, and to its first piece."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from statistics import median

import httpx2
import openai
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from bench.contestants import Turnstile
from bench.history import window
from bench.machine import Bench
from bench.tables import Table, percentile
from turnstile.producers.client import AsyncChatClient
from turnstile.turns.settings import Settings
from turnstile.workers.chains.load import close_chain, load_chain
from turnstile.workers.chains.run import Chain, run_chain

PAIRS = 80
WARM = 10
WHOLE = "How long does it take? [[latency=0.05]]"
STREAMED = "The first piece? [[latency=0.05 tokens-per-second=100]]"

Call = Callable[[str], Awaitable[tuple[str, AsyncIterator[object]]]]
"""Gives a turn's id, if there is one, and what is still to come."""


def run(bench: Bench) -> tuple[Table, dict[str, float]]:
    """Pairs of calls, one direct and one through the queue, one at a time."""
    with Turnstile(bench, 100) as who:
        who.ready()
        return asyncio.run(_pairs(who))


async def _pairs(who: Turnstile) -> tuple[Table, dict[str, float]]:
    chain = load_chain(Settings(openai_base_url=who.bench.model_url))
    async with AsyncChatClient(who.url, who.settings) as client:
        whole = await _measured(_direct(chain), _queued(client), who)
        async with openai.DefaultAioHttpClient(trust_env=False) as pool:
            pieces = await _measured(_direct_first(who.bench.model_url, pool), _queued_first(client), who)
        starts = [
            record.started - record.created for record in [await client.turn(id).status() for id in whole[2]] if record.started
        ]
    await close_chain(chain)
    table = Table(
        "Added latency at low load",
        f"{PAIRS} pairs of calls, one direct and one through the queue in turn, one at a time, 40 messages in the session; "
        "the model answers after 50 ms. The answer is that of Turnstile's chain both "
        "ways; the first piece is compared with LangChain's own ChatOpenAI.",
        ("what", "direct p50, ms", "through the queue p50, ms", "added p50, ms", "added p99, ms"),
    )
    added = {}
    for name, (direct, queued, _) in (("the answer", whole), ("the first piece", pieces)):
        added[name] = median(queued) - median(direct)
        worst = percentile(queued, 0.99) - percentile(direct, 0.99)
        table.add(name, *[f"{value * 1000:.1f}" for value in (median(direct), median(queued), added[name], worst)])
    table.notes.append(
        f"From acceptance to the start at a worker, by Redis's clock (whole milliseconds): p50 {median(starts) * 1000:.0f} ms, "
        f"p99 {percentile(starts, 0.99) * 1000:.0f} ms."
    )
    if os.nice(0) < 0:
        table.notes.append(f"Measured at scheduling priority {os.nice(0)}, ahead of other work on the machine.")
    return table, added


async def _measured(direct: Call, queued: Call, who: Turnstile) -> tuple[list[float], list[float], list[str]]:
    names = who.fill(PAIRS + WARM)
    times: tuple[list[float], list[float]] = ([], [])
    ids: list[str] = []
    for number, name in enumerate(names):
        for call, kept in zip((direct, queued), times, strict=True):
            began = time.perf_counter()
            id, rest = await call(name)
            if number >= WARM:
                kept.append(time.perf_counter() - began)
                ids += [id] if id else []
            # What follows the first piece belongs to nobody's time.
            async for _ in rest:
                pass
            await asyncio.sleep(0.01)
    return (*times, ids)


async def _nothing() -> AsyncIterator[object]:
    return
    yield


def _direct(chain: Chain) -> Call:
    history = window()

    async def call(session: str) -> tuple[str, AsyncIterator[object]]:
        await run_chain(chain, WHOLE, history, session)
        return "", _nothing()

    return call


def _queued(client: AsyncChatClient) -> Call:
    async def call(session: str) -> tuple[str, AsyncIterator[object]]:
        turn = await client.ask(session, WHOLE, stream=False)
        await turn.result(30)
        return turn.id, _nothing()

    return call


def _direct_first(url: str, pool: httpx2.AsyncClient) -> Call:
    """LangChain's own model: Turnstile's gathers what streams, and must not be compared with itself."""
    history = window()
    model = ChatOpenAI(base_url=url, api_key=SecretStr("none"), http_async_client=pool)

    async def call(_: str) -> tuple[str, AsyncIterator[object]]:
        pieces = model.astream([*history, HumanMessage(STREAMED)])
        while not (await anext(pieces)).content:
            pass
        return "", pieces

    return call


def _queued_first(client: AsyncChatClient) -> Call:
    async def call(session: str) -> tuple[str, AsyncIterator[object]]:
        turn = await client.ask(session, STREAMED)
        pieces = turn.stream(timeout=30)
        await anext(pieces)
        return "", pieces

    return call
