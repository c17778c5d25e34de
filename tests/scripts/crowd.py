"""A server all of whose keys hold a million, and a store that counts the steps of each script (`meter.lua`)."""

import re
from pathlib import Path
from typing import Any

import redis

from tests.scripts.cutting import with_hook
from tests.scripts.scene import Scene
from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.question import Options
from turnstile.turns.redis.scripts import ARGUMENTS, MOST_FIELDS, MOST_FILES, MOST_SESSION_SCHEDULES, SOURCES, Script, header
from turnstile.turns.settings import MOST_WAITING, Settings
from turnstile.turns.store.runner import Call
from turnstile.turns.store.turns import TurnStore

MANY = 1_000_000
CROWDED = "crowded@1"
_AT_ONCE = 100_000
_HERE = Path(__file__).parent
_METER = _HERE.joinpath("meter.lua").read_text()
_CROWD = _HERE.joinpath("crowd.lua").read_text()
_MESSAGE = '{"type":"human","data":{"content":"x"},"turnstile":{"turn":"t@","at":@}}'
_WORK = re.compile(r"([\d,]+) steps(?:, and ([\d,]+) for each of (\w+))?(?:[:;] .*)?")
_HOOK = {"url": "https://example.org/hook", "key": "k"}
OPTIONS = Options(webhook=_HOOK)


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
        self.client.delete("steps", "bytes")
        try:
            return super().run(call)
        finally:
            if call.name in self.scripts:
                self.noted.append((call.name, int(self.client.get("steps") or 0), _allowed(call)))


def _allowed(call: Call[Any]) -> int:
    """Return the bound that the header of a script gives for a call."""
    base, for_each, word = bound_of(call.name)
    if not word:
        return base
    arguments = ARGUMENTS[call.name]
    if word in arguments.single:
        return base + for_each * int(call.args[arguments.single.index(word)])
    assert word in arguments.lists
    return base + for_each * ((len(call.args) - len(arguments.single)) // len(arguments.lists))


def bound_of(name: str) -> tuple[int, int, str]:
    found = _WORK.fullmatch(header(SOURCES[name], "WORK"))
    assert found, f"the WORK line of {name} names no bound"
    base, for_each, word = found.groups()
    return int(base.replace(",", "")), int((for_each or "0").replace(",", "")), word or ""


class Crowd:
    """A server whose keys hold a million elements each; session `crowd` has most of them."""

    def __init__(self, url: str) -> None:
        options = {"max_waiting": 10 * MANY, "max_waiting_per_session": MOST_WAITING, "max_schedules": 10 * MANY}
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
        self._schedules()

    def _fill(self, kind: str, name: str, text: str = "t@", count: int = MANY, value: str = '{"seen":0}') -> None:
        for first in range(1, count + 1, _AT_ONCE):
            self.client.eval(_CROWD, 0, kind, name, first, min(first + _AT_ONCE - 1, count), text, value)

    def _claims(self) -> None:
        """Have turns in all states before the crowd comes."""
        scene = self.scene
        self.head = scene.start("head", session="crowd", options=OPTIONS, reply=True)
        self.kept = scene.start("kept", session="kept")
        self.failing = scene.start("failing", session="failing")
        self.returned = scene.start("returned", session="returned")
        self.limited = scene.start("limited", session="limited")
        self.away = scene.start("away", session="away")
        scene.start("running", session="running")
        for id in ("ended", "elder", "deleted"):
            scene.complete(scene.start(id, session=id))
            self.client.hset(
                self.keys.turn(id), mapping={"session": "crowd", "finished": MANY // 2, "history_length": MANY // 2}
            )
        self.client.hdel(self.keys.turn("elder"), "history_length")
        scene.fail(scene.start("failed", session="failed", options=OPTIONS))
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
            keys.webhook_lines,
            keys.webhook_line("t1"),
            keys.due,
            keys.outage("crowded"),
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
        self._fill("hash", keys.open_bytes(), value="2000")
        self._fill("hash", keys.open_bytes(), "w@", MOST_WAITING, value="2000")
        self.client.hset(keys.open_bytes(), "", 2_000 * MANY)
        for tenant in ("t1", "t1000000"):
            self.client.copy(keys.open_bytes(), keys.open_bytes(tenant))
        self.client.zadd(keys.erasures, {"earlier": 1})
        for number in range(1, 101):
            self._fill("list", keys.mailbox(f"t{number}"), "gone@", 100)
        self._fill("hash", keys.workers, "t@")
        self._fill("set", keys.owned("t1"))
        self._fill("hash", keys.minutes, "t@", 120)
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
            keys.budgets, keys.promised(CROWDED), keys.calls(CROWDED), keys.coming(CROWDED),
            *(keys.rotation(f"{queue}@{CROWDED}") for queue in QUEUES),
            *(keys.ready(f"{queue}@{CROWDED}:t1") for queue in QUEUES),
        ):  # fmt: skip
            self.client.copy(keys.turns("crowd"), key, replace=True)
        self.client.zadd(keys.budgets, {CROWDED: 0})
        # No turn is on its way for so long that others are held up by it.
        self.client.delete(keys.promised(CROWDED))
        # Turns as the crowd's are known to begin with a call of the model; each that stands in a line is looked at.
        self.client.set(keys.first_call(" "), f"0 0 {CROWDED}={MANY},1000,9")
        self.client.hset(keys.budget(CROWDED), mapping={"requests": MANY, "tokens": 0, "most": 0})

    def _schedules(self) -> None:
        """Have a million schedules, 200 of them due, and as many in one session as there can be."""
        keys = self.keys
        for number in range(MOST_SESSION_SCHEDULES):
            self.turns.schedule(f"s{number}", "crowd", "hi", cron="* * * * *", now=1, when_busy="merge")
            self.turns.ask_later(f"o{number}", "t/other", "hi", not_before=1)
        self._fill("zset", "crowded-schedules", "zz s@")
        for key in (keys.schedules(), keys.schedules("t"), keys.schedules_due):
            self.client.zunionstore(key, {key: 1, "crowded-schedules": 0 if key != keys.schedules_due else 1e9})
        for tenant, start in (("", "crowd s"), ("t", "t/other o")):
            account = keys.scheduled_bytes(tenant)
            self.client.copy(keys.open_bytes(), account)
            own = {f"{start}{number}": 10 for number in range(MOST_SESSION_SCHEDULES)}
            self.client.hset(account, mapping={"": MANY, **own})

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
        self.client.hset(
            self.keys.stats, mapping={"called": now, "since": 1, "grace": 0, "patience": 1, "standing": MANY, "budgeted": 2**50}
        )
        self.client.zadd(self.keys.heard, {"living": now})
