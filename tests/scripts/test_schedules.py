"""Schedules: each tick is asked once, in its session, whoever asks for it, and however often."""

from dataclasses import replace
from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene, pairs
from turnstile.producers.metrics.counted import COUNTED
from turnstile.turns.api_keys import Limits
from turnstile.turns.errors import InvalidTurn, QuotaExceeded, TooManyWaiting, TurnConflict
from turnstile.turns.question import Options
from turnstile.turns.schedules import DueTick
from turnstile.turns.states import State

MINUTE = 60_000
FUTURE = 4_000_000_000


def _schedule(scene: Scene, id: str = "daily", session: str = "foo", cron: str = "* * * * *", **more: Any) -> bool:
    return scene.turns.schedule(id, session, "hi", cron=cron, now=1, **more)


def _due(scene: Scene) -> list[DueTick]:
    return scene.turns.claim_schedules()[1]


def _again(scene: Scene) -> None:
    """Let the time pass until every schedule is looked at."""
    for member in scene.client.zrange(scene.keys.schedules_due, 0, -1):
        scene.client.zadd(scene.keys.schedules_due, {member: 1})


def test_a_question_is_asked_later_and_once(scene: Scene) -> None:
    assert scene.turns.ask_later("a", "foo", "hi", not_before=1)
    assert scene.queue() == []
    [due] = _due(scene)
    assert [scene.turns.ask_scheduled(due, None) for _ in range(2)] == ["", ""]
    assert scene.queue() == ["a"]
    scene.complete(scene.claim("a"))
    assert scene.history() == pairs("a")
    assert scene.turns.schedules() == []
    assert not scene.turns.ask_later("a", "foo", "hi", not_before=1)
    assert _due(scene) == []


def test_it_waits_for_its_time(scene: Scene) -> None:
    scene.turns.ask_later("a", "foo", "hi", not_before=FUTURE)
    assert _due(scene) == []
    _again(scene)
    assert _due(scene) == []
    assert scene.client.zscore(scene.keys.schedules_due, "foo a") == FUTURE * 1000


def test_its_place_is_that_of_its_time(scene: Scene) -> None:
    scene.turns.ask_later("a", "foo", "hi", not_before=1)
    scene.submit("b", "c")
    [due] = _due(scene)
    scene.turns.ask_scheduled(due, None)
    assert scene.waiting() == ["c", "a"]


def test_a_tick_is_asked_once_by_any_number_of_workers(scene: Scene) -> None:
    _schedule(scene)
    [due] = _due(scene)
    assert _due(scene) == []
    _again(scene)
    [same] = _due(scene)
    for one in (due, same, due):
        scene.turns.ask_scheduled(one, due.tick + MINUTE)
    assert scene.queue() == [f"daily-{due.tick}"]
    [found] = scene.turns.schedules()
    assert (found.next, found.last) == ((due.tick + MINUTE) / 1000, due.tick / 1000)
    [following] = _due(scene)
    assert following.tick == due.tick + MINUTE


def test_ticks_that_are_left_out_ask_nothing(scene: Scene) -> None:
    _schedule(scene, missed="none")
    [due] = _due(scene)
    scene.turns.ask_scheduled(due, FUTURE * 1000, missed=True)
    assert scene.queue() == []
    [found] = scene.turns.schedules()
    assert (found.next, found.left_out, found.last) == (FUTURE, due.tick / 1000, None)


def test_a_repeat_is_told_from_another_schedule(scene: Scene) -> None:
    assert _schedule(scene)
    assert not _schedule(scene)
    for change in ({"cron": "1 * * * *"}, {"session": "bar"}, {"time_zone": "Europe/Paris"}, {"missed": "all"}):
        with pytest.raises(TurnConflict):
            _schedule(scene, **change)
    scene.submit("a")
    with pytest.raises(TurnConflict):
        scene.turns.ask_later("a", "bar", "hi", not_before=1)


def test_a_tick_that_is_refused_is_tried_again(stage: Stage) -> None:
    scene = stage.open(max_waiting_per_session=1)
    _schedule(scene)
    claim = scene.start("a")
    scene.submit("b")
    [due] = _due(scene)
    assert scene.turns.ask_scheduled(due, due.tick + MINUTE) == "full_session"
    [found] = scene.turns.schedules()
    assert (found.refused, found.next) == ("full_session", due.tick / 1000)
    assert _due(scene) == []
    scene.complete(claim)
    scene.complete(scene.claim("b"))
    _again(scene)
    [same] = _due(scene)
    assert scene.turns.ask_scheduled(same, due.tick + MINUTE) == ""
    assert scene.state(f"daily-{due.tick}") is State.QUEUED
    assert scene.turns.schedules()[0].refused == ""


