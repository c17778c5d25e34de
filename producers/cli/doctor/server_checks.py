"""Checks of the Redis server."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import redis

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.turns.errors import TurnstileError
from turnstile.turns.store.durability import EVICTS, NO_LOG
from turnstile.turns.store.rights import ROLES
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore

OLDEST_MAJOR = 7

_PINGS = 5
_NODE_BYTES, _MOST_NODE_BYTES = "stream-node-max-bytes", 1_024
_SLOW_MS = 20.0
_MEMORY_WARNS, _MEMORY_FAILS = 0.8, 0.95


def check_reach(store: TurnStore) -> Check:
    """Check that Redis answers, and measure how fast."""
    where = str(store.address)
    try:
        took = [_ping(store) for _ in range(_PINGS)]
    except TurnstileError as error:
        return Check("redis", Verdict.FAIL, where, str(error))
    typical = statistics.median(took)
    detail = f"{where} answers in {typical:.1f} ms"
    if typical > _SLOW_MS:
        return Check("redis", Verdict.WARN, detail, "Every step of a turn takes this long: run the workers near Redis.")
    return Check("redis", Verdict.OK, detail)


def _ping(store: TurnStore) -> float:
    start = time.perf_counter()
    store.run(Call("PING", (), lambda reply: reply))
    return (time.perf_counter() - start) * 1000


def check_server(store: TurnStore) -> Iterator[Check]:
    """Check the server by its INFO."""
    facts = store.info()
    yield from (check(facts) for check in _INFO_CHECKS)
    with suppress(TurnstileError, redis.ResponseError):
        yield check_streams(store.run(Call("CONFIG", ("GET", _NODE_BYTES), _value)))


def _value(reply: Any) -> int:
    values = list(reply.values()) if isinstance(reply, dict) else reply[1::2]
    return int(values[0]) if values else 0


def check_streams(node_bytes: int) -> Check:
    """Check that the streams of finished turns take no more memory than they need."""
    if node_bytes == 0 or node_bytes > _MOST_NODE_BYTES:
        advice = (
            f"A finished streamed turn takes 4.5 KB instead of 7.0 with `CONFIG SET {_NODE_BYTES} 512`; put it into redis.conf."
        )
        return Check("streams", Verdict.WARN, f"{_NODE_BYTES} is {node_bytes:,}", advice)
    return Check("streams", Verdict.OK, f"{_NODE_BYTES} is {node_bytes:,}")


def check_version(facts: Mapping[str, str]) -> Check:
    """Check that the server is Valkey, or Redis 7 or newer."""
    valkey = facts.get("valkey_version")
    version = valkey or facts.get("redis_version", "0")
    name = f"{'Valkey' if valkey else 'Redis'} {version}"
    if not valkey and int(version.partition(".")[0]) < OLDEST_MAJOR:
        return Check("version", Verdict.FAIL, name, f"Use Redis {OLDEST_MAJOR} or newer, or Valkey.")
    return Check("version", Verdict.OK, name)


def check_role(facts: Mapping[str, str]) -> Check:
    """Check that the server is no replica: what is written to one is refused, or lost."""
    if facts.get("role", "master") != "master":
        primary = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        advice = "Name the primary in REDIS_URL, or the sentinels: sentinel://host:26379/0?master=name."
        return Check("role", Verdict.FAIL, f"a replica of {primary}", advice)
    return Check("role", Verdict.OK, "primary")


def check_eviction(facts: Mapping[str, str]) -> Check:
    """Check that a full server refuses new turns instead of dropping accepted ones."""
    policy = facts.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        return Check("eviction", Verdict.FAIL, f"maxmemory-policy is {policy}", EVICTS)
    return Check("eviction", Verdict.OK, "noeviction")


def check_durability(facts: Mapping[str, str]) -> Check:
    """Check that the data survives a restart of the server."""
    if facts.get("aof_enabled") != "1":
        return Check("durability", Verdict.WARN, "no append-only file", NO_LOG)
    if facts.get("aof_last_write_status", "ok") != "ok":
        return Check("durability", Verdict.FAIL, "the append-only file cannot be written", "Check the server's disk.")
    return Check("durability", Verdict.OK, "append-only file")


def check_memory(facts: Mapping[str, str]) -> Check:
    """Check that the server has free memory."""
    used, limit = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    whole = limit or int(facts.get("total_system_memory", 0))
    detail = f"{used / 2**20:,.0f} of {whole / 2**20:,.0f} MiB used" + ("" if limit else ", no maxmemory set")
    advice = "New turns are refused when the memory is full: raise maxmemory, or shorten TURNSTILE_RESULT_TTL and _HISTORY_TTL."
    if whole and used > whole * _MEMORY_FAILS:
        return Check("memory", Verdict.FAIL, detail, advice)
    if whole and used > whole * _MEMORY_WARNS:
        return Check("memory", Verdict.WARN, detail, advice)
    return Check("memory", Verdict.OK, detail)


_INFO_CHECKS: tuple[Callable[[Mapping[str, str]], Check], ...] = (
    check_version,
    check_role,
    check_eviction,
    check_durability,
    check_memory,
)


def check_rights(store: TurnStore) -> Check:
    """Check that the Redis user has a producer's rights, and name those that it lacks for a gateway or a worker."""
    lacking = {role: store.lacking(role) for role in ROLES}
    said = [
        f"{'an' if role[0] in 'aeiou' else 'a'} {role} lacks {' '.join(rights)}" for role, rights in lacking.items() if rights
    ]
    if lacking["producer"]:
        return Check("rights", Verdict.FAIL, said[-1], "Grant them to the user in REDIS_URL: ACL SETUSER.")
    enough = f"enough for {', '.join(role for role, rights in lacking.items() if not rights)}"
    return Check("rights", Verdict.OK, "; ".join([enough, *said]))
