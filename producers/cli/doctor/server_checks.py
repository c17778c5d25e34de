"""Checks of the Redis server: that it answers, and that it is the right one."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import redis

from turnstile.producers.cli.doctor import storage_checks as storage
from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.producers.cli.doctor.storage_checks import Facts
from turnstile.turns.errors import MissingRight, QueueUnreachable, TurnstileError
from turnstile.turns.redis.failures import refuses_writes
from turnstile.turns.store.rights import ROLES
from turnstile.turns.store.runner import Call
from turnstile.turns.store.schema import SCHEMA
from turnstile.turns.store.turns import TurnStore

OLDEST_MAJOR = 7

_TRIES = 5
_SLOW_MS = 20.0
_MOST_APART = 2.0


def check_reach(store: TurnStore) -> Check:
    """Check that Redis answers, and measure how fast."""
    where = str(store.address)
    try:
        took = [_ping(store) for _ in range(_TRIES)]
    except TurnstileError as error:
        return Check("redis", Verdict.FAIL, where, str(error))
    typical = statistics.median(took)
    detail = f"{where} answers in {typical:.1f} ms"
    if typical > _SLOW_MS:
        advice = "Every step of a turn takes this long: run the workers near Redis, and see `LATENCY DOCTOR` and `SLOWLOG GET`."
        return Check("redis", Verdict.WARN, detail, advice)
    return Check("redis", Verdict.OK, detail)


def _ping(store: TurnStore) -> float:
    start = time.perf_counter()
    try:
        store.run(Call("PING", (), lambda reply: reply))
    except TurnstileError as error:
        if not refuses_writes(error.__cause__):
            raise
    return (time.perf_counter() - start) * 1000


def check_writes(store: TurnStore) -> Check:
    """Check that Redis takes writes, and name its reason if it does not: by a script whose writes do not stay."""
    try:
        store.lacking("producer")
    except (MissingRight, redis.ResponseError):
        return Check("writes", Verdict.OK, "not tried")
    except QueueUnreachable as error:
        if not refuses_writes(error.__cause__):
            raise
        return Check("writes", Verdict.FAIL, "refused", str(error))
    return Check("writes", Verdict.OK, "taken")


def check_clock(store: TurnStore, clock: Callable[[], float] = time.time) -> Check:
    """Compare this machine's clock with the server's, by the exchange that took the least time."""
    _, ahead = min(_compare(store, clock) for _ in range(_TRIES))
    if abs(ahead) > _MOST_APART:
        detail = f"the server's is {abs(ahead):,.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
        advice = "Turns go by the server's, logs and webhooks by each machine's: `timedatectl set-ntp true` on both."
        return Check("clock", Verdict.WARN, detail, advice)
    return Check("clock", Verdict.OK, "the server's and this machine's agree")


def _compare(store: TurnStore, clock: Callable[[], float]) -> tuple[float, float]:
    """Return how long the server took to tell its time, and how far that is ahead."""
    start = clock()
    told = store.now()
    end = clock()
    return end - start, told - (start + end) / 2


def check_server(store: TurnStore) -> Iterator[Check]:
    """Check the server by what it tells of itself, where the user may ask."""
    try:
        facts = store.info()
    except MissingRight as error:
        yield Check("server", Verdict.WARN, "not examined", str(error))
        return
    yield from (check(facts) for check in _INFO_CHECKS)
    logged = facts.get("aof_enabled") == "1"
    for name, check in _CONFIG_CHECKS.items():
        with suppress(TurnstileError, redis.ResponseError):
            if (value := store.run(Call("CONFIG", ("GET", name), _value))) and (logged or name != "appendfsync"):
                yield check(value)


def _value(reply: Any) -> str:
    """Return the value in a reply of CONFIG GET; empty if the server knows no such name."""
    values = list(reply.values()) if isinstance(reply, dict) else reply[1::2]
    value = values[0] if values else ""
    return value.decode() if isinstance(value, bytes) else str(value)


def check_version(facts: Facts) -> Check:
    """Check that the server is Valkey, or Redis 7 or newer."""
    valkey = facts.get("valkey_version")
    version = valkey or facts.get("redis_version", "0")
    name = f"{'Valkey' if valkey else 'Redis'} {version}"
    if not valkey and int(version.partition(".")[0]) < OLDEST_MAJOR:
        return Check("version", Verdict.FAIL, name, f"Use Redis {OLDEST_MAJOR} or newer, or Valkey.")
    return Check("version", Verdict.OK, name)


def check_role(facts: Facts) -> Check:
    """Check that the server is no replica: writes to one are refused, or lost."""
    if facts.get("role", "master") != "master":
        primary = f"{facts.get('master_host', '?')}:{facts.get('master_port', '?')}"
        advice = "Name the primary in REDIS_URL, or the sentinels: sentinel://host:26379/0?master=name."
        return Check("role", Verdict.FAIL, f"a replica of {primary}", advice)
    return Check("role", Verdict.OK, "primary")


def check_schema(store: TurnStore) -> Check:
    """Check that this version can read what the newest process has stored."""
    number, version = store.schema()
    if number > SCHEMA:
        detail = f"{number}, brought by version {version}; this command knows {SCHEMA}"
        return Check(
            "schema", Verdict.FAIL, detail, "Upgrade this installation: processes of its version do not start any more."
        )
    return Check("schema", Verdict.OK, f"{number}, since version {version}" if number else "not noted yet: nothing has started")


_INFO_CHECKS: tuple[Callable[[Facts], Check], ...] = (
    check_version,
    check_role,
    storage.check_replicas,
    storage.check_eviction,
    storage.check_durability,
    storage.check_memory,
)
_CONFIG_CHECKS = {"appendfsync": storage.check_sync, "stream-node-max-bytes": storage.check_streams}


def check_rights(store: TurnStore) -> Check:
    """Check that the Redis user has a producer's rights, and name those that it lacks for a gateway or a worker."""
    lacking = {role: store.lacking(role) for role in ROLES}
    said = {
        role: f"{'an' if role[0] in 'aeiou' else 'a'} {role} lacks {' '.join(rights)}"
        for role, rights in lacking.items()
        if rights
    }
    if lacking["producer"]:
        user = store.address.username or "default"
        advice = f"`ACL SETUSER {user} {' '.join(lacking['producer'])}`, or load a new file of `turnstile acl`."
        return Check("rights", Verdict.FAIL, said["producer"], advice)
    enough = f"enough for {', '.join(role for role, rights in lacking.items() if not rights)}"
    detail = "; ".join([enough, *said.values()])
    try:
        store.try_fence()
    except (MissingRight, redis.ResponseError) as error:
        detail += "; a command that is sent again, because its connection was silent, may run a second time later"
        return Check("rights", Verdict.WARN, detail, f"Let users run CLIENT INFO and CLIENT KILL: {error}")
    return Check("rights", Verdict.OK, detail)
