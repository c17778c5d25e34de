"""Every script keeps to the bound in its header, whatever the keys hold: each is called where all of them hold a million.

A script's work is counted in steps, which are the same on every machine; `meter.lua` says what they are.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.scripts.cutting import with_hook
from tests.scripts.scene import Scene, marked
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.errors import CallNotOpen, FileRefused, InvalidTurn, SessionBusy, TooManyWaiting, TurnConflict
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.redis.scripts import ARGUMENTS, MOST_FIELDS, MOST_FILES, NAMES, SOURCES, Script, header
from turnstile.turns.settings import MOST_WAITING, Settings
from turnstile.turns.states import State
from turnstile.turns.store import registry
from turnstile.turns.store.batches import Place as BatchPlace
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall
from turnstile.turns.store.runner import Call
from turnstile.turns.store.steps import Place
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.webhooks import Delivery
from turnstile.turns.store.working import Outcome

MANY = 1_000_000
MOST_STEPS = 250_000
"""A bound above this is none: it is some 50 ms of a server's time."""
CROWDED = "crowded@1"
_AT_ONCE = 100_000
_HERE = Path(__file__).parent
_METER = _HERE.joinpath("meter.lua").read_text()
_CROWD = _HERE.joinpath("crowd.lua").read_text()
_MESSAGE = '{"type":"human","data":{"content":"x"},"turnstile":{"turn":"t@","at":@}}'
_WORK = re.compile(r"([\d,]+) steps(?:, and ([\d,]+) for each of (\w+))?(?:[:;] .*)?")
_HOOK = {"url": "https://example.org/hook", "key": "k"}
_OPTIONS = Options(webhook=_HOOK)


