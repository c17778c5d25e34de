"""Checks of everything that a turn needs, each with what to do when it is not right."""

import json
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import click

from turnstile.producers.cli.terminal import Terminal
from turnstile.turns.errors import TurnstileError
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.store.rights import ROLES
from turnstile.turns.store.roster import REMEDY, introduce, objection, oddities
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore

OPENAI_URL = "https://api.openai.com/v1"
OLDEST_MAJOR = 7
MODEL_SECONDS = 5.0
WORKER_SILENT_SECONDS = 8.0

_PINGS = 5
_LOOKED_AT = 100
_SLOW_MS = 20.0
_MEMORY_WARNS, _MEMORY_FAILS = 0.8, 0.95


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` is empty when all is well."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""


def report(terminal: Terminal) -> int:
    """Make all checks and show them; 1 when one has failed.

    Raises:
        SettingError: nothing can be checked with these settings.
    """
    worst = 0
    for check in examine(read_settings()):
        worst = max(worst, int(check.verdict is Verdict.FAIL))
        advice = f"\n{'':<18}→ {check.advice}" if check.advice else ""
        label = click.style(f"{check.verdict:<5}", _COLOURS[check.verdict])
        terminal.result(f" {check.name:<11} {check.detail}{advice}", asdict(check), label)
    return worst


def examine(settings: Settings) -> Iterator[Check]:
    """All checks, as they are made."""
    store = TurnStore(settings)
    reach = check_reach(store)
    yield reach
    if reach.verdict is not Verdict.FAIL:
        facts = store.run(Call("INFO", (), _facts))
        yield from (check(facts) for check in _SERVER_CHECKS)
        rights = check_rights(store)
        yield rights
        if rights.verdict is not Verdict.FAIL:
            yield check_workers(store)
            yield check_settings(store)
            yield check_turns(store)
    yield check_model(settings)


def _facts(reply: Any) -> dict[str, str]:
    if isinstance(reply, dict):
        return {str(name): str(value) for name, value in reply.items()}
    lines = bytes(reply).decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def check_reach(store: TurnStore) -> Check:
    """Whether Redis answers, and how fast."""
    where = str(store.address)
    try:
        took = [_ping(store) for _ in range(_PINGS)]
    except TurnstileError as error:
        return Check("redis", Verdict.FAIL, where, str(error))
    typical = statistics.median(took)
    detail = f"{where} answers in {typical:.1f} ms"
    if typical > _SLOW_MS:
        return Check("redis", Verdict.WARN, detail, "Every step of a turn waits this long: run workers near to Redis.")
    return Check("redis", Verdict.OK, detail)


def _ping(store: TurnStore) -> float:
    start = time.perf_counter()
    store.run(Call("PING", (), lambda reply: reply))
    return (time.perf_counter() - start) * 1000


def check_version(facts: Mapping[str, str]) -> Check:
    """Whether the server is Valkey, or Redis 7 or newer."""
    valkey = facts.get("valkey_version")
    version = valkey or facts.get("redis_version", "0")
    name = f"{'Valkey' if valkey else 'Redis'} {version}"
    if not valkey and int(version.partition(".")[0]) < OLDEST_MAJOR:
        return Check("version", Verdict.FAIL, name, f"Use Redis {OLDEST_MAJOR} or newer, or Valkey.")
    return Check("version", Verdict.OK, name)


def check_eviction(facts: Mapping[str, str]) -> Check:
    """Whether a full server refuses new turns rather than dropping accepted ones."""
    policy = facts.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        advice = "A full server would drop turns and histories: set maxmemory-policy to noeviction."
        return Check("eviction", Verdict.FAIL, f"maxmemory-policy is {policy}", advice)
    return Check("eviction", Verdict.OK, "noeviction")


def check_durability(facts: Mapping[str, str]) -> Check:
    """Whether the server's data outlives it."""
    if facts.get("aof_enabled") != "1":
        advice = "What came after the last snapshot is lost when Redis ends: set appendonly to yes."
        return Check("durability", Verdict.WARN, "no append-only file", advice)
    if facts.get("aof_last_write_status", "ok") != "ok":
        return Check("durability", Verdict.FAIL, "the append-only file cannot be written", "Look at the server's disk.")
    return Check("durability", Verdict.OK, "append-only file")


def check_memory(facts: Mapping[str, str]) -> Check:
    """How much of the server's memory is free."""
    used, limit = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    whole = limit or int(facts.get("total_system_memory", 0))
    detail = f"{used / 2**20:,.0f} of {whole / 2**20:,.0f} MiB used" + ("" if limit else ", no maxmemory set")
    advice = "New turns are refused when it is full: raise maxmemory, or shorten TURNSTILE_RESULT_TTL and _HISTORY_TTL."
    if whole and used > whole * _MEMORY_FAILS:
        return Check("memory", Verdict.FAIL, detail, advice)
    if whole and used > whole * _MEMORY_WARNS:
        return Check("memory", Verdict.WARN, detail, advice)
    return Check("memory", Verdict.OK, detail)


_SERVER_CHECKS: tuple[Callable[[Mapping[str, str]], Check], ...] = (
    check_version,
    check_eviction,
    check_durability,
    check_memory,
)


def check_rights(store: TurnStore) -> Check:
    """Whether our Redis user may do what a producer does; and what it would lack as a gateway's or a worker's."""
    lacking = {role: store.lacking(role) for role in ROLES}
    said = [f"a {role} lacks {' '.join(rights)}" for role, rights in lacking.items() if rights]
    if lacking["producer"]:
        return Check("rights", Verdict.FAIL, said[-1], "Grant them to the user in REDIS_URL: ACL SETUSER.")
    enough = f"enough for {', '.join(role for role, rights in lacking.items() if not rights)}"
    return Check("rights", Verdict.OK, "; ".join([enough, *said]))


def check_workers(store: TurnStore) -> Check:
    """Whether somebody is there to answer, and whose parts hang."""
    roll = called_roll(store)
    hung = {name: ", ".join(facts["stale"]) for name, facts in roll.items() if facts["stale"]}
    at_work = [facts for name, facts in roll.items() if name not in hung]
    running = sum(int(facts.get("running", 0)) for facts in at_work)
    room = sum(int(facts.get("concurrency", 0)) for facts in at_work)
    detail = f"{len(at_work)} at work, {running} of {room} turns at once" if at_work else "none is at work"
    detail += "".join(f"; {name} makes no progress: {parts}" for name, parts in sorted(hung.items()))
    if hung:
        advice = "Restart it; SIGUSR1 writes its threads' stacks into its log. While Redis is away, wait."
        return Check("workers", Verdict.WARN if at_work else Verdict.FAIL, detail, advice)
    if not at_work:
        return Check("workers", Verdict.FAIL, detail, "Start some: `turnstile up`, or `celery -A turnstile worker`.")
    return Check("workers", Verdict.OK, detail)


def living_workers(store: TurnStore) -> dict[str, dict[str, Any]]:
    """The workers that are at work, each with what it says of itself."""
    return {name: facts for name, facts in called_roll(store).items() if not facts["stale"]}


def called_roll(store: TurnStore) -> dict[str, dict[str, Any]]:
    """All workers that are there, each with what it says of itself; `stale` names the parts that hang.

    Its loop writes this down: a worker that has written nothing for a while, and whose connection is open, hangs as a whole.
    """
    found = store.run(Call("HGETALL", (store.keys.workers,), _pairs))
    now = store.now()
    said = {name: {"stale": [], **json.loads(facts)} for name, facts in found.items()}
    silent = [name for name, facts in said.items() if abs(now - facts["seen"]) >= WORKER_SILENT_SECONDS]
    listening = _listening(store, silent)
    for name in silent:
        said[name]["stale"] = ["loop"]
    return {name: facts for name, facts in said.items() if name not in silent or name in listening}


def _listening(store: TurnStore, workers: list[str]) -> set[str]:
    if not workers:
        return set()
    channels = [store.keys.orders(name) for name in workers]
    found = store.run(Call("PUBSUB", ("NUMSUB", *channels), _pairs))
    return {name for name, channel in zip(workers, channels, strict=True) if int(found.get(channel, 0))}


def _pairs(reply: Any) -> dict[str, Any]:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(): value for name, value in pairs}


def check_settings(store: TurnStore) -> Check:
    """Whether everybody who is at work, and whoever runs this, stores alike, and in one version."""
    alive = store.roll()
    if found := objection(store.settings, alive):
        return Check("settings", Verdict.FAIL, found.removesuffix(f". {REMEDY}"), REMEDY)
    if odd := oddities(store.settings, alive):
        advice = "How a turn fares depends on the process that it meets: set them alike."
        return Check("settings", Verdict.WARN, "; ".join(odd), advice)
    ours = introduce(store.settings)
    versions = sorted({f"{facts.get('version', 'older')}/{facts.get('scripts', '?')}" for facts in (ours, *alive.values())})
    if len(versions) > 1:
        advice = "Fine while an upgrade is rolled out; then restart those that are older."
        return Check("settings", Verdict.WARN, f"several versions at work: {', '.join(versions)}", advice)
    return Check("settings", Verdict.OK, f"alike, version {ours['version']}")


def check_turns(store: TurnStore) -> Check:
    """How many turns are open, and whether some gave up."""
    counts, failed = store.stats(), store.run(Call("ZCARD", (store.keys.failed,), int))
    detail = f"{counts.get('open', 0):,} open, {counts.get('completed', 0):,} completed, {failed:,} failed and kept"
    if wrong := _cannot_be(store, counts):
        return Check("turns", Verdict.WARN, f"{detail}; {wrong}", "Workers set it right within five minutes.")
    if failed:
        return Check("turns", Verdict.WARN, detail, "See `turnstile failed`; `turnstile retry TURN` queues one again.")
    return Check("turns", Verdict.OK, detail)


def _cannot_be(store: TurnStore, counts: Mapping[str, int]) -> str:
    """A count that is not true; of the open turns, those that have been so longest are looked at."""
    if negative := [name for name, count in counts.items() if count < 0]:
        return f"the count {negative[0]} is below zero"
    longest = store.run(Call("ZRANGE", (store.keys.open, 0, _LOOKED_AT - 1), list))
    states = (store.run(Call("HGET", (store.keys.turn(id.decode()), "state"), lambda state: state)) for id in longest)
    ended = sum(state not in (b"queued", b"running") for state in states)
    return f"{ended:,} that count as open have ended" if ended else ""


def check_model(settings: Settings) -> Check:
    """Whether the model's server takes the key and knows the model."""
    if settings.chain:
        return Check("model", Verdict.OK, f"asked by {settings.chain}, which is not checked")
    if settings.offline:
        advice = "For real answers set OPENAI_API_KEY, or OPENAI_BASE_URL for another server."
        return Check("model", Verdict.WARN, "no key and no base URL: the offline stand-in answers", advice)
    try:
        known = _models(settings)
    except urllib.error.HTTPError as error:
        return _refused(settings, error.code)
    except (OSError, ValueError):
        advice = "Check OPENAI_BASE_URL, the network, and any proxy between."
        return Check("model", Verdict.FAIL, f"{_model_server(settings)} does not answer", advice)
    if settings.model not in known:
        advice = f"It lists {len(known)} others: check TURNSTILE_MODEL."
        return Check("model", Verdict.WARN, f"{_model_server(settings)} does not list {settings.model}", advice)
    return Check("model", Verdict.OK, f"{settings.model} at {_model_server(settings)}")


def _refused(settings: Settings, status: int) -> Check:
    detail = f"{_model_server(settings)} answers {status}"
    if status in (401, 403):
        return Check("model", Verdict.FAIL, detail, "It does not take the key: check OPENAI_API_KEY.")
    return Check("model", Verdict.WARN, detail, f"It does not list its models, so {settings.model} could not be checked.")


def _model_server(settings: Settings) -> str:
    return urlsplit(settings.openai_base_url or OPENAI_URL).netloc.rpartition("@")[2]


def _models(settings: Settings) -> list[str]:
    url = (settings.openai_base_url or OPENAI_URL).rstrip("/") + "/models"
    key = settings.openai_api_key.get_secret_value() or "none"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - the scheme is checked
    with urllib.request.urlopen(request, timeout=MODEL_SECONDS) as response:  # noqa: S310 - the scheme is checked
        listed = json.load(response)
    models = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(models, list):
        raise ValueError("no list of models")
    return [str(model.get("id")) for model in models if isinstance(model, dict)]
