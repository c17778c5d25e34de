"""The screen of `turnstile top`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turnstile.producers.cli.terminal import printable
from turnstile.producers.cli.top.view import View, turns_of
from turnstile.producers.overview.turn import attempts_text

_MOMENTS = ("created", "started", "finished")
_LEAST_ROWS = 5


def screen(view: View, height: int) -> RenderableType:
    """Return what a person sees: the deployment, or the turn that is looked at."""
    note = _text(view.note, style="dim")
    if view.facts:
        return Group(_facts(view.facts), Text(), note)
    # About half of the screen is for turns, and those around the chosen one are shown.
    turns, rows = turns_of(view.seen), max(_LEAST_ROWS, height // 2 - 4)
    ids = [turn["turn"] for turn in turns]
    first = max(0, ids.index(view.chosen) - rows + 1) if view.chosen in ids else 0
    return overview(view.seen, view.per_second, turns[first : first + rows], view.chosen, note)


def overview(
    seen: Mapping[str, Any],
    per_second: Mapping[str, float],
    turns: Sequence[Mapping[str, Any]],
    chosen: str = "",
    note: Text | None = None,
) -> RenderableType:
    """Return one look as it is shown, with these of its turns."""
    counts, slots = seen["turns"], seen["slots"]
    lines = [
        "   ".join(f"{count:,} {name}" for name, count in counts.items()),
        f"{slots['busy']:,} of {slots['all']:,} slots   longest ready wait {seen['oldest_ready_seconds']:.1f} s   "
        f"Redis {seen['redis_latency_ms']:.1f} ms   "
        + "   ".join(f"{name} {count:,}" for name, count in seen["queues"].items()),
        "   ".join(f"{name} {rate:,.1f}/s" for name, rate in per_second.items()),
    ]
    tables = (_workers(seen["workers"]), _budgets(seen["budgets"]), _tenants(seen["tenants"]), _codes(seen))
    return Group(
        *(_text(line) for line in lines if line),
        *([note] if note else []),
        _turns(turns, chosen),
        *(table for table in tables if table.row_count),
    )


def _turns(turns: Sequence[Mapping[str, Any]], chosen: str) -> Table:
    table = _table("turn", "session", "queue", "phase", "age", "attempts", "steps", "tokens", "worker")
    for each in turns:
        style = "reverse" if each["turn"] == chosen else "red" if each["phase"] == "failed" else None
        attempts = attempts_text(each["attempts"], each["uncounted_attempts"]) if each["attempts"] else ""
        counts = [attempts, *(str(each[name] or "") for name in ("steps", "tokens"))]
        words = (each["turn"], each["session"], each["queue"], _phase(each), _age(each["seconds"]), *counts, each["worker"])
        table.add_row(*map(_text, words), style=style)
    return table


def _phase(turn: Mapping[str, Any]) -> str:
    if turn["waits_for"]:
        return f"waits for {turn['waits_for']}"
    behind = f", {turn['behind']:,} behind" if turn["behind"] else ""
    return f"failed: {turn['code']}" if turn["phase"] == "failed" else f"{turn['phase']}{behind}"


def _workers(workers: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("worker", "busy", "slots", "age", "version", "hangs")
    for each in workers:
        hangs = _text(", ".join(each["hangs"]), style="red")
        table.add_row(each["name"], str(each["busy"]), str(each["slots"]), _age(each["seconds"]), each["version"], hangs)
    return table


def _budgets(budgets: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("model", "requests", "tokens", "calls", "wait", "longest", "pauses")
    for each in budgets:
        spent = [f"{each[f'{kind}_spent']:,} of {each[kind]:,}" if each[kind] else "" for kind in ("requests", "tokens")]
        calls = f"{each['calls']:,}" + (f" of {each['concurrent']:,}" if each["concurrent"] else "")
        times = [_age(each[name]) if each[name] else "" for name in ("longest_wait", "paused")]
        table.add_row(_text(each["model"]), *spent, calls, f"{each['waiting']:,}", *times)
    return table


def _tenants(tenants: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("tenant", "unfinished", "slots", "turns today", "tokens", "cost")
    for each in tenants:
        counts = [f"{each[name]:,}" for name in ("unfinished", "slots", "turns", "tokens")]
        table.add_row(_text(each["name"]), *counts, f"{each['cost']:,.2f}")
    return table


def _codes(seen: Mapping[str, Any]) -> Table:
    table = _table("code", "failed", "tried again")
    for code in {**seen["failures"], **seen["returned"]}:
        table.add_row(code, f"{seen['failures'].get(code, 0):,}", f"{seen['returned'].get(code, 0):,}")
    return table


def _facts(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in facts.items():
        if value:
            table.add_row(_text(name.replace("_", " "), style="bold"), _text(_said(name, value)))
    return table


def _said(name: str, value: Any) -> str:
    if name in _MOMENTS:
        return datetime.fromtimestamp(value).astimezone().isoformat(" ", "seconds")
    if isinstance(value, dict):
        return ", ".join(f"{key} {count:,}" for key, count in value.items())
    if isinstance(value, list):
        return ", ".join(" ".join(one.values()) if isinstance(one, dict) else str(one) for one in value)
    return str(value)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3_600 else f"{seconds / 3_600:.1f} h"
