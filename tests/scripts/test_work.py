"""Every script keeps to the bound in its header, whatever the keys hold: each is called where all of them hold a million.

A script's work is counted in steps, which are the same on every machine; `meter.lua` says what they are.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.scripts.crowd import CROWDED, MANY, OPTIONS, Crowd, bound_of
from tests.scripts.scene import marked
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import CallNotOpen, FileRefused, InvalidTurn, SessionBusy, TooManyWaiting, TurnConflict
from turnstile.turns.output import said
from turnstile.turns.redis.scripts import ARGUMENTS, NAMES
from turnstile.turns.schedules import DueTick
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store import registry
from turnstile.turns.store.batches import Place as BatchPlace
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall, OtherBudget
from turnstile.turns.store.runner import Call
from turnstile.turns.store.steps import Place
from turnstile.turns.store.webhooks import Delivery
from turnstile.turns.store.working import Outcome, Spending
from turnstile.turns.summaries import Summary, mark

_OTHERS = [OtherBudget(f"other{n}@1", CallLimits(concurrent=1)) for n in range(9)]
# To fill the server takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(1_800)
MOST_STEPS = 300_000
"""A bound above this is none: it is some 50 ms of a server's time."""


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """The crowded server; every script is metered."""
    with EmbeddedServer(tmp_path_factory.mktemp("crowd"), append_only=False) as server:
        crowd = Crowd(server.url)
        crowd.turns.meter()
        yield crowd


def _own(crowd: Crowd) -> str | None:
    crowd.client.hset(crowd.keys.batch("batch"), "owner", "token")
    return crowd.turns.claim_batch("other")


def _completed() -> Outcome:
    return Outcome(State.COMPLETED, said("an answer"), {"total_tokens": 3}, "gpt")


def _facts() -> dict[str, Any]:
    return {**registry.introduce(Settings()), "started": 0, "seen": 0}


def _refused(error: type[Exception], call: Callable[[], Any]) -> None:
    with pytest.raises(error):
        call()


def _claim_what_is_left(crowd: Crowd) -> object:
    """Look at entries of schedules that have no records, all of them due and counted."""
    left = [f"t/left s{number}" for number in range(1_000)]
    crowd.client.zadd(crowd.keys.schedules_due, dict.fromkeys(left, 1))
    crowd.client.hset(crowd.keys.scheduled_bytes("t"), mapping=dict.fromkeys(left, 10))
    return crowd.turns.claim_schedules(20)


def _status(id: str) -> Callable[[Crowd], Any]:
    return lambda crowd: crowd.turns.status(id)


def _cancel(id: str) -> Callable[[Crowd], Any]:
    return lambda crowd: crowd.turns.cancel(id)


def _merge(crowd: Crowd) -> object:
    """Merge as many turns as there can be."""
    busy = "merge kind"
    crowd.client.hset(crowd.keys.turn("head"), "busy", busy)
    for number in range(1, 60):
        crowd.client.hset(crowd.keys.turn(f"w{number}"), "busy", busy)
    return crowd.turns.merge(crowd.head)


