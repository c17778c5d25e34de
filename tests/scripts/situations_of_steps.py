"""Situations of the kept steps of a graph."""

from collections.abc import Callable
from typing import Any

from tests.scripts.scene import WEATHER, Scene, asking
from tests.scripts.situation import finishing, situation
from turnstile.memory.element import Element, write
from turnstile.turns.states import State
from turnstile.turns.store.steps import Place
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

ROOT = Place("a", "\x1f", "1")
NEXT = Place("a", "\x1f", "2")
MESSAGES = [("messages", "1")]


@situation("check_owner")
def _of_a_running_turn(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    return lambda: scene.turns.owns(claim)


def _with_a_step(scene: Scene) -> Claim:
    claim = scene.start("a")
    scene.turns.put_checkpoint(claim, ROOT, b"one", MESSAGES, {MESSAGES[0]: b"hi"}, known="[]")
    scene.turns.put_writes(claim, ROOT, "task", {0: b"x", -1: b"y"})
    return claim


@situation("put_checkpoint")
def _of_the_first_step(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    return lambda: scene.turns.put_checkpoint(claim, ROOT, b"one", MESSAGES, {MESSAGES[0]: b"hi"}, known="[]")


@situation("put_checkpoint")
def _of_the_next_step(scene: Scene) -> Callable[[], Any]:
    claim, newer = _with_a_step(scene), ("messages", "2")
    return lambda: scene.turns.put_checkpoint(claim, NEXT, b"two", [newer], {newer: b"hello"})


@situation("put_writes")
def _of_a_task(scene: Scene) -> Callable[[], Any]:
    claim = _with_a_step(scene)
    return lambda: scene.turns.put_writes(claim, ROOT, "other", {0: b"x", 1: b"z"})


@situation("put_writes")
def _of_a_call_that_is_open(scene: Scene) -> Callable[[], Any]:
    about = {"call": "call_1", "tool_call_id": "call_1"}
    closing = write(Element("tool", {**about, "content": "none"}, {"tokens": 7, "turn": "a", "at": 5}))
    scene.turns.finish(scene.start("a"), Outcome(State.COMPLETED, (WEATHER,), closing=[closing]), asking("a", WEATHER))
    scene.answer("c")
    scene.pop()
    claim = scene.claim("c")
    results = {"call_1": write(Element("tool", {**about, "content": "paid"}, {"tokens": 9}))}
    return lambda: scene.turns.put_writes(claim, ROOT, "task", {0: b"x"}, known="[]", results=results)


@situation("read_checkpoint")
def _of_the_latest(scene: Scene) -> Callable[[], Any]:
    _with_a_step(scene)
    return lambda: scene.turns.read_checkpoint("a", Place("a", "\x1f"))


@situation("list_checkpoints")
def _of_a_thread(scene: Scene) -> Callable[[], Any]:
    _with_a_step(scene)
    return lambda: scene.turns.list_checkpoints("a")


@situation("drop_steps")
def _of_one_graph(scene: Scene) -> Callable[[], Any]:
    claim = _with_a_step(scene)
    return lambda: scene.turns.drop_steps(claim, "a", "\x1f")


@situation("finish")
def _after_steps(scene: Scene) -> Callable[[], Any]:
    return finishing(scene, _with_a_step(scene), State.COMPLETED, stream=True)
