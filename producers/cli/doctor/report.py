"""All checks, in order, and their report."""

from collections.abc import Iterator
from dataclasses import asdict

import click

from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.producers.cli.doctor.key_checks import check_keys
from turnstile.producers.cli.doctor.model_checks import check_model
from turnstile.producers.cli.doctor.server_checks import check_reach, check_rights, check_server
from turnstile.producers.cli.doctor.turn_checks import check_turns
from turnstile.producers.cli.doctor.worker_checks import check_settings, check_workers
from turnstile.producers.cli.terminal import Terminal
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.store.turns import TurnStore

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
    reach = check_reach(store)
    yield reach
    if reach.verdict is not Verdict.FAIL:
        yield from check_server(store)
        rights = check_rights(store)
        yield rights
        if rights.verdict is not Verdict.FAIL:
            yield check_workers(store)
            yield check_settings(store)
            yield check_turns(store)
    yield check_keys(settings)
    yield check_model(settings)
