"""Undelivered webhooks: listed and resent."""

from collections.abc import Iterable, Iterator
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


def resend(terminal: "Terminal", settings: Settings, turns: Iterable[str]) -> None:
    """Send the webhooks of turns now, once more.

    Raises:
        UnknownTurn: one has none.
        TooManyWaiting: its key has as many under way as it may have.
    """
    store = TurnStore(settings)
    for turn in turns:
        store.resend_webhook(turn)
        terminal.result(f"{turn}: sent off again", {"id": turn, "phase": "sent"})
