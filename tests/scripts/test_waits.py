"""Ready turns as operators see them: how many there are, and the longest wait, wherever they stand."""

from tests.scripts.model_calls import MODEL, claims, give_back
from tests.scripts.scene import Scene
from tests.scripts.tenants import ask, claim_all, have_slots, running

_LONG = 90


def _have_waited(scene: Scene, *sessions: str) -> None:
    for session in sessions:
        scene.client.hincrby(scene.keys.session(session), "since", -1_000 * _LONG)


def _seen(scene: Scene) -> bool:
    """Return whether the longest wait is that of a session that has waited for long."""
    return scene.turns.measure().oldest >= _LONG


def test_turns_are_counted_where_their_tenant_has_all_its_slots(scene: Scene) -> None:
    have_slots(scene, 8)
    ask(scene, "a", 5, quotas=running(1))
    claim_all(scene)
    assert scene.client.zrange(scene.keys.parked("chat"), 0, -1) == ["a"]
    assert (scene.turns.measure().queues, scene.stat("ready:chat")) == ({"chat": 4, "batch": 0}, 4)
    assert not _seen(scene)
    _have_waited(scene, "a/2")
    assert _seen(scene)


def test_a_turn_that_has_been_at_work_hides_no_longer_wait_behind_it(scene: Scene) -> None:
    have_slots(scene, 2)
    ask(scene, "a", 4)
    claim = scene.claim(str(scene.pop()))
    have_slots(scene, 1)
    scene.turns.requeue(claim)
    assert scene.client.zrange(scene.keys.ready("chat:a"), 0, -1) == ["a/1", "a/4"]
    _have_waited(scene, "a/4")
    assert _seen(scene)


def test_the_longest_wait_may_be_that_of_a_dispatch_among_others(scene: Scene) -> None:
    have_slots(scene, 20)
    ask(scene, "a", 20)
    _have_waited(scene, "a/10")
    assert _seen(scene)


def test_a_line_is_counted_once_that_is_on_its_way_out_of_the_rotation(scene: Scene) -> None:
    have_slots(scene, 1)
    ask(scene, "a", 3)
    scene.client.zadd(scene.keys.parked("chat"), {"a": 1})
    assert scene.stat("ready:chat") == 2


def test_the_lines_of_a_thousand_tenants_are_all_counted(scene: Scene) -> None:
    have_slots(scene, 1)
    for number in range(1_000):
        ask(scene, f"t{number}", 2)
    assert scene.stat("ready:chat") == 2 * 1_000 - 1
    _have_waited(scene, "t999/1")
    assert _seen(scene)


def test_the_lines_of_many_tenants_at_a_model_are_all_counted(scene: Scene) -> None:
    scene.let_stand(100)
    for number in range(60):
        [claim] = claims(scene, 1, f"t{number}")
        scene.client.hset(scene.keys.budget(MODEL), mapping={"requests": 1, "requests_spent": 2**50})
        give_back(scene, claim)
    [wait] = scene.turns.measure().waits
    assert wait.turns == 60
    assert [budget.waiting for budget in scene.turns.overview().budgets] == [60]
    assert scene.turns.measure().oldest == 0
