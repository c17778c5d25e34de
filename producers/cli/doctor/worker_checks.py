"""Checks of the workers."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.producers.cli.doctor.storage_checks import is_full
from turnstile.turns.errors import MissingRight
from turnstile.turns.store.registry import REMEDY, introduce, objection, oddities
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore

WORKER_SILENT_SECONDS = 8.0
_NAMED = 5


def check_workers(store: TurnStore) -> Check:
    """Check that a worker is at work, and name those that hang."""
    present = present_workers(store)
    hung = {name: ", ".join(facts["stale"]) for name, facts in present.items() if facts["stale"]}
    at_work = [facts for name, facts in present.items() if name not in hung]
    running = sum(int(facts.get("running", 0)) for facts in at_work)
    room = sum(int(facts.get("concurrency", 0)) for facts in at_work)
    detail = f"{len(at_work)} at work, {running} of {room} turns at once" if at_work else "none is at work"
    if chains := sorted({name for facts in at_work for name in facts.get("chains", ())}):
        detail += f", chains: {', '.join(chains)}"
    detail += "".join(f"; {name} makes no progress: {parts}" for name, parts in sorted(hung.items()))
    if hung:
        return Check("workers", Verdict.WARN if at_work else Verdict.FAIL, detail, _remedy(store))
    if not at_work:
        return Check("workers", Verdict.FAIL, detail, "Start one: `turnstile up`, or `celery -A turnstile worker`.")
    return Check("workers", Verdict.OK, detail)


def _remedy(store: TurnStore) -> str:
    with suppress(MissingRight):
        if is_full(store.memory()):
            return "Redis is full, which a restart does not change: raise its maxmemory."
    return "Restart it; SIGUSR1 writes its threads' stacks to its log. If Redis is unreachable, wait."


def living_workers(store: TurnStore) -> dict[str, dict[str, Any]]:
    """Return the workers at work, by name, each with its facts."""
    return {name: facts for name, facts in present_workers(store).items() if not facts["stale"]}


def asked_models(store: TurnStore) -> set[str]:
    """Return the models that the workers at work ask; a worker of an older version does not tell."""
    return {str(facts["model"]) for facts in living_workers(store).values() if "model" in facts}


def present_workers(store: TurnStore) -> dict[str, dict[str, Any]]:
    """Return all present workers, by name, each with its facts; `stale` names the parts that hang.

    The connection of a dead worker is closed at once, though its facts stay for a while. A worker's loop writes its facts: one
    that has written none for a while, and whose connection is open, hangs as a whole. One that says of late that a part hangs
    is named without a connection, too: that part may be its subscription.
    """
    found = store.run(Call("HGETALL", (store.keys.workers,), _pairs))
    now = store.now()
    known = {name: {"stale": [], **json.loads(facts)} for name, facts in found.items()}
    silent = {name for name, facts in known.items() if abs(now - facts["seen"]) >= WORKER_SILENT_SECONDS}
    complaining = {name for name in known.keys() - silent if known[name]["stale"]}
    for name in silent:
        known[name]["stale"] = ["loop"]
    try:
        present = _listening(store, known) | complaining
    except MissingRight:
        present = known.keys() - silent
    return {name: known[name] for name in known if name in present}


def _listening(store: TurnStore, workers: Iterable[str]) -> Set[str]:
    channels = {store.keys.orders(name): name for name in workers}
    found = store.run(Call("PUBSUB", ("NUMSUB", *channels), _pairs)) if channels else {}
    return {channels[channel] for channel, listeners in found.items() if int(listeners)}


def _pairs(reply: Any) -> dict[str, Any]:
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(): value for name, value in pairs}


def check_settings(store: TurnStore) -> Check:
    """Check that all workers and this command have the same settings and version."""
    alive = store.workers()
    if found := objection(store.settings, alive):
        return Check("settings", Verdict.FAIL, found.removesuffix(f". {REMEDY}"), REMEDY)
    if odd := oddities(store.settings, alive):
        advice = "A turn is treated differently by each process: use the same values everywhere."
        return Check("settings", Verdict.WARN, "; ".join(odd), advice)
    ours = introduce(store.settings)
    versions = sorted({_version(facts) for facts in (ours, *alive.values())})
    if len(versions) > 1:
        others = [name for name, facts in alive.items() if _version(facts) != _version(ours)]
        advice = f"Fine during an upgrade; then restart the older ones. Of another version than this command: {_few(others)}."
        return Check("settings", Verdict.WARN, f"several versions at work: {', '.join(versions)}", advice)
    return Check("settings", Verdict.OK, f"alike, version {ours['version']}")


def _version(facts: Mapping[str, Any]) -> str:
    return f"{facts.get('version', 'older')}/{facts.get('scripts', '?')}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:_NAMED]) + (", …" if len(names) > _NAMED else "")
