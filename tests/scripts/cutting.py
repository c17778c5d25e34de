"""Scripts that stop half-way, as after a right that is missing, and the workers that bring what is left to rest."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from redis.exceptions import ResponseError

from tests.scripts.scene import LASTING, Scene, answered, dangling, pair
from turnstile.turns.celery_message import QUEUES, WEBHOOK_QUEUE
from turnstile.turns.output import said
from turnstile.turns.redis import scripts
from turnstile.turns.redis.scripts import Script
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

CUT = "the script is cut here"
_READS = (
    "EXISTS GET HEXISTS HGET HGETALL HLEN HMGET HRANDFIELD HSTRLEN LINDEX LLEN LPOS LRANGE PUBSUB SCARD SRANDMEMBER TIME TYPE"
    " XRANGE XREVRANGE ZCARD ZRANGE ZRANGEBYSCORE ZSCORE"
)
# Stands before a script's parts, which then see this table instead of the server's: after so many writes every call fails.
_HOOK = """
local server, left, reads = redis, %d, ' %s '
local redis = setmetatable({}, { __index = server })
for _, name in ipairs({ 'call', 'pcall' }) do
  redis[name] = function(command, ...)
    if not reads:find(' ' .. command .. ' ', 1, true) then left = left - 1 end
    if left < 0 then error('%s') end
    return server[name](command, ...)
  end
end
"""
_ROUNDS = 40


def cut_after(script: Script, writes: int) -> Script:
    """Return the script, to end before the write that follows so many."""
    return with_hook(script, _HOOK % (writes, _READS, CUT))


def with_hook(script: Script, hook: str) -> Script:
    """Return the script with a text before its parts."""
    flags, rest = script.source.split("\n", 1)
    return Script(script.name, "\n".join([flags, hook, rest]), "0" * 40)


@contextmanager
def cut(store: TurnStore, name: str, writes: int) -> Iterator[list[bool]]:
    """A script ends after so many writes for the block; the list is no longer empty once one was cut."""
    whole, happened = store.scripts[name], list[bool]()
    store.scripts[name] = cut_after(whole, writes)
    try:
        yield happened
    except ResponseError as error:
        if CUT not in str(error):
            raise
        happened.append(True)
    finally:
        store.scripts[name] = whole


def in_pieces(store: TurnStore, size: int = 1, *, together: int = scripts._MOST_MERGED) -> None:
    """Let no more than `size` turns of erased sessions be removed in one go, and no more than `together` be merged.

    The bytes of small turns are counted as well.
    """
    with (
        patch.object(scripts, "_PIECE", size),
        patch.object(scripts, "_MOST_MERGED", together),
        patch.object(scripts, "_SMALL_TURN_BYTES", 0),
    ):
        store.scripts.update(scripts.build(store.settings))


def bring_to_rest(scene: Scene) -> None:
    """Let the time pass, and workers sweep, claim and finish, until nothing is left to do."""
    for number in range(_ROUNDS):
        for session in scene.client.zrange(scene.keys.due, 0, -1):
            if scene.client.hexists(scene.keys.session(session), "lease"):
                scene.client.hset(scene.keys.session(session), "lease", 1)
            scene.make_due(session)
        end_pauses(scene)
        ask_all(scene)
        scene.turns.sweep()
        while scene.turns.sweep_erased():
            pass
        ids = [id for queue in QUEUES for id in iter(partial(scene.pop, queue), None)]
        for id in ids:
            claim = scene.turns.claim(id, "w9", f"rest{number}-{id}")
            if isinstance(claim, Claim):
                assert set(dangling(reversed(claim.window))) == claim.answers.keys(), "a model is given open calls"
                _answer(scene, claim)
        if not ids and not scene.client.exists(scene.keys.due):
            # Only one that has found the server away can find it back.
            for name in scene.client.keys(scene.keys.outage("*")):
                scene.turns.end_outage(name.removeprefix(scene.keys.outage()))
            return
    raise AssertionError("it never comes to rest")


def ask_all(scene: Scene) -> None:
    """Ask for every tick that schedules wait for, each of which is the last."""
    for member in scene.client.zrange(scene.keys.schedules_due, 0, -1):
        record = scene.keys.schedule(member.partition(" ")[2])
        scene.client.zadd(scene.keys.schedules_due, {member: 1})
        if scene.client.exists(record):
            scene.client.hset(record, "tick", 999_999)
    for due in scene.turns.claim_schedules()[1]:
        scene.turns.ask_scheduled(due, None)


def end_pauses(scene: Scene) -> None:
    """Let the time pass until every model's budget is forgotten."""
    scene.client.delete(scene.keys.first_call(" "))
    for family in (scene.keys.budget, scene.keys.promised, scene.keys.coming, scene.keys.calls):
        for name in scene.client.keys(family("*")):
            scene.client.delete(name)


