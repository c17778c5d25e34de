"""Every script is cut after each of its writes. Redis undoes nothing: what is left must come to rest as if nothing had been.

The caller may call again, or be gone for good; then workers go on.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest
import redis

from tests.scripts.cutting import bring_to_rest, cut, deliver_webhooks, numbers, violations
from tests.scripts.held_scene import hold
from tests.scripts.scene import Scene, dangling, pair
from tests.scripts.situation import HOOK
from tests.scripts.situations import SITUATIONS, Situation
from turnstile.turns.celery_message import WEBHOOK_QUEUE
from turnstile.turns.errors import InvalidTurn, TurnRefused
from turnstile.turns.question import Options
from turnstile.turns.redis import scripts
from turnstile.turns.redis.scripts import NAMES
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.steps import Place
from turnstile.turns.store.turns import TurnStore


def test_every_script_is_cut() -> None:
    assert {situation.script for situation in SITUATIONS} == set(NAMES)


@pytest.mark.parametrize("again", [True, False], ids=["called again", "caller gone"])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: f"{s.script} {s.name}")
def test_a_cut_changes_nothing_in_the_end(
    situation: Situation, again: bool, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So the bytes of every turn are counted.
    monkeypatch.setattr(scripts, "_SMALL_TURN_BYTES", 0)
    store = TurnStore(Settings(redis_url=redis_url))
    scene = Scene(store, client)
    for writes in numbers():
        client.flushdb()
        call = situation.prepare(scene)
        with cut(store, situation.script, writes) as happened:
            call()
        # An audit comes every five minutes, whoever was cut.
        if happened and (again or situation.script == "audit"):
            call()
        bring_to_rest(scene)
        deliveries = deliver_webhooks(store, scene)
        found = list(violations(scene, erased=situation.erases))
        if not situation.erases and situation.script != "record_delivery":
            found += _undelivered(store, scene, deliveries)
        assert not found, f"after {writes} writes: {found}"
        if not happened:
            return


def test_no_reader_takes_an_end_for_whole_that_is_cut_short(scene: Scene) -> None:
    scene.let_stand(50)
    for writes in numbers():
        scene.submit(f"t{writes}", session=f"s{writes}")
        claim = scene.claim(f"t{writes}")
        with cut(scene.turns, "finish", writes) as happened:
            scene.complete(claim)
        record, history = scene.turns.status(claim.id), scene.history(claim.session)
        events = [event.type for event in scene.turns.events(claim.id, 0)]
        if record.ended:
            assert (history, events[-1]) == (pair(claim.id), "ended")
        if not happened:
            return


def _undelivered(store: TurnStore, scene: Scene, deliveries: dict[str, int]) -> list[str]:
    """Return the turns whose end was neither delivered to a webhook nor given up."""
    names = scene.client.keys(scene.keys.turn("*"))
    records = {str(name).removeprefix(scene.keys.turn()): scene.client.hgetall(name) for name in names}
    asked = {id for id, record in records.items() if '"webhook"' in record.get("options", "")}
    delivered = int(store.stats().get("webhooks_delivered", 0))
    return [id for id in asked if not deliveries.get(id) and not store.look_up(id) and not delivered]


@pytest.mark.parametrize("writes", range(4))
def test_all_that_were_refused_are_told_by_the_repeat(writes: int, redis_url: str, client: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    error = InvalidTurn("Not like this.", param="x")
    with cut(store, "refuse", writes) as happened:
        store.refuse(["a", "b"], error)
    assert happened
    store.refuse(["a", "b"], error)
    assert client.exists(*map(store.keys.celery_result, "ab")) == 2


@pytest.mark.parametrize("writes", range(5))
def test_a_session_that_was_begun_by_half_is_begun_by_the_repeat(writes: int, redis_url: str, client: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    messages = [*pair("a"), *pair("b")]
    with cut(store, "write_conversation", writes) as happened:
        store.begin("foo", {"topic": "tea"}, messages)
    assert happened
    store.begin("foo", {"topic": "tea"}, messages)
    assert [element.decode() for element in reversed(store.history("foo"))] == messages
    assert not store.begin("foo", {"topic": "tea"}, messages)


@pytest.mark.parametrize("writes", range(45))
def test_an_erase_that_was_cut_is_completed_by_its_repeat(writes: int, redis_url: str, client: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    scene = Scene(store, client)
    scene.complete(scene.start("a", reply=True, options=Options(webhook=HOOK)))
    store.claim_webhook("a", ["*"])
    client.delete(WEBHOOK_QUEUE)
    scene.start("b", reply=True)
    scene.submit("c", "d", reply=True)
    with cut(store, "erase", writes):
        store.erase("foo")
    store.erase("foo")
    assert client.keys("*") == [store.keys.stats]
    bring_to_rest(scene)
    assert not client.exists(store.keys.history("foo"), store.keys.turns("foo"))


@pytest.mark.parametrize("writes", range(1, 24))
def test_an_owner_that_hears_of_its_end_finds_it_complete(writes: int, redis_url: str, client: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    scene = Scene(store, client)
    claim = scene.start("a", reply=True)
    scene.submit("b")
    with cut(store, "finish", writes):
        scene.complete(claim)
    assert scene.complete(claim) is State.COMPLETED
    assert scene.history() == pair("a")
    # Its dispatch may be what was cut: the due entry makes up for that.
    assert scene.seat()["head"] == "b"
    assert client.zscore(scene.keys.due, "foo")
    assert not {"owed", "rest"} & client.hgetall(scene.keys.turn("a")).keys()
    before = scene.picture()
    assert scene.complete(claim) is State.COMPLETED
    assert scene.picture() == before


def _release(scene: Scene) -> None:
    scene.turns.release_session("foo")


def _ask_at_once(scene: Scene) -> None:
    scene.turns.submit("d", "foo", "hi", when_held="close")


@pytest.mark.parametrize(("script", "close"), [("release_session", _release), ("submit_held", _ask_at_once)])
def test_calls_that_are_closed_in_part_take_no_answer(
    script: str, close: Callable[[Scene], None], redis_url: str, client: redis.Redis
) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    scene = Scene(store, client)
    for writes in numbers():
        client.flushdb()
        hold(scene)
        with cut(store, script, writes) as happened:
            close(scene)
        with suppress(TurnRefused):
            scene.answer("c")
        bring_to_rest(scene)
        assert not dangling(scene.history()), f"after {writes} writes"
        if not happened:
            return


@pytest.mark.parametrize("again", [True, False], ids=["called again", "caller gone"])
def test_what_a_task_wrote_is_kept_whole_or_not_at_all(again: bool, redis_url: str, client: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    scene = Scene(store, client)
    place, written = Place("a", "graph", "1"), {0: b"x", 1: b"y", -1: b"z"}
    for writes in numbers():
        client.flushdb()
        claim = scene.start("a")
        assert store.put_checkpoint(claim, place, b"one", [], {})
        with cut(store, "put_writes", writes) as happened:
            store.put_writes(claim, place, "task", written)
        if again:
            assert store.put_writes(claim, place, "task", written)
        whole = {("task", at): value for at, value in written.items()}
        found = store.read_checkpoint("a", place)
        assert found
        assert found.writes in ([whole] if again or not happened else [{}, whole])
        if not happened:
            return


@pytest.mark.parametrize("again", [True, False], ids=["called again", "caller gone"])
def test_a_checkpoint_takes_the_place_of_the_one_before_whole_or_not_at_all(
    again: bool, redis_url: str, client: redis.Redis
) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    scene = Scene(store, client)
    kept = {number: (b"step " + number.encode(), {("messages", number): b"hi", ("topic", "1"): b"tea"}) for number in "12"}
    for writes in numbers():
        client.flushdb()
        claim = scene.start("a")
        for number, (body, values) in kept.items():
            with cut(store, "put_checkpoint", writes if number == "2" else 99) as happened:
                store.put_checkpoint(claim, Place("a", "graph", number), body, list(values), values)
        if again:
            assert store.put_checkpoint(claim, Place("a", "graph", "2"), body, list(values), values)
        found = store.read_checkpoint("a", Place("a", "graph"))
        assert found
        assert (found.body, found.values) in (list(kept.values())[1:] if again or not happened else kept.values())
        if not happened:
            return


@pytest.mark.parametrize("again", [True, False], ids=["called again", "caller gone"])
def test_steps_are_dropped_whole_or_not_at_all(again: bool, redis_url: str, client: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    scene = Scene(store, client)
    place, value = Place("a", "graph", "1"), {("messages", "1"): b"hi"}
    for writes in numbers():
        client.flushdb()
        claim = scene.start("a")
        assert store.put_checkpoint(claim, place, b"one", list(value), value, known="[]")
        assert store.put_writes(claim, place, "task", {0: b"x"})
        with cut(store, "drop_steps", writes) as happened:
            store.drop_steps(claim, "a", "graph")
        if again:
            assert store.drop_steps(claim, "a", "graph")
        found = store.read_checkpoint("a", Place("a", "graph"))
        assert found is None or (found.body, found.values, found.writes) == (b"one", value, {("task", 0): b"x"})
        assert (not again and happened) or found is None
        if not happened:
            return
