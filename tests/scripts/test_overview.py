"""Looks at the whole: turns, sessions and budgets as operators see them, and the minutes of the last hour."""

import json
from typing import Any

import pytest

from tests.scripts.scene import WEATHER, Scene
from turnstile.producers.metrics.snapshot import Snapshot
from turnstile.producers.overview.last_hour import last_hour
from turnstile.turns.question import Options
from turnstile.turns.redis.scripts import NOTED
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall
from turnstile.turns.store.overviews import Minute, SeenTurn

_MODEL = "gpt-4o@1a2b"


def _begin_at(scene: Scene, id: str, ms_ago: int, field: str = "started") -> None:
    scene.client.hincrby(scene.keys.turn(id), field, -ms_ago)


def _worker(scene: Scene, name: str = "w1") -> None:
    scene.client.hset(scene.keys.workers, name, "{}")


def test_turns_at_work_are_listed_the_longest_first(scene: Scene) -> None:
    _worker(scene)
    scene.let_stand(20)
    for number in range(5):
        claim = scene.start(f"t{number}", session=f"s{number}")
        _begin_at(scene, claim.id, 1_000 * (number + 1))
    scene.submit("behind", session="s4")
    scene.client.hset(scene.keys.turn("t4"), "spent", "3 2 50")
    found = scene.turns.overview(2).running
    assert [turn.turn for turn in found] == ["t4", "t3"]
    first = found[0]
    assert (first.session, first.queue, first.phase, first.worker, first.behind) == ("s4", "chat", "running", "w1", 1)
    assert (first.attempts, first.steps, first.model_calls, first.tokens) == (1, 3, 2, 50)
    assert 5 <= first.seconds < 100


def test_waits_are_listed_the_longest_first_one_of_each_session(scene: Scene) -> None:
    _worker(scene)
    scene.start("running", session="busy")
    scene.submit("b1", "b2", "b3", session="busy")
    scene.submit("r1", "r2", session="acme/ready", options=Options(queue="batch"))
    scene.hold(scene.start("asks", session="holding"))
    scene.turns.submit("h1", "holding", "hi", when_held="queue")
    found = scene.turns.overview().waiting
    assert [(turn.turn, turn.phase, turn.behind, turn.queue) for turn in found] == [
        ("b1", "blocked", 2, "chat"),
        ("r1", "dispatched", 1, "batch"),
        ("h1", "held", 0, "chat"),
    ]
    assert len(scene.turns.overview(1).waiting) == 1


def test_attempts_that_do_not_count_are_told_apart(scene: Scene) -> None:
    _worker(scene)
    scene.turns.requeue(scene.start("a", question="x" * 100_000), forgive=True)
    scene.claim(str(scene.pop()))
    [seen] = scene.turns.overview().running
    assert (seen.attempts, seen.uncounted_attempts) == (2, 1)
    for read in (scene.turns.status, scene.turns.result, scene.turns.outline):
        found = read("a")
        assert (found.attempts, found.uncounted_attempts) == (2, 1)


def test_failures_and_held_sessions_are_listed(scene: Scene) -> None:
    for number in range(3):
        scene.fail(scene.start(f"f{number}", session=f"s{number}"), "rate_limited")
        scene.client.zincrby(scene.keys.failed, -1_000 * number, f"f{number}")
    scene.hold(scene.start("asks", session="holding"), WEATHER)
    seen = scene.turns.overview(2)
    assert [(turn.turn, turn.code, turn.phase) for turn in seen.failed] == [
        ("f0", "rate_limited", "failed"),
        ("f1", "rate_limited", "failed"),
    ]
    assert [session.session for session in seen.held] == ["holding"]
    assert 0 <= seen.held[0].seconds < 100


def test_nothing_that_was_asked_or_answered_is_told(scene: Scene) -> None:
    _worker(scene)
    scene.start("a", question="a secret")
    scene.submit("b", question="a secret")
    scene.fail(scene.start("c", session="bar", question="a secret"))
    assert "secret" not in repr(scene.turns.overview())


