"""Commands for operators: what a deployment does, whether it is sound, and what it needs.

As in `commands`, each imports its code when it runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turnstile.producers.cli.group import seconds, with_terminal

if TYPE_CHECKING:
    from turnstile.producers.cli.terminal import Terminal


@click.command()
@with_terminal
def stats(terminal: "Terminal") -> None:
    """Show the exact counters."""
    from turnstile.producers.cli import lookups
    from turnstile.producers.client import ChatClient

    lookups.show_stats(terminal, ChatClient())


@click.command()
@click.option("--limit", type=click.IntRange(min=1, max=10_000), default=100, show_default=True)
@with_terminal
def tenants(terminal: "Terminal", limit: int) -> None:
    """List the tenants that had turns of late: what each has now, has spent today, and may."""
    from turnstile.producers.cli import lookups
    from turnstile.producers.client import ChatClient

    lookups.show_tenants(terminal, ChatClient(), limit)


@click.command()
@click.option("--once", is_flag=True, help="Show it once; --json does so, too.")
@click.option("--every", "pause", type=seconds, default="2", show_default=True, help="Seconds between two looks.")
@with_terminal
def top(terminal: "Terminal", once: bool, pause: float) -> None:
    """Show workers, turns at work, waits, failures and budgets, until Ctrl-C.

    On a terminal, keys choose a turn, look at it, cancel it, and retry it.
    """
    from turnstile.producers.cli.top import run
    from turnstile.turns.settings import settings

    run.top(terminal, settings(), pause, once=once)


@click.command()
@click.option("--serve", "port", type=click.IntRange(0, 65535), metavar="PORT", help="Answer GET /metrics until Ctrl-C.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to serve on; it asks for no key.")
def metrics(port: int | None, address: str) -> None:
    """Print the metrics of the whole deployment in Prometheus' form, or serve them."""
    from turnstile.producers.cli import metrics
    from turnstile.turns.settings import settings

    if port is None:
        metrics.show(settings())
    else:
        metrics.serve(settings(), address, port)


@click.command()
@click.argument("part", type=click.Choice(["worker", "gateway"]))
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The gateway's address.")
@click.option("--live", is_flag=True, help="Ask whether the gateway lives, not whether it can work.")
@with_terminal
def probe(terminal: "Terminal", part: str, url: str, live: bool) -> None:
    """Tell supervisors whether a worker or gateway of this machine is healthy. Exit status 1 if it is not.

    A worker's health is the age of TURNSTILE_HEALTH_FILE, a gateway's its answer to /readyz.
    """
    from turnstile.producers.cli import probe
    from turnstile.turns.settings import settings

    raise SystemExit(probe.worker(terminal, settings()) if part == "worker" else probe.gateway(terminal, url, live=live))


@click.command()
@with_terminal
def doctor(terminal: "Terminal") -> None:
    """Check the server, the workers and the model, and give advice."""
    from turnstile.producers.cli.doctor.report import report

    raise SystemExit(report(terminal))


@click.command()
@click.option("--turns-per-minute", type=click.FloatRange(min=0, min_open=True), required=True, help="At the busiest time.")
@click.option("--seconds", type=seconds, required=True, help="From a turn's start to its end, on average.")
@click.option("--slots", type=click.IntRange(1, 10_000), help="Of each worker process. Default: TURNSTILE_CONCURRENCY.")
@click.option("--steps", type=click.IntRange(0, 100_000), default=0, show_default=True, help="Steps of a graph in each turn.")
@click.option("--sessions", type=click.IntRange(min=0), default=10_000, show_default=True, help="Sessions that have a history.")
@click.option("--messages", type=click.IntRange(min=0), default=40, show_default=True, help="Messages in each history.")
@with_terminal
def size(terminal: "Terminal", turns_per_minute: float, slots: int | None, **load: Any) -> None:
    """Reckon the workers, gateways and Redis that a load needs, by measured costs (docs/scaling.md)."""
    from turnstile.producers.cli.size.needs import Load
    from turnstile.producers.cli.size.show import show
    from turnstile.turns.settings import settings

    found = settings()
    show(terminal, found, Load(turns_per_minute, slots=slots or found.concurrency, **load))


@click.command()
@with_terminal
def audit(terminal: "Terminal") -> None:
    """Find sessions and schedules that nothing would set going again, and count open turns anew; after a restored backup."""
    from turnstile.producers.cli import actions
    from turnstile.turns.settings import settings

    actions.run_audit(terminal, settings())


@click.command()
@click.option("--keep", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File whose passwords stay.")
@with_terminal
def acl(terminal: "Terminal", keep: Path | None) -> None:
    """Print an ACL file for Redis: a user for each role, with the least rights. New passwords are shown on stderr, once."""
    from turnstile.producers.cli import redis_users
    from turnstile.turns.settings import settings

    redis_users.make(terminal, settings(), keep)


COMMANDS = (stats, tenants, top, metrics, probe, doctor, size, audit, acl)
