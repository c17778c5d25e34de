"""The CPU cost of a turn's parts, each on its own: `python -m bench.parts` prints one JSON object.

Every part runs as a worker runs it, on uvloop, many at a time; its floor is the least that the same bytes on the same
sockets cost in Python. Figures are CPU microseconds of this process for one turn.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import uvloop

from bench.history import MESSAGES, QUESTION, window
from turnstile.memory.codec import encode
from turnstile.memory.open_turn import OpenTurn, transcript
from turnstile.memory.window import fit
from turnstile.turns.celery_message import dispatch_message
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim
from turnstile.workers.chains.load import close_chain, load_chain
from turnstile.workers.chains.run import run_chain

AT_ONCE = 50

Part = Callable[[int], Awaitable[Any]]


async def cost(part: Part, times: int) -> float:
    """CPU microseconds of one run of a part."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with free:
            await part(number)

    began = time.process_time()
    await asyncio.gather(*(one(number) for number in range(times)))
    return (time.process_time() - began) / times * 1e6


class Parts:
    """The parts, over one store and one chain."""

    def __init__(self, settings: Settings, times: int) -> None:
        self.settings = settings
        self.times = times
        self.store = AsyncTurnStore(settings)
        self.chain = load_chain(settings)
        self.history = window()
        self.elements = [encode(message).encode() for message in reversed(self.history)]
        self.claims: list[Claim] = []
        self.message = dispatch_message()

    def prepare(self) -> None:
        """Submit a turn for every claim that will be made."""
        store = TurnStore(self.settings)
        pipe = store.client.pipeline(transaction=False)
        for number in range(self.times):
            store.submit(f"t{number}", f"s{number}", QUESTION, Options(stream=False))
            pipe.rpush(store.keys.history(f"s{number}"), *self.elements)
        pipe.execute()

    async def claim(self, number: int) -> None:
        """Claim a turn with its window."""
        claim = await self.store.claim(f"t{number}", "bench", "n")
        assert isinstance(claim, Claim)
        self.claims.append(claim)

    async def read_window(self, _: int) -> None:
        """The window's elements become messages."""
        fit(list(self.elements), MESSAGES)

    async def read_window_floor(self, _: int) -> None:
        """The same elements, read as JSON and no more."""
        for element in self.elements:
            json.loads(element)

    async def read_message(self, _: int) -> None:
        """A Celery message, read as JSON and no more."""
        json.loads(json.loads(self.message)["body"])

    async def ask(self, _: int) -> None:
        """The chain with its HTTP call."""
        await run_chain(self.chain, QUESTION, self.history, "s")

    async def finish(self, number: int) -> None:
        """Encode what the turn adds, and commit."""
        claim = self.claims[number]
        opening = OpenTurn(claim.session, claim.id, claim.token)
        elements = [encode(m, turn=claim.id, at=1) for m in transcript(opening, QUESTION, "Answer. " * 10)]
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        state = await self.store.finish(claim, Outcome(State.COMPLETED, said("Answer. " * 10), usage=usage), elements)
        assert state is State.COMPLETED

    async def hand_over(self) -> float:
        """A thread of a pool hands a call to the loop and waits for it."""
        loop = asyncio.get_running_loop()

        async def nothing() -> None:
            await asyncio.sleep(0)

        def call(_: int) -> None:
            asyncio.run_coroutine_threadsafe(nothing(), loop).result()

        with ThreadPoolExecutor(AT_ONCE) as pool:
            began = time.process_time()
            await asyncio.gather(*(loop.run_in_executor(pool, call, number) for number in range(self.times)))
            return (time.process_time() - began) / self.times * 1e6


async def post_floor(url: str, times: int) -> float:
    """Send the model's request, as bytes that are ready, over aiohttp alone."""
    messages = [{"role": "assistant" if i % 2 else "user", "content": m.content} for i, m in enumerate(window())]
    body = json.dumps({"model": "gpt-4o-mini", "messages": [*messages, {"role": "user", "content": QUESTION}]}).encode()
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post(_: int) -> None:
            async with session.post(f"{url}/chat/completions", data=body) as response:
                await response.read()

        await cost(post, AT_ONCE)
        return await cost(post, times)


async def redis_floor(store: AsyncTurnStore, reply: bytes, times: int) -> float:
    """One command and a reply of the same size, over bare streams with hiredis."""
    import hiredis

    where = store.client.connection_pool.connection_kwargs
    streams = [await asyncio.open_connection(where["host"], where["port"]) for _ in range(AT_ONCE)]
    await store.client.set("floor", reply)
    command = _packed("GET", "floor")

    async def exchange(stream: Any, words: bytes) -> None:
        reader, writer = stream
        parser = hiredis.Reader()
        writer.write(words)
        while parser.gets() is False:
            parser.feed(await reader.read(65_536))

    for stream in streams:
        await exchange(stream, _packed("SELECT", str(where.get("db", 0))))
    idle = list(streams)

    async def get(_: int) -> None:
        stream = idle.pop()
        await exchange(stream, command)
        idle.append(stream)

    result = await cost(get, times)
    for _, writer in streams:
        writer.close()
    return result


def _packed(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n%b" % (len(encoded), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))


async def run(times: int) -> dict[str, float]:
    """Measure all parts."""
    settings = Settings.load()
    parts = Parts(settings, times)
    parts.prepare()
    for _ in range(2):
        await cost(parts.ask, AT_ONCE)
        await cost(parts.read_window, AT_ONCE)
    found = {
        "hand over": await parts.hand_over(),
        "claim": await cost(parts.claim, times),
        "window": await cost(parts.read_window, times),
        "window floor": await cost(parts.read_window_floor, times),
        "chain and HTTP": await cost(parts.ask, times),
        "HTTP floor": await post_floor(settings.openai_base_url, times),
    }
    parts.claims.sort(key=lambda claim: int(claim.id[1:]))
    found["finish"] = await cost(parts.finish, times)
    found["claim floor"] = await redis_floor(parts.store, b"".join(parts.elements), times)
    found["finish floor"] = await redis_floor(parts.store, b"ok", times)
    found["receive floor"] = await redis_floor(parts.store, parts.message.encode(), times) + await cost(
        parts.read_message, times
    )
    await close_chain(parts.chain)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(int(os.environ.get("BENCH_TIMES", "1000"))))) + "\n")