def test_a_budget_is_told_with_what_is_spent_and_what_waits(scene: Scene) -> None:
    limits, claim = CallLimits(requests=60, tokens=6_000, concurrent=2), scene.start("a")
    waiting = scene.start("w", session="waits")
    call = ModelCall(claim, 1, _MODEL, 6_000)
    scene.turns.reserve_call(call, limits)
    scene.turns.requeue(waiting, waits_for=_MODEL, tokens=1)
    (budget,) = scene.turns.overview().budgets
    assert (budget.model, budget.requests, budget.tokens, budget.concurrent) == ("gpt-4o", 60, 6_000, 2)
    assert (budget.calls, budget.waiting, budget.paused) == (1, 1, 0)
    scene.client.hincrby(scene.keys.session("waits"), "since", -90_000)
    (budget,) = scene.turns.overview().budgets
    assert 90 <= budget.longest_wait < 190
    for label, setting in (("other", ""), ("gpt-4o", '{"fast": {"model": "gpt-4o"}}')):
        scene.turns.settings = scene.turns.settings.model_copy(update={"chains": setting})
        seen = Snapshot.take(scene.turns)
        assert seen
        ((model, (turns, seconds)),) = seen.waits.items()
        assert (model, turns) == (label, 1)
        assert 90 <= seconds < 190
    assert 0 <= budget.requests_spent <= 1
    assert 0 < budget.tokens_spent <= 6_000
    waits = next(turn for turn in scene.turns.overview().waiting if turn.turn == "w")
    assert waits.waits_for == "gpt-4o"
    scene.turns.settle_call(call, CallEnd("limited", pause=30))
    (budget,) = scene.turns.overview().budgets
    assert 0 < budget.paused <= 30


def test_a_turn_that_is_gone_is_passed_over(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    scene.client.delete(scene.keys.turn("a"))
    assert scene.turns.overview().failed == []
    assert SeenTurn.decode(0, [b"a", b"failed", b"", 0, *[None] * 10]) is None


def _notes(scene: Scene) -> dict[str, dict[str, Any]]:
    found = scene.client.hgetall(scene.keys.minutes)
    return {place: json.loads(note.partition(" ")[2]) for place, note in found.items()}


def test_a_minute_is_noted_once(scene: Scene) -> None:
    notes = [scene.turns.note_minute() for _ in range(3)]
    # A minute may end in between.
    assert notes[0] is True
    assert notes.count(True) <= 2
    assert len(_notes(scene)) == notes.count(True)


def test_a_note_has_what_there_is_and_what_was_counted(scene: Scene) -> None:
    _worker(scene)
    scene.start("a")
    scene.submit("b")
    scene.client.hset(scene.keys.stats, 'tokens_in{model="m"}', 7)
    scene.client.hset(scene.keys.stats, 'tokens_in{model="n"}', 5)
    scene.turns.note_minute()
    (minute,) = scene.turns.overview().minutes
    assert (minute.measured.running, minute.measured.blocked) == (1, 1)
    assert minute.measured.counters["accepted"] == 2
    assert minute.measured.counters["tokens_in"] == 12
    assert minute.measured.counters.keys() == set(NOTED)


def test_two_hours_are_kept_and_the_last_is_told(scene: Scene) -> None:
    scene.turns.note_minute()
    ((place, text),) = scene.client.hgetall(scene.keys.minutes).items()
    minute, _, body = text.partition(" ")
    note = json.loads(body)
    for ago in range(1, 120):
        body = json.dumps({**note, "at": note["at"] - ago * 60_000})
        scene.client.hset(scene.keys.minutes, str((int(place) - ago) % 120), f"{int(minute) - ago} {body}")
    assert scene.client.hlen(scene.keys.minutes) == 120
    told = scene.turns.overview().minutes
    assert 60 <= len(told) <= 62
    assert [minute.at for minute in told] == sorted(minute.at for minute in told)
    for older in range(120):
        scene.client.hset(scene.keys.minutes, str(older), "1 {}")
    assert scene.turns.note_minute()
    assert scene.client.hlen(scene.keys.minutes) == 120


def _minute(at: float, **counted: int) -> Minute:
    there = {"open": 3, "running": 1, "due": 2, "held": 0, "failed": 0, "webhooks": 0, "undelivered": 0, "oldest": 0}
    note = {"at": at * 1000, "counted": {**dict.fromkeys(NOTED, 0), **counted}, "there": there}
    return Minute.decode(f"1 {json.dumps(note)}".encode())


def test_the_last_hour_is_what_was_counted_between_two_notes() -> None:
    notes = [
        _minute(0, accepted=10, claimed=10, ready_ms=1_000),
        _minute(30, accepted=20, claimed=20, ready_ms=21_000, tokens_in=5, tokens_out=10, cost=2_000_000),
        _minute(600, accepted=90),
        _minute(660, accepted=0),
    ]
    points = last_hour(notes)
    assert [point["at"] for point in points] == [30, 660]
    first = points[0]
    assert (first["accepted"], first["tokens"], first["cost"], first["ready_seconds"]) == (20, 30, 4, 2)
    assert (first["running"], first["ready"], first["blocked"]) == (1, 1, 1)
    assert points[1]["accepted"] == 0


@pytest.mark.parametrize("notes", [[], [_minute(0)]])
def test_no_hour_is_told_of_a_single_note(notes: list[Minute]) -> None:
    assert last_hour(notes) == []