class Metered(TurnStore):
    """A store that notes the steps of each script that it runs, and those that its header allows."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.noted: list[tuple[str, int, int]] = []
        self.metered: dict[str, Script] = {}

    def meter(self) -> None:
        """Note steps from now on."""
        for name, script in self.scripts.items():
            writable = Script(name, script.source.replace("#!lua flags=no-writes", "#!lua"), "")
            self.scripts[name] = with_hook(writable, _METER)

    def run(self, call: Call[Any]) -> Any:
        """Make a call."""
        self.client.delete("steps")
        try:
            return super().run(call)
        finally:
            if call.name in self.scripts:
                self.noted.append((call.name, int(self.client.get("steps") or 0), _allowed(call)))


def _allowed(call: Call[Any]) -> int:
    """Return the bound that the header of a script gives for a call."""
    base, for_each, word = _read(call.name)
    if not word:
        return base
    arguments = ARGUMENTS[call.name]
    if word in arguments.single:
        return base + for_each * int(call.args[arguments.single.index(word)])
    assert word in arguments.lists
    return base + for_each * ((len(call.args) - len(arguments.single)) // len(arguments.lists))


def _read(name: str) -> tuple[int, int, str]:
    found = _WORK.fullmatch(header(SOURCES[name], "WORK"))
    assert found, f"the WORK line of {name} names no bound"
    base, for_each, word = found.groups()
    return int(base.replace(",", "")), int((for_each or "0").replace(",", "")), word or ""


class Crowd:
    """A server whose keys hold a million elements each; session `crowd` has most of them."""

    def __init__(self, url: str) -> None:
        options = {"max_waiting": 10 * MANY, "max_waiting_per_session": MOST_WAITING}
        self.turns = Metered(Settings(redis_url=url, max_history_messages=10_000_000, **options))
        self.client: Any = redis.Redis.from_url(url, decode_responses=True, socket_timeout=None)
        # Counting steps makes scripts slow, and a busy machine makes them slower.
        self.client.config_set("busy-reply-threshold", 600_000)
        self.scene = Scene(self.turns, self.client)
        self.keys = self.turns.keys
        self._claims()
        self._session()
        self._registers()
        self._steps()
        self._files()
        self._budgets()

    def _fill(self, kind: str, name: str, text: str = "t@", count: int = MANY) -> None:
        for first in range(1, count + 1, _AT_ONCE):
            self.client.eval(_CROWD, 0, kind, name, first, min(first + _AT_ONCE - 1, count), text)

    def _claims(self) -> None:
        """Have turns in all states before the crowd comes."""
        scene = self.scene
        self.head = scene.start("head", session="crowd", options=_OPTIONS, reply=True)
        self.kept = scene.start("kept", session="kept")
        self.failing = scene.start("failing", session="failing")
        self.returned = scene.start("returned", session="returned")
        self.limited = scene.start("limited", session="limited")
        scene.start("running", session="running")
        for id in ("ended", "elder", "deleted"):
            scene.complete(scene.start(id, session=id))
            self.client.hset(
                self.keys.turn(id), mapping={"session": "crowd", "finished": MANY // 2, "history_length": MANY // 2}
            )
        self.client.hdel(self.keys.turn("elder"), "history_length")
        scene.fail(scene.start("failed", session="failed", options=_OPTIONS))
        self.client.hset(self.keys.turn("failed"), "session", "crowd")
        for session in ("holding", "released"):
            scene.hold(scene.start(f"of-{session}", session=session))
        scene.submit("waiting", session="claimed")
        scene.submit("longest", session="long")
        self.longest = scene.claim("longest")

    def _session(self) -> None:
        keys = self.keys
        self._fill("list", keys.history("crowd"), _MESSAGE)
        self._fill("zset", keys.turns("crowd"))
        self.client.zadd(keys.turns("crowd"), dict.fromkeys(("head", "ended", "elder", "deleted", "failed"), MANY))
        self._fill("list", keys.mailbox("crowd"), "w@", MOST_WAITING - 10)
        record = self.client.hgetall(keys.turn("waiting")) | {"session": "crowd", "reply": "1"}
        pipeline = self.client.pipeline(transaction=False)
        for number in range(1, MOST_WAITING - 100):
            pipeline.hset(keys.turn(f"w{number}"), mapping=record)
        pipeline.execute()
        self.client.delete(keys.events("head"))
        self._fill("stream", keys.events("head"), "x")
        self._fill("list", keys.mailbox("long"), "gone@")
        for id, state in (("far", "queued"), ("far-too", "cancelled"), ("far-failed", "failed")):
            self.client.hset(keys.turn(id), mapping=record | {"session": "long", "state": state})
            self.client.zadd(keys.turns("long"), {id: MANY})
        for id in ("deleted", "failed"):
            self.client.copy(keys.events("head"), keys.events(id), replace=True)
        for session in ("claimed", "holding", "released"):
            self.client.copy(keys.history("crowd"), keys.history(session), replace=True)
        for session in ("holding", "released"):
            self._fill("list", keys.mailbox(session), "gone@", 100)

    def _registers(self) -> None:
        keys = self.keys
        for key in (
            keys.open,
            keys.held,
            keys.failed,
            keys.undelivered,
            keys.webhooks,
            keys.due,
            keys.heard,
            *(keys.rotation(queue) for queue in QUEUES),
            *(keys.ready(f"{queue}:{tenant}") for queue in QUEUES for tenant in ("", "t1")),
            keys.erased("earlier"),
            keys.tenants,
            keys.streams("t1"),
            *(keys.parked(queue) for queue in QUEUES),
            *(keys.open_turns(tenant) for tenant in ("t1", "t1000000")),
        ):
            self.client.copy(keys.turns("crowd"), key, replace=True)
        self.client.zadd(keys.erasures, {"earlier": 1})
        for number in range(1, 101):
            self._fill("list", keys.mailbox(f"t{number}"), "gone@", 100)
        self._fill("hash", keys.workers, "t@")
        self._fill("set", keys.owned("t1"))
        for key in (keys.slots("t1"), keys.slots("t1000000"), keys.batch_slots):
            self.client.copy(keys.owned("t1"), key, replace=True)
        for queue in (*QUEUES, WEBHOOK_QUEUE):
            self._fill("list", keys.queue(queue), "x", 1000)

    def _steps(self) -> None:
        """Keep as many values of a graph as can be."""
        steps, names = self.keys.steps("kept"), [f"v{number}" for number in range(1, MOST_FIELDS)]
        self._fill("hash", steps, "value\x1f\x1fv@\x1f1", MOST_FIELDS - 10)
        channels = "".join(f"{name}\x1f1\x1e" for name in names)
        self.client.hset(steps, mapping={"latest\x1f": "0", "channels\x1f\x1f0": channels, "checkpoint\x1f\x1f0": "{}"})
        self.client.copy(steps, self.keys.steps("dropped"))
        self._fill("hash", self.keys.steps("full"), "value\x1f\x1fv@\x1f1")

    def _budgets(self) -> None:
        """Let a million turns wait for a model, whose calls are a million."""
        keys = self.keys
        for key in (
            keys.budgets, keys.promised(CROWDED), keys.calls(CROWDED),
            *(keys.rotation(f"{queue}@{CROWDED}") for queue in QUEUES),
            *(keys.ready(f"{queue}@{CROWDED}:t1") for queue in QUEUES),
        ):  # fmt: skip
            self.client.copy(keys.turns("crowd"), key, replace=True)
        self.client.zadd(keys.budgets, {CROWDED: 0})
        # No turn is on its way for so long that others are held up by it.
        self.client.delete(keys.promised(CROWDED))
        self.client.hset(keys.budget(CROWDED), mapping={"requests": MANY, "tokens": 0, "most": 0})

    def _files(self) -> None:
        """Have as many files as a tenant may, one of a million pieces, and batches to match."""
        keys, now = self.keys, round(self.turns.now() * 1000)
        self.turns.create_file("crowd", "many-pieces", "x.jsonl")
        self.turns.append_piece("crowd", "many-pieces", 0, 0, b"x", last=True)
        self._fill("list", keys.pieces("many-pieces"), "x")
        for tenant, count in (("crowd", MOST_FILES - 200), ("full", MOST_FILES)):
            self.client.zadd(keys.files(tenant), {f"f{number}": now for number in range(count)})
        # Some of what has expired is still there, and its room is needed.
        self.client.zadd(keys.files("crowd"), {f"old{number}": 1 for number in range(100)})
        self.client.zadd(keys.batches("crowd"), {f"old{number}": 1 for number in range(100)})
        self._fill("hash", keys.stored("crowd"), "f@")
        self.client.hset(keys.stored("crowd"), mapping={"": 2**40, **{f"old{number}": 2**36 for number in range(100)}})
        for number in range(3):
            self.client.copy(keys.pieces("many-pieces"), keys.pieces(f"old{number}"))
        self.client.copy(keys.turns("crowd"), keys.batches_due, replace=True)
        self.client.zadd(keys.batches_due, {f"crowd/gone{number}": 1 for number in range(9)})
        for outcome in ("completed", "failed"):
            self._fill("hash", keys.results(f"file-{outcome}_batch"), "r@")
            self.client.hset(keys.results(f"file-{outcome}_batch"), "bytes", MANY)

    def event(self) -> str:
        """Return the name of the end that the failed turn's webhook tells of."""
        return str(self.client.hget(self.keys.webhook("failed"), "event"))

    def as_usual(self) -> None:
        """Let the workers have been heard all the time, so that those who are silent are dead."""
        now = round(self.turns.now() * 1000)
        self.client.hset(self.keys.stats, mapping={"called": now, "since": 1, "grace": 0, "patience": 1, "standing": MANY})
        self.client.zadd(self.keys.heard, {"living": now})


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


