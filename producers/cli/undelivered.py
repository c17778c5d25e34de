"""Undelivered webhooks: listed and resent."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.webhooks import Undelivered

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal


def show(terminal: "Terminal", settings: Settings, limit: int, *, given_up: bool) -> None:
    """List the webhooks that were given up, newest first; or those still under way, soonest first."""
    for webhook in _found(TurnStore(settings), limit, given_up):
        text = f"{webhook.turn}  {webhook.type}  {webhook.phase}  {webhook.attempts} attempts  {webhook.reason}  {webhook.url}"
        terminal.result(text, asdict(webhook))


def _found(store: TurnStore, limit: int, given_up: bool) -> Iterator[Undelivered]:
    for turn in store.undelivered(limit, given_up=given_up):
        webhook = store.look_up(turn)
        if webhook:
            yield webhook


def resend(terminal: "Terminal", settings: Settings, turn: str) -> None:
    """Send a turn's webhook now, once more. Raises UnknownTurn if it has none."""
    TurnStore(settings).resend_webhook(turn)
    terminal.result("sent off again", {"id": turn, "phase": "sent"})
