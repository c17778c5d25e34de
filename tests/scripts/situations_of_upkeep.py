"""Situations of whole sessions, of workers, and of what is sent to others."""

from collections.abc import Callable
from typing import Any

from tests.scripts.cutting import cut, in_pieces
from tests.scripts.scene import Scene, pair
from tests.scripts.situation import finishing, hooks, options, situation
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store import registry
from turnstile.turns.store.runner import script_call
from turnstile.turns.store.webhooks import Delivery
from turnstile.turns.store.working import Spending
from turnstile.turns.summaries import Summary, mark


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
    scene.start("a", reply=True, options=options(webhook=True))
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
    claim = scene.start("a", reply=True, options=options(webhook=True))
    scene.submit("b", "c", "d")
    for id in ("b", "c"):
        with cut(scene.turns, "cancel", 1):
            scene.turns.cancel(id)
    with cut(scene.turns, "finish", 1):
        finishing(scene, claim, State.COMPLETED, stream=True)()
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


@situation("check_schema")
def _of_the_first_process(scene: Scene) -> Callable[[], Any]:
    return scene.turns.check_schema


@situation("workers")
def _of_those_at_work(scene: Scene) -> Callable[[], Any]:
    return scene.turns.workers


@situation("overview")
def _of_what_is_there(scene: Scene) -> Callable[[], Any]:
    return scene.turns.overview


@situation("note_minute")
def _of_a_new_minute(scene: Scene) -> Callable[[], Any]:
    scene.start("a")
    scene.submit("b")
    return scene.turns.note_minute


@situation("begin_audit")
def _that_nobody_makes(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.turns.begin_audit(300)


@situation("audit")
def _of_two_sessions(scene: Scene) -> Callable[[], Any]:
    for session in ("s1", "s2"):
        scene.submit(f"{session}a", f"{session}b", session=session)
    scene.client.delete(scene.keys.due, scene.keys.open)
    scene.client.zadd(scene.keys.open, {"gone": 1, "lost": 2})
    # Should the audit be cut, the next one comes in five minutes.
    return lambda: scene.turns.audit(["s1", "s2"])


@situation("erase", erases=True)
def _of_a_busy_session(scene: Scene) -> Callable[[], Any]:
    scene.complete(scene.start("a", reply=True, options=options(webhook=True)))
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


def _summed_up(scene: Scene) -> str:
    """Sum up the first of two messages, and return what marks that."""
    scene.turns.begin("foo", {}, pair("a"))
    first = mark(1, pair("a")[0].encode())
    scene.turns.write_summary("foo", "", Summary(first, "a summary"))
    return first


@situation("write_summary")
def _after_an_older_one(scene: Scene) -> Callable[[], Any]:
    after = _summed_up(scene)
    return lambda: scene.turns.write_summary("foo", after, Summary(mark(2, pair("a")[1].encode()), "another summary"))


@situation("read_summary")
def _of_a_history_that_is_gone(scene: Scene) -> Callable[[], Any]:
    _summed_up(scene)
    scene.client.unlink(scene.keys.history("foo"))
    return lambda: scene.turns.read_summary("foo")


def _posted(scene: Scene) -> None:
    scene.complete(scene.start("a", options=options(webhook=True)))


def _taken(scene: Scene) -> Delivery:
    _posted(scene)
    delivery = hooks(scene).claim_webhook("a")
    assert delivery
    return delivery


@situation("erase", erases=True)
def _of_what_waits_for_delivery(scene: Scene) -> Callable[[], Any]:
    _posted(scene)
    hooks(scene).claim_webhook("a", ["*"])
    return lambda: scene.turns.erase("foo")


@situation("delete_turn", erases=True)
def _of_one_that_waits_for_delivery(scene: Scene) -> Callable[[], Any]:
    _posted(scene)
    hooks(scene).claim_webhook("a", ["*"])
    return lambda: scene.turns.delete_turn("a")


@situation("claim_webhook")
def _of_what_was_sent(scene: Scene) -> Callable[[], Any]:
    _posted(scene)
    return lambda: hooks(scene).claim_webhook("a")


@situation("claim_webhook")
def _of_one_without_a_place(scene: Scene) -> Callable[[], Any]:
    _posted(scene)
    return lambda: hooks(scene).claim_webhook("a", ["k"])


@situation("claim_webhook")
def _of_the_next_in_line(scene: Scene) -> Callable[[], Any]:
    _posted(scene)
    hooks(scene).claim_webhook("a", ["*"])
    return lambda: hooks(scene).claim_webhook()


@situation("record_delivery")
def _of_a_delivery(scene: Scene) -> Callable[[], Any]:
    delivery = _taken(scene)
    return lambda: hooks(scene).record_delivery(delivery)


@situation("record_delivery")
def _of_a_failed_attempt(scene: Scene) -> Callable[[], Any]:
    delivery = _taken(scene)
    return lambda: hooks(scene).record_delivery(delivery, "http_500", 30)


@situation("record_delivery")
def _of_the_last_attempt(scene: Scene) -> Callable[[], Any]:
    delivery = _taken(scene)
    return lambda: hooks(scene).record_delivery(delivery, "http_410", -1)


@situation("retry_webhooks")
def _of_what_was_lost(scene: Scene) -> Callable[[], Any]:
    _taken(scene)
    scene.client.zadd(scene.keys.webhooks, {"a": 1})
    scene.client.delete("webhooks")
    return lambda: hooks(scene).retry_webhooks()


@situation("resend_webhook")
def _of_what_was_given_up(scene: Scene) -> Callable[[], Any]:
    hooks(scene).record_delivery(_taken(scene), "http_410", -1)
    return lambda: hooks(scene).resend_webhook("a")


@situation("rights")
def _of_a_worker(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.turns.lacking("worker")


@situation("count_request")
def _of_one_request(scene: Scene) -> Callable[[], Any]:
    return lambda: scene.turns.run(
        script_call("count_request", list, name="key", per_minute=10, tenant="", quotas='{"tokens_per_minute":10}')
    )


@situation("open_stream")
def _beside_one_that_was_not_closed(scene: Scene) -> Callable[[], Any]:
    scene.turns.open_stream("a", "gone", 1)
    scene.client.zadd(scene.keys.streams("a"), {"gone": 1})
    return lambda: scene.turns.open_stream("a", "another", 1)


@situation("spend_attempt")
def _of_what_was_cancelled(scene: Scene) -> Callable[[], Any]:
    scene.submit("t1", session="acme/1")
    claim = scene.claim(str(scene.pop()))
    scene.turns.cancel("t1")
    return lambda: scene.turns.spend_attempt(claim, Spending("gpt", 5, 7), 1)


@situation("spend_tokens")
def _of_a_tenant(scene: Scene) -> Callable[[], Any]:
    scene.turns.count_request("key", 0, "acme", '{"tokens_per_minute":10}')
    return lambda: scene.turns.run(
        script_call("spend_tokens", list, tenant="acme", tokens=5, cost=7, quotas='{"tokens_per_minute":10}')
    )
