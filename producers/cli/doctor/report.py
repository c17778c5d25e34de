"""All checks, in order, and their report."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict

import click
import redis

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.producers.cli.doctor.install_checks import check_extras
from turnstile.producers.cli.doctor.key_checks import check_keys
from turnstile.producers.cli.doctor.model_checks import check_model
from turnstile.producers.cli.doctor.schedule_checks import check_schedules
from turnstile.producers.cli.doctor.server_checks import (
    check_clock,
    check_reach,
    check_rights,
    check_schema,
    check_server,
    check_writes,
)
from turnstile.producers.cli.doctor.session_checks import check_lifetimes, check_sessions
from turnstile.producers.cli.doctor.turn_checks import check_turns
from turnstile.producers.cli.doctor.worker_checks import asked_models, check_settings, check_workers
from turnstile.producers.cli.terminal import Terminal
from turnstile.turns.errors import MissingRight, QueueUnreachable, TurnstileError
from turnstile.turns.redis.failures import refuses_writes
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.store.turns import TurnStore

_NEEDED = ("redis", "role", "rights")
"""Checks without which none of workers and turns can be made."""

_CHECKS: dict[str, Callable[[TurnStore], Check]] = {
    "clock": check_clock,
    "schema": check_schema,
    "workers": check_workers,
    "settings": check_settings,
    "turns": check_turns,
    "sessions": check_sessions,
    "schedules": check_schedules,
    "lifetimes": check_lifetimes,
}
"""Checks of a server on which turns can run, each of which asks for rights of its own."""

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


def report(terminal: Terminal) -> int:
    """Make all checks, show them, and return the exit status: 1 if one has failed.

    Raises:
        SettingError: no check is possible with these settings.
    """
    worst = 0
    for check in examine(read_settings()):
        worst = max(worst, int(check.verdict is Verdict.FAIL))
        advice = f"\n{'':<18}→ {check.advice}" if check.advice else ""
        label = click.style(f"{check.verdict:<5}", _COLOURS[check.verdict])
        terminal.result(f" {check.name:<11} {check.detail}{advice}", asdict(check), label)
    return worst


def examine(settings: Settings) -> Iterator[Check]:
    """Make all checks, and yield each one's outcome."""
    store = TurnStore(settings)
    asked: set[str] = set()
    try:
        if (
            (yield from _passed([check_reach(store)]))
            and (yield from _passed(_server_checks(store)))
            and (yield from _passed([_permitted("rights", check_rights, store)]))
        ):
            asked = asked_models(store)
            yield from (_permitted(name, check, store) for name, check in _CHECKS.items())
    except (TurnstileError, redis.RedisError) as error:
        yield Check("redis", Verdict.FAIL, str(store.address), str(error))
    yield check_extras(settings)
    yield check_keys(settings)
    yield check_model(settings, asked)


def _server_checks(store: TurnStore) -> Iterator[Check]:
    """Yield the checks of the server: one that takes no writes says so first, and is examined further."""
    told = check_server(store)
    # The server tells of itself before the next check adds to its changes.
    first = next(told)
    yield check_writes(store)
    yield first
    yield from told


def _permitted(name: str, check: Callable[[TurnStore], Check], store: TurnStore) -> Check:
    """Return a check's outcome, or that it cannot be made: the Redis user may not, or Redis takes no writes."""
    try:
        return check(store)
    except MissingRight as error:
        return Check(name, Verdict.WARN, "not examined", f"{error} `turnstile acl` makes a user `operator`, who may ask.")
    except QueueUnreachable as error:
        if not refuses_writes(error.__cause__):
            raise
        return Check(name, Verdict.WARN, "not examined", str(error))


def _passed(checks: Iterable[Check]) -> Generator[Check, None, bool]:
    """Yield outcomes, and return False if one of them leaves nothing to ask."""
    passed = True
    for check in checks:
        yield check
        passed = passed and not (check.name in _NEEDED and check.verdict is Verdict.FAIL)
    return passed
