"""Commands of schedules: add, list, remove. As in `commands`, each imports its code when it runs."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from turnstile.producers.cli.group import read_question, with_terminal
from turnstile.turns.policies import WHEN_BUSY

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal


@click.group()
def schedule() -> None:
    """Ask questions later, once or by a cron rule: the answers land in their conversations."""


@schedule.command()
@click.argument("session")
@click.argument("question", callback=read_question)
@click.option("--at", type=datetime.fromisoformat, help="Ask once, not before this time: 2026-12-24T09:00, or with an offset.")
@click.option("--cron", help="Ask at each tick: minute, hour, day of month, month, day of week.")
@click.option("--time-zone", default="UTC", show_default=True, help="Zone of --cron, and of --at without an offset.")
@click.option("--missed", type=click.Choice(["once", "all", "none"]), default="once", show_default=True)
@click.option("--id", help="The schedule's id; repeating it with the same id is the same schedule.")
@click.option("--when-busy", type=click.Choice(WHEN_BUSY), help="In a session that is busy. Default: TURNSTILE_WHEN_BUSY.")
@click.option("--chain", help="One of TURNSTILE_CHAINS.")
@click.option("--model", help="Overrides TURNSTILE_MODEL.")
@with_terminal
def add(
    terminal: "Terminal",
    session: str,
    question: str,
    at: datetime | None,
    cron: str | None,
    time_zone: str,
    missed: str,
    **options: Any,
) -> None:
    """Add a schedule, and print its id. Give --at or --cron. QUESTION `-` reads it from stdin."""
    from turnstile.producers.client import ChatClient
    from turnstile.turns.schedules import in_zone

    if (at is None) == (cron is None):
        raise click.UsageError("Give --at or --cron.")
    client = ChatClient()
    if at is not None:
        id = client.ask(session, question, not_before=in_zone(at, time_zone), **options).id
    else:
        id = client.schedule(session, question, cron=cron or "", time_zone=time_zone, missed=missed, **options)
    terminal.result(id, {"id": id, "session": session})


@schedule.command("list")
@click.argument("session", required=False)
@click.option("--tenant", help="All of one tenant.")
@click.option("--limit", type=click.IntRange(min=1, max=1_000), default=100, show_default=True)
@with_terminal
def show(terminal: "Terminal", session: str | None, tenant: str | None, limit: int) -> None:
    """List the schedules of a session, of a tenant, or of all, the next first."""
    from dataclasses import asdict

    from turnstile.producers.cli.formatting import schedule_text
    from turnstile.producers.client import ChatClient

    for found in ChatClient().schedules(session, tenant, limit):
        terminal.result(schedule_text(found), asdict(found))


@schedule.command()
@click.argument("id")
@with_terminal
def remove(terminal: "Terminal", id: str) -> None:
    """Remove a schedule. Turns that it has asked stay. Exit status 1 if there is none."""
    from turnstile.producers.client import ChatClient

    removed = ChatClient().remove_schedule(id)
    terminal.result("removed" if removed else "no such schedule", {"id": id, "removed": removed})
    raise SystemExit(int(not removed))
