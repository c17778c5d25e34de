"""The ticks of rules, in time zones and around their changes, and how missed ones count."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.schedules import DueTick, check_rule, check_schedule, moment, next_tick

BERLIN = "Europe/Berlin"


def _ms(*when: int, zone: str = "UTC", fold: int = 0) -> int:
    return round(datetime(*when, tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)  # type: ignore[arg-type,misc]


def _ticks(cron: str, zone: str, after: int, count: int) -> list[str]:
    """Return the next ticks, in UTC."""
    found = []
    for _ in range(count):
        tick = next_tick(cron, zone, after)
        assert tick is not None
        assert tick > after
        after = tick
        found.append(datetime.fromtimestamp(tick / 1000, UTC).strftime("%d %H:%M"))
    return found


def test_a_rule_holds_in_its_time_zone() -> None:
    assert _ticks("0 9 * * 1-5", "America/New_York", _ms(2026, 1, 2, 20), 2) == ["05 14:00", "06 14:00"]
    assert _ticks("0 9 * * 1-5", "Asia/Kolkata", _ms(2026, 1, 2, 20), 1) == ["05 03:30"]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        # On 29 March the clock goes from 02:00 to 03:00, which is 01:00 UTC.
        ("30 2 * * *", ["28 01:30", "29 01:00", "30 00:30"]),
        ("30 3 * * *", ["28 02:30", "29 01:30", "30 01:30"]),
        ("0 */6 * * *", ["27 23:00", "28 05:00", "28 11:00", "28 17:00", "28 23:00", "29 04:00"]),
    ],
)
def test_ticks_of_an_hour_that_is_left_out_come_behind_it(cron: str, expected: list[str]) -> None:
    assert _ticks(cron, BERLIN, _ms(2026, 3, 27, 22, 59), len(expected)) == expected


def test_rules_with_stars_follow_the_time_that_passes_in_spring() -> None:
    assert _ticks("*/30 * * * *", BERLIN, _ms(2026, 3, 29, 0, 15), 3) == ["29 00:30", "29 01:00", "29 01:30"]


def test_ticks_of_an_hour_that_comes_twice_come_once() -> None:
    # On 25 October the clock goes from 03:00 to 02:00, which is 01:00 UTC.
    assert _ticks("30 2 * * *", BERLIN, _ms(2026, 10, 24, 12), 2) == ["25 00:30", "26 01:30"]


def test_a_look_from_the_hour_that_comes_twice_finds_the_day_after() -> None:
    second = _ms(2026, 10, 25, 2, 10, zone=BERLIN, fold=1)
    assert _ticks("30 2 * * *", BERLIN, second, 1) == ["26 01:30"]


def test_rules_with_stars_follow_the_time_that_passes_in_autumn() -> None:
    assert _ticks("30 * * * *", BERLIN, _ms(2026, 10, 25, 0), 3) == ["25 00:30", "25 01:30", "25 02:30"]


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* * 30 2 *", "@daily", "x * * * *", "*/0 * * * *", "9" * 5000 + " * * * *",
     "* * * * 1#2#3", "1/1/1 * * * *", "L * * * *", "* * LW/2-1 * 5L5"],
)  # fmt: skip
def test_a_wrong_rule_is_refused(cron: str) -> None:
    with pytest.raises(InvalidTurn) as refused:
        check_rule(cron, "UTC", "once", 0)
    assert refused.value.param == "cron"


@pytest.mark.parametrize("zone", ["", "Nowhere/Atlantis", "../../etc/passwd", "Europe", "/etc/localtime", "x" * 65])
def test_a_wrong_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidTurn) as refused:
        check_rule("* * * * *", zone, "once", 0)
    assert refused.value.param == "time_zone"


def test_a_rule_that_names_no_time_is_refused() -> None:
    with pytest.raises(InvalidTurn, match="50 years"):
        check_rule("* * */20 * 1L", "UTC", "once", _ms(2020, 1, 1))


def test_a_wrong_word_for_missed_ticks_is_refused() -> None:
    with pytest.raises(InvalidTurn, match="once, all, none"):
        check_rule("* * * * *", "UTC", "some", 0)


@pytest.mark.parametrize(
    ("missed", "left_out", "following"),
    [("once", False, _ms(2026, 1, 4, 9)), ("all", False, _ms(2026, 1, 2, 9)), ("none", True, _ms(2026, 1, 4, 9))],
)
def test_missed_ticks(missed: str, left_out: bool, following: int) -> None:
    due = DueTick("foo", "daily", _ms(2026, 1, 1, 9), "0 9 * * *", "UTC", missed)
    assert due.step(_ms(2026, 1, 3, 12)) == (left_out, following)


@pytest.mark.parametrize("missed", ["once", "all", "none"])
def test_a_tick_in_time_is_asked(missed: str) -> None:
    due = DueTick("foo", "daily", _ms(2026, 1, 1, 9), "0 9 * * *", "UTC", missed)
    assert due.step(_ms(2026, 1, 1, 9, 0, 59)) == (False, _ms(2026, 1, 2, 9))


def test_a_question_that_is_asked_once_is_never_too_late() -> None:
    assert DueTick("foo", "a", 1, "", "", "once").step(_ms(2026, 1, 1)) == (False, None)


@pytest.mark.parametrize("when", [datetime(2026, 1, 1), float("nan"), -1, 1e18, True, "tomorrow"])  # noqa: DTZ001 - it is refused
def test_a_wrong_time_is_refused(when: object) -> None:
    with pytest.raises(InvalidTurn) as refused:
        moment(when)  # type: ignore[arg-type]
    assert refused.value.param == "not_before"


def test_a_time_is_a_datetime_or_a_number() -> None:
    assert moment(datetime(2026, 1, 1, tzinfo=UTC)) == moment(_ms(2026, 1, 1) / 1000) == _ms(2026, 1, 1)


@pytest.mark.parametrize("id", ["", "a b", "x" * 81, "a@b", "a/b", 7])
def test_a_wrong_id_is_refused(id: object) -> None:
    with pytest.raises(InvalidTurn):
        check_schedule(id)  # type: ignore[arg-type]
