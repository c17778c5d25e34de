"""Situations of a turn on its way: asked, claimed, at work, ended, returned, cancelled, tried again."""

from collections.abc import Callable
from typing import Any

from tests.scripts.cutting import cut
from tests.scripts.scene import Scene, marked, pair
from tests.scripts.situation import claimed, finishing, options, situation
from turnstile.turns.output import refused, said
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome


@situation("submit")
def _to_an_idle_session(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.submit("a", reply=True)


@situation("submit")
def _to_a_busy_session(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b")
    return lambda: scene.submit("c", options=options(webhook=True))


@situation("follow")
def _in_its_session(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a"))
    return lambda: scene.turns.follow("b", "a", "branch", "hi")


@situation("follow")
def _on_a_branch(scene: Scene) -> Callable[[], Any]:
    for id in ("a", "b"):
        claim = scene.start(id)
        scene.turns.finish(claim, Outcome(State.COMPLETED, said("x")), marked(id))
    return lambda: scene.turns.follow("c", "a", "branch", "hi")


@situation("claim")
def _of_a_streamed_turn(scene: Scene) -> Callable[[], Any]:
    scene.submit("a", "b", reply=True)
    scene.pop()
    return claimed(scene, "a")


@situation("claim")
def _of_a_second_attempt(scene: Scene) -> Callable[[], Any]:
    scene.turns.emit(scene.start("a"), 1, ["x"])
    scene.lose()
    scene.pop()
    return claimed(scene, "a")


@situation("claim")
def _of_a_turn_whose_end_was_cut(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b")
    with cut(scene.turns, "finish", 1):
        scene.complete(claim)
    scene.client.hset(scene.keys.session("foo"), "phase", "dispatched")
    return claimed(scene, "a")


@situation("renew")
def _of_two_leases(scene: Scene) -> Callable[[], Any]:
    held = [scene.start(session, session=session) for session in ("a", "b")]
    return lambda: scene.turns.renew("w1", held)


@situation("emit")
def _of_three_pieces(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    return lambda: scene.turns.emit(claim, 1, ["x", "y", "z"])


@situation("finish")
def _of_the_last_turn(scene: Scene) -> Callable[[], Any]:
    return finishing(scene, scene.start("a", options=options(stream=False)), State.COMPLETED, stream=False)


@situation("finish")
def _with_a_refusal(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True)
    scene.submit("b")
    return lambda: scene.turns.finish(claim, Outcome(State.COMPLETED, refused("no")), pair("a"))


@situation("finish")
def _with_everything(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a"))
    claim = scene.start("b", reply=True, options=options(webhook=True))
    scene.submit("c", "d")
    return finishing(scene, claim, State.COMPLETED, stream=True)


@situation("finish")
def _of_a_failure(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b")
    return finishing(scene, claim, State.FAILED, stream=True)


@situation("finish")
def _of_an_end_that_was_cut(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b")
    with cut(scene.turns, "finish", 2):
        finishing(scene, claim, State.COMPLETED, stream=True)()
    return finishing(scene, claim, State.COMPLETED, stream=True)


@situation("requeue")
def _at_once(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    scene.submit("b")
    return lambda: scene.turns.requeue(claim, forgive=True)


@situation("requeue")
def _with_a_delay(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    scene.submit("b")
    return lambda: scene.turns.requeue(claim, 60)


@situation("requeue")
def _until_a_server_is_back(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    scene.submit("b")
    return lambda: scene.turns.requeue(claim, 60, forgive=True, away="fast gpt")


@situation("end_outage")
def _of_a_server_that_is_back(scene: Scene) -> Callable[[], Any]:
    scene.let_stand(2)
    for id in ("a", "b"):
        scene.turns.requeue(scene.start(id, session=id), 60, forgive=True, away="fast gpt")
    return lambda: scene.turns.end_outage("fast gpt")


@situation("cancel")
def _of_what_runs(scene: Scene) -> Callable[[], Any]:
    scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b")
    return lambda: scene.turns.cancel("a")


@situation("cancel")
def _of_what_is_dispatched(scene: Scene) -> Callable[[], Any]:
    scene.submit("a")
    return lambda: scene.turns.cancel("a")


@situation("cancel")
def _of_what_waits(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b", "c", reply=True, options=options(webhook=True))
    return lambda: scene.turns.cancel("b")


@situation("cancel")
def _of_what_runs_and_is_kept(scene: Scene) -> Callable[[], Any]:
    scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b")
    return lambda: scene.turns.cancel("a", keep=True)


@situation("cancel")
def _of_what_waits_for_its_retry_and_is_kept(scene: Scene) -> Callable[[], Any]:
    scene.turns.requeue(scene.start("a"), 60)
    return lambda: scene.turns.cancel("a", keep=True)


@situation("unfinished")
def _of_three(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b", "c")
    return lambda: scene.turns.unfinished("foo")


@situation("status")
@situation("read_conversation")
@situation("read_messages")
@situation("stats")
@situation("measure")
def _of_anything(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    turns = scene.turns
    return lambda: (
        turns.status("a"), turns.read_conversation("foo"), turns.read_messages("foo", 0, 1, 1, 1), turns.stats(),
        turns.measure(),
    )  # fmt: skip


@situation("retry")
def _in_an_idle_session(scene: Scene) -> Callable[[], Any]:
    scene.fail(scene.start("a", reply=True, options=options(webhook=True)))
    return lambda: scene.turns.retry("a")


@situation("retry")
def _in_a_busy_session(scene: Scene) -> Callable[[], Any]:
    scene.fail(scene.start("b"))
    scene.start("a")
    return lambda: scene.turns.retry("b")


@situation("retry")
def _of_a_failure_whose_end_was_cut(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=options(webhook=True))
    with cut(scene.turns, "finish", 1):
        scene.fail(claim)
    return lambda: scene.turns.retry("a")


@situation("delete_turn", erases=True)
def _of_a_completed_turn(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a", reply=True))
    return lambda: scene.turns.delete_turn("a")
