"""One server with a million sessions: its memory, its speed, and how long it takes to save, to load and to audit.

The sessions are made by the scripts that producers and workers run, in pipelines and without a model, so their data are as
real ones'. Then a worker answers turns of some of them.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, repeat
from typing import Any

import redis

from bench.contestants import Turnstile
from bench.history import QUESTION, window
from bench.load import measure
from bench.machine import Bench
from tests.support.wait import wait_until
from turnstile.memory.codec import encode
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.audit import audit
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

BATCH = 1_000
PATIENCE = 3_600.0
_AT_ONCE = 2
_ANSWER = str(window(2)[1].content)
_TOLD = 50_000
_TURNS = 1_000
_SAMPLE = 500


@dataclass(slots=True)
class Million:
    """The figures; times in seconds, sizes in bytes."""

    sessions: int
    waiting: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)


class Driver:
    """Puts turns through their scripts, a thousand at once."""

    def __init__(self, store: TurnStore) -> None:
        self.store = store
        self._numbers = count()
        self._question, self._answer = [encode(message) for message in window(2)]

    def fill(self, sessions: int) -> None:
        """Give each of so many sessions one streamed turn, accepted, claimed and ended."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(self._fill, range(0, sessions, BATCH), repeat(sessions)))
        while self._answer_dispatched():
            pass

    def _fill(self, start: int, sessions: int) -> None:
        self.submit(min(BATCH, sessions - start), Options())
        while self._answer_dispatched():
            pass
        if start and start % _TOLD == 0:
            print(f"  {start:,} sessions", file=sys.stderr, flush=True)

    def submit(self, turns: int, options: Options) -> None:
        """Ask one question in each of so many new sessions."""
        numbers = [next(self._numbers) for _ in range(turns)]
        describe = TurnStore.submit.describe
        self._run([describe(self.store, f"turn-{n:032d}", f"session-{n:012d}", QUESTION, options) for n in numbers])

    def _answer_dispatched(self) -> bool:
        client = self.store.client
        messages: Any = client.rpop("chat", BATCH) or []
        ids = [json.loads(message)["headers"]["id"] for message in messages]
        claim = TurnStore.claim.describe
        calls = [claim(self.store, id, "driver", secrets.token_hex(8), BATCH) for id in ids]
        claims = [claim for claim in self._run(calls) if isinstance(claim, Claim)]
        self._run([self._end(claim) for claim in claims])
        return bool(ids)

    def _end(self, claim: Claim) -> Call[Any]:
        outcome = Outcome(State.COMPLETED, said(_ANSWER), {"input_tokens": 900, "output_tokens": 40, "total_tokens": 940})
        return TurnStore.finish.describe(self.store, claim, outcome, [self._question, self._answer], text=_ANSWER)

    def _run(self, calls: Sequence[Call[Any]]) -> list[Any]:
        pipe = self.store.client.pipeline(transaction=False)
        for call in calls:
            pipe.evalsha(self.store.scripts[call.name].sha, 0, *call.args)
        return [call.read(reply) for call, reply in zip(calls, pipe.execute(), strict=True)]


def run(bench: Bench, sessions: int, waiting: int) -> Million:
    """Fill a server, and measure it."""
    found = Million(sessions, waiting)
    with Turnstile(bench, 100) as who:
        who.ready()
        measure(who, _TURNS, 0)
        found.rates["turns, empty"], found.rates["redis, empty"] = _speed(who)
        who.stop()
        who.client.config_set("auto-aof-rewrite-percentage", 0)
        driver = _fill(who, found)
        _save(who, bench, found)
        who.start()
        who.ready()
        measure(who, _TURNS // 2, 0)
        found.rates["turns, full"], found.rates["redis, full"] = _speed(who)
        found.seconds["audit"] = _timed(lambda: asyncio.run(_audit(who.settings)))
        for process in who.processes:
            process.stop()
        _wait(driver, found)
        who.client.flushall(asynchronous=True)
    return found


def _fill(who: Turnstile, found: Million) -> Driver:
    store = who.store
    for script in ("submit", "claim", "finish"):
        store.client.script_load(store.scripts[script].source)
    driver = Driver(store)
    _sizes(store, driver, found)
    before = _memory(store.client)
    found.seconds["fill"] = _timed(lambda: driver.fill(found.sessions))
    found.sizes["session and its turn"] = (_memory(store.client) - before) / found.sessions
    found.sizes["all"] = _memory(store.client)
    return driver


def _wait(driver: Driver, found: Million) -> None:
    """Let turns wait, each in a session of its own."""
    before = _memory(driver.store.client)
    for _ in range(0, found.waiting, BATCH):
        driver.submit(BATCH, Options(queue="batch"))
    found.sizes["waiting"] = (_memory(driver.store.client) - before) / found.waiting


def _sizes(store: TurnStore, driver: Driver, found: Million) -> None:
    """Measure a session's parts by a sample."""
    driver.fill(_SAMPLE)
    keys, client = store.keys, store.client

    def mean(names: Sequence[str]) -> float:
        return sum(client.memory_usage(name, samples=0) or 0 for name in names) / len(names)

    sessions = [f"session-{n:012d}" for n in range(_SAMPLE)]
    turns = [f"turn-{n:032d}" for n in range(_SAMPLE)]
    found.sizes["record"] = mean([keys.turn(turn) for turn in turns])
    found.sizes["events"] = mean([keys.events(turn) for turn in turns])
    found.sizes["index"] = mean([keys.turns(session) for session in sessions])
    found.sizes["conversation"] = mean([keys.conversation(session) for session in sessions])
    found.sizes["history"] = mean([keys.history(session) for session in sessions])


def _save(who: Turnstile, bench: Bench, found: Million) -> None:
    """Rewrite the log, as the server does by itself now and then, and start it again from that."""
    client = who.client
    client.bgrewriteaof()
    found.seconds["rewrite"] = _timed(lambda: wait_until(lambda: _is_idle(client), "the log is rewritten", PATIENCE))
    told: dict[str, Any] = client.info()
    found.seconds["fork"] = float(told["latest_fork_usec"]) / 1e6
    found.sizes["log"] = float(told["aof_current_size"])
    found.sizes["copied while rewriting"] = float(told.get("aof_last_cow_size", 0))
    bench.server.stop()
    found.seconds["restart"] = _timed(bench.server.start)


def _is_idle(client: redis.Redis) -> bool:
    told: dict[str, Any] = client.info("persistence")
    return not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])


def _speed(who: Turnstile) -> tuple[float, float]:
    """Return turns a second through one worker, and the server's CPU milliseconds for each; the model answers at once."""
    before = _cpu(who.client)
    sample = measure(who, _TURNS, 0)
    return sample.rate, 1000 * (_cpu(who.client) - before) / sample.turns


def _cpu(client: redis.Redis) -> float:
    told: dict[str, Any] = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def _memory(client: redis.Redis) -> float:
    told: dict[str, Any] = client.info("memory")
    return float(told["used_memory"])


async def _audit(settings: Settings) -> int:
    store = AsyncTurnStore(settings)
    try:
        return await audit(store, now=True)
    finally:
        await close_async(store.url)


def _timed(act: Any) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
