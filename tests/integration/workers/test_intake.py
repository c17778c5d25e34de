"""Plain Celery messages, read where they stand: accepted in order, refused to their senders, and none in the others' way."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import celery
import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.worker.state import revoked

from tests.support.wait import PATIENCE_SECONDS, wait_until_async
from tests.support.worker_parts import Flaky, claimed, plain_app
from turnstile.turns.errors import InvalidTurn, QueueUnreachable, UnknownTurn
from turnstile.turns.output import said
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome
from turnstile.workers.upkeep import intake as intake_module
from turnstile.workers.upkeep.intake import _BATCH, Intake

SECRET = "a-secret-word"


def _send(flaky: Flaky, *questions: str) -> list[str]:
    with Celery("stranger", broker=flaky.url) as stranger:
        return [str(stranger.send_task("workers.answer", args=["foo", question]).id) for question in questions]


async def test_plain_celery_messages_become_turns_in_their_order(flaky: Flaky) -> None:
    ids = _send(flaky, "one", "two", "three")
    assert await Intake(flaky).take() == 3
    assert await flaky.client.llen("celery") == 0
    assert [(await flaky.status(id)).place for id in ids] == [0, 1, 2]
    assert await Intake(flaky).take() == 0


async def test_messages_of_others_do_not_hide_ours(flaky: Flaky) -> None:
    with Celery("stranger", broker=flaky.url) as stranger:
        for _ in range(2 * _BATCH + 1):
            stranger.send_task("theirs", queue="celery")
    ids = _send(flaky, "one", "two")
    assert await Intake(flaky).take() == 2
    assert [(await flaky.status(id)).place for id in ids] == [0, 1]
    assert await flaky.client.llen("celery") == 2 * _BATCH + 1


async def test_messages_wait_in_their_queue_for_room_in_their_session(redis_url: str) -> None:
    store = Flaky(Settings(redis_url=redis_url, max_waiting_per_session=2))
    ids = _send(store, "one", "two", "three", "four", "five")
    with Celery("stranger", broker=redis_url) as stranger:
        other = str(stranger.send_task("workers.answer", args=["bar", "hi"]).id)
    assert await Intake(store).take() == 4
    assert (await store.status(other)).place == 0
    assert await Intake(store).take() == 0
    await store.cancel(ids[1])
    assert await Intake(store).take() == 1
    assert [(await store.status(id)).place for id in (ids[0], *ids[2:4])] == [0, 1, 2]
    await store.cancel(ids[0])
    assert await Intake(store).take() == 1
    assert (await store.status(ids[4])).place == 2
    await close_async(redis_url)


async def test_messages_with_a_priority_are_found(flaky: Flaky) -> None:
    with Celery("stranger", broker=flaky.url) as stranger:
        ids = [str(stranger.send_task("workers.answer", args=["foo", "hi"], priority=n).id) for n in (0, 9, 3)]
    assert await Intake(flaky).take() == 3
    assert all([(await flaky.status(id)).state is State.QUEUED for id in ids])


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"serializer": "pickle"}, "JSON"),
        ({"compression": "gzip"}, "JSON"),
        ({"countdown": 60}, "eta"),
        ({"expires": 60}, "expires"),
        ({"args": ["foo"]}, "session_id, question"),
        ({"args": ["no session", "hi"]}, "session id"),
    ],
    ids=str,
)
async def test_what_no_turn_can_be_made_of_is_refused_to_its_sender(flaky: Flaky, how: dict[str, Any], word: str) -> None:
    with plain_app(flaky.url) as stranger:
        sent = stranger.send_task("workers.answer", **{"args": ["foo", "hi"], **how})
        assert await Intake(flaky).take() == 1
        with pytest.raises(Exception, match=word):
            sent.get(timeout=PATIENCE_SECONDS)
    assert await flaky.client.llen("celery") == 0


async def test_a_message_nested_too_deep_to_read_does_not_hold_up_the_others(flaky: Flaky) -> None:
    await flaky.client.lpush("celery", "[" * 100_000 + "]" * 100_000)
    (id,) = _send(flaky, "one")
    assert await Intake(flaky).take() == 1
    assert (await flaky.status(id)).state is State.QUEUED


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_a_plain_celery_message_stays_until_it_is_a_turn(flaky: Flaky, fault: str) -> None:
    (id,) = _send(flaky, "one")
    getattr(flaky, fault)["submit"] = 1
    with pytest.raises(QueueUnreachable):
        await Intake(flaky).take()
    assert await flaky.client.llen("celery") == 1
    assert await Intake(flaky).take() == 1
    assert (await flaky.status(id)).state is State.QUEUED
    assert (await flaky.stats())["accepted"] == 1


@pytest.fixture
def stranger(redis_url: str) -> Iterator[Celery]:
    """Yield a plain Celery app."""
    with plain_app(redis_url) as app:
        yield app


def _ask(stranger: Celery, session: str = "foo", question: Any = SECRET, **how: Any) -> Any:
    return stranger.send_task("workers.answer", args=[session, question], **how)


async def _put(store: Flaky, change: dict[str, Any], **headers: Any) -> None:
    """Put a message of a plain app's into the queue, with something changed."""
    with Celery("stranger", broker=store.url) as stranger:
        stranger.send_task("workers.answer", args=["foo", SECRET], task_id="odd")
    message = json.loads((await store.client.lrange("celery", 0, 0))[0]) | change
    message["headers"] |= headers
    await store.client.lset("celery", 0, json.dumps(message))


