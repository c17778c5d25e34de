"""One database with its turns in it, the moves that tests make there, and what they look at afterwards."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis

from tests.support.wait import PATIENCE_SECONDS
from turnstile.memory.element import Element, write
from turnstile.turns.celery_message import QUEUES
from turnstile.turns.output import Item, Output, call_name, called, open_calls, said
from turnstile.turns.question import Options, Question
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.acceptance import Submitted
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

AN_HOUR_MS = 3_600_000
LASTING = (*(f"turnstile:{name}" for name in ("stats", "minutes", "failed", "tenants", "schema", "workers")), *QUEUES)
ANSWER = "an answer"
WEATHER, TIME = called("call_1", "weather", "{}"), called("call_2", "time", "{}")


class Awaited:
    """An AsyncTurnStore on an event loop of its own, called like a TurnStore."""

    def __init__(self, settings: Settings) -> None:
        self._store = AsyncTurnStore(settings)
        self._runner = asyncio.Runner()
        self.keys = self._store.keys
        self.scripts = self._store.scripts
        self.settings = settings

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = getattr(self._store, name)
        return lambda *args, **kwargs: self._runner.run(_awaited(operation(*args, **kwargs)))

    def close(self) -> None:
        """Close the connections and the loop."""
        self._runner.run(close_async(self._store.url))
        self._runner.close()


async def _awaited(call: Awaitable[Any]) -> Any:
    return await call


def open_face(face: str, settings: Settings) -> TurnStore:
    """Return a store by its face, `sync` or `async`; both are called alike."""
    return TurnStore(settings) if face == "sync" else cast("TurnStore", Awaited(settings))


class Scene:
    """The turns of one test, the plain client beside them, and shorthands."""

    def __init__(self, turns: TurnStore, client: redis.Redis) -> None:
        self.turns = turns
        self.client: Any = client  # redis-py's types do not know that replies are text
        self.keys = turns.keys
        self._nonces = itertools.count(1)

    def submit(
        self, *ids: str, session: str = "foo", question: Question = "hi", options: Options | None = None, reply: bool = False
    ) -> None:
        """Submit turns of one session, in this order."""
        for id in ids:
            self.turns.submit(id, session, question, options or Options(), reply=reply)

    def queue(self, name: str = "chat") -> list[str]:
        """Return ids of the dispatches that nobody has popped yet, oldest first."""
        return [json.loads(raw)["headers"]["id"] for raw in reversed(self.client.lrange(name, 0, -1))]

    def pop(self, name: str = "chat") -> str | None:
        """Take the oldest dispatch off its queue, as a worker does, and return its turn id."""
        raw = self.client.rpop(name)
        return None if raw is None else str(json.loads(raw)["headers"]["id"])

    def let_stand(self, count: int) -> None:
        """Let so many dispatches stand on a queue while no slot is known to be free."""
        self.client.hset(self.keys.stats, "standing", count)

    def claim(self, id: str, worker: str = "w1") -> Claim:
        """Claim a turn; it must be there to be claimed."""
        claim = self.turns.claim(id, worker, f"n{next(self._nonces)}")
        assert isinstance(claim, Claim), claim
        return claim

    def start(self, id: str, session: str = "foo", worker: str = "w1", **more: Any) -> Claim:
        """Submit a turn, pop its dispatch and claim it."""
        self.submit(id, session=session, **more)
        assert self.pop() == id
        return self.claim(id, worker)

    def complete(self, claim: Claim, answer: str = ANSWER) -> State | None:
        """Finish a turn well, with one pair of messages."""
        return self.turns.finish(claim, Outcome(State.COMPLETED, said(answer)), [*answered(claim), *pair(claim.id)])

    def hold(self, claim: Claim, *calls: Item) -> State | None:
        """Finish a turn with open calls."""
        output = (*said("Wait."), *(calls or (WEATHER,)))
        messages = [*answered(claim), *asking(claim.id, *calls or (WEATHER,))]
        return self.turns.finish(claim, Outcome(State.COMPLETED, output, closing=closing(claim.id, output)), messages)

    def answer(self, id: str, session: str = "foo", **answers: str) -> Submitted:
        """Submit a turn that answers the open calls of a session."""
        return self.turns.submit(id, session, "hi", Options(answers=answers or {"call_1": "sunny"}))

    def fail(self, claim: Claim, code: str = "chain_error") -> State | None:
        """Finish a turn badly."""
        return self.turns.finish(claim, Outcome(State.FAILED, code=code, message="It broke."))

    def make_due(self, session: str = "foo") -> None:
        """Let the time pass until the session is due."""
        self.client.zadd(self.keys.due, {session: 1}, xx=True)

    def expire_lease(self, session: str = "foo") -> None:
        """Let the time pass until the session's lease has run out."""
        assert self.client.hexists(self.keys.session(session), "lease")
        self.client.hset(self.keys.session(session), "lease", 1)
        self.make_due(session)

    def lose(self, session: str = "foo", times: int = 1) -> None:
        """Let a turn's worker die, and the sweep find out, `times` times; the last attempt is not started again."""
        for left in reversed(range(times)):
            self.expire_lease(session)
            self.turns.sweep()
            if left:
                self.claim(str(self.pop()))

    def seat(self, session: str = "foo") -> dict[str, str]:
        """Return the session's own record."""
        return dict(self.client.hgetall(self.keys.session(session)))

    def waiting(self, session: str = "foo") -> list[str]:
        """Return ids in the mailbox."""
        return list(self.client.lrange(self.keys.mailbox(session), 0, -1))

    def state(self, id: str) -> State:
        """Return a turn's state."""
        return self.turns.status(id).state

    def counted_bytes(self, account: str) -> dict[str, int]:
        """Return the entries of an account of bytes, once their sum is known to be true."""
        sizes = {entry: int(size) for entry, size in self.client.hgetall(account).items()}
        assert sizes.pop("", 0) == sum(sizes.values())
        return sizes

    def history(self, session: str = "foo") -> list[str]:
        """Return the stored messages, oldest first."""
        return [element.decode() for element in reversed(self.turns.history(session))]

    def events(self, id: str) -> list[tuple[int, str, int, str]]:
        """Return a turn's events, as plain tuples."""
        return [(e.sequence, e.type, e.attempt, e.data) for e in self.turns.events(id)]

    def stat(self, name: str) -> int:
        """Return one counter."""
        return self.turns.stats().get(name, 0)

    def picture(self) -> dict[str, Any]:
        """Return all that is stored, so that any change shows; only the count of commits that came too late is left out."""
        found = {key: _value(self.client, key) for key in sorted(self.client.keys("*"))}
        for value in found.values():
            if isinstance(value, dict):
                for name in ("fenced", "more_calls"):
                    value.pop(name, None)
        return found

    def assert_idle(self, *sessions: str) -> None:
        """Assert that nothing keeps these sessions busy."""
        for session in sessions or ("foo",):
            assert self.seat(session) == {}
            assert self.waiting(session) == []
            assert self.client.zscore(self.keys.due, session) is None
        assert self.stat("open") == 0
        assert self.client.keys(self.keys.owned("*")) == []

    def assert_all_will_expire(self, *, histories_last: bool = True) -> None:
        """Assert that every key has a time to live, but for those that are meant to last."""
        lasting = {key for key in self.client.keys("*") if self.client.ttl(key) == -1}
        lasting -= {key for key in lasting if key.startswith(self.keys.tenant())}
        histories = {key for key in lasting if key.startswith(self.keys.history())}
        assert lasting - histories <= set(LASTING)
        assert histories_last or not histories


