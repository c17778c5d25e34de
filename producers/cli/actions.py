"""Commands that change what is stored: cancel, retry, release, erase, audit."""

import asyncio
import sys
from collections.abc import Sequence

import click

from turnstile.producers.cli.terminal import Terminal, printable
from turnstile.producers.client import ChatClient
from turnstile.producers.failed_turns import FailedFilter
from turnstile.turns.errors import CallNotOpen
from turnstile.turns.output import call_name, is_approval
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.audit import audit
from turnstile.turns.store.turns import AsyncTurnStore


def cancel(terminal: Terminal, client: ChatClient, turn: str, *, keep: bool) -> int:
    """Cancel a turn, and return the exit status: 1 if it had ended before."""
    state = client.turn(turn).cancel(keep=keep)
    return _report(terminal, turn, state, State.CANCELLED if state.ended else state)


def retry(terminal: Terminal, client: ChatClient, turn: str) -> int:
    """Requeue a failed turn, and return the exit status: 1 if it has not failed."""
    return _report(terminal, turn, client.retry(turn), "queued")


def handle_failed(
    terminal: Terminal, client: ChatClient, action: str, limit: int, wanted: FailedFilter, *, confirmed: bool
) -> int:
    """Requeue or discard failed turns, and return the exit status: 1 if some stay. On a terminal, ask before a discard."""
    if action == "discard" and not confirmed and sys.stdin.isatty():
        click.confirm("Discard these failed turns and their questions?", abort=True, err=True)
    act = client.retry_failed if action == "retry" else client.discard_failed
    done, left = act(limit, **wanted)
    word = "requeued" if action == "retry" else "discarded"
    terminal.result(f"{word}: {done}, left: {left}", {word: done, "left": left})
    return int(left > 0)


def release(terminal: Terminal, client: ChatClient, session: str) -> int:
    """Release a held session, and return the exit status: 1 if it was not held."""
    released = client.release(session)
    terminal.result("released" if released else "not held", {"session": session, "released": released})
    return int(not released)


def answers(client: ChatClient, session: str, words: Sequence[str], decision: str) -> dict[str, str]:
    """Return the answers that a command line gives: pairs of a call and its value, or calls that one decision is for.

    Without calls a decision is for all approvals that the session waits for.
    """
    if decision:
        return dict.fromkeys(words or _approvals(client, session), decision)
    if not words or len(words) % 2:
        raise click.UsageError("Give a value after each call, or --approve or --reject.")
    if len({*words[::2]}) < len(words) // 2:
        raise click.UsageError("Give one value for each call: one of them is named twice.")
    return dict(zip(words[::2], words[1::2], strict=True))


def _approvals(client: ChatClient, session: str) -> list[str]:
    held = client.calls(session)
    if approvals := [call_name(call) for call in (held.calls if held else ()) if is_approval(call)]:
        return approvals
    raise CallNotOpen(f"Session {session} waits for no approval: see `turnstile calls {session}`.")


def _report(terminal: Terminal, turn: str, state: str, wanted: str) -> int:
    terminal.result(state, {"id": turn, "state": state})
    return int(state != wanted)


def erase(terminal: Terminal, client: ChatClient, session: str, *, confirmed: bool) -> None:
    """Erase a session; on a terminal, ask before unless `confirmed`."""
    confirm(f"Forget everything about session {session}?", confirmed=confirmed)
    turns, messages = client.erase(session)
    terminal.result(f"turns forgotten: {turns}, messages forgotten: {messages}", {"turns": turns, "messages": messages})


def run_audit(terminal: Terminal, settings: Settings) -> None:
    """Give lost sessions and schedules their due entries back, and show how many there were."""
    restored = asyncio.run(_audit(settings))
    lost = f"{restored:,} sessions and schedules were lost; workers set them going again"
    text = lost if restored else "no session or schedule was lost"
    terminal.result(text, {"restored": restored})


async def _audit(settings: Settings) -> int:
    store = AsyncTurnStore(settings)
    try:
        return await audit(store, now=True)
    finally:
        await close_async(store.url)


def confirm(question: str, *, confirmed: bool) -> None:
    """Ask a person on a terminal, unless `confirmed`. Raises click.Abort."""
    if not confirmed and sys.stdin.isatty():
        click.confirm(printable(question), abort=True, err=True)