_ODD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an id that is half a character": ({}, {"id": "\ud800"}),
    "an id that is no text": ({}, {"id": [SECRET]}),
    "an id that is too long": ({}, {"id": SECRET * 1000}),
    "a session that is half a character": ({"body": json.dumps([["\ud800", SECRET], {}, {}])}, {}),
    "a session that is a list": ({"body": json.dumps([[[SECRET], SECRET], {}, {}])}, {}),
    "a question that is half a character": ({"body": json.dumps([["foo", SECRET + "\ud800"], {}, {}])}, {}),
    "half a character deep in a question": ({"body": json.dumps([["foo", [{"type": "text", "text": "\ud800"}]], {}, {}])}, {}),
    "arguments that are no list": ({"body": json.dumps([5, SECRET, {}])}, {}),
    "an answer to nobody": ({"body": json.dumps([["foo", SECRET], {}, [SECRET]]), "properties": {}}, {"eta": SECRET}),
    "a body that is no JSON": ({"body": SECRET}, {}),
    "a body that is no text": ({"body": {SECRET: 1}}, {}),
    "a body nested too deep": ({"body": "[" * 100_000}, {}),
    "followers of a strange form": ({"body": json.dumps([["foo", SECRET], {}, {"chain": [5, {"options": SECRET}]}])}, {}),
}


