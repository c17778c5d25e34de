"""The registry of workers: those at work, their versions, and their settings.

Processes that keep histories under different prefixes, or for different times, split and delete what others write. So the
workers at work are the measure: a worker that differs is not registered, and clients get an error.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

from turnstile.turns.redis.scripts import digest
from turnstile.turns.settings import Settings
from turnstile.turns.store.replies import OneOf, always
from turnstile.turns.store.runner import Call, Runner, operation, script_call
from turnstile.turns.text import as_text, dumps

MUST_AGREE = ("history_prefix", "history_ttl", "result_ttl", "failed_ttl", "events_ttl", "steps_ttl")
"""Settings that must be the same: data stored under another name, or for another time, is lost to the others."""

SHOULD_AGREE = (
    "window_messages", "window_tokens", "window_block", "max_waiting_per_session", "max_waiting", "lease_seconds",
    "dispatch_grace_seconds", "max_attempts", "intake_queue", "webhook_seconds", "show_content", "hold_seconds",
    "model_budgets", "summary",
)  # fmt: skip
"""Nothing is lost when these differ, but a turn fares as the process has it that it happens to meet."""

Facts = Mapping[str, Any]
"""The facts that a worker publishes."""

OPENAI_URL = "https://api.openai.com/v1"
STAND_IN = "the offline stand-in"

REMEDY = "What one stores, the other would lose: set it alike everywhere; stop all workers to change it."


def introduce(settings: Settings) -> Facts:
    """Return a process's version and the settings that others should share; nothing secret."""
    shared = {Settings.variable(name): _said(getattr(settings, name)) for name in (*MUST_AGREE, *SHOULD_AGREE)}
    return {"fingerprint": _fingerprint(shared), "version": package_version(), "scripts": digest(), "settings": shared}


def asked_model(settings: Settings) -> str:
    """Return what a worker with these settings asks, for people: a model and its server, a chain, or the stand-in."""
    if settings.chain:
        return f"the chain {settings.chain}"
    if settings.offline:
        return STAND_IN
    return f"{settings.model} at {urlsplit(settings.openai_base_url or OPENAI_URL).netloc.rpartition('@')[2]}"


def _fingerprint(shared: Mapping[str, str]) -> str:
    """Return a hash that is the same where all that must agree does; where it differs, the values are compared."""
    text = dumps([shared[Settings.variable(name)] for name in MUST_AGREE])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def package_version() -> str:
    """Return the version of this package; `unknown` where it runs without having been installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("turnstile")
    except PackageNotFoundError:
        return "unknown"


def _said(value: object) -> str:
    if value is None:
        return "unset"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def objection(settings: Settings, workers: Mapping[str, Facts], fields: Iterable[str] = MUST_AGREE) -> str:
    """Why a process with these settings must not store anything beside these workers, in one line; empty: it may."""
    found = next(_differences(settings, workers, fields), None)
    return f"{found}. {REMEDY}" if found else ""


def oddities(settings: Settings, workers: Mapping[str, Facts]) -> list[str]:
    """Return the settings that differ from a worker's without harm to stored data, one line each."""
    return list(_differences(settings, workers, SHOULD_AGREE))


def _differences(settings: Settings, workers: Mapping[str, Facts], fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        name, value = Settings.variable(field), _said(getattr(settings, field))
        for worker, facts in workers.items():
            theirs = facts.get("settings", {}).get(name, value)
            if theirs != value:
                yield f"{name} is {value} here and {theirs} at worker {worker}"
                break


class Registry(Runner):
    """Operations on the workers that are at work."""

    @operation
    def register_worker(self, worker: str, facts: Facts) -> Call[str]:
        """Put a worker into the registry, or renew its place; empty, or the one line that says why it is refused.

        `facts` hold what `introduce` tells, and `started` and `seen`, in seconds since the epoch.
        """
        names = [Settings.variable(field) for field in MUST_AGREE]
        return script_call(
            "register_worker",
            partial(_REGISTERED, self.settings),
            worker=worker,
            facts=dumps(facts),
            started=facts["started"],
            alike=dumps({"fingerprint": facts["fingerprint"]}).strip("{}"),
            names=names,
            values=[facts["settings"][name] for name in names],
        )

    @operation
    def workers(self, limit: int = 1_000_000) -> Call[dict[str, Facts]]:
        """Return the workers at work, by name, at most `limit`, each with what it says of itself."""

        def read(reply: list[bytes]) -> dict[str, Facts]:
            return {as_text(name): json.loads(facts) for name, facts in zip(reply[::2], reply[1::2], strict=True)}

        return script_call("workers", read, limit=limit)


def _refused(settings: Settings, worker: bytes, facts: bytes) -> str:
    return objection(settings, {as_text(worker): json.loads(facts)})


_REGISTERED = OneOf("register_worker", registered=always(""), refused=_refused)