@contextmanager
def orders(scene: Scene, worker: str) -> Iterator[Any]:
    """Yield a listener to what a worker is told."""
    with scene.client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(scene.keys.orders(worker))
        listener.get_message(timeout=PATIENCE_SECONDS)
        yield listener


def pair(name: str) -> list[str]:
    """Return the two stored messages of a turn; the scripts do not look into them."""
    return [json.dumps({"type": kind, "data": {"content": name}}) for kind in ("human", "ai")]


def asking(name: str, *calls: Item) -> list[str]:
    """The two stored messages of a turn whose answer asks for something."""
    human, ai = pair(name)
    return [human, json.dumps({**json.loads(ai), "calls": [call_name(call) for call in calls]})]


def closing(name: str, output: Output) -> list[str]:
    """The elements that close the open calls of a turn."""
    return [_tool(call_name(call), f"none for {name}") for call in open_calls(output)]


def answered(claim: Claim) -> list[str]:
    """The messages with which the transcript of a turn begins that answers calls."""
    return [_tool(call, answer) for call, answer in claim.answers.items()]


def _tool(call: str, content: str) -> str:
    return json.dumps({"type": "tool", "data": {"content": content, "call": call}})


def dangling(elements: Iterable[bytes | str]) -> list[str]:
    """The calls in a history, oldest first, whose answers do not stand right behind them, and answers without calls."""
    found, left = list[str](), list[str]()
    for element in map(json.loads, elements):
        if element["type"] == "tool":
            (left.remove if element["data"]["call"] in left else found.append)(element["data"]["call"])
        else:
            found, left = found + left, list(element.get("calls", ()))
    return found + left


def marked(turn: str) -> list[str]:
    """Return the two stored messages of a turn, with the marks that a worker gives them."""
    return [write(Element(kind, {"content": turn}, {"turn": turn, "at": 1})) for kind in ("human", "ai")]


def pairs(names: Iterable[str]) -> list[str]:
    """Return the stored messages of turns, in order."""
    return [message for name in names for message in pair(name)]


def _value(client: Any, key: str) -> Any:
    readers: dict[str, Callable[[], Any]] = {
        "string": lambda: client.get(key),
        "hash": lambda: client.hgetall(key),
        "list": lambda: client.lrange(key, 0, -1),
        "zset": lambda: client.zrange(key, 0, -1, withscores=True),
        "set": lambda: sorted(client.smembers(key)),
        "stream": lambda: client.xrange(key),
    }
    return readers[client.type(key)]()
