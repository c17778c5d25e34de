"""The screen of `turnstile top`."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.cli.top.look import look, rates
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
    with Live(screen(seen, {}), auto_refresh=False, screen=terminal.interactive) as live:
        while True:
            time.sleep(seconds)
            try:
                now = look(store)
            except QueueUnreachable as error:
                live.update(Text(f"{error}", style="red"), refresh=True)
            else:
                live.update(screen(now, rates(seen, now)), refresh=True)
                seen = now


def screen(seen: Mapping[str, Any], per_second: Mapping[str, float]) -> RenderableType:
    """Return one look as it is shown."""
    turns, slots = seen["turns"], seen["slots"]
    lines = [
        f"{turns['running']:,} running   {turns['ready']:,} ready   {turns['blocked']:,} blocked   {len(seen['held']):,} held",
        f"{slots['busy']:,} of {slots['all']:,} slots   longest ready wait {seen['oldest_ready_seconds']:.1f} s   "
        f"Redis {seen['redis_latency_ms']:.1f} ms   "
        + "   ".join(f"{name} {count:,}" for name, count in seen["queues"].items()),
        "   ".join(f"{name} {rate:,.1f}/s" for name, rate in per_second.items()),
    ]
    return Group(*(Text(line) for line in lines if line), _workers(seen["workers"]), _running(seen["running"]), _codes(seen))


def _workers(workers: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("worker", "busy", "slots", "age", "version", "hangs")
    for each in workers:
        hangs = Text(", ".join(each["hangs"]), style="red")
        table.add_row(each["name"], str(each["busy"]), str(each["slots"]), _age(each["seconds"]), each["version"], hangs)
    return table


def _running(turns: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("running turn", "session", "queue", "attempt", "age", "worker")
    for each in turns:
        name = Text(each["session"])
        table.add_row(Text(each["turn"]), name, each["queue"], str(each["attempt"]), _age(each["seconds"]), each["worker"])
    return table


def _codes(seen: Mapping[str, Any]) -> Table:
    table = _table("code", "failed", "tried again")
    for code in {**seen["failures"], **seen["returned"]}:
        table.add_row(code, f"{seen['failures'].get(code, 0):,}", f"{seen['returned'].get(code, 0):,}")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3_600 else f"{seconds / 3_600:.1f} h"


def _text(seen: Mapping[str, Any]) -> str:
    from rich.console import Console

    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(screen(seen, {}))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
