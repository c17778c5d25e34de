"""Situations in which sessions stand in their tenants' lines: one dispatch is on the queue, the others are ready."""

from collections.abc import Callable
from typing import Any

from tests.scripts.scene import Scene, pair
from tests.scripts.situation import finishing, situation
from turnstile.turns.api_keys import Limits
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim


def _line(scene: Scene, *sessions: str, queue: str = "chat") -> None:
    """Let sessions ask one question each; the first is dispatched."""
    scene.let_stand(1)
    for session in sessions:
        scene.submit(session.replace("/", "-"), session=session, options=Options(queue=queue))


@situation("submit")
def _into_a_line(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "a/2")
    return lambda: scene.turns.submit("b-1", "b/1", "hi", weight=3)


@situation("submit")
def _beside_room_that_a_loss_has_left(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "a/2", "a/3")
    scene.pop()
    return lambda: scene.submit("b-1", session="b/1")


def _single(scene: Scene, *sessions: str) -> Claim:
    """Let the first of these sessions be at work in the one slot that there is."""
    scene.client.hset(scene.keys.stats, mapping={"slots": 1})
    scene.client.hset(scene.keys.workers, "w1", "{}")
    _line(scene, *sessions)
    return scene.claim(str(scene.pop()))


@situation("claim")
def _of_a_single_slot(scene: Scene) -> Callable[[], Any]:
    scene.complete(_single(scene, "a/1", "a/2", "b/1"))
    id = str(scene.pop())
    return lambda: scene.turns.claim(id, "w1", "nonce")


@situation("finish")
def _that_frees_a_single_slot(scene: Scene) -> Callable[[], Any]:
    return finishing(scene, _single(scene, "a/1", "a/2", "b/1"), State.COMPLETED, stream=False)


@situation("requeue")
def _that_frees_a_single_slot_(scene: Scene) -> Callable[[], Any]:
    claim = _single(scene, "a/1", "a/2", "b/1")
    return lambda: scene.turns.requeue(claim, 5)


@situation("cancel")
def _of_what_is_in_a_single_slot(scene: Scene) -> Callable[[], Any]:
    _single(scene, "a/1", "a/2", "b/1")
    return lambda: scene.turns.cancel("a-1")


