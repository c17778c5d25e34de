"""The role of schedules: questions that are asked later, once or at each tick of a rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from turnstile.turns.errors import InvalidTurn, QuotaExceeded, TooManyWaiting, TurnConflict
from turnstile.turns.ids import check_session, check_tenant, tenant_of
from turnstile.turns.question import Options, Question, fingerprint
from turnstile.turns.redis.scripts import MOST_SESSION_SCHEDULES
from turnstile.turns.schedules import UTC, DueTick, Schedule, check_rule, check_schedule, moment
from turnstile.turns.settings import Settings
from turnstile.turns.store.asking import Asking, weighed
from turnstile.turns.store.replies import OneOf, always, raising
from turnstile.turns.store.runner import Call, operation, script_call
from turnstile.turns.text import as_text

_DEFAULTS = Options()
_FIELDS = ("session", "tick", "cron", "zone", "missed", "created", "last", "left_out", "refused", "question")
_TERMS = ("options", "when_held", "when_busy", "weight", "quotas")
_LEASE_MS = 10_000
_PATIENCE_MS = 10_000


@dataclass(frozen=True, slots=True)
class Terms:
    """The options of a schedule's turns and the quotas of its asker, both as JSON, and how its turns are taken."""

    options: str
    when_held: str
    when_busy: str
    weight: int
    quotas: str


@dataclass(frozen=True, slots=True)
class Audited:
    """The findings of an audit about a schedule, at the server's time `now`, in ms."""

    missing: int
    """1 where nobody would have looked at it."""
    now: int
    ahead: DueTick | None
    """Its tick, where a clock that has been set back since has computed it."""


