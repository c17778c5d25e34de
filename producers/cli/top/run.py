"""`turnstile top`: looks at a deployment, once or until a key or Ctrl-C ends it."""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from rich.live import Live

from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.cli.top.keyboard import Keyboard
from turnstile.producers.cli.top.screen import overview, screen
from turnstile.producers.cli.top.view import View, turns_of
from turnstile.producers.overview.look import look, rates
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore


def top(terminal: Terminal, settings: Settings, seconds: float, *, once: bool) -> None:
    """Show the deployment every so many seconds until Ctrl-C, or once. Raises QueueUnreachable when Redis is away at first."""
    store = TurnStore(settings)
    seen = look(store)
    if once or terminal.as_json:
        terminal.result(_text(seen), seen)
        return
    with ExitStack() as stack:
        keyboard = stack.enter_context(Keyboard()) if terminal.interactive and sys.stdin.isatty() else None
        live = stack.enter_context(Live(auto_refresh=False, screen=terminal.interactive))
        _watch(store, View(store, seen), live, seconds, keyboard)


def _watch(store: TurnStore, view: View, live: Live, seconds: float, keyboard: Keyboard | None) -> None:
    """Show the deployment, and hear keys between two looks."""
    while not view.left:
        _show(view, live)
        due = time.monotonic() + seconds
        while not view.left and (rest := due - time.monotonic()) > 0:
            if keyboard is None:
                time.sleep(rest)
            elif pressed := keyboard.pressed(rest):
                for key in pressed:
                    view.press(key)
                _show(view, live)
        try:
            now = look(store)
        except QueueUnreachable as error:
            view.note = str(error)
        else:
            view.update(now, rates(view.seen, now))


def _show(view: View, live: Live) -> None:
    live.update(screen(view, live.console.height), refresh=True)


def _text(seen: Mapping[str, Any]) -> str:
    from rich.console import Console

    console = Console(width=140, color_system=None)
    with console.capture() as captured:
        console.print(overview(seen, {}, turns_of(seen)))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
