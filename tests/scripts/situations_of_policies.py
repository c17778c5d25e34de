"""Situations of questions that do not wait for a busy session."""

from collections.abc import Callable
from typing import Any

from tests.scripts.scene import Scene
from tests.scripts.situation import options, situation


@situation("submit_held")
def _that_rolls_back_what_runs(scene: Scene) -> Callable[[], Any]:
    scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b")
    return lambda: scene.turns.submit("c", "foo", "hi", when_busy="rollback")


@situation("submit_held")
def _that_rolls_back_what_waits_for_a_slot(scene: Scene) -> Callable[[], Any]:
    scene.let_stand(1)
    scene.submit("x", session="other")
    scene.submit("a")
    return lambda: scene.turns.submit("b", "foo", "hi", when_busy="rollback")


@situation("submit_held")
def _that_interrupts_what_runs(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b")
    return lambda: scene.turns.submit("c", "foo", "hi", when_busy="interrupt")


@situation("submit_held")
def _that_interrupts_what_waits_for_its_retry(scene: Scene) -> Callable[[], Any]:
    scene.turns.requeue(scene.start("a"), 60)
    return lambda: scene.turns.submit("b", "foo", "hi", when_busy="interrupt")


@situation("follow")
def _that_rolls_back_what_it_follows(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    return lambda: scene.turns.follow("b", "a", "branch", "hi", when_busy="rollback")


@situation("merge")
def _of_three(scene: Scene) -> Callable[[], Any]:
    for id in ("a", "b", "c"):
        scene.turns.submit(id, "foo", "hi", when_busy="merge")
    claim = scene.claim("a")
    return lambda: scene.turns.merge(claim)


@situation("submit_held")
def _that_steers_what_runs(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    return lambda: scene.turns.submit("b", "foo", "hi", when_busy="steer")


@situation("merge")
def _of_one_that_steers(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    scene.turns.submit("b", "foo", "hi", when_busy="steer")
    return lambda: scene.turns.merge(claim)
