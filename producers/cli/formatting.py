"""Records, counters and histories as text and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from turnstile.producers.overview.turn import attempts_text, question_text
from turnstile.producers.transcript import HistoryMessage
from turnstile.turns.api_keys import DEFAULT_TENANT
from turnstile.turns.output import Item, call_name, is_approval
from turnstile.turns.schedules import Schedule
from turnstile.turns.states import State
from turnstile.turns.store.holds import HeldSession
from turnstile.turns.store.upkeep import Tenant
from turnstile.turns.turn import Record

_LINE_END, _UNDER = "\n", "\n" + " " * 10
"""The beginning of each further line of a text, so that none looks like a field of the record."""


def record_json(record: Record) -> dict[str, Any]:
    """Return a whole record; times are seconds since the epoch."""
    return {**asdict(record), "answer": record.answer}


def record_text(record: Record) -> str:
    """Return a record in a few lines."""
    lines = {
        "turn": record.id,
        "session": record.session,
        "state": state_text(record),
        "attempts": attempts_text(record.attempts, record.uncounted_attempts),
        "asked": _moment(record.created),
        "started": _moment(record.started),
        "ended": _moment(record.finished),
        "detail": record.detail or "",
        "left out": f"{record.left_out:,} messages, for which the model had no room" if record.left_out else "",
        "model": record.model or "",
        "fallback": f"another model answered: {record.fallback}" if record.fallback else "",
        "tokens": _tokens(record.usage),
        "question": question_text(record.question),
        "answer": record.answer or "",
        "calls": ", ".join(map(call_text, record.calls or ())),
    }
    return "\n".join(f"{name:<10}{text.replace(_LINE_END, _UNDER)}" for name, text in lines.items() if text)


def state_text(record: Record) -> str:
    """Return the state with its details."""
    if record.state is State.FAILED:
        return f"failed: {record.code}: {record.message}"
    if record.waits_for:
        return f"queued, waits for model {record.waits_for}"
    if record.state is State.QUEUED:
        return f"queued, {record.place} before it in its session" if record.place else "queued, next in its session"
    return record.state


def call_text(call: Item) -> str:
    """Return an open call on one line: its id, what it is, its name and its arguments."""
    kind = "approval of " if is_approval(call) else ""
    return f"{call_name(call)}  {kind}{call['name']} {call['arguments']}".replace("\n", " ")


def held_text(held: HeldSession) -> str:
    """Return a held session and its open calls, one per line."""
    lines = [f"{held.session}  turn {held.turn}, until {_moment(held.until)}", *(f"  {call_text(call)}" for call in held.calls)]
    return "\n".join(lines)


def failed_text(record: Record) -> str:
    """Return a failed turn on one line."""
    detail = f" ({record.detail})" if record.detail else ""
    why = f"{record.code}: {record.message}{detail}, attempts {attempts_text(record.attempts, record.uncounted_attempts)}"
    return f"{record.id}  {_moment(record.finished)}  {record.session}  {why}"


def history_text(message: HistoryMessage) -> str:
    """Return a message after its role, and the calls that it makes after its text."""
    calls = [f"[{call['name']} {call['arguments']}]" for call in message.calls]
    return " ".join([f"{message.role}:", *filter(None, [message.text]), *calls])


def tenant_text(tenant: Tenant) -> str:
    """Return one line of a tenant: what it has now, has spent today, and may."""
    limits = " ".join(f"{name}={most:,}" for name, most in tenant.quotas.items())
    spent = f"{tenant.turns:,} turns, {tenant.tokens:,} tokens, {tenant.cost:,.2f} today"
    further = {"bytes unfinished": tenant.unfinished_bytes, "streams": tenant.streams}
    further |= {"conversations": tenant.conversations, "bytes stored": tenant.stored_bytes}
    has = ", ".join(
        [f"{tenant.unfinished:,} unfinished", f"{tenant.slots:,} slots", *(f"{n:,} {name}" for name, n in further.items() if n)]
    )
    return f"{tenant.name or DEFAULT_TENANT:<20} {has}; {spent}" + (f"; limits: {limits}" if limits else "")


def schedule_text(found: Schedule) -> str:
    """Return a schedule on one line: its id, its next tick, its session, its rule, and why it was refused."""
    rule = f"{found.cron} ({found.time_zone}, missed: {found.missed})" if found.cron else "once"
    refused = f", refused: {found.refused}" if found.refused else ""
    return f"{found.id}  {_moment(found.next)}  {found.session}  {rule}{refused}"


def stats_text(counts: Mapping[str, int]) -> str:
    """Return counters, one per line."""
    return "\n".join(f"{name:<16}{count:>12,}" for name, count in sorted(counts.items()))


def _moment(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds") if seconds else ""


def _tokens(usage: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {count}" for name, count in (usage or {}).items() if isinstance(count, int))
