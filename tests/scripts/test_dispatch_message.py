"""The dispatch that a script writes is the message that Celery itself would have sent."""

import json
from collections.abc import Iterator
from queue import Empty
from typing import Any

import pytest
from celery import Celery
from kombu import Connection

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene
from tests.support.wait import PATIENCE_SECONDS
from turnstile.turns.celery_message import QUEUES, dispatch_message
from turnstile.turns.errors import TurnCancelled, TurnFailed
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome

EVERY_CHARACTER = "ABCXYZabcxyz0189._@+~=:-"
SESSIONS = ("foo", "tenant/foo", EVERY_CHARACTER, f"{EVERY_CHARACTER}/{EVERY_CHARACTER}", "@id@", "@tag@", "x" * 200, "-", ".")
# What differs from one message to the next, or names the sender.
_OWN = {("headers", "origin"), ("properties", "reply_to"), ("properties", "delivery_tag"), ("properties", "body_encoding")}


@pytest.fixture
def celery(redis_url: str) -> Iterator[Celery]:
    """Yield a plain Celery app that knows nothing of Turnstile."""
    with Celery("plain", broker=redis_url, backend=redis_url, set_as_current=False) as app:
        yield app


def _raw(scene: Scene, queue: str = "chat") -> Any:
    return json.loads(scene.client.rpop(queue))


def _flat(message: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(part, name): value for part in ("headers", "properties") for name, value in message[part].items()}


@pytest.mark.parametrize("queue", QUEUES)
def test_ours_is_theirs(scene: Scene, celery: Celery, queue: str) -> None:
    celery.send_task("workers.answer", args=("foo",), task_id="abc", queue=queue, ignore_result=True)
    theirs = _raw(scene, queue)
    scene.submit("abc", options=Options(queue=queue))
    ours = _raw(scene, queue)
    assert ours.keys() == theirs.keys()
    assert _flat(ours).keys() == _flat(theirs).keys()
    differing = {name for name, value in _flat(theirs).items() if _flat(ours)[name] != value}
    assert differing == _OWN
    assert (ours["content-type"], ours["content-encoding"]) == (theirs["content-type"], theirs["content-encoding"])


def _receive(redis_url: str, queue: str = "chat") -> Any:
    with Connection(redis_url) as connection, connection.SimpleQueue(queue) as channel:
        try:
            message = channel.get(timeout=PATIENCE_SECONDS)
        except Empty:
            raise AssertionError("kombu found no message") from None
        message.ack()
        return message


@pytest.mark.parametrize("session", SESSIONS)
def test_kombu_reads_it(scene: Scene, redis_url: str, session: str) -> None:
    scene.submit("a-turn_1", session=session)
    message = _receive(redis_url)
    args, kwargs, embed = message.decode()
    assert (args, kwargs) == ([session], {})
    assert embed == dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    assert (message.headers["task"], message.headers["id"], message.headers["root_id"]) == (
        "workers.answer",
        "a-turn_1",
        "a-turn_1",
    )
    assert message.headers["argsrepr"] == repr((session,))
    assert message.properties["correlation_id"] == "a-turn_1"
    assert message.delivery_tag == "a-turn_1-1"


def test_kombu_puts_it_back_as_it_was(scene: Scene, redis_url: str) -> None:
    scene.submit("a")
    with Connection(redis_url) as connection, connection.SimpleQueue("chat") as channel:
        channel.get(timeout=PATIENCE_SECONDS).requeue()
    assert _receive(redis_url).decode()[0] == ["foo"]


def test_all_that_is_to_be_filled_in_is(scene: Scene) -> None:
    scene.submit("a")
    raw = scene.client.rpop("chat")
    assert "@" in dispatch_message()
    assert "@" not in raw


QUESTION = 'a "question", with \\ and @id@ and ☃\n'


def test_the_question_is_not_in_it(scene: Scene) -> None:
    scene.submit("a", question=QUESTION, options=Options(instructions="secret", metadata={"k": "hidden"}))
    raw = scene.client.rpop("chat")
    assert not [word for word in ("question", "secret", "hidden") if word in raw]


def test_the_question_is_shown_when_the_settings_say_so(stage: Stage, redis_url: str) -> None:
    scene = stage.open(show_content=True)
    scene.submit("a", question=QUESTION)
    message = _receive(redis_url)
    assert message.decode()[0] == ["foo"]
    assert "question" in message.headers["argsrepr"]


def test_the_answer_reaches_a_plain_app(scene: Scene, celery: Celery) -> None:
    scene.complete(scene.start("a", reply=True), 'An "answer" ☃')
    assert celery.AsyncResult("a").get(timeout=PATIENCE_SECONDS) == 'An "answer" ☃'


def test_a_failure_reaches_a_plain_app(scene: Scene, celery: Celery) -> None:
    scene.turns.finish(scene.start("a", reply=True), Outcome(State.FAILED, code="rate_limited", message="Too much."))
    with pytest.raises(TurnFailed, match=r"rate_limited: Too much\.") as caught:
        celery.AsyncResult("a").get(timeout=PATIENCE_SECONDS)
    assert caught.value.code == "rate_limited"


def test_a_cancel_reaches_a_plain_app(scene: Scene, celery: Celery) -> None:
    scene.submit("a", reply=True)
    scene.turns.cancel("a")
    with pytest.raises(TurnCancelled):
        celery.AsyncResult("a").get(timeout=PATIENCE_SECONDS)