def _answer(scene: Scene, claim: Claim) -> None:
    after, text = claim.sequence, "the rest" if claim.stream else ""
    outcome = Outcome(State.COMPLETED, said("an answer"))
    messages = [*answered(claim), *pair(claim.id)]
    assert scene.turns.finish(claim, outcome, messages, after=after, text=text) is State.COMPLETED


def deliver_webhooks(store: TurnStore, scene: Scene) -> Counter[str]:
    """Deliver the webhooks that are due; return how often each turn's was delivered."""
    delivered: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        if not scene.client.exists(scene.keys.webhooks):
            return delivered
        for raw in iter(lambda: scene.client.rpop(WEBHOOK_QUEUE), None):
            id = json.loads(json.loads(raw)["body"])[0][0]
            if delivery := store.claim_webhook(id):
                store.record_delivery(delivery)
                delivered[id] += 1
        while delivery := store.claim_webhook():
            store.record_delivery(delivery)
            delivered[delivery.turn] += 1
        for id in scene.client.zrange(scene.keys.webhooks, 0, -1):
            scene.client.zadd(scene.keys.webhooks, {id: 1}, xx=True)
        store.retry_webhooks()
    raise AssertionError("some webhook is never delivered")


def violations(scene: Scene, *, erased: bool = False) -> Iterator[str]:
    """Everything that is not as it should be once all is at rest; `erased`: some turns and their history may be gone."""
    keys, client = scene.keys, scene.client
    records = {key.removeprefix(keys.turn()): client.hgetall(key) for key in client.keys(keys.turn("*"))}
    records = {id: record for id, record in records.items() if "session" in record}
    for id, record in records.items():
        yield from _of_turn(scene, id, record)
        if record["reply"] == "1" and not (erased or client.exists(keys.celery_result(id))):
            yield f"{id}: no result for the plain app"
    for session in {record["session"] for record in records.values()}:
        mine = [id for id, record in records.items() if record["session"] == session]
        yield from _of_history(scene, session, {id: records[id] for id in mine}, erased=erased)
    for kind in (
        "due",
        "session:*",
        "mailbox:*",
        "owned:*",
        "open",
        "held",
        "ready:*",
        "rotation:*",
        "parked:*",
        "outage:*",
        "slots:*",
        "batch_slots",
        "open_turns:*",
        "open_bytes:*",
        "schedule:*",
        "schedules_due",
        "schedules:*",
        "scheduled_bytes:*",
        "webhook_line*",
        "webhooks_of:*",
    ):
        if left := client.keys(f"{keys.prefix}{kind}"):
            yield f"left over: {left}"
    yield from _of_counters(scene, Counter(record["state"] for record in records.values()), erased=erased)
    yield from _of_stored(scene)
    lasting = {*LASTING, WEBHOOK_QUEUE, keys.workers, keys.heard, keys.undelivered, keys.batches_due, keys.budgets}
    forever = {key for key in client.keys("*") if client.ttl(key) == -1} - lasting
    # Files, batches and streams have their time from the next call of their tenant, or of a gateway, on.
    uploaded = (keys.file(), keys.files(), keys.pieces(), keys.stored())
    asked = (keys.batch(), keys.batches(), keys.unfinished(), keys.results(), keys.streams())
    if forever := {
        key
        for key in forever
        if not key.startswith((keys.history(), keys.conversation(), keys.tenant(), keys.conversations(), *uploaded, *asked))
    }:
        yield f"never expires: {forever}"


