"""The bytes that a tenant's unfinished turns ask: bounded, given back by every end, and exact at rest."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.cutting import in_pieces
from tests.scripts.scene import Scene
from turnstile.turns.api_keys import Limits
from turnstile.turns.errors import QuotaExceeded
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.turn import Claim

LARGE = "x" * 4_000
_MOST = 10_000
QUOTAS = Limits(unfinished_bytes=_MOST).quotas


def _counted(scene: Scene, tenant: str = "a") -> dict[str, int]:
    return scene.counted_bytes(scene.keys.open_bytes(tenant))


def _ask(scene: Scene, id: str, session: str = "", question: str = LARGE, **terms: Any) -> Any:
    return scene.turns.submit(id, session or f"a/{id}", question, Options(), **terms)


@pytest.mark.parametrize("tenant", ["a", ""])
def test_the_bytes_that_a_tenant_asks_at_one_time_are_bounded(stage: Stage, tenant: str) -> None:
    scene, start = stage.open(max_unfinished_bytes=_MOST), f"{tenant}/" if tenant else ""
    for id in ("t1", "t2"):
        _ask(scene, id, f"{start}{id}")
    before = scene.picture()
    with pytest.raises(QuotaExceeded, match="unfinished bytes") as caught:
        _ask(scene, "t3", f"{start}t3")
    assert (caught.value.quota, caught.value.limit, caught.value.wait) == ("unfinished_bytes", _MOST, 5)
    assert scene.picture() == before
    _ask(scene, "small", f"{start}small", "hi")
    _ask(scene, "other", "b/other")
    scene.complete(scene.claim("t1"))
    _ask(scene, "t3", f"{start}t3")
    assert _counted(scene, tenant).keys() == {"t2", "t3"}


def test_a_key_has_a_quota_of_its_own(stage: Stage) -> None:
    scene = stage.open(max_unfinished_bytes=2_000)
    for id in ("t1", "t2"):
        _ask(scene, id, quotas=QUOTAS)
    for quotas in (QUOTAS, ""):
        with pytest.raises(QuotaExceeded):
            _ask(scene, "t3", quotas=quotas)


def test_one_turn_of_any_size_has_room(scene: Scene) -> None:
    _ask(scene, "small", question="hi", quotas=QUOTAS)
    _ask(scene, "t1", question="x" * 100_000, quotas=QUOTAS)
    with pytest.raises(QuotaExceeded):
        _ask(scene, "t2", quotas=QUOTAS)
    scene.complete(scene.claim("t1"))
    _ask(scene, "t2", question="x" * 100_000, quotas=QUOTAS)


def test_options_are_counted(scene: Scene) -> None:
    scene.turns.submit("t1", "a/1", "hi", Options(instructions="x" * 9_000), quotas=QUOTAS)
    assert _counted(scene)["t1"] > 9_000
    with pytest.raises(QuotaExceeded):
        scene.turns.submit("t2", "a/2", "hi", Options(instructions=LARGE), quotas=QUOTAS)


def test_small_turns_leave_no_count(scene: Scene) -> None:
    _ask(scene, "t1", question="x" * 500)
    assert _counted(scene) == {}


def test_all_that_accept_turns_ask_for_the_quota(scene: Scene) -> None:
    scene.hold(scene.start("a", session="a/1"))
    _ask(scene, "b", "a/2", "x" * 9_000)
    asks: tuple[Callable[[], Any], ...] = (
        lambda: _ask(scene, "c", "a/3", quotas=QUOTAS, when_busy="reject"),
        lambda: scene.turns.submit("d", "a/1", "hi", Options(answers={"call_1": LARGE}), quotas=QUOTAS),
        lambda: scene.turns.follow("e", "a", "a/branch", LARGE, quotas=QUOTAS),
    )
    for asking in asks:
        with pytest.raises(QuotaExceeded, match="unfinished bytes"):
            asking()
    scene.turns.schedule("s", "a/4", LARGE, cron="* * * * *", now=1, quotas=QUOTAS)
    (due,) = scene.turns.claim_schedules()[1]
    assert scene.turns.ask_scheduled(due, due.tick + 60_000) == "unfinished_bytes"


@pytest.mark.parametrize("tenant", ["a", ""])
def test_every_end_gives_the_bytes_back(scene: Scene, tenant: str) -> None:
    start = f"{tenant}/" if tenant else ""
    ends: tuple[Callable[[Claim], object], ...] = (
        scene.complete,
        scene.fail,
        lambda claim: scene.turns.cancel(claim.id),
        lambda claim: scene.turns.erase(claim.session),
        scene.hold,
    )
    staying = scene.start("stays", session=f"{start}stays", question=LARGE)
    for number, end in enumerate(ends):
        claim = scene.start(f"t{number}", session=f"{start}{number}", question=LARGE)
        assert _counted(scene, tenant).keys() == {"stays", claim.id}
        end(claim)
        assert _counted(scene, tenant).keys() == {"stays"}
    assert scene.turns.retry("t1") is State.QUEUED
    assert _counted(scene, tenant).keys() == {"stays", "t1"}
    scene.complete(scene.claim("t1"))
    scene.complete(staying)
    assert not scene.client.exists(scene.keys.open_bytes(tenant))


def test_merged_questions_end_together(scene: Scene) -> None:
    for id in "abc":
        _ask(scene, id, "a/1", when_busy="merge")
    claim = scene.claim("a")
    scene.turns.merge(claim)
    assert _counted(scene).keys() == {"a", "b", "c"}
    scene.complete(claim)
    assert not scene.client.exists(scene.keys.open_bytes("a"))


@pytest.mark.parametrize("waiting", [0, 3])
def test_what_is_erased_piece_by_piece_is_given_back_once(scene: Scene, waiting: int) -> None:
    in_pieces(scene.turns)
    scene.start("stays", session="a/2", question=LARGE)
    for number in range(2):
        scene.complete(scene.start(f"e{number}", session="a/1", question=LARGE))
    scene.start("head", session="a/1", question=LARGE)
    for number in range(waiting):
        _ask(scene, f"w{number}", "a/1")
    # A cut may have left the head in its mailbox, too.
    scene.client.lpush(scene.keys.mailbox("a/1"), "head")
    scene.turns.erase("a/1")
    while scene.turns.sweep_erased():
        pass
    assert _counted(scene).keys() == {"stays"}


@pytest.mark.parametrize("tenant", ["a", ""])
def test_the_audit_gives_back_what_a_worker_of_an_older_version_has_left(scene: Scene, tenant: str) -> None:
    start = f"{tenant}/" if tenant else ""
    for id in ("living", "gone"):
        _ask(scene, id, f"{start}{id}")
    left = scene.client.hgetall(scene.keys.open_bytes(tenant))
    scene.complete(scene.claim("gone"))
    scene.client.hset(scene.keys.open_bytes(tenant), mapping=left)
    scene.turns.audit([])
    assert _counted(scene, tenant).keys() == {"living"}


def test_the_audit_counts_what_an_older_version_has_accepted(scene: Scene) -> None:
    for id in ("t1", "t2"):
        _ask(scene, id)
    counted = _counted(scene)
    scene.client.delete(scene.keys.open_bytes("a"))
    for _ in range(2):
        scene.turns.audit(["a/t1", "a/t2"])
        assert _counted(scene) == counted


@pytest.mark.parametrize("forget", ["erase_tenant", "audit"])
def test_nothing_stays_of_a_tenant_that_is_forgotten(scene: Scene, forget: str) -> None:
    scene.complete(scene.start("t1", session="a/1"))
    scene.turns.erase("a/1")
    scene.client.hset(scene.keys.open_bytes("a"), mapping={"": 5_000, "gone": 5_000})
    scene.client.zadd(scene.keys.tenants, {"a": 1})
    if forget == "audit":
        scene.turns.audit([])
    else:
        scene.turns.erase_tenant("a")
    assert not scene.client.exists(scene.keys.open_bytes("a"))


def test_tenants_are_listed_with_their_bytes(scene: Scene) -> None:
    _ask(scene, "t1")
    scene.claim("t1")
    (found,) = scene.turns.tenants()
    assert found.unfinished_bytes == sum(_counted(scene).values()) > len(LARGE)
