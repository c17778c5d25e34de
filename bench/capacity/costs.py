"""The CPU and memory of a turn, of a step, and of a request at the gateway."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from bench.capacity.graphs import LONG, SHORT
from bench.contestants import Turnstile
from bench.history import QUESTION
from bench.load import measure
from bench.machine import Bench, usage
from tests.support.gateways import Gateway
from tests.support.wait import wait_until
from turnstile.turns.question import Options

TURNS = 800
ROUNDS = 3
IN_FLIGHT = 50
_IDLE_SECONDS = 3.0
_REQUESTS = 300
_AT_ONCE = 10
_STREAMED = f"{QUESTION}[[tokens-per-second=40]]"
_CHAINS = '{"short": "bench.capacity.graphs:short", "long": "bench.capacity.graphs:long"}'
_MANY = 500


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU milliseconds of a turn, beyond an idle worker's."""

    worker: float
    redis: float


def turns(bench: Bench) -> dict[str, Any]:
    """Measure turns: plain, streamed, and with steps."""
    with Turnstile(bench, IN_FLIGHT, TURNSTILE_CHAINS=_CHAINS) as who:
        who.ready()
        measure(who, 400, 0)
        idle = who.usage().memory
        plain = _cost(who, lambda names: who.ask(names, QUESTION, Options(stream=False)))
        streamed = _cost(who, lambda names: who.ask(names, _STREAMED, Options(stream=True)))
        one, many = (_cost(who, _asks(who, chain), TURNS // 8) for chain in ("short", "long"))
    return {
        "worker_plain_ms": plain.worker,
        "worker_streamed_ms": streamed.worker,
        "worker_step_ms": (many.worker - one.worker) / (LONG - SHORT),
        "redis_plain_ms": plain.redis,
        "redis_streamed_ms": streamed.redis,
        "redis_step_ms": (many.redis - one.redis) / (LONG - SHORT),
        "worker_idle_bytes": idle,
    }


def _asks(who: Turnstile, chain: str) -> Callable[[list[str]], None]:
    return lambda names: who.ask(names, QUESTION, Options(chain=chain, stream=False))


def _cost(who: Turnstile, ask: Callable[[list[str]], None], turns: int = TURNS) -> Cost:
    """Return the median over rounds, without the idle time of worker and server."""
    rounds = [_round(who, ask, turns) for _ in range(ROUNDS)]
    return Cost(median(cost.worker for cost in rounds), median(cost.redis for cost in rounds))


def _round(who: Turnstile, ask: Callable[[list[str]], None], turns: int) -> Cost:
    names, start = who.fill(turns), _used(who)
    time.sleep(_IDLE_SECONDS)
    before, began = _used(who), time.monotonic()
    done = who.store.stats().get("completed", 0) + turns
    ask(names)
    wait_until(lambda: who.store.stats().get("completed", 0) >= done, f"{turns} turns are done")
    time.sleep(0.3)  # what follows a turn's end
    took = time.monotonic() - began
    shares = [(b - a) / _IDLE_SECONDS * took for a, b in zip(start, before, strict=True)]
    worker, redis = (1000 * (b - a - idle) / turns for a, b, idle in zip(before, _used(who), shares, strict=True))
    return Cost(worker, redis)


def _used(who: Turnstile) -> tuple[float, float]:
    """Return the CPU seconds of the worker and of the server up to now."""
    info: dict[str, Any] = who.client.info("cpu")
    return who.usage().cpu, float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def in_flight(bench: Bench) -> dict[str, Any]:
    """Measure the memory of a worker for each turn in flight."""
    with Turnstile(bench, _MANY) as who:
        who.ready()
        measure(who, _MANY, 0)
        return {"worker_turn_bytes": measure(who, 2 * _MANY, 2).memory // _MANY}


def gateway(bench: Bench) -> dict[str, Any]:
    """Measure requests at the gateway, whole and streamed."""
    with Turnstile(bench, IN_FLIGHT) as who:
        who.ready()
        with Gateway(who.url, bench.folder) as served, httpx.Client(base_url=served.url, timeout=120) as http:
            _requests(http, served, QUESTION, stream=False)
            idle = usage(served.pid).memory
            plain = _requests(http, served, QUESTION, stream=False)
            streamed = _requests(http, served, _STREAMED, stream=True)
    return {"gateway_plain_ms": plain, "gateway_streamed_ms": streamed, "gateway_idle_bytes": idle}


def _requests(http: httpx.Client, served: Gateway, question: str, *, stream: bool) -> float:
    """Return the CPU milliseconds of a request."""

    def ask(_: int) -> None:
        body = {"input": question, "stream": stream}
        with http.stream("POST", "/v1/responses", json=body) as reply:
            text = reply.read()
        assert reply.status_code == 200, text

    before = usage(served.pid).cpu
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(ask, range(_REQUESTS)))
    return 1000 * (usage(served.pid).cpu - before) / _REQUESTS
