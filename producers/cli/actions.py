"""Commands that change what is stored: cancel, retry, erase."""

import sys

import click

from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import ChatClient


def cancel(terminal: Terminal, client: ChatClient, turn: str) -> int:
    """Cancel a turn, and return the exit status: 1 if it had ended before."""
    return _report(terminal, turn, client.turn(turn).cancel(), "cancelled")


def retry(terminal: Terminal, client: ChatClient, turn: str) -> int:
    """Requeue a failed turn, and return the exit status: 1 if it has not failed."""
    return _report(terminal, turn, client.retry(turn), "queued")


def _report(terminal: Terminal, turn: str, state: str, wanted: str) -> int:
    terminal.result(state, {"id": turn, "state": state})
    return int(state != wanted)


def erase(terminal: Terminal, client: ChatClient, session: str, *, confirmed: bool) -> None:
    """Erase a session; on a terminal, ask before unless `confirmed`."""
    if not confirmed and sys.stdin.isatty():
        click.confirm(f"Forget everything about session {session}?", abort=True, err=True)
    turns, messages = client.erase(session)
    terminal.result(f"turns forgotten: {turns}, messages forgotten: {messages}", {"turns": turns, "messages": messages})
