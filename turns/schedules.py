"""Schedules: the rule by which a question is asked later, and the ticks that the rule names.

A cron rule is read as Debian's cron reads it (`cronsim`): minute, hour, day of month, month, day of week, in a time zone. When
clocks go forward, ticks of fixed minutes and hours in the hour that is left out come right behind it; when they go back, those
in the hour that comes twice come once. Rules with `*` for minutes or hours follow the time that passes.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Question
from turnstile.turns.text import as_text, loads

if TYPE_CHECKING:
    from cronsim import CronSim

MISSED = ("once", "all", "none")
"""For ticks that nobody asked in time: one question for all of them, a question for each, or none."""
UTC = "UTC"

_CRON = re.compile(r"\S{1,100}(?: +\S{1,100}){4}")
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_LATE_MS = 60_000
_LATEST = 253_402_300_799.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it is stored. Times are in seconds since the epoch."""

    id: str
    session: str
    next: float
    """Its next tick: the question is asked then, or as soon after as it is accepted."""
    cron: str
    """Empty for a question that is asked once."""
    time_zone: str
    missed: str
    created: float
    last: float | None
    """The tick that was asked last."""
    left_out: float | None
    """The tick that was left out last."""
    refused: str
    """Why the next tick was refused so far: a quota's name, `full_session`, …; it is tried again."""
    question: Question
    """Empty where it is long."""

    @property
    def last_turn(self) -> str | None:
        """The turn that was asked last."""
        return None if self.last is None else f"{self.id}-{round(self.last * 1000)}"

    @classmethod
    def decode(cls, row: list[bytes | None]) -> Self:
        """Read one row of `list_schedules`."""
        session, id, tick, cron, zone, missed, created, last, left_out, refused, question = (
            as_text(word or b"") for word in row
        )
        return cls(
            id=id,
            session=session,
            next=int(tick) / 1000,
            cron=cron,
            time_zone=zone,
            missed=missed,
            created=int(created) / 1000,
            last=int(last) / 1000 if last else None,
            left_out=int(left_out) / 1000 if left_out else None,
            refused=refused,
            question=loads(question),
        )


@dataclass(frozen=True, slots=True)
class DueTick:
    """A tick that is due; in ms. `cron` is empty for a question that is asked once."""

    session: str
    schedule: str
    tick: int
    cron: str
    zone: str
    missed: str

    def step(self, now: int) -> tuple[bool, int | None]:
        """Return whether the tick is left out, and the next one; None after the last. Raises InvalidTurn for a wrong rule."""
        if not self.cron:
            return False, None
        too_late = self.missed == "none" and now - self.tick > _LATE_MS
        after = self.tick if self.missed == "all" else max(self.tick, now)
        return too_late, next_tick(self.cron, self.zone, after)


def next_tick(cron: str, zone: str, after: int) -> int | None:
    """Return the first tick of a rule after a time, in ms; None where there is none in 50 years. Raises InvalidTurn."""
    ticks = _ticks(cron, datetime.fromtimestamp(after // 1000, _zone(zone)))
    return next((tick for tick in map(_ms, ticks) if tick > after), None)


def check_rule(cron: str, zone: str, missed: str, now: int) -> int:
    """Return the first tick of a rule. Raises InvalidTurn, naming what is wrong."""
    if missed not in MISSED:
        raise InvalidTurn(f"`missed` must be one of {', '.join(MISSED)}.", param="missed")
    first = next_tick(cron, zone, now)
    if first is None:
        raise InvalidTurn("`cron` names no time in the next 50 years.", param="cron")
    return first


def moment(when: datetime | float) -> int:
    """Return a time in ms, of a datetime with a time zone or of seconds since the epoch. Raises InvalidTurn."""
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise InvalidTurn("`not_before` has no time zone: give a datetime with one.", param="not_before")
        when = when.timestamp()
    if isinstance(when, bool) or not isinstance(when, int | float) or not math.isfinite(when) or not 0 <= when <= _LATEST:
        raise InvalidTurn("`not_before` must be a datetime, or seconds since the epoch.", param="not_before")
    return round(when * 1000)


def in_zone(when: datetime, zone: str) -> datetime:
    """Return a time that has an offset, or else in a time zone. Raises InvalidTurn."""
    return when if when.tzinfo else when.replace(tzinfo=_zone(zone))


def check_schedule(id: str) -> str:
    """Return the id of a schedule, or raise InvalidTurn when its form is wrong."""
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise InvalidTurn("A schedule's id is 1 to 80 of the characters A-Z a-z 0-9 _ - .", param="id")
    return id


def _ticks(cron: str, start: datetime) -> "CronSim":
    # A program that schedules nothing does not load it.
    from cronsim import CronSim, CronSimError

    wrong = InvalidTurn("`cron` must be five fields: minute, hour, day of month, month, day of week.", param="cron")
    if not isinstance(cron, str) or not _CRON.fullmatch(cron):
        raise wrong
    try:
        return CronSim(cron, start)
    except CronSimError as error:
        raise InvalidTurn(f"`cron` cannot be read: {error}.", param="cron") from None


def _zone(name: str) -> ZoneInfo:
    wrong = InvalidTurn(
        "`time_zone` must be a name of the IANA database that this machine knows, such as Europe/Paris.", param="time_zone"
    )
    if not isinstance(name, str) or not _ZONE.fullmatch(name):
        raise wrong
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise wrong from None


def _ms(tick: datetime) -> int:
    return round(tick.timestamp() * 1000)
