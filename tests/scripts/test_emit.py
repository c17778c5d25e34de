"""emit: emitted, superseded."""

from collections.abc import Callable

import pytest

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene
from turnstile.turns.errors import QueueMemoryFull
from turnstile.turns.output import said
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim


def _texts(scene: Scene, id: str = "a") -> list[str]:
    return [data for _, kind, _, data in scene.events(id) if kind == "text"]


def test_pieces_are_appended_in_order(scene: Scene) -> None:
    claim = scene.start("a")
    assert scene.turns.emit(claim, 1, ["He", "llo"]) == 3
    assert scene.turns.emit(claim, 3, [" there ☃"]) == 4
    assert scene.events("a") == [
        (1, "started", 1, ""), (2, "text", 1, "He"), (3, "text", 1, "llo"), (4, "text", 1, " there ☃")
    ]  # fmt: skip


def test_pieces_have_a_kind(scene: Scene) -> None:
    claim = scene.start("a")
    assert scene.turns.emit(claim, 1, ["I ", "won't."], "refusal") == 3
    assert scene.turns.emit(claim, 1, ["I ", "won't."], "refusal") == 3
    assert scene.events("a")[1:] == [(2, "refusal", 1, "I "), (3, "refusal", 1, "won't.")]


def test_a_repeat_appends_nothing_twice(scene: Scene) -> None:
    claim = scene.start("a")
    assert scene.turns.emit(claim, 1, ["x", "y"]) == 3
    assert scene.turns.emit(claim, 1, ["x", "y"]) == 3
    assert _texts(scene) == ["x", "y"]


def test_nothing_to_say_tells_the_sequence(scene: Scene) -> None:
    claim = scene.start("a")
    assert scene.turns.emit(claim, 1, []) == 1


def _after_cancel(scene: Scene, claim: Claim) -> None:
    scene.turns.cancel(claim.id)


def _after_erase(scene: Scene, claim: Claim) -> None:
    scene.turns.erase(claim.session)


def _after_sweep(scene: Scene, claim: Claim) -> None:
    scene.lose(claim.session)


def _after_another_claim(scene: Scene, claim: Claim) -> None:
    scene.lose(claim.session)
    scene.claim(claim.id, "w2")


def _after_finish(scene: Scene, claim: Claim) -> None:
    scene.complete(claim)


def _after_requeue(scene: Scene, claim: Claim) -> None:
    scene.turns.requeue(claim, delay=5)


@pytest.mark.parametrize(
    "happening", [_after_cancel, _after_erase, _after_sweep, _after_another_claim, _after_finish, _after_requeue]
)
def test_only_the_owner_is_heard(scene: Scene, happening: Callable[[Scene, Claim], None]) -> None:
    claim = scene.start("a")
    scene.submit("b")
    happening(scene, claim)
    before = scene.picture()
    for after in range(4):
        assert scene.turns.emit(claim, after, ["x"]) is None
    assert scene.picture() == before


def test_events_that_nobody_counted_are_passed_over(scene: Scene) -> None:
    """Also when there are more than one look finds."""
    claim = scene.start("a")
    for sequence in range(2, 202):
        scene.client.xadd(scene.keys.events("a"), {"type": "text", "attempt": 9, "data": "lost"}, f"{sequence}-0")
    assert scene.turns.emit(claim, 1, ["x", "y"]) == 203
    assert scene.events("a")[-2:] == [(202, "text", 1, "x"), (203, "text", 1, "y")]


def test_readers_can_wait_for_an_event(scene: Scene) -> None:
    claim = scene.start("a")
    assert [e.type for e in scene.turns.wait_events("a")] == ["started"]
    assert scene.turns.wait_events("a", after=1, seconds=0) == []
    scene.turns.emit(claim, 1, ["x", "y"])
    assert [e.data for e in scene.turns.wait_events("a", after=2)] == ["y"]
    assert [e.data for e in scene.turns.events("a", after=1, count=1)] == ["x"]


def test_without_memory_the_end_carries_the_rest(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    claim = scene.start("a")
    after = scene.turns.emit(claim, 1, ["He"])
    assert after == 2
    memory.fill()
    with pytest.raises(QueueMemoryFull):
        scene.turns.emit(claim, after, ["ll"])
    assert scene.turns.finish(claim, Outcome(State.COMPLETED, said("Hello")), after=after, text="llo") is State.COMPLETED
    assert _texts(scene) == ["He", "llo"]
    assert scene.events("a")[-1] == (4, "ended", 1, "completed")