class Schedules(Asking):
    """Operations on schedules."""

    @operation
    def ask_later(
        self,
        id: str,
        session: str,
        question: Question,
        options: Options = _DEFAULTS,
        *,
        not_before: datetime | float,
        when_held: str | None = None,
        when_busy: str | None = None,
        weight: int = 1,
        quotas: str = "",
    ) -> Call[bool]:
        """Note a turn that is to be asked later; False: it had been noted, or asked. `status` tells of it meanwhile as queued.

        Raises:
            InvalidTurn, TooManyWaiting (QuotaExceeded), QueueMemoryFull, TurnConflict: nothing was stored.
        """
        terms = {"weight": weight, "quotas": quotas, "when_held": when_held, "when_busy": when_busy}
        return self._add(id, session, question, options, terms, tick=moment(not_before))

    @operation
    def schedule(
        self,
        id: str,
        session: str,
        question: Question,
        options: Options = _DEFAULTS,
        *,
        cron: str,
        now: float,
        time_zone: str = UTC,
        missed: str = "once",
        when_held: str | None = None,
        when_busy: str | None = None,
        weight: int = 1,
        quotas: str = "",
    ) -> Call[bool]:
        """Have a question asked at each tick of a cron rule, from the server's time `now` on; False: it is so already.

        `missed`: for ticks that no worker was there for, ask `once`, for `all`, or for `none`. Raises as `ask_later`.
        """
        terms = {"weight": weight, "quotas": quotas, "when_held": when_held, "when_busy": when_busy}
        tick = check_rule(cron, time_zone, missed, round(now * 1000))
        return self._add(id, session, question, options, terms, tick=tick, cron=cron, zone=time_zone, missed=missed)

    def _add(
        self, id: str, session: str, question: Question, options: Options, terms: dict[str, Any], **rule: Any
    ) -> Call[bool]:
        if options.answers:
            raise InvalidTurn("`answers` are for calls that are open now: they cannot be given later.", param="answers")
        rule = {"cron": "", "zone": "", "missed": "once", **rule}
        weight, quotas = weighed(terms.pop("weight")), terms.pop("quotas")
        asked = self._asked(check_schedule(id), check_session(session), question, options, traced=not rule["cron"])
        met = self._met(options, **terms)
        del met["answered"]
        first = "" if rule["cron"] else rule["tick"]
        mark = fingerprint(asked["fingerprint"], f"{first} {rule['cron']} {rule['zone']} {rule['missed']}", str(met))
        most = self.settings.max_schedules
        arguments = {"schedule": id, "session": session, "mark": mark, "weight": weight, "quotas": quotas, "most": most}
        return script_call("add_schedule", partial(_ADDED, self.settings), **arguments, **rule, **asked, **met)

    @operation
    def schedules(
        self, session: str | None = None, tenant: str | None = None, limit: int = 100, start: int = 0
    ) -> Call[list[Schedule]]:
        """Return the schedules of a session, of a tenant, or else of all; at most `limit`, after the first `start`."""
        if session is not None:
            whose = tenant_of(check_session(session))
        else:
            whose = "*" if tenant is None else tenant and check_tenant(tenant)
        return script_call("list_schedules", _read_schedules, tenant=whose, session=session or "", start=start, limit=limit)

    @operation
    def remove_schedule(self, id: str, tenant: str | None = None) -> Call[bool]:
        """Remove a schedule, if it is the `tenant`'s; False when there is none. Turns that it has asked stay."""
        return script_call("remove_schedule", _REMOVED, schedule=check_schedule(id), tenant="*" if tenant is None else tenant)

    @operation
    def read_schedule(self, id: str) -> Call[Schedule | None]:
        """Return one schedule, with its question whatever its length; None when there is none."""

        def read(reply: list[bytes | None]) -> Schedule | None:
            session, *rest = reply
            return Schedule.decode([session, id.encode(), *rest]) if session else None

        return Call("HMGET", (self.keys.schedule(check_schedule(id)), *_FIELDS), read)

    @operation
    def schedule_terms(self, id: str) -> Call[Terms | None]:
        """Return the terms on which a schedule asks; None when there is none."""

        def read(reply: list[bytes | None]) -> Terms | None:
            options, held, busy, weight, quotas = (as_text(word or b"") for word in reply)
            # A policy `merge` is stored with the kind of question that it is for.
            return Terms(options, held, busy.partition(" ")[0], int(weight or 1), quotas) if held else None

        return Call("HMGET", (self.keys.schedule(check_schedule(id)), *_TERMS), read)

    @operation
    def place_of_schedule(self, schedule: Schedule) -> Call[int | None]:
        """Return the number of schedules before this one among its tenant's; None once it is gone."""
        member = f"{schedule.session} {schedule.id}"
        return Call("ZRANK", (self.keys.schedules(tenant_of(schedule.session)), member), lambda rank: rank)

    @operation
    def session_of_schedule(self, id: str) -> Call[str]:
        """Return the session of a schedule; empty when there is no such schedule. Raises BrokenRecord."""
        return Call("HGET", (self.keys.schedule(id), "session"), lambda reply: as_text(reply or b""))

    @operation
    def schedule_entries(self, tenant: str, start: int, count: int) -> Call[list[str]]:
        """Return the entries of a tenant's schedules from the `start`th on. Raises BrokenRecord."""
        args = (self.keys.schedules(tenant), start, start + count - 1)
        return Call("ZRANGE", args, lambda reply: [as_text(entry) for entry in reply])

    @operation
    def counted_entries(self, tenant: str, count: int) -> Call[list[str]]:
        """Return entries of a tenant's schedules whose bytes are counted, at most `count`, any of them. Raises BrokenRecord."""
        args = (self.keys.scheduled_bytes(tenant), count)
        return Call("HRANDFIELD", args, lambda reply: [as_text(entry) for entry in reply if entry])

    @operation
    def audit_schedule(
        self, id: str, ahead: DueTick | None = None, following: int | None = None, now: int = 0
    ) -> Call[Audited]:
        """Have a schedule looked at in time, and give it its entries among its tenant's back. Raises BrokenRecord.

        A tick that was computed by a clock that was `ahead` gives way to the `following` one after `now`, in ms.
        """
        tick, new, noted = (ahead.tick, following, now) if ahead and following else ("", "", "")
        return script_call("audit_schedule", _read_audited, schedule=id, tick=tick, next=new, noted=noted)

    @operation
    def look_at_schedules(self, entries: Sequence[str]) -> Call[int]:
        """Have schedules looked at now that would not be looked at ever, and return their number.

        A tick that is still to come is waited for, and an entry of which there is no schedule is dropped.
        """
        return script_call("look_at_schedules", int, entries=entries)

    @operation
    def claim_schedules(
        self, limit: int = 100, start: int = 0, passed: Sequence[str] = ()
    ) -> Call[tuple[int, list[DueTick], int]]:
        """Take ticks that are due, which no other worker gets for some seconds, but for those of `passed` tenants.

        Returned with the server's time, in ms, and with the `start` of the next call; below 0 when no other is due.
        """
        return script_call("claim_schedules", _read_due, limit=limit, lease=_LEASE_MS, start=start, passed=passed)

    @operation
    def ask_scheduled(self, due: DueTick, following: int | None, *, now: int = 0, missed: bool = False) -> Call[str]:
        """Ask the question of a tick, or leave it out (`missed`), and have the schedule wait for the `following` one.

        `now`: the server's time, in ms, of which that was computed. Return why it was refused; empty if it was not. Another
        worker that comes with the same tick changes nothing.
        """
        arguments: dict[str, str | int] = {"session": due.session, "schedule": due.schedule, "tick": due.tick}
        arguments |= {"missed": "1" if missed else "", "next": "" if following is None else following, "noted": now}
        return script_call("ask_scheduled", _ASKED, **arguments, patience=_PATIENCE_MS)


