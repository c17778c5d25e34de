"""Turns that wait for a model's server: they go when it answers, before their pauses are over."""

import pytest

from tests.scripts.scene import Scene
from turnstile.turns.turn import Claim

_KIND, _PAUSE = "fast gpt", 60


def _put_off(scene: Scene, id: str, kind: str = _KIND, pause: float = _PAUSE) -> Claim:
    claim = scene.start(id, session=id)
    assert scene.turns.requeue(claim, pause, forgive=True, code="model_unreachable", away=kind)
    return claim


def _sent(scene: Scene) -> list[str]:
    scene.turns.sweep()
    return sorted(scene.queue())


def test_those_who_wait_go_when_the_server_answers(scene: Scene) -> None:
    scene.let_stand(100)
    for id in ("a", "b", "c"):
        _put_off(scene, id)
    assert _sent(scene) == []
    assert scene.turns.end_outage(_KIND) == 0
    assert _sent(scene) == ["a", "b", "c"]
    assert scene.client.keys(scene.keys.outage("*")) == []


def test_those_who_wait_for_another_model_stay(scene: Scene) -> None:
    _put_off(scene, "a", "other gpt")
    scene.turns.end_outage(_KIND)
    assert _sent(scene) == []


def test_a_few_go_at_a_time_the_next_to_go_first(scene: Scene) -> None:
    scene.let_stand(100)
    for id, pause in (("a", 70), ("b", 60), ("c", 80)):
        _put_off(scene, id, pause=pause)
    assert scene.turns.end_outage(_KIND, 2) == 1
    assert _sent(scene) == ["a", "b"]


def test_who_waits_for_another_reason_by_now_stays(scene: Scene) -> None:
    _put_off(scene, "a")
    scene.make_due("a")
    scene.turns.sweep()
    scene.turns.requeue(scene.claim(str(scene.pop())), _PAUSE + 1)
    scene.turns.end_outage(_KIND)
    assert _sent(scene) == []
    assert scene.seat("a")["phase"] == "delayed"


@pytest.mark.parametrize("way", ["cancelled", "erased", "at work", "followed"])
def test_who_is_gone_or_at_work_is_passed_over(scene: Scene, way: str) -> None:
    _put_off(scene, "a")
    if way == "cancelled":
        scene.turns.cancel("a")
    elif way == "erased":
        scene.turns.erase("a")
    else:
        scene.make_due("a")
        scene.turns.sweep()
        claim = scene.claim(str(scene.pop()))
        if way == "followed":
            scene.complete(claim)
            scene.start("next", session="a")
    seat, due = scene.seat("a"), scene.client.zscore(scene.keys.due, "a")
    assert scene.turns.end_outage(_KIND) == 0
    assert (scene.seat("a"), scene.client.zscore(scene.keys.due, "a")) == (seat, due)


def test_a_broken_record_holds_nobody_up(scene: Scene) -> None:
    scene.let_stand(100)
    _put_off(scene, "a")
    _put_off(scene, "b")
    scene.client.set(scene.keys.turn("broken"), "x")
    scene.client.zadd(scene.keys.outage(_KIND), {"broken": 2})
    scene.client.set(scene.keys.session("a"), "x")
    assert scene.turns.end_outage(_KIND) == 0
    assert "b" in _sent(scene)


def test_whose_pause_is_over_is_forgotten(scene: Scene) -> None:
    _put_off(scene, "a")
    scene.client.zadd(scene.keys.outage(_KIND), {"a": 2})
    _put_off(scene, "b")
    assert scene.client.zrange(scene.keys.outage(_KIND), 0, -1) == ["b"]
    assert 0 < scene.client.pttl(scene.keys.outage(_KIND)) < 600_000


def test_nobody_is_noted_who_waits_for_no_server(scene: Scene) -> None:
    _put_off(scene, "a", "")
    assert scene.client.keys(scene.keys.outage("*")) == []
