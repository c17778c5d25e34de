"""For every script, the situations in which it is cut: each leads there, and gives the call that is to be cut."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.scripts.cutting import cut, in_pieces
from tests.scripts.scene import TIME, WEATHER, Scene, marked, pair
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.output import refused, said
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store import registry
from turnstile.turns.store.runner import script_call
from turnstile.turns.store.steps import Place
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.webhooks import Delivery
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

HOOK = {"url": "https://example.org/hook", "key": "k"}
Prepare = Callable[[Scene], Callable[[], Any]]


@dataclass(frozen=True, slots=True)
class Situation:
    """`erases`: what it works on may be gone afterwards."""

    script: str
    name: str
    prepare: Prepare
    erases: bool = False


SITUATIONS: list[Situation] = []


def situation(script: str, *, erases: bool = False) -> Callable[[Prepare], Prepare]:
    """Enter a situation of a script."""

    def enter(prepare: Prepare) -> Prepare:
        SITUATIONS.append(Situation(script, prepare.__name__.strip("_"), prepare, erases))
        return prepare

    return enter


def _hooks(scene: Scene) -> TurnStore:
    assert isinstance(scene.turns, TurnStore)
    return scene.turns


def _options(*, stream: bool = True, webhook: bool = False) -> Options:
    return Options(stream=stream, webhook=HOOK if webhook else {})


@situation("submit")
def _to_an_idle_session(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.submit("a", reply=True)


@situation("submit")
def _to_a_busy_session(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b")
    return lambda: scene.submit("c", options=_options(webhook=True))


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


def _claimed(scene: Scene, id: str) -> Callable[[], Any]:
    return lambda: scene.turns.claim(id, "w1", "nonce")


@situation("claim")
def _of_a_streamed_turn(scene: Scene) -> Callable[[], Any]:
    scene.submit("a", "b", reply=True)
    scene.pop()
    return _claimed(scene, "a")


@situation("claim")
def _of_a_second_attempt(scene: Scene) -> Callable[[], Any]:
    scene.turns.emit(scene.start("a"), 1, ["x"])
    scene.lose()
    scene.pop()
    return _claimed(scene, "a")


@situation("claim")
def _of_a_turn_whose_end_was_cut(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=_options(webhook=True))
    scene.submit("b")
    with cut(scene.turns, "finish", 1):
        scene.complete(claim)
    scene.client.hset(scene.keys.session("foo"), "phase", "dispatched")
    return _claimed(scene, "a")


@situation("renew")
def _of_two_leases(scene: Scene) -> Callable[[], Any]:
    held = [scene.start(session, session=session) for session in ("a", "b")]
    return lambda: scene.turns.renew("w1", held)


@situation("emit")
def _of_three_pieces(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a")
    return lambda: scene.turns.emit(claim, 1, ["x", "y", "z"])


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
    return _finishing(scene, _with_a_step(scene), State.COMPLETED, stream=True)


def _finishing(scene: Scene, claim: Claim, state: State, *, stream: bool) -> Callable[[], Any]:
    if state.answered:
        outcome, messages = Outcome(state, said("an answer"), {"total_tokens": 3}, "gpt"), pair(claim.id)
    else:
        outcome, messages = Outcome(state, code="chain_error", message="It broke."), []
    text = "the end" if stream else ""
    return lambda: scene.turns.finish(claim, outcome, messages, after=claim.sequence, text=text)


@situation("finish")
def _of_the_last_turn(scene: Scene) -> Callable[[], Any]:
    return _finishing(scene, scene.start("a", options=_options(stream=False)), State.COMPLETED, stream=False)


@situation("finish")
def _with_a_refusal(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True)
    scene.submit("b")
    return lambda: scene.turns.finish(claim, Outcome(State.COMPLETED, refused("no")), pair("a"))


@situation("finish")
def _with_everything(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a"))
    claim = scene.start("b", reply=True, options=_options(webhook=True))
    scene.submit("c", "d")
    return _finishing(scene, claim, State.COMPLETED, stream=True)


@situation("finish")
def _of_a_failure(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=_options(webhook=True))
    scene.submit("b")
    return _finishing(scene, claim, State.FAILED, stream=True)


@situation("finish")
def _of_an_end_that_was_cut(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=_options(webhook=True))
    scene.submit("b")
    with cut(scene.turns, "finish", 2):
        _finishing(scene, claim, State.COMPLETED, stream=True)()
    return _finishing(scene, claim, State.COMPLETED, stream=True)


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


@situation("cancel")
def _of_what_runs(scene: Scene) -> Callable[[], Any]:
    scene.start("a", reply=True, options=_options(webhook=True))
    scene.submit("b")
    return lambda: scene.turns.cancel("a")


@situation("cancel")
def _of_what_is_dispatched(scene: Scene) -> Callable[[], Any]:
    scene.submit("a")
    return lambda: scene.turns.cancel("a")


@situation("cancel")
def _of_what_waits(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b", "c", reply=True, options=_options(webhook=True))
    return lambda: scene.turns.cancel("b")


@situation("sweep")
def _of_lost_dispatches(scene: Scene) -> Callable[[], Any]:
    for session in ("s1", "s2", "s3"):
        scene.submit(f"{session}a", f"{session}b", session=session)
        scene.pop()
        scene.make_due(session)
    return scene.turns.sweep


@situation("sweep")
def _of_a_lost_worker(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b")
    scene.expire_lease()
    return scene.turns.sweep


@situation("sweep")
def _of_a_worker_that_was_lost_too_often(scene: Scene) -> Callable[[], Any]:
    scene.start("a", reply=True, options=_options(webhook=True))
    scene.submit("b")
    scene.lose(times=4)
    scene.claim(str(scene.pop()))
    scene.expire_lease()
    return scene.turns.sweep


@situation("sweep")
def _of_what_waits_for_its_retry(scene: Scene) -> Callable[[], Any]:
    scene.turns.requeue(scene.start("a"), 60)
    scene.make_due()
    return scene.turns.sweep


@situation("sweep")
def _of_ends_that_were_cut(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=_options(webhook=True))
    scene.submit("b", "c", "d")
    for id in ("b", "c"):
        with cut(scene.turns, "cancel", 1):
            scene.turns.cancel(id)
    with cut(scene.turns, "finish", 1):
        _finishing(scene, claim, State.COMPLETED, stream=True)()
    scene.make_due()
    return scene.turns.sweep


@situation("reap")
def _of_a_dead_worker(scene: Scene) -> Callable[[], Any]:
    scene.start("a", session="s1")
    scene.start("b", session="s2")
    scene.client.hset(scene.keys.workers, "w1", "{}")
    scene.client.zadd(scene.keys.heard, {"w1": 1_000_000_000_000, "w2": scene.turns.now() * 1000})
    return lambda: scene.turns.reap("w2")


@situation("register_worker")
def _on_the_roll(scene: Scene) -> Callable[[], Any]:
    facts = {**registry.introduce(Settings()), "started": 0, "seen": scene.turns.now()}
    return lambda: scene.turns.register_worker("w1", facts)


@situation("workers")
def _of_those_at_work(scene: Scene) -> Callable[[], Any]:
    return scene.turns.workers


@situation("audit")
def _of_two_sessions(scene: Scene) -> Callable[[], Any]:
    for session in ("s1", "s2"):
        scene.submit(f"{session}a", f"{session}b", session=session)
    scene.client.delete(scene.keys.due, scene.keys.open)
    scene.client.zadd(scene.keys.open, {"gone": 1, "lost": 2})
    # Should the audit be cut, the next one comes in five minutes.
    return lambda: scene.turns.audit(["s1", "s2"])


@situation("status")
@situation("read_conversation")
@situation("read_messages")
@situation("stats")
def _of_anything(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    turns = scene.turns
    return lambda: (
        turns.status("a"), turns.read_conversation("foo"), turns.read_messages("foo", 0, 1, 1, 1), turns.stats()
    )  # fmt: skip


@situation("retry")
def _in_an_idle_session(scene: Scene) -> Callable[[], Any]:
    scene.fail(scene.start("a", reply=True, options=_options(webhook=True)))
    return lambda: scene.turns.retry("a")


@situation("retry")
def _in_a_busy_session(scene: Scene) -> Callable[[], Any]:
    scene.fail(scene.start("b"))
    scene.start("a")
    return lambda: scene.turns.retry("b")


@situation("retry")
def _of_a_failure_whose_end_was_cut(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=_options(webhook=True))
    with cut(scene.turns, "finish", 1):
        scene.fail(claim)
    return lambda: scene.turns.retry("a")


@situation("delete_turn", erases=True)
def _of_a_completed_turn(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a", reply=True))
    return lambda: scene.turns.delete_turn("a")


@situation("erase", erases=True)
def _of_a_busy_session(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a", reply=True, options=_options(webhook=True)))
    scene.start("b", reply=True)
    scene.submit("c", "d", reply=True)
    return lambda: scene.turns.erase("foo")


@situation("erase", erases=True)
def _of_more_turns_than_a_piece(scene: Scene) -> Callable[[], Any]:
    _of_a_busy_session(scene)
    in_pieces(scene.turns)
    return lambda: scene.turns.erase("foo")


@situation("sweep_erased", erases=True)
def _of_what_an_erase_has_left(scene: Scene) -> Callable[[], Any]:
    _of_more_turns_than_a_piece(scene)()
    return scene.turns.sweep_erased


@situation("refuse")
def _of_two_tasks(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.turns.refuse(["a", "b"], InvalidTurn("Not like this.", param="x"))


@situation("write_conversation")
def _of_a_new_session(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.turns.begin("foo", {"topic": "tea"}, [*pair("a"), *pair("b")])


@situation("write_conversation")
def _of_a_known_session(scene: Scene) -> Callable[[], Any]:
    scene.turns.begin("foo", {"topic": "tea"}, pair("a"))
    return lambda: scene.turns.amend("foo", {"topic": "milk"}, pair("b"))


def _posted(scene: Scene) -> None:
    scene.complete(scene.start("a", options=_options(webhook=True)))


def _taken(scene: Scene) -> Delivery:
    _posted(scene)
    delivery = _hooks(scene).claim_webhook("a")
    assert delivery
    return delivery


@situation("claim_webhook")
def _of_what_was_sent(scene: Scene) -> Callable[[], Any]:
    _posted(scene)
    return lambda: _hooks(scene).claim_webhook("a")


@situation("record_delivery")
def _of_a_delivery(scene: Scene) -> Callable[[], Any]:
    delivery = _taken(scene)
    return lambda: _hooks(scene).record_delivery(delivery)


@situation("record_delivery")
def _of_a_failed_attempt(scene: Scene) -> Callable[[], Any]:
    delivery = _taken(scene)
    return lambda: _hooks(scene).record_delivery(delivery, "http_500", 30)


@situation("record_delivery")
def _of_the_last_attempt(scene: Scene) -> Callable[[], Any]:
    delivery = _taken(scene)
    return lambda: _hooks(scene).record_delivery(delivery, "http_410", -1)


@situation("retry_webhooks")
def _of_what_was_lost(scene: Scene) -> Callable[[], Any]:
    _taken(scene)
    scene.client.zadd(scene.keys.webhooks, {"a": 1})
    scene.client.delete("webhooks")
    return lambda: _hooks(scene).retry_webhooks()


@situation("resend_webhook")
def _of_what_was_given_up(scene: Scene) -> Callable[[], Any]:
    _hooks(scene).record_delivery(_taken(scene), "http_410", -1)
    return lambda: _hooks(scene).resend_webhook("a")


@situation("rights")
def _of_a_worker(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.turns.lacking("worker")


@situation("count_request")
def _of_one_request(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.turns.run(script_call("count_request", list, name="key", per_minute=10))


def _held(scene: Scene, *, late: bool = False) -> None:
    """Turn `a` ends with open calls, `b` waits; `late`: the time for the answers is over."""
    scene.hold(scene.start("a", reply=True, options=_options(webhook=True)), WEATHER, TIME)
    scene.submit("b")
    if late:
        scene.expire_lease()


def _answer(scene: Scene, id: str = "aa") -> Callable[[], Any]:
    return lambda: scene.answer(id, call_1="sunny", call_2="noon")


def _answering(scene: Scene) -> Claim:
    """Turn `aa` answers the calls, and runs."""
    _held(scene)
    _answer(scene)()
    scene.pop()
    return scene.claim("aa")


@situation("finish")
def _with_open_calls(scene: Scene) -> Callable[[], Any]:
    claim = scene.start("a", reply=True, options=_options(webhook=True))
    scene.submit("b")
    return lambda: scene.hold(claim, WEATHER, TIME)


@situation("finish")
def _of_an_answer(scene: Scene) -> Callable[[], Any]:
    claim = _answering(scene)
    return lambda: scene.complete(claim)


@situation("finish")
def _of_an_answer_that_asks_again(scene: Scene) -> Callable[[], Any]:
    claim = _answering(scene)
    return lambda: scene.hold(claim, WEATHER)


@situation("finish")
def _of_an_answer_that_failed(scene: Scene) -> Callable[[], Any]:
    claim = _answering(scene)
    return lambda: scene.fail(claim)


@situation("submit_held")
def _with_answers(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return _answer(scene)


@situation("submit_held")
def _that_closes_the_calls(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return lambda: scene.turns.submit("c", "foo", "hi", when_held="close")


@situation("submit_held")
def _that_closes_the_calls_and_runs(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a"))
    return lambda: scene.turns.submit("c", "foo", "hi", when_held="close")


@situation("follow")
def _with_answers_in_time(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    options = Options(answers={"call_1": "sunny", "call_2": "noon"})
    return lambda: scene.turns.follow("aa", "a", "branch", "hi", options)


@situation("follow")
def _with_late_answers(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a"))
    scene.turns.release_session("foo")
    return lambda: scene.turns.follow("b", "a", "branch", "hi", Options(answers={"call_1": "sunny"}))


@situation("claim")
def _of_an_answer_again(scene: Scene) -> Callable[[], Any]:
    scene.turns.requeue(_answering(scene))
    scene.pop()
    return _claimed(scene, "aa")


@situation("cancel")
def _of_a_running_answer(scene: Scene) -> Callable[[], Any]:
    _answering(scene)
    return lambda: scene.turns.cancel("aa")


@situation("retry")
def _of_an_answer_once_more(scene: Scene) -> Callable[[], Any]:
    scene.fail(_answering(scene))
    return lambda: scene.turns.retry("aa")


@situation("sweep")
def _of_calls_that_nobody_answers(scene: Scene) -> Callable[[], Any]:
    _held(scene, late=True)
    return scene.turns.sweep


@situation("sweep")
def _of_an_answer_that_lost_its_worker(scene: Scene) -> Callable[[], Any]:
    _answering(scene)
    scene.lose(times=4)
    scene.claim(str(scene.pop()))
    scene.expire_lease()
    return scene.turns.sweep


@situation("sweep")
def _of_calls_whose_closing_was_cut(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    with cut(scene.turns, "release_session", 1):
        scene.turns.release_session("foo")
    scene.make_due()
    return scene.turns.sweep


@situation("audit")
def _of_a_held_session(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    scene.client.delete(scene.keys.due, scene.keys.held)
    return lambda: scene.turns.audit(["foo"])


@situation("release_session")
def _that_others_wait_in(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return lambda: scene.turns.release_session("foo")


@situation("read_hold")
@situation("status")
def _of_open_calls(scene: Scene) -> Callable[[], Any]:
    _held(scene)
    return lambda: (scene.turns.read_hold("foo"), scene.turns.status("a"))


@situation("erase", erases=True)
def _of_a_session_being_answered(scene: Scene) -> Callable[[], Any]:
    _answering(scene)
    return lambda: scene.turns.erase("foo")


@situation("delete_turn", erases=True)
def _of_a_turn_that_was_held(scene: Scene) -> Callable[[], Any]:
    scene.hold(scene.start("a"))
    scene.turns.release_session("foo")
    return lambda: scene.turns.delete_turn("a")