def _of_stored(scene: Scene) -> Iterator[str]:
    """Return where the sum of what a tenant has stored is not that of its entries, or not that of what is there."""
    keys, client = scene.keys, scene.client
    for key in client.keys(keys.stored("*")):
        entries = {name: int(size) for name, size in client.hgetall(key).items()}
        if entries.pop("", 0) != sum(entries.values()):
            yield f"{key}: the sum is not {sum(entries.values())}"
        for name, size in entries.items():
            there = sum(map(len, client.lrange(keys.pieces(name), 0, -1))) + int(client.hget(keys.results(name), "bytes") or 0)
            if not name.startswith("batch") and size < there:
                yield f"{name} takes {there}, counted as {size}"


def _of_turn(scene: Scene, id: str, record: dict[str, str]) -> Iterator[str]:
    if not State(record["state"]).ended:
        yield f"{id} was accepted and is {record['state']}"
    if left := record.keys() & {"owed", "rest"}:
        yield f"{id} still has {left}"
    if (id in scene.turns.failed()) != (record["state"] == "failed"):
        yield f"{id}: {record['state']}, among the failed {scene.turns.failed()}"
    events = scene.turns.events(id)
    sequences = [event.sequence for event in events]
    if sequences != list(range(sequences[0], sequences[0] + len(sequences)) if events else []):
        yield f"{id}: events {sequences}"
    ends = [event.data for event in events if event.type == "ended"]
    if events and (ends != [record["state"]] or events[-1].type != "ended"):
        yield f"{id}: {record['state']}, ended as {ends}"
    if events and record["sequence"] != str(sequences[-1]):
        yield f"{id}: sequence {record['sequence']}, events {sequences}"
    texts = [event.data for event in events if event.type == "text" and event.attempt == int(record["attempts"])]
    if len(texts) != len(set(texts)):
        yield f"{id}: text sent twice: {texts}"


def _of_history(scene: Scene, session: str, records: dict[str, dict[str, str]], *, erased: bool) -> Iterator[str]:
    """Whole pairs, each once, in the order of acceptance: of every completed turn and of no other."""
    if left := dangling(scene.history(session)):
        yield f"{session}: without answers: {left}"
    elements = [json.loads(element) for element in scene.history(session)]
    said = [element["data"]["content"] for element in elements if element["type"] != "tool"]
    order = said[::2]
    if said[1::2] != order or len(order) != len(set(order)):
        yield f"{session}: history {said}"
    # A turn that was merged with another has its question among that one's messages.
    answered = {id for id, record in records.items() if State(record["state"]).answered and "merged" not in record}
    in_history = {id for id in order if id in records}
    if not erased and in_history != answered:
        yield f"{session}: {answered} answered, {in_history} in the history"
    # Ids are given in the order in which the questions were asked.
    if order != sorted(order):
        yield f"{session}: out of order {order}"


def _of_counters(scene: Scene, found: Counter[str], *, erased: bool) -> Iterator[str]:
    """A cut may cost a count, three where there were cuts before; none is too high, and none negative."""
    counts = scene.turns.stats()
    if counts["open"]:
        yield f"{counts['open']} open"
    for name in ("accepted", *(state.value for state in State if state.ended)):
        if counts.get(name, 0) < 0:
            yield f"{name} is {counts[name]}"
    for state in (state for state in State if state.ended):
        if not (erased or found[state] - 3 <= counts.get(state, 0) <= found[state]):
            yield f"{counts.get(state, 0)} counted as {state}, {found[state]} are"


def numbers() -> Iterator[int]:
    """Return the numbers of writes after which to cut a script, one more each time."""
    return itertools.count()
