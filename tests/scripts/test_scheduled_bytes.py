"""The bytes that a tenant's schedules ask: bounded apart from those of turns, given back by every end, and exact at rest."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene
from turnstile.turns.api_keys import Limits
from turnstile.turns.errors import QuotaExceeded, TurnConflict
from turnstile.turns.question import Options

LARGE = "x" * 4_000
LATER = 4_000_000_000
_MOST = 10_000
QUOTAS = Limits(unfinished_bytes=_MOST).quotas


def _counted(scene: Scene, tenant: str = "a") -> dict[str, int]:
    return scene.counted_bytes(scene.keys.scheduled_bytes(tenant))


def _schedule(scene: Scene, id: str, session: str = "a/1", question: str = LARGE, **terms: Any) -> bool:
    return scene.turns.schedule(id, session, question, cron="* * * * *", now=1, **terms)


def _later(scene: Scene, id: str, session: str = "a/1", question: str = LARGE, **terms: Any) -> bool:
    return scene.turns.ask_later(id, session, question, not_before=LATER, **terms)


@pytest.mark.parametrize("tenant", ["a", ""])
def test_the_bytes_that_a_tenants_schedules_ask_are_bounded(stage: Stage, tenant: str) -> None:
    scene, start = stage.open(max_unfinished_bytes=_MOST), f"{tenant}/" if tenant else ""
    _schedule(scene, "s1", f"{start}1")
    _later(scene, "s2", f"{start}2")
    before = scene.picture()
    for ask in (_schedule, _later):
        with pytest.raises(QuotaExceeded, match="schedules ask") as caught:
            ask(scene, "s3", f"{start}3")
        assert (caught.value.quota, caught.value.limit, caught.value.wait) == ("unfinished_bytes", _MOST, 3_600)
    assert scene.picture() == before
    assert not _schedule(scene, "s1", f"{start}1")
    _schedule(scene, "small", f"{start}3", "hi")
    _schedule(scene, "other", "b/1")
    scene.turns.remove_schedule("s1")
    _later(scene, "s3", f"{start}3")
    assert _counted(scene, tenant).keys() == {f"{start}2 s2", f"{start}3 s3"}


def test_a_key_has_a_quota_of_its_own(stage: Stage) -> None:
    scene = stage.open(max_unfinished_bytes=2_000)
    for id in ("s1", "s2"):
        _schedule(scene, id, quotas=QUOTAS)
    for quotas in (QUOTAS, ""):
        with pytest.raises(QuotaExceeded):
            _schedule(scene, "s3", quotas=quotas)


def test_one_schedule_of_any_size_has_room(scene: Scene) -> None:
    _schedule(scene, "small", question="x" * 500, quotas=QUOTAS)
    _schedule(scene, "s1", question="x" * 100_000, quotas=QUOTAS)
    assert _counted(scene).keys() == {"a/1 s1"}
    with pytest.raises(QuotaExceeded):
        _schedule(scene, "s2", quotas=QUOTAS)


def test_options_are_counted(scene: Scene) -> None:
    scene.turns.ask_later("s1", "a/1", "hi", Options(instructions=LARGE), not_before=LATER)
    assert _counted(scene)["a/1 s1"] > len(LARGE)


def test_what_waits_keeps_no_tick_from_being_asked(scene: Scene) -> None:
    """Schedules take no room from turns, nor turns from schedules."""
    _schedule(scene, "s1", quotas=QUOTAS)
    _schedule(scene, "s2", quotas=QUOTAS)
    for due in scene.turns.claim_schedules()[1]:
        assert scene.turns.ask_scheduled(due, due.tick + 60_000) == ""
    with pytest.raises(QuotaExceeded, match="unfinished bytes"):
        scene.turns.submit("t", "a/2", LARGE, Options(), quotas=QUOTAS)
    scene.turns.remove_schedule("s1")
    _schedule(scene, "s3", quotas=QUOTAS)


def _ask_the_last_tick(scene: Scene) -> None:
    scene.client.hset(scene.keys.schedule("s"), "tick", 1)
    scene.client.zadd(scene.keys.schedules_due, {"a/1 s": 1})
    (due,) = scene.turns.claim_schedules()[1]
    scene.turns.ask_scheduled(due, None)


def _lose_the_record(scene: Scene) -> None:
    scene.client.delete(scene.keys.schedule("s"))
    scene.client.zadd(scene.keys.schedules_due, {"a/1 s": 1})
    assert scene.turns.claim_schedules()[1] == []


ENDS: tuple[Callable[[Scene], object], ...] = (
    lambda scene: scene.turns.remove_schedule("s"),
    lambda scene: scene.turns.cancel("s"),
    lambda scene: scene.turns.erase("a/1"),
    _ask_the_last_tick,
    _lose_the_record,
)


@pytest.mark.parametrize("end", ENDS, ids=["remove", "cancel", "erase", "last tick", "lost record"])
def test_every_end_gives_the_bytes_back(scene: Scene, end: Callable[[Scene], object]) -> None:
    _later(scene, "stays", "a/2")
    _later(scene, "s")
    end(scene)
    assert _counted(scene).keys() == {"a/2 stays"}
    scene.turns.erase_tenant("a")
    assert not scene.client.exists(scene.keys.scheduled_bytes("a"))


def test_a_schedule_of_another_session_keeps_its_bytes(scene: Scene) -> None:
    """Entries are named by session and schedule, so a due entry of the one drops nothing of the other."""
    _later(scene, "s", "a/1")
    scene.client.delete(scene.keys.schedule("s"))
    _later(scene, "s", "a/2")
    scene.client.zadd(scene.keys.schedules_due, {"a/1 s": 1})
    scene.turns.claim_schedules()
    assert _counted(scene).keys() == {"a/2 s"}
    with pytest.raises(TurnConflict):
        _later(scene, "s", "a/1")


def test_what_an_older_version_has_added_is_dropped_like_any_other(scene: Scene) -> None:
    for id in ("stays", "old"):
        _later(scene, id)
    counted = _counted(scene)
    scene.client.hset(scene.keys.scheduled_bytes("a"), "", counted["a/1 stays"])
    scene.client.hdel(scene.keys.scheduled_bytes("a"), "a/1 old")
    scene.turns.audit_schedule("old")
    scene.turns.audit_schedule("old")
    assert _counted(scene) == counted
    scene.client.delete(scene.keys.scheduled_bytes("a"))
    scene.turns.remove_schedule("old")
    assert not scene.client.exists(scene.keys.scheduled_bytes("a"))


def test_what_an_older_version_has_left_is_no_part_of_what_comes_after(scene: Scene) -> None:
    _later(scene, "s", question=LARGE)
    scene.client.delete(scene.keys.schedule("s"))
    _later(scene, "s", question="x" * 2_000)
    assert 2_000 < _counted(scene)["a/1 s"] < len(LARGE)
