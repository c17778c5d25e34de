"""Commands over whole sessions and tenants: export, import, and the erasure of a tenant."""

from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from turnstile.producers import archive
from turnstile.producers.cli.actions import confirm
from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import ChatClient
from turnstile.turns.errors import UnknownSession
from turnstile.turns.summaries import is_named
from turnstile.turns.text import dumps


def export(terminal: Terminal, client: ChatClient, chosen: Sequence[str], tenant: str | None) -> None:
    """Write the lines of the chosen sessions, or else of a tenant's, or of all. Raises UnknownSession."""
    client.agree()
    if chosen:
        for session in chosen:
            _write(terminal, client, session)
        return
    for number, session in enumerate(archive.sessions(client.store, tenant), 1):
        with suppress(UnknownSession):  # it has a turn alone, or has been erased meanwhile
            if not is_named(session) or archive.has_content(client.store, session):
                _write(terminal, client, session)
        if not number % 1000:
            terminal.notice(f"{number:,} sessions")


def _write(terminal: Terminal, client: ChatClient, session: str) -> None:
    for line in archive.read_session(client.store, session):
        terminal.line(dumps(line))


def load(terminal: Terminal, client: ChatClient, source: IO[bytes], tenant: str | None, *, with_rights: bool) -> int:
    """Import sessions, of one tenant alone if it is given, and return the exit status: 1 if some were refused."""
    client.agree()
    refused = False
    lines = archive.bounded_lines(source)
    for session, messages, reason in archive.write_sessions(client.store, lines, tenant, with_rights=with_rights):
        refused = refused or bool(reason)
        value = {"session": session, "messages": messages, "refused": reason or None}
        terminal.result(f"{session}: {reason or f'messages imported: {messages}'}", value)
    return int(refused)


def erase_tenant(terminal: Terminal, client: ChatClient, tenant: str, *, confirmed: bool) -> None:
    """Erase all of a tenant; on a terminal, ask before unless `confirmed`."""
    confirm(f"Forget everything about tenant {tenant}?", confirmed=confirmed)
    client.agree()
    gone = archive.erase_tenant(client.store, tenant)
    terminal.result(", ".join(f"{name} forgotten: {count}" for name, count in gone.items()), gone)