@pytest.mark.parametrize("name", _ODD)
async def test_one_odd_message_is_dropped_and_the_next_is_accepted(
    flaky: Flaky, stranger: Celery, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    change, headers = _ODD[name]
    await _put(flaky, {"body": json.dumps([["foo", SECRET], {}, {}]), "properties": {}, **change}, **headers)
    good = _ask(stranger)
    assert await Intake(flaky).take() == 2
    assert await flaky.client.llen("celery") == 0
    assert (await flaky.status(good.id)).place == 0
    assert (await flaky.stats())["refused"] == 1
    assert "refused" in caplog.text
    assert SECRET not in caplog.text


async def test_a_broken_session_is_set_aside_and_told_once(
    flaky: Flaky, stranger: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    await flaky.submit("first", "broken", "hi")
    await flaky.client.set(flaky.keys.mailbox("broken"), SECRET)
    bad, good, behind = [_ask(stranger, session) for session in ("broken", "foo", "broken")]
    taking = Intake(flaky)
    assert [await taking.take() for _ in range(3)] == [1, 0, 0]
    assert (await flaky.status(good.id)).place == 0
    assert caplog.text.count("session broken") == 1
    assert SECRET not in caplog.text
    assert ((await flaky.stats())["broken"], flaky.calls.count("submit")) == (1, 3)
    await flaky.client.delete(flaky.keys.mailbox("broken"))
    assert await Intake(flaky).take() == 2
    assert [(await flaky.status(result.id)).place for result in (bad, behind)] == [1, 2]


async def test_a_repaired_session_is_taken_up(flaky: Flaky, stranger: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "_ASIDE_SECONDS", 0.0)
    await flaky.submit("first", "broken", "hi")
    await flaky.client.set(flaky.keys.mailbox("broken"), "x")
    _ask(stranger, "broken")
    taking = Intake(flaky)
    assert await taking.take() == 0
    await flaky.client.delete(flaky.keys.mailbox("broken"))
    assert await taking.take() == 1


_BESIDE = """
from celery import Celery
import turnstile.workers.answer, turnstile.workers.notify
print([name for name in Celery("other").tasks if name.startswith("workers.")])
"""


def test_an_app_beside_ours_has_none_of_our_tasks() -> None:
    found = subprocess.run(
        [sys.executable, "-c", _BESIDE], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    assert found.stdout == "[]\n"


def _chained(stranger: Celery, how: str) -> Any:
    """Send a canvas around a turn, and return the result that its caller waits for."""
    turn, then = stranger.signature("workers.answer", args=["foo", SECRET]), stranger.signature("their.task")
    if how == "chain":
        return (turn | then | then.clone())()
    if how == "chord":
        return celery.chord([turn, turn.clone()], app=stranger)(then)
    return cast("Any", turn).apply_async(**{how: then})


@pytest.mark.parametrize("how", ["chain", "chord", "link", "link_error"])
async def test_what_is_to_follow_a_turn_is_refused_to_its_caller(flaky: Flaky, stranger: Celery, how: str) -> None:
    result = _chained(stranger, how)
    assert await Intake(flaky).take() == (2 if how == "chord" else 1)
    with pytest.raises(InvalidTurn, match=how) as refused:
        stranger.AsyncResult(result.id).get(timeout=PATIENCE_SECONDS)
    assert SECRET not in str(refused.value)
    assert (await flaky.stats()).get("accepted") is None


async def test_the_last_task_of_a_chain_may_be_a_turn(flaky: Flaky, stranger: Celery) -> None:
    result = stranger.send_task("workers.answer", args=["foo", "hi"], root_id="their-task", parent_id="their-task")
    assert await Intake(flaky).take() == 1
    assert (await flaky.status(result.id)).place == 0


async def test_an_app_without_our_package_gets_an_error_of_the_same_name(
    flaky: Flaky, stranger: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _ask(stranger, "no session")
    await Intake(flaky).take()
    monkeypatch.delitem(sys.modules, "turns.errors")
    with pytest.raises(Exception, match="session id") as refused:
        result.get(timeout=PATIENCE_SECONDS)
    assert type(refused.value).__name__ == "InvalidTurn"
    assert not isinstance(refused.value, InvalidTurn)


async def test_another_question_under_the_same_id_leaves_the_first_ones_result(
    flaky: Flaky, stranger: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    first = _ask(stranger, question="one", task_id="same")
    assert await Intake(flaky).take() == 1
    await flaky.finish(await claimed(flaky, "same"), Outcome(State.COMPLETED, said("the first")))
    for session, question in (("foo", SECRET), ("no session", SECRET)):
        _ask(stranger, session, question, task_id="same")
        assert await Intake(flaky).take() == 1
        assert first.get(timeout=PATIENCE_SECONDS) == "the first"
        cast("Any", stranger.backend)._cache.clear()
    assert caplog.text.count("another turn has its id") == 2
    assert SECRET not in caplog.text


async def test_a_message_that_was_revoked_before_it_became_a_turn_is_cancelled(flaky: Flaky, stranger: Celery) -> None:
    result = _ask(stranger)
    revoked.add(result.id)
    assert await Intake(flaky).take() == 1
    revoked.discard(result.id)
    assert (await flaky.status(result.id)).state is State.CANCELLED
    with pytest.raises(TaskRevokedError):
        result.get(timeout=PATIENCE_SECONDS)


async def test_each_deployment_reads_the_queue_under_its_own_prefix(redis_url: str, stranger: Celery) -> None:
    usual = Flaky(Settings(redis_url=redis_url))
    other = Flaky(Settings(redis_url=redis_url, key_prefix="b:", history_prefix="hb:"))
    with Celery("prefixed", broker=redis_url) as prefixed:
        prefixed.conf.broker_transport_options = {"global_keyprefix": "b:queue:"}
        theirs, ours = _ask(prefixed, priority=3), _ask(stranger)
    assert (await Intake(other).take(), await Intake(usual).take()) == (1, 1)
    assert ((await other.status(theirs.id)).place, (await usual.status(ours.id)).place) == (0, 0)
    with pytest.raises(UnknownTurn):
        await other.status(ours.id)
    await close_async(redis_url)


@pytest.mark.parametrize("priority", [0, 3, 9])
async def test_a_message_with_a_priority_is_waited_for_like_any_other(flaky: Flaky, stranger: Celery, priority: int) -> None:
    taking = Intake(flaky)
    tasks = [asyncio.create_task(taking.take_for_ever(queue, lambda: None)) for queue in taking.queues]
    await wait_until_async(_waiting(flaky, len(tasks)), "every queue is waited for")
    result = _ask(stranger, priority=priority)

    async def accepted() -> bool:
        return bool(await flaky.client.exists(flaky.keys.turn(result.id)))

    # Less than the wait for one queue, which would end by then all the same.
    await wait_until_async(accepted, "the message is a turn", intake_module._BLOCK_SECONDS * 0.8)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _waiting(store: Flaky, queues: int) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        database = store.url.rpartition("/")[2]
        clients = await store.client.client_list()
        return sum(c["cmd"] == "blmove" and c["db"] == database for c in clients) == queues

    return ask


async def test_a_queue_of_a_wrong_type_does_not_stop_the_others(flaky: Flaky, stranger: Celery) -> None:
    taking, result = Intake(flaky), _ask(stranger)
    await flaky.client.set(taking.queues[1], "x")
    tasks = [asyncio.create_task(taking.take_for_ever(queue, lambda: None)) for queue in taking.queues]

    async def accepted() -> bool:
        return bool(await flaky.client.exists(flaky.keys.turn(result.id)))

    await wait_until_async(accepted, "the message is a turn")
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
