"""Situations of schedules."""

from collections.abc import Callable
from typing import Any

from tests.scripts.scene import Scene
from tests.scripts.situation import hooks, situation
from turnstile.turns.question import Options

_LATER = 4_000_000_000


def _schedule(scene: Scene, id: str = "daily", **more: Any) -> bool:
    return hooks(scene).schedule(id, "foo", "hi", cron="0 9 * * *", now=1, **more)


@situation("add_schedule")
def _once(scene: Scene) -> Callable[[], Any]:
    return lambda: hooks(scene).ask_later("a", "foo", "hi", not_before=1)


@situation("add_schedule")
def _each_day(scene: Scene) -> Callable[[], Any]:
    return lambda: _schedule(scene)


@situation("claim_schedules")
def _of_some(scene: Scene) -> Callable[[], Any]:
    _schedule(scene)
    hooks(scene).ask_later("a", "foo", "hi", not_before=_LATER)
    scene.client.zadd(scene.keys.schedules_due, {"foo a": 1, "foo gone": 1, "bar daily": 1})
    return lambda: hooks(scene).claim_schedules()


def _asking(scene: Scene, following: int | None, **more: Any) -> Callable[[], Any]:
    [due] = hooks(scene).claim_schedules()[1]
    return lambda: hooks(scene).ask_scheduled(due, following, **more)


@situation("ask_scheduled")
def _for_the_last_time(scene: Scene) -> Callable[[], Any]:
    hooks(scene).ask_later("a", "foo", "hi", Options(webhook={"url": "https://example.org/hook", "key": "k"}), not_before=1)
    return _asking(scene, None)


@situation("ask_scheduled")
def _for_one_tick(scene: Scene) -> Callable[[], Any]:
    _schedule(scene)
    return _asking(scene, _LATER * 1000)


@situation("ask_scheduled")
def _for_none(scene: Scene) -> Callable[[], Any]:
    _schedule(scene)
    return _asking(scene, _LATER * 1000, missed=True)


@situation("ask_scheduled")
def _that_stops_another(scene: Scene) -> Callable[[], Any]:
    _schedule(scene, when_busy="rollback")
    scene.start("a", reply=True)
    return _asking(scene, _LATER * 1000)


@situation("look_at_schedules")
def _that_are_none(scene: Scene) -> Callable[[], Any]:
    return lambda: hooks(scene).look_at_schedules(["foo gone", "bar gone"])


@situation("audit_schedule")
def _of_a_tick_that_is_computed_anew(scene: Scene) -> Callable[[], Any]:
    _schedule(scene)
    [due] = hooks(scene).claim_schedules()[1]
    return lambda: hooks(scene).audit_schedule("daily", due, _LATER * 1000, 1)


@situation("cancel")
def _of_one_that_is_asked_later(scene: Scene) -> Callable[[], Any]:
    hooks(scene).ask_later("a", "foo", "hi", not_before=_LATER)
    return lambda: hooks(scene).cancel("a") if scene.client.exists(scene.keys.schedule("a")) else None


@situation("remove_schedule")
def _one(scene: Scene) -> Callable[[], Any]:
    _schedule(scene)
    return lambda: hooks(scene).remove_schedule("daily")


@situation("list_schedules")
def _all(scene: Scene) -> Callable[[], Any]:
    _schedule(scene)
    return lambda: hooks(scene).schedules()


@situation("erase", erases=True)
def _with_schedules(scene: Scene) -> Callable[[], Any]:
    _schedule(scene)
    hooks(scene).ask_later("a", "foo", "hi", not_before=1)
    return lambda: hooks(scene).erase("foo")


@situation("erase_tenant", erases=True)
def _with_a_schedule(scene: Scene) -> Callable[[], Any]:
    hooks(scene).schedule("daily", "acme/1", "hi", cron="0 9 * * *", now=1)
    return lambda: hooks(scene).erase_tenant("acme")