def _waits(scene: Scene) -> float:
    """Return the seconds until the schedule `daily` is looked at."""
    return float(scene.client.zscore(scene.keys.schedules_due, "foo daily")) / 1000 - scene.turns.now()


def test_the_pause_doubles_until_a_tick_is_accepted(stage: Stage) -> None:
    scene = stage.open(max_waiting_per_session=1)
    _schedule(scene)
    claim = scene.start("a")
    scene.submit("b")
    pauses = []
    for _ in range(12):
        [due] = _due(scene)
        scene.turns.ask_scheduled(due, due.tick + MINUTE)
        pauses.append(_waits(scene))
        _again(scene)
    assert pauses == pytest.approx([10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600], abs=2)
    scene.complete(claim)
    for _ in range(2):
        [due] = _due(scene)
        scene.turns.ask_scheduled(due, due.tick + MINUTE)
    assert _waits(scene) == pytest.approx(10, abs=2)


@pytest.mark.parametrize(("further", "pause"), [(5, 40), (60, 10)])
def test_the_pause_goes_on_where_the_next_tick_is_near(scene: Scene, further: float, pause: float) -> None:
    _schedule(scene, missed="none", when_busy="reject")
    scene.start("a")
    for _ in range(2):
        [due] = _due(scene)
        scene.turns.ask_scheduled(due, due.tick + MINUTE)
        _again(scene)
    [due] = _due(scene)
    following = round((scene.turns.now() + further) * 1000)
    scene.turns.ask_scheduled(due, following, missed=True)
    scene.turns.ask_scheduled(replace(due, tick=following), following + MINUTE)
    assert _waits(scene) == pytest.approx(pause, abs=2)


def test_those_of_a_tenant_are_passed_over(scene: Scene) -> None:
    for number in range(8):
        scene.turns.ask_later(f"a{number}", f"acme/{number}", "hi", not_before=1)
    scene.turns.ask_later("b", "bar", "hi", not_before=2)
    scene.turns.ask_later("z", "zoo/1", "hi", not_before=FUTURE)

    def look(*args: Any) -> tuple[str, int]:
        _, due, start = scene.turns.claim_schedules(*args)
        return "".join(tick.schedule for tick in due), start

    assert look(2) == ("a0a1", 0)
    assert look(2, 0, ["zoo", ""]) == ("a2a3", 0)
    assert look(1, 0, ["acme"]) == ("b", -1)
    assert look(1, 1) == ("a5", 1)
    assert look(1, 2, ["acme"]) == ("", -1)
    assert look(9, 9) == ("", -1)
    assert look(9) == ("a4a6a7", -1)


def test_a_look_passes_over_so_many(scene: Scene) -> None:
    scene.client.zadd(scene.keys.schedules_due, {f"acme/{number} a{number}": 1 for number in range(1_200)})
    scene.turns.ask_later("z", "zoo/1", "hi", not_before=2)
    assert scene.turns.claim_schedules(9, 0, ["acme"])[1:] == ([], 1_000)
    [due] = scene.turns.claim_schedules(9, 1_000, ["acme"])[1]
    assert due.schedule == "z"


def test_a_quota_holds_for_ticks(scene: Scene) -> None:
    _schedule(scene, session="acme/1", quotas='{"unfinished_turns":1}')
    scene.submit("a", session="acme/2")
    [due] = _due(scene)
    assert scene.turns.ask_scheduled(due, due.tick + MINUTE) == "unfinished_turns"


def test_a_tick_is_a_request_of_its_key(scene: Scene) -> None:
    _schedule(scene, session="acme/1", quotas=Limits(requests_per_minute=4).with_requests("key"))
    said = []
    for _ in range(3):
        _again(scene)
        [due] = _due(scene)
        said.append(scene.turns.ask_scheduled(due, due.tick + MINUTE, missed=False, now=1))
        scene.client.hset(scene.keys.schedule("daily"), "tick", due.tick + 1)
    assert said == ["", "", "requests_per_minute"]
    # The key may have other limits by now.
    assert scene.client.hget(scene.keys.tenant("acme"), "quotas") is None
    # The other half of the minute is for those who wait for their answers.
    assert [scene.turns.count_request("key", 4).left for _ in range(2)] == [1, 0]


