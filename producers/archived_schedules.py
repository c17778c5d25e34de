"""Schedules by cron as lines of an export. A question that is asked later, once, is a turn that waits, and stays."""

from collections.abc import Iterator
from typing import Any

from turnstile.producers.rights import check_quotas, rights_here
from turnstile.producers.webhooks import check_webhook
from turnstile.turns.ids import tenant_of
from turnstile.turns.question import Options
from turnstile.turns.schedules import Schedule
from turnstile.turns.store.schedules import Terms
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.text import dumps, loads

_AT_ONCE = 100


def scheduled_sessions(store: TurnStore, tenant: str | None) -> Iterator[str]:
    """Yield the session of each schedule by cron of a tenant, or of all."""
    start = 0
    while found := store.schedules(tenant=tenant, limit=_AT_ONCE, start=start):
        yield from (schedule.session for schedule in found if schedule.cron)
        start += len(found)


def read_schedules(store: TurnStore, session: str) -> Iterator[dict[str, Any]]:
    """Yield what lines tell of a session's schedules, of which it has 100 at most."""
    for listed in store.schedules(session, limit=_AT_ONCE):
        schedule, terms = store.read_schedule(listed.id), store.schedule_terms(listed.id)
        if schedule and schedule.cron and terms:
            yield _told(schedule, terms)


def _told(schedule: Schedule, terms: Terms) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "missed": schedule.missed,
        "question": schedule.question,
        "options": loads(terms.options or "{}"),
        "when_held": terms.when_held,
        "when_busy": terms.when_busy,
        "weight": terms.weight,
        "quotas": loads(terms.quotas or "{}"),
    }


def read_schedule(told: Any) -> dict[str, Any]:
    """Return what a line tells as arguments of `TurnStore.schedule`. Raises InvalidTurn, ValueError, TypeError, KeyError."""
    quotas = told["quotas"]
    check_quotas(quotas)
    if type(told["weight"]) is not int:
        raise ValueError
    options = Options.decode(dumps(dict(told["options"])))
    if options.summarises is not None or not isinstance(options.webhook, dict):
        raise ValueError
    return {
        "id": told["id"],
        "question": told["question"],
        "options": options,
        **{name: told[name] for name in ("cron", "time_zone", "missed", "when_held", "when_busy", "weight")},
        "quotas": dumps(quotas) if quotas else "",
    }


def write_schedule(store: TurnStore, session: str, schedule: dict[str, Any], *, with_rights: bool) -> None:
    """Have a schedule's question asked from now on, `with_rights` of the line, or else with those that its tenant has here.

    Raises TurnstileError where a new question's webhook or model would be refused.
    """
    tenant, options = tenant_of(session), schedule["options"]
    check_webhook(options.webhook, tenant, store.settings)
    rights = {} if with_rights else rights_here(tenant, options, store.settings)
    store.schedule(session=session, now=store.now(), **{**schedule, **rights})