CALLS: dict[str, list[Callable[[Crowd], Any]]] = {
    "submit": [
        lambda c: c.turns.submit("new", "crowd", "hi", _OPTIONS, reply=True),
        lambda c: c.turns.submit("new", "crowd", "hi", _OPTIONS, reply=True),
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
        lambda c: c.turns.requeue(c.limited, waits_for=CROWDED, tokens=1),
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
    "retry": [lambda c: c.turns.retry("failed"), lambda c: _refused(TooManyWaiting, lambda: c.turns.retry("far-failed"))],
    "delete_turn": [lambda c: c.turns.delete_turn("deleted")],
    "refuse": [lambda c: c.turns.refuse(["r1", "r2", "r3"], InvalidTurn("Not like this.", param="x"))],
    "write_conversation": [
        lambda c: c.turns.amend("crowd", {"topic": "tea"}, [*marked("m1"), *marked("m2")]),
        lambda c: c.turns.begin("begun", {"topic": "tea"}, marked("m3")),
    ],
    "read_conversation": [lambda c: c.turns.read_conversation("crowd")],
    "read_messages": [
        lambda c: c.turns.read_messages("crowd", MANY // 2, -1, 100, MANY),
        lambda c: c.turns.read_messages("crowd", MANY // 2, 1, 20, MANY),
    ],
    "sweep": [lambda c: c.turns.sweep(100, "living"), lambda c: c.turns.sweep(10)],
    "sweep_erased": [lambda c: c.turns.sweep_erased()],
    "reap": [lambda c: c.turns.reap("living"), lambda c: c.turns.reap("new")],
    "audit": [lambda c: c.turns.audit(["crowd", "long"] * 5), lambda c: c.turns.audit([])],
    "stats": [lambda c: c.turns.stats()],
    "measure": [lambda c: c.turns.measure()],
    "tenants": [lambda c: c.turns.tenants(1_000)],
    "workers": [lambda c: c.turns.workers()],
    "register_worker": [lambda c: c.turns.register_worker("living", _facts())],
    "rights": [lambda c: c.turns.lacking("worker"), lambda c: c.turns.lacking("gateway")],
    "claim_webhook": [lambda c: c.turns.claim_webhook("failed")],
    "record_delivery": [
        lambda c: c.turns.record_delivery(Delivery("failed", c.event(), "response.failed", 0, "u", "k", 1), "http_410", -1)
    ],
    "resend_webhook": [lambda c: c.turns.resend_webhook("failed")],
    "retry_webhooks": [lambda c: c.turns.retry_webhooks()],
    "count_request": [lambda c: c.turns.run(Call("count_request", ("key", 10, "t1", '{"tokens_per_minute":10}'), list))],
    "open_stream": [lambda c: c.turns.open_stream("t1", "new", 10 * MANY)],
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
}
"""For each script the calls that meet the crowd, in an order in which each finds its own."""


def test_every_script_meets_the_crowd() -> None:
    assert CALLS.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_is_one(name: str) -> None:
    base, for_each, word = _read(name)
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