@situation("submit_held")
def _that_answers_into_a_line(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a", session="a/1"))
    _line(scene, "a/2", "b/1")
    return lambda: scene.answer("answering", "a/1")


@situation("follow")
def _into_a_line_after_another(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a", session="a/1"))
    _line(scene, "a/2", "b/1")
    return lambda: scene.turns.follow("b", "a", "a/branch", "hi", weight=2)


@situation("claim")
def _that_brings_out_others(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "a/2", "b/1", "b/2")
    scene.pop()
    return lambda: scene.turns.claim("a-1", "w1", "nonce", free=2)


@situation("finish")
def _whose_next_is_ready(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", session="a/1")
    scene.submit("b", session="a/1")
    _line(scene, "a/2", "b/1")
    return finishing(scene, claim, State.COMPLETED, stream=True)


@situation("requeue")
def _into_its_line(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", session="a/1")
    _line(scene, "a/2", "a/3")
    return lambda: scene.turns.requeue(claim)


@situation("retry")
def _that_waits_in_a_line(scene: Scene) -> Callable[[], Any]:
    scene.fail(scene.start("a", session="a/1"))
    _line(scene, "a/2", "b/1")
    return lambda: scene.turns.retry("a")


@situation("cancel")
def _in_a_line(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "a/2", "b/1")
    scene.submit("b-next", session="b/1", options=Options(queue="batch"))
    return lambda: scene.turns.cancel("b-1")


@situation("cancel")
def _of_all_that_stand_in_a_line(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "b/1", queue="batch")
    return lambda: scene.turns.cancel("b-1")


@situation("erase", erases=True)
def _of_a_session_in_a_line(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "a/2", "b/1")
    return lambda: scene.turns.erase("b/1")


@situation("release_session")
def _whose_next_joins_a_line(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a", session="a/1"))
    scene.submit("b", session="a/1")
    _line(scene, "a/2", "b/1")
    return lambda: scene.turns.release_session("a/1")


@situation("sweep")
def _of_a_line_behind_what_was_lost(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "a/2", "b/1")
    scene.pop()
    scene.make_due("a/2")
    return scene.turns.sweep


@situation("sweep")
def _of_a_line_that_was_lost(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "a/2", "b/1")
    scene.client.delete(scene.keys.ready("chat:a"), scene.keys.rotation("chat"))
    for session in ("a/2", "b/1"):
        scene.make_due(session)
    return scene.turns.sweep


@situation("sweep")
def _of_a_lost_worker_beside_a_line(scene: Scene) -> Callable[[], Any]:
    scene.start("a", session="a/1")
    _line(scene, "a/2", "a/3")
    scene.expire_lease("a/1")
    return scene.turns.sweep


def _parked(scene: Scene, *sessions: str, queue: str = "chat") -> None:
    """Let sessions of a tenant with one slot ask one question each; the first is dispatched, the others' lines are parked."""
    scene.client.hset(scene.keys.stats, mapping={"slots": 8, "standing": 8})
    for session in sessions:
        id, options = session.replace("/", "-"), Options(queue=queue)
        scene.turns.submit(id, session, "hi", options, quotas=Limits(running_turns=1).quotas)


@situation("submit")
def _of_a_tenant_whose_slots_are_taken(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1")
    return lambda: scene.turns.submit("a-2", "a/2", "hi", quotas=Limits(running_turns=1).quotas)


@situation("submit")
def _whose_key_allows_more(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3")
    return lambda: scene.turns.submit("a-4", "a/4", "hi", quotas=Limits(running_turns=3).quotas)


@situation("finish")
def _whose_slot_the_next_one_gets(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3", queue="batch")
    return finishing(scene, scene.claim(str(scene.pop("batch"))), State.COMPLETED, stream=False)


@situation("cancel")
def _whose_slot_the_next_one_gets_(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3")
    return lambda: scene.turns.cancel("a-1")


@situation("requeue")
def _whose_slot_the_next_one_gets__(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3")
    claim = scene.claim(str(scene.pop()))
    return lambda: scene.turns.requeue(claim, 600)


@situation("requeue")
def _that_has_its_slot_again(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3")
    claim = scene.claim(str(scene.pop()))
    return lambda: scene.turns.requeue(claim)


@situation("erase", erases=True)
def _whose_slot_the_next_one_gets___(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3")
    scene.claim(str(scene.pop()))
    return lambda: scene.turns.erase("a/1")


@situation("sweep")
def _of_a_lost_worker_and_a_parked_line(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3")
    scene.claim(str(scene.pop()))
    scene.expire_lease("a/1")
    return scene.turns.sweep


@situation("sweep")
def _of_a_line_that_may_go_round_again(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2", "a/3")
    scene.client.hset(scene.keys.tenant("a"), "running", 3)
    return scene.turns.sweep


@situation("audit")
def _of_slots_that_nobody_has(scene: Scene) -> Callable[[], Any]:
    _parked(scene, "a/1", "a/2")
    scene.client.sadd(scene.keys.slots("a"), "a/gone")
    scene.client.zadd(scene.keys.open_turns("a"), {"gone": 1})
    return lambda: scene.turns.audit(["a/1", "a/2"])


@situation("finish")
def _that_spends_of_a_quota(scene: Scene) -> Callable[[], Any]:
    quotas = Limits(tokens_per_session=100, tokens_per_minute=100).quotas
    scene.turns.submit("a-1", "a/1", "hi", quotas=quotas)
    claim = scene.claim(str(scene.pop()))
    outcome = Outcome(State.COMPLETED, said("an answer"), {"input_tokens": 10, "output_tokens": 5}, "gpt")
    return lambda: scene.turns.finish(claim, outcome, pair(claim.id))


@situation("submit")
def _that_spends_a_request(scene: Scene) -> Callable[[], Any]:
    quotas = Limits(requests_per_minute=10).with_requests("key")
    return lambda: scene.turns.submit("a-1", "a/1", "hi", Options(queue="batch"), quotas=quotas)


@situation("tenants")
def _of_two(scene: Scene) -> Callable[[], Any]:
    _line(scene, "a/1", "b/1")
    return scene.turns.tenants


@situation("submit")
def _of_one_more_conversation(scene: Scene) -> Callable[[], Any]:
    quotas = Limits(conversations=1).quotas
    scene.client.zadd(scene.keys.conversations("a"), {"a/gone": 1})
    return lambda: scene.turns.submit("a-2", "a/2", "hi", quotas=quotas)


@situation("follow")
def _into_one_more_conversation(scene: Scene) -> Callable[[], Any]:
    quotas = Limits(conversations=2).quotas
    for id in ("a", "b"):
        scene.turns.submit(id, "a/1", "hi", quotas=quotas)
        scene.complete(scene.claim(str(scene.pop())))
    return lambda: scene.turns.follow("c", "a", "a/branch", "hi", quotas=quotas)