def _write_summary(crowd: Crowd) -> object:
    """Sum up half of a history."""
    last = crowd.client.lindex(crowd.keys.history("crowd"), -MANY // 2).encode()
    return crowd.turns.write_summary("crowd", "", Summary(mark(MANY // 2, last), "a summary"))


def _ask_scheduled(crowd: Crowd) -> object:
    """Ask in the session where all are, by a policy that looks at them."""
    tick = int(crowd.client.hget(crowd.keys.schedule("s1"), "tick"))
    return crowd.turns.ask_scheduled(DueTick("crowd", "s1", tick, "* * * * *", "UTC", "once"), tick + 60_000)


CALLS: dict[str, list[Callable[[Crowd], Any]]] = {
    "submit": [
        lambda c: c.turns.submit("new", "crowd", "hi", OPTIONS, reply=True),
        lambda c: c.turns.submit("new", "crowd", "hi", OPTIONS, reply=True),
        lambda c: c.turns.submit("idle", "idle", "hi"),
        lambda c: _refused(TurnConflict, lambda: c.turns.submit("far", "long", "hi")),
        lambda c: _refused(TurnConflict, lambda: c.turns.submit("w1", "crowd", "another")),
    ],
    "follow": [
        lambda c: c.turns.follow("after-ended", "ended", "branch-1", "hi"),
        lambda c: c.turns.follow("after-elder", "elder", "branch-2", "hi"),
        lambda c: c.turns.follow("after-new", "new", "branch-3", "hi"),
    ],
    "submit_held": [
        lambda c: c.scene.answer("answering", "holding"),
        lambda c: c.scene.answer("answering", "holding"),
        lambda c: _refused(CallNotOpen, lambda: c.scene.answer("late", "crowd")),
        lambda c: c.turns.submit("closing", "claimed", "hi", when_held="close"),
        lambda c: c.turns.submit("interrupting", "kept", "hi", when_busy="interrupt"),
        lambda c: c.turns.submit("stopping", "claimed", "hi", when_busy="rollback"),
        lambda c: c.turns.submit("steering", "crowd", "hi", when_busy="steer"),
        lambda c: _refused(SessionBusy, lambda: c.turns.submit("pressing", "crowd", "hi", when_busy="reject")),
    ],
    "read_hold": [lambda c: c.turns.read_hold("released")],
    "unfinished": [lambda c: c.turns.unfinished("crowd", 20_000)],
    "release_session": [lambda c: c.turns.release_session("released")],
    "claim": [
        lambda c: c.turns.claim("waiting", "w1", "n"),
        lambda c: c.turns.claim("waiting", "w1", "n"),
        lambda c: c.turns.claim("elder", "w1", "n"),
    ],
    "renew": [lambda c: c.turns.renew("t1", [c.kept, c.head, c.returned])],
    "emit": [lambda c: c.turns.emit(c.head, 1, ["x", "y", "z"])],
    "merge": [lambda c: _merge(c)],
    "requeue": [
        lambda c: c.turns.requeue(c.returned),
        lambda c: c.turns.requeue(c.away, 60, away="crowded"),
        lambda c: c.turns.requeue(c.limited, waits_for=CROWDED, tokens=1, others=_OTHERS),
    ],
    "reserve_call": [
        lambda c: c.turns.reserve_call(ModelCall(c.kept, 1, CROWDED, 1), CallLimits(requests=60, concurrent=5)),
        lambda c: c.turns.reserve_call(ModelCall(c.kept, 1, "free@1", 1), CallLimits(requests=60, concurrent=5)),
    ],
    "settle_call": [lambda c: c.turns.settle_call(ModelCall(c.kept, 1, CROWDED, 1), CallEnd("answered", 9))],
    "finish": [
        lambda c: c.turns.finish(c.head, _completed(), marked("head"), after=4, text="the end"),
        lambda c: c.turns.finish(c.head, _completed(), marked("head"), after=4, text="the end"),
        lambda c: c.turns.finish(c.longest, _completed(), marked("longest")),
        lambda c: c.turns.finish(c.failing, Outcome(State.FAILED, code="internal", message="no")),
    ],
    "status": [_status(id) for id in ("new", "ended", "far")],
    "cancel": [_cancel(id) for id in ("new", "running", "far", "far-too")],
    "delete_turn": [lambda c: c.turns.delete_turn("deleted")],
    "refuse": [lambda c: c.turns.refuse(["r1", "r2", "r3"], InvalidTurn("Not like this.", param="x"))],
    "write_conversation": [
        lambda c: c.turns.amend("crowd", {"topic": "tea"}, [*marked("m1"), *marked("m2")]),
        lambda c: c.turns.begin("begun", {"topic": "tea"}, marked("m3")),
    ],
    "read_conversation": [lambda c: c.turns.read_conversation("crowd")],
    "write_summary": [lambda c: _write_summary(c)],
    "read_summary": [lambda c: c.turns.read_summary("crowd")],
    "read_messages": [
        lambda c: c.turns.read_messages("crowd", MANY // 2, -1, 100, MANY),
        lambda c: c.turns.read_messages("crowd", MANY // 2, 1, 20, MANY),
    ],
    "sweep": [lambda c: c.turns.sweep(100, "living"), lambda c: c.turns.sweep(10)],
    "end_outage": [lambda c: c.turns.end_outage("crowded")],
    "sweep_erased": [lambda c: c.turns.sweep_erased()],
    "reap": [lambda c: c.turns.reap("living"), lambda c: c.turns.reap("new")],
    "begin_audit": [lambda c: c.turns.begin_audit(300)],
    "audit": [lambda c: c.turns.audit(["crowd", "long"] * 5), lambda c: c.turns.audit([])],
    "stats": [lambda c: c.turns.stats()],
    "measure": [lambda c: c.turns.measure()],
    "overview": [lambda c: c.turns.overview(20)],
    "note_minute": [lambda c: c.turns.note_minute(), lambda c: c.turns.note_minute()],
    "tenants": [lambda c: c.turns.tenants(1_000)],
    "workers": [lambda c: c.turns.workers()],
    "check_schema": [lambda c: c.turns.check_schema()],
    "register_worker": [lambda c: c.turns.register_worker("living", _facts())],
    "rights": [lambda c: c.turns.lacking("worker"), lambda c: c.turns.lacking("gateway")],
    "claim_webhook": [
        lambda c: c.turns.claim_webhook("failed", [f"t{number}" for number in range(10)]),
        lambda c: c.turns.claim_webhook(),
    ],
    "record_delivery": [
        lambda c: c.turns.record_delivery(Delivery("failed", c.event(), "response.failed", 0, "u", "k", 1), "http_410", -1)
    ],
    "resend_webhook": [lambda c: c.turns.resend_webhook("failed")],
    "retry_webhooks": [lambda c: c.turns.retry_webhooks()],
    # It drops the webhook of the failure.
    "retry": [lambda c: c.turns.retry("failed"), lambda c: _refused(TooManyWaiting, lambda: c.turns.retry("far-failed"))],
    "count_request": [lambda c: c.turns.run(Call("count_request", ("key", 10, "t1", '{"tokens_per_minute":10}'), list))],
    "open_stream": [lambda c: c.turns.open_stream("t1", "new", 10 * MANY)],
    "spend_attempt": [lambda c: c.turns.spend_attempt(c.head, Spending("gpt", 10, 5), 2)],
    "spend_tokens": [lambda c: c.turns.spend_tokens("t1", 10, 5, '{"tokens_per_day":1000000000}')],
    "create_file": [
        lambda c: c.turns.create_file("crowd", "new-file", "x.jsonl"),
        lambda c: _refused(FileRefused, lambda: c.turns.create_file("full", "new-file", "x.jsonl")),
    ],
    "append_piece": [lambda c: c.turns.append_piece("crowd", "new-file", 0, 0, b"x")],
    "create_batch": [lambda c: c.turns.create_batch("crowd", "batch", "many-pieces", "{}", "print", 60)],
    "claim_batch": [lambda c: c.turns.claim_batch("token"), lambda c: _own(c)],
    "start_batch": [lambda c: c.turns.start_batch("batch", "token", 3)],
    "renew_batch": [lambda c: c.turns.renew_batch("batch", "token")],
    "record_result": [
        lambda c: c.turns.record_result("batch", "token", 1, "failed", "{}", BatchPlace(1, 0, 9), asked=False),
        lambda c: c.turns.record_result("batch", "token", 1, "completed", "{}", BatchPlace(1, 0, 9)),
    ],
    "recorded_lines": [lambda c: c.turns.recorded_lines("file-completed_batch", 1, MANY)],
    "read_results": [
        lambda c: c.turns.read_results("file-completed_batch", 1, MANY),
        lambda c: c.turns.read_results("none", 1, MANY),
    ],
    "cancel_batch": [lambda c: c.turns.cancel_batch("crowd", "batch")],
    "end_batch": [
        lambda c: c.turns.end_batch("batch", "token", "cancelled", ""),
    ],
    "delete_file": [lambda c: c.turns.delete_file("crowd", "many-pieces")],
    "add_schedule": [lambda c: c.turns.ask_later("later", "late", "x" * 2_000, not_before=1)],
    "claim_schedules": [lambda c: c.turns.claim_schedules(20), lambda c: _claim_what_is_left(c)],
    "ask_scheduled": [lambda c: _ask_scheduled(c)],
    "look_at_schedules": [lambda c: c.turns.look_at_schedules([f"crowd s{number}" for number in range(1_000)])],
    "audit_schedule": [lambda c: c.turns.audit_schedule("later")],
    "list_schedules": [
        lambda c: c.turns.schedules(),
        lambda c: c.turns.schedules("crowd"),
        lambda c: c.turns.schedules(tenant=""),
    ],
    "remove_schedule": [lambda c: c.turns.remove_schedule("later")],
    "check_owner": [lambda c: c.turns.owns(c.kept)],
    "read_checkpoint": [lambda c: c.turns.read_checkpoint("kept", Place("kept", ""))],
    "list_checkpoints": [lambda c: c.turns.list_checkpoints("kept")],
    "put_checkpoint": [
        lambda c: c.turns.put_checkpoint(c.kept, Place("kept", "", "1"), b"{}", [("a", "1")], {("a", "1"): b"x"}),
        lambda c: _refused(RuntimeError, lambda: c.turns.put_checkpoint(c.kept, Place("full", "", "1"), b"{}", [], {})),
    ],
    "put_writes": [
        lambda c: c.turns.put_writes(c.kept, Place("kept", "", "1"), "task", {0: b"x", 1: b"y"}, results={"c": "{}"})
    ],
    "drop_steps": [lambda c: c.turns.drop_steps(c.kept, "dropped", "")],
    "erase": [lambda c: c.turns.erase("crowd"), lambda c: c.turns.erase("long")],
    "erase_tenant": [lambda c: c.turns.erase_tenant("crowd"), lambda c: c.turns.erase_tenant("full")],
}
"""For each script the calls that meet the crowd, in an order in which each finds its own."""


def test_every_script_meets_the_crowd() -> None:
    assert CALLS.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_is_one(name: str) -> None:
    base, for_each, word = bound_of(name)
    assert base + 20 * for_each <= MOST_STEPS
    assert not word or word in ARGUMENTS[name].names


@pytest.mark.parametrize("name", CALLS)
def test_the_work_is_bounded(crowd: Crowd, name: str) -> None:
    for call in CALLS[name]:
        crowd.as_usual()
        crowd.turns.noted.clear()
        call(crowd)
        (noted,) = [noted for noted in crowd.turns.noted if noted[0] == name]
        _, steps, allowed = noted
        assert 0 < steps <= allowed
