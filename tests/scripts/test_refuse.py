"""refuse: refused, taken."""

import json

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene
from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.states import State

_ERROR = InvalidTurn("Not like this.", param="x")


def _result(scene: Scene, id: str) -> dict[str, object] | None:
    raw = scene.client.get(scene.keys.celery_result(id))
    return dict(json.loads(raw)) if raw else None


def test_all_who_wait_are_told_and_it_is_counted_once(scene: Scene) -> None:
    with scene.client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(scene.keys.celery_result("b"))
        listener.get_message(timeout=PATIENCE_SECONDS)
        for _ in range(2):
            assert scene.turns.refuse(["a", "b"], _ERROR)
        message = listener.get_message(timeout=PATIENCE_SECONDS)
    wanted = {"exc_type": "InvalidTurn", "exc_message": ["Not like this."], "exc_module": "turns.errors"}
    for id in ("a", "b"):
        result = _result(scene, id)
        assert result is not None
        assert (result["task_id"], result["status"], result["result"]) == (id, "FAILURE", wanted)
    assert json.loads(message["data"]) == _result(scene, "b")
    assert scene.stat("refused") == 1
    scene.assert_all_will_expire()


def test_the_result_of_a_turn_stays(scene: Scene) -> None:
    scene.complete(scene.start("a", reply=True))
    before = _result(scene, "a")
    assert not scene.turns.refuse(["a", "b"], _ERROR)
    assert (_result(scene, "a"), _result(scene, "b")) == (before, None)


def test_a_turn_that_is_to_follow_another_keeps_its_result(scene: Scene) -> None:
    scene.submit("b", reply=True)
    assert scene.turns.refuse(["a", "b"], _ERROR)
    assert _result(scene, "b") is None
    scene.complete(scene.claim("b"))
    assert scene.turns.status("b").state is State.COMPLETED


def test_a_key_of_a_wrong_type_is_replaced(scene: Scene) -> None:
    scene.client.rpush(scene.keys.celery_result("a"), "x")
    assert scene.turns.refuse(["a"], _ERROR)
    assert _result(scene, "a")


def test_a_refusal_is_told_without_memory(cramped: tuple[Scene, Memory]) -> None:
    scene, memory = cramped
    memory.fill()
    assert scene.turns.refuse(["a"], _ERROR)
