"""renew: kept, cancelled, lost."""

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene


def test_leases_are_kept(scene: Scene) -> None:
    claim = scene.start("a")
    scene.expire_lease()
    assert scene.turns.renew("w1", [claim]) == ["kept"]
    lease = int(scene.seat()["lease"])
    assert lease > claim.now * 1000
    assert scene.client.zscore(scene.keys.due, "foo") == lease
    assert scene.turns.sweep().seen == 0


def test_one_word_for_each_turn_in_order(scene: Scene) -> None:
    kept = scene.start("a", session="s1")
    cancelled = scene.start("b", session="s2")
    lost = scene.start("c", session="s3")
    ended = scene.start("d", session="s4")
    erased = scene.start("e", session="s5")
    scene.turns.cancel("b")
    scene.lose("s3")
    scene.complete(ended)
    scene.turns.erase("s5")
    held = [kept, cancelled, lost, ended, erased]
    assert scene.turns.renew("w1", held) == ["kept", "cancelled", "lost", "lost", "lost"]
    assert scene.turns.renew("w1", held[::-1]) == ["lost", "lost", "lost", "cancelled", "kept"]


def test_what_is_lost_stays_lost(scene: Scene) -> None:
    zombie = scene.start("a")
    scene.lose()
    before = scene.picture()
    assert scene.turns.renew("w1", [zombie]) == ["lost"]
    assert scene.picture() == before
    scene.claim("a", "w2")
    before = scene.picture()
    assert scene.turns.renew("w1", [zombie]) == ["lost"]
    assert scene.picture() == before


def test_a_lease_that_ran_out_unseen_can_still_be_kept(scene: Scene) -> None:
    claim = scene.start("a")
    scene.expire_lease()
    assert scene.turns.renew("w1", [claim]) == ["kept"]
    assert scene.complete(claim)


def test_the_next_turn_of_the_session_is_not_renewed_by_the_one_before(scene: Scene) -> None:
    first = scene.start("a")
    scene.submit("b")
    scene.turns.cancel("a")
    second = scene.claim("b")
    assert scene.turns.renew("w1", [first, second]) == ["cancelled", "kept"]


def test_nothing_held(scene: Scene) -> None:
    assert scene.turns.renew("w1", []) == []
    assert scene.picture() == {}


def test_the_worker_s_own_list_lives_as_long_as_it_renews(scene: Scene) -> None:
    claim = scene.start("a")
    owned = scene.keys.owned("w1")
    scene.client.pexpire(owned, 1_000)
    scene.turns.renew("w1", [claim])
    assert scene.client.pttl(owned) > 1_000


def test_thousands_at_once(scene: Scene) -> None:
    scene.let_stand(2_000)
    claims = []
    for number in range(2_000):
        scene.submit(f"t{number}", session=f"s{number}")
        claims.append(scene.claim(f"t{number}"))
    assert scene.turns.renew("w1", claims) == ["kept"] * 2_000


def test_leases_are_kept_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    claim = scene.start("a")
    scene.expire_lease()
    memory.fill()
    assert scene.turns.renew("w1", [claim]) == ["kept"]
