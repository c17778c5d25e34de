"""Commands that show what is stored: histories, turns, counters."""

from dataclasses import asdict

from turnstile.producers.cli import formatting
from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import ChatClient
from turnstile.producers.failed_turns import FailedFilter
from turnstile.turns.api_keys import DEFAULT_TENANT


def show_history(terminal: Terminal, client: ChatClient, session: str, limit: int | None) -> None:
    """Show a session's messages, oldest first."""
    messages = client.history(session, limit)
    for message in messages:
        terminal.result(terminal.hanging(formatting.history_text(message)), asdict(message))
    if not messages:
        terminal.complain(f"Session {session} has no history: it is unknown, was erased, or has no answered turn yet.")


def show_status(terminal: Terminal, client: ChatClient, turn: str) -> None:
    """Show a turn's record."""
    record = client.turn(turn).status()
    terminal.result(formatting.record_text(record), formatting.record_json(record))


def show_unfinished(terminal: Terminal, client: ChatClient, session: str, limit: int) -> None:
    """Show a session's turns that have not ended, in the order in which they run."""
    turns = client.unfinished(session, limit)
    for turn in turns:
        terminal.result(turn.id, {"id": turn.id})
    if not turns:
        terminal.complain(f"Session {session} has no unfinished turn.")


def show_failed(terminal: Terminal, client: ChatClient, limit: int, wanted: FailedFilter) -> None:
    """Show the turns that failed permanently and pass the filter, newest first."""
    for record in client.failed(limit, **wanted):
        terminal.result(formatting.failed_text(record), formatting.record_json(record))


def show_calls(terminal: Terminal, client: ChatClient, session: str | None, limit: int) -> None:
    """Show the open calls of a session, or those of all held sessions, the longest held first."""
    found = [client.calls(name) for name in ([session] if session else client.held(limit))]
    for held in filter(None, found):
        terminal.result(formatting.held_text(held), asdict(held))
    if session and not found[0]:
        terminal.complain(f"Session {session} waits for no answers.")


def show_tenants(terminal: Terminal, client: ChatClient, limit: int) -> None:
    """Show the tenants that had turns of late, newest first."""
    for tenant in client.store.tenants(limit):
        terminal.result(formatting.tenant_text(tenant), {**asdict(tenant), "name": tenant.name or DEFAULT_TENANT})


def show_stats(terminal: Terminal, client: ChatClient) -> None:
    """Show the exact counters."""
    counts = client.stats()
    terminal.result(formatting.stats_text(counts), counts)