def _read_schedules(reply: list[Any]) -> list[Schedule]:
    return [Schedule.decode(row) for row in reply]


def _read_due(reply: list[Any]) -> tuple[int, list[DueTick], int]:
    now, start, *rows = reply
    return int(now), list(map(_due_tick, rows)), int(start)


def _read_audited(reply: list[Any]) -> Audited:
    missing, now, *ahead = reply
    return Audited(int(missing), int(now), _due_tick(ahead[0]) if ahead else None)


def _due_tick(row: list[bytes]) -> DueTick:
    session, id, tick, cron, zone, missed = map(as_text, row)
    return DueTick(session, id, int(tick), cron, zone, missed)


def _full_session(_: Settings) -> TooManyWaiting:
    return TooManyWaiting(f"A session has at most {MOST_SESSION_SCHEDULES} schedules: remove some.")


def _full(settings: Settings) -> QuotaExceeded:
    most = settings.max_schedules
    return QuotaExceeded(
        f"A tenant has at most {most:,} schedules (TURNSTILE_MAX_SCHEDULES): remove some.", "schedules", most, 3_600
    )


def _full_bytes(_: Settings, limit: bytes) -> QuotaExceeded:
    most = int(limit)
    return QuotaExceeded(
        f"What the tenant's schedules ask has {most:,} bytes at most (`unfinished_bytes` of its key, else "
        "TURNSTILE_MAX_UNFINISHED_BYTES): remove some.",
        "unfinished_bytes",
        most,
        3_600,
    )


_ADDED = OneOf(
    "add_schedule",
    added=always(True),
    again=always(False),
    asked=always(False),
    conflict=raising(lambda _: TurnConflict("This id is taken by another schedule or turn; use a new one.")),
    full_session=raising(_full_session),
    full=raising(_full),
    full_bytes=raising(_full_bytes),
)
_REMOVED = OneOf("remove_schedule", removed=always(True), unknown=always(False))
_ASKED = OneOf("ask_scheduled", asked=always(""), missed=always(""), stale=always(""), refused=lambda reason: as_text(reason))