def test_a_busy_session_is_met_by_the_policy(scene: Scene) -> None:
    scene.turns.ask_later("b", "foo", "hi", not_before=1, when_busy="rollback")
    scene.start("a")
    [due] = _due(scene)
    scene.turns.ask_scheduled(due, None)
    assert (scene.state("a"), scene.seat()["head"]) == (State.CANCELLED, "b")


def test_schedules_are_listed_by_session_tenant_and_time(scene: Scene) -> None:
    for id, session in (("c", "acme/2"), ("a", "acme/1"), ("b", "acme/10"), ("d", "foo")):
        scene.turns.ask_later(id, session, "hi", not_before=FUTURE - ord(id))

    def ids(*args: Any, **more: Any) -> list[str]:
        return [found.id for found in scene.turns.schedules(*args, **more)]

    assert ids("acme/1") == ["a"]
    assert ids(tenant="acme") == ["a", "b", "c"]
    assert ids(tenant="") == ["d"]
    assert ids() == ["d", "c", "b", "a"]
    assert ids(limit=2, start=1) == ["c", "b"]


def test_a_schedule_is_removed_by_its_tenant(scene: Scene) -> None:
    _schedule(scene, session="acme/1")
    assert not scene.turns.remove_schedule("daily", "other")
    [due] = _due(scene)
    assert scene.turns.remove_schedule("daily", "acme")
    assert not scene.turns.remove_schedule("daily")
    scene.turns.ask_scheduled(due, FUTURE * 1000)
    assert scene.queue() == []
    assert scene.client.keys("*") == []


def test_an_erased_session_is_asked_nothing(scene: Scene) -> None:
    _schedule(scene)
    scene.turns.ask_later("a", "foo", "hi", not_before=1)
    _schedule(scene, "other", "foobar")
    claimed = _due(scene)
    scene.turns.erase("foo")
    for due in claimed:
        if due.session == "foo":
            scene.turns.ask_scheduled(due, FUTURE * 1000)
    assert scene.queue() == []
    assert [found.id for found in scene.turns.schedules()] == ["other"]


def test_an_erased_tenant_has_no_schedules(scene: Scene) -> None:
    for number in range(3):
        _schedule(scene, f"s{number}", f"acme/{number}")
    _schedule(scene)
    assert scene.turns.erase_tenant("acme") == (0, 3)
    assert [found.id for found in scene.turns.schedules()] == ["daily"]


def test_ticks_are_counted(scene: Scene) -> None:
    _schedule(scene)
    for missed in (False, True, False):
        [due] = _due(scene)
        scene.turns.ask_scheduled(due, due.tick + MINUTE, missed=missed)
        scene.turns.ask_scheduled(due, due.tick + MINUTE, missed=missed)
    [metric] = [one.read(scene.turns.measure().counters) for one in COUNTED if one.name == "turnstile_schedule_ticks"]
    assert {sample.labels["outcome"]: sample.value for sample in metric.samples} == {"asked": 2, "missed": 1}


def test_their_number_is_bounded(stage: Stage) -> None:
    scene = stage.open(max_schedules=2)
    for number in range(2):
        _schedule(scene, f"s{number}", f"session{number}")
    with pytest.raises(QuotaExceeded, match="TURNSTILE_MAX_SCHEDULES"):
        _schedule(scene, "s2")
    assert not _schedule(scene, "s1", "session1")
    _schedule(scene, "s3", "acme/1")


def test_a_session_has_so_many(scene: Scene) -> None:
    for number in range(100):
        _schedule(scene, f"s{number}")
    with pytest.raises(TooManyWaiting, match="100 schedules"):
        _schedule(scene, "s100")


def test_answers_cannot_be_given_later(scene: Scene) -> None:
    with pytest.raises(InvalidTurn, match="answers"):
        scene.turns.ask_later("a", "foo", "", Options(answers={"call_1": "sunny"}), not_before=1)


def test_broken_records_hold_nobody_up(scene: Scene) -> None:
    _schedule(scene)
    scene.turns.ask_later("a", "bar", "hi", not_before=1)
    scene.client.delete(scene.keys.schedule("daily"))
    scene.client.set(scene.keys.schedule("daily"), "something else")
    assert [due.schedule for due in _due(scene)] == ["a"]
    assert [found.id for found in scene.turns.schedules()] == ["a"]
