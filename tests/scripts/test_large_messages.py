"""However large the messages of a history are, no script reads or compares many of them.

What a script reads is counted in bytes, and what it compares in steps (`meter.lua`): both are the same on every machine.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.crowd import Metered
from tests.scripts.scene import Scene
from turnstile.memory.element import Element, write
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.output import said
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome

MIB = 1_048_576
LATER = 9_000_000_000_000


def _large(name: str, count: int, at: int, size: int = MIB) -> list[str]:
    """Return messages that are alike but for their ends, where each has its mark."""
    marks: Any = ({"at": at, "item": f"msg_{name}{number:03}"} for number in range(count))
    return [write(Element("human", {"content": "A" * size}, mark)) for mark in marks]


@pytest.fixture
def scene(stage: Stage) -> Scene:
    """Return a scene whose scripts can be metered."""
    scene = stage.open()
    scene.turns = Metered(scene.turns.settings)
    return scene


def _read(scene: Scene, call: Callable[[], Any]) -> tuple[int, int]:
    """Return how many bytes a call reads, and the steps that it takes."""
    assert isinstance(scene.turns, Metered)
    scene.turns.meter()
    call()
    return int(scene.client.get("bytes") or 0), scene.turns.noted[-1][1]


def _answered(scene: Scene, before: int, after: int) -> None:
    """Have a turn among large messages, of which the oldest was removed since."""
    history, old = scene.keys.history("foo"), _large("old", before, at=1)
    scene.client.lpush(history, *old)
    scene.complete(scene.start("a"))
    scene.client.lpush(history, *_large("new", after, at=LATER))
    scene.turns.drop_message("foo", old[0].encode())


def test_a_place_is_found_beside_large_messages(scene: Scene) -> None:
    _answered(scene, before=1, after=2)
    scene.turns.follow("b", "a", "branch", "hi")
    assert [element for element in scene.history("foo") if '"a"' in element] == scene.history("branch")


def test_the_search_for_a_place_ends(scene: Scene) -> None:
    _answered(scene, before=20, after=20)
    for element in scene.history("foo"):
        if len(element) < MIB:
            scene.turns.drop_message("foo", element.encode())

    def follow() -> None:
        with pytest.raises(InvalidTurn, match="cannot be found") as refused:
            scene.turns.follow("b", "a", "branch", "hi")
        assert refused.value.param == "previous_response_id"

    read, _ = _read(scene, follow)
    assert 8 * MIB <= read < 11 * MIB
    assert not scene.client.keys("*branch*")


@pytest.mark.parametrize("size", [3, 5, 8, 12])
@pytest.mark.parametrize("count", [2, 4, 6])
def test_a_place_is_behind_all_of_the_turn_or_not_found(scene: Scene, size: int, count: int) -> None:
    old, claim = _large("old", 1, at=1), scene.start("a")
    scene.client.lpush(scene.keys.history("foo"), *old)
    marks: Any = ({"turn": "a", "at": scene.turns.now(), "item": f"msg_a{number}"} for number in range(count))
    parts = [write(Element("ai", {"content": "A" * size * MIB}, mark)) for mark in marks]
    scene.turns.finish(claim, Outcome(State.COMPLETED, said("well")), parts)
    scene.client.lpush(scene.keys.history("foo"), *_large("new", 2, at=LATER))
    scene.turns.drop_message("foo", old[0].encode())
    with suppress(InvalidTurn):
        scene.turns.follow("b", "a", "branch", "hi")
        assert scene.history("branch")[-1] == parts[-1]


def test_large_messages_are_compared_with_few(scene: Scene) -> None:
    scene.turns.begin("foo", {}, [])
    history, added = scene.keys.history("foo"), _large("added", 20, at=1, size=MIB // 2)
    scene.turns.amend("foo", None, added)
    scene.client.lpush(history, *("x" for _ in range(20)))
    length = scene.client.llen(history)
    scene.turns.amend("foo", None, added)
    assert scene.client.llen(history) == length
    scene.client.lpush(history, *("x" for _ in range(1_000)))
    _, steps = _read(scene, lambda: scene.turns.amend("foo", None, _large("more", 20, at=1, size=MIB // 2)))
    assert steps < 2_000


@pytest.mark.parametrize("begun", [True, False])
def test_a_large_message_is_not_read_to_describe_its_conversation(scene: Scene, begun: bool) -> None:
    if begun:
        scene.turns.begin("foo", {}, [])
    else:
        scene.client.lpush(scene.keys.history("foo"), *_large("first", 1, at=5_000, size=9))
    scene.turns.amend("foo", None, _large("large", 2, at=6_000))
    if not begun:
        scene.client.ltrim(scene.keys.history("foo"), 0, 1)
    read, _ = _read(scene, lambda: scene.turns.read_conversation("foo"))
    assert read == 0
    created = scene.turns.read_conversation("foo").created
    assert created > 1_700_000_000 if begun else created == 5
