"""Asking: the client from its first question to its errors. Read this one first.

A worker stands ready in all of these tests, if only one that repeats what it hears.
"""

from collections.abc import Iterator

import pytest

from tests.support.step_worker import StepWorker, answering
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.producers.transcript import HistoryMessage
from turnstile.turns.errors import TurnCancelled, TurnConflict, TurnFailed, TurnNotFinished, UnknownTurn
from turnstile.turns.settings import Settings
from turnstile.turns.states import State


@pytest.fixture
def client(settings: Settings) -> ChatClient:
    """`ChatClient()` reads the environment; a test gives it settings of its own."""
    return ChatClient(settings=settings)


@pytest.fixture
def worker(settings: Settings) -> Iterator[None]:
    with answering(settings):
        yield


@pytest.mark.usefixtures("worker")
def test_ask_and_wait_for_the_answer(client: ChatClient) -> None:
    turn = client.ask("foo", "How are you?")
    assert turn.result(timeout=120) == "You said: How are you?"


@pytest.mark.usefixtures("worker")
def test_a_session_remembers_and_keeps_its_order(client: ChatClient) -> None:
    first = client.ask("foo", "Hi! I'm bob")
    second = client.ask("foo", "Whats my name")  # asked at once, answered after the first
    assert second.result(timeout=120) == "Your name is Bob."
    assert [(message.role, message.text) for message in client.history("foo")] == [
        ("user", "Hi! I'm bob"),
        ("assistant", "You said: Hi! I'm bob"),
        ("user", "Whats my name"),
        ("assistant", "Your name is Bob."),
    ]
    assert client.history("foo", limit=1) == [HistoryMessage("assistant", "Your name is Bob.", turn=second.id)]
    assert first.status().state is State.COMPLETED


@pytest.mark.usefixtures("worker")
def test_an_answer_is_streamed_as_it_is_made(client: ChatClient) -> None:
    turn = client.ask("foo", "one two")
    assert list(turn.stream(timeout=120)) == ["You ", "said: ", "one ", "two"]
    assert list(turn.stream(timeout=120)) == ["You ", "said: ", "one ", "two"]  # a late reader gets all of it too


@pytest.mark.usefixtures("worker")
def test_a_stream_is_resumed_where_it_broke_off(client: ChatClient) -> None:
    turn = client.ask("foo", "one two")
    pieces = turn.stream(timeout=120)
    next(pieces)
    last = next(pieces)
    assert last == "said: "
    assert list(turn.stream(after=last.sequence, timeout=120)) == ["one ", "two"]


@pytest.mark.usefixtures("worker")
def test_whoever_knows_the_id_can_read_the_turn(client: ChatClient) -> None:
    asked = client.ask("foo", "hello", id="order-66")
    assert asked.id == "order-66"
    assert client.turn("order-66").result(timeout=120) == "You said: hello"


@pytest.mark.usefixtures("worker")
def test_asking_again_with_the_same_id_is_the_same_turn(client: ChatClient) -> None:
    client.ask("foo", "hello", id="order-66").result(timeout=120)
    assert client.ask("foo", "hello", id="order-66").result(timeout=120) == "You said: hello"
    assert len(client.history("foo")) == 2
    with pytest.raises(TurnConflict):
        client.ask("foo", "something else", id="order-66")


def test_a_turn_tells_where_it_stands(client: ChatClient, settings: Settings) -> None:
    first, second = client.ask("foo", "one"), client.ask("foo", "two")
    assert (first.status().state, first.status().place) == (State.QUEUED, 0)
    assert (second.status().state, second.status().place) == (State.QUEUED, 1)
    StepWorker(settings).take()
    assert first.status().state is State.RUNNING


def test_waiting_has_an_end_but_the_turn_goes_on(client: ChatClient, settings: Settings) -> None:
    turn = client.ask("foo", "hello")
    with pytest.raises(TurnNotFinished):  # which is a TimeoutError
        turn.result(timeout=0.1)
    step_worker = StepWorker(settings)
    step_worker.answer(step_worker.take(), "at last")
    assert turn.result(timeout=120) == "at last"


def test_a_cancelled_turn_leaves_no_trace_in_the_history(client: ChatClient) -> None:
    turn = client.ask("foo", "hello")
    assert turn.cancel() is State.CANCELLED
    with pytest.raises(TurnCancelled):
        turn.result(timeout=120)
    assert client.history("foo") == []


def test_a_failed_turn_says_why_and_can_be_tried_again(client: ChatClient, settings: Settings) -> None:
    turn = client.ask("foo", "hello")
    step_worker = StepWorker(settings)
    step_worker.fail(step_worker.take(), "model_timeout")
    with pytest.raises(TurnFailed) as failure:
        turn.result(timeout=120)
    assert failure.value.code == "model_timeout"
    assert [record.id for record in client.failed()] == [turn.id]

    assert client.retry(turn.id) is State.QUEUED
    step_worker.answer(step_worker.take(), "hello yourself")
    assert turn.result(timeout=120) == "hello yourself"
    assert client.failed() == []


@pytest.mark.usefixtures("worker")
def test_a_session_can_be_forgotten(client: ChatClient) -> None:
    turn = client.ask("foo", "hello")
    turn.result(timeout=120)
    assert client.erase("foo") == (1, 2)  # one turn, two messages
    assert client.history("foo") == []
    with pytest.raises(UnknownTurn):
        turn.status()


@pytest.mark.usefixtures("worker")
def test_everything_is_counted(client: ChatClient) -> None:
    client.ask("foo", "hello").result(timeout=120)
    counts = client.stats()
    assert (counts["accepted"], counts["completed"], counts["open"]) == (1, 1, 0)


@pytest.mark.usefixtures("worker")
async def test_the_same_with_await(settings: Settings) -> None:
    async with AsyncChatClient(settings=settings) as client:
        first = await client.ask("foo", "Hi! I'm bob")
        second = await client.ask("foo", "Whats my name")
        assert [piece async for piece in first.stream(timeout=120)] == ["You ", "said: ", "Hi! ", "I'm ", "bob"]
        assert await second.result(timeout=120) == "Your name is Bob."
        assert (await second.status()).state is State.COMPLETED
        assert len(await client.history("foo")) == 4
