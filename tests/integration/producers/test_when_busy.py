"""Questions in a session that is busy, through clients, commands and real workers."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Stack
from tests.integration.producers.conftest import Run
from tests.support.processes import Worker
from tests.support.wait import PATIENCE_SECONDS
from turnstile.producers.client import AsyncChatClient, ChatClient, Turn
from turnstile.producers.reading.readers import Piece
from turnstile.turns.errors import SessionBusy, TurnCancelled
from turnstile.turns.states import State

SLOW = f"[[tokens_per_second=4]] {'slowly ' * 200}the end"


async def test_a_busy_session_refuses_who_will_not_wait(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    first = chat.ask("refusing", "[[latency=60]] hello")
    with pytest.raises(SessionBusy):
        chat.ask("refusing", "Now!", when_busy="reject")
    async with AsyncChatClient(url=stack.redis_url) as other:
        with pytest.raises(SessionBusy):
            await other.ask("refusing", "Now!", when_busy="reject")
    first.cancel()
    assert chat.ask("refusing", "Now!", when_busy="reject").result(timeout=PATIENCE_SECONDS)
    assert [message.content for message in chat.history("refusing") if message.role == "user"] == ["Now!"]


def test_the_command_line_tells_that_a_session_is_busy(run: Run, asked: ChatClient) -> None:
    asked.ask("foo", "hello")
    result = run("ask", "foo", "Now!", "--when-busy", "reject", "--no-wait")
    assert result.exit_code != 0
    assert "busy with another turn" in result.output
    assert json.loads(run("ask", "foo", "Then!", "--when-busy", "queue", "--no-wait", "--json").output)["place"] == 1


def _begun(chat: ChatClient, session: str, *, store: bool = True) -> tuple[Turn, Iterator[Piece]]:
    turn = chat.ask(session, SLOW, store=store)
    pieces = turn.stream(timeout=PATIENCE_SECONDS)
    assert next(pieces)
    return turn, pieces


def test_an_interrupted_turn_keeps_what_it_has_said(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    turn, pieces = _begun(chat, "interrupted")
    chat.ask("interrupted", "hello").cancel()
    last = chat.ask("interrupted", "And now?", when_busy="interrupt")
    rest = "".join(pieces)
    record = turn.status()
    assert (record.state, record.code) == (State.INCOMPLETE, "interrupted")
    assert record.text.endswith(rest)
    assert "the end" not in record.text
    assert last.result(timeout=PATIENCE_SECONDS) == "You said: And now?"
    told = [(message.role, message.content) for message in chat.history("interrupted")]
    assert told == [
        ("user", SLOW),
        ("assistant", record.text),
        ("user", "And now?"),
        ("assistant", "You said: And now?"),
    ]


async def test_whoever_asked_stops_all_of_a_session_and_keeps_what_was_said(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    first, pieces = _begun(chat, "stopped-and-kept")
    second = chat.ask("stopped-and-kept", "And now?")
    assert [turn.id for turn in chat.unfinished("stopped-and-kept")] == [first.id, second.id]
    async with AsyncChatClient(url=stack.redis_url) as other:
        running, waiting = await other.unfinished("stopped-and-kept")
        assert await waiting.cancel(keep=True) is State.CANCELLED
        assert await running.cancel(keep=True) is State.RUNNING
    "".join(pieces)
    record = first.status()
    assert (record.state, record.code) == (State.INCOMPLETE, "interrupted")
    assert first.cancel(keep=True) is State.INCOMPLETE
    assert [message.content for message in chat.history("stopped-and-kept")] == [SLOW, record.text]
    assert chat.unfinished("stopped-and-kept") == []


async def test_a_turn_that_is_rolled_back_leaves_nothing(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    turn, pieces = _begun(chat, "rolled-back")
    async with AsyncChatClient(url=stack.redis_url) as other:
        last = await other.ask("rolled-back", "And now?", when_busy="rollback")
        assert await last.result(timeout=PATIENCE_SECONDS) == "You said: And now?"
    with pytest.raises(TurnCancelled):
        list(pieces)
    assert turn.status().state is State.CANCELLED
    assert [message.content for message in chat.history("rolled-back")] == ["And now?", "You said: And now?"]


def test_a_worker_that_dies_after_the_interrupt_does_not_bring_the_turn_back(redis_url: str, tmp_path: Path) -> None:
    chat = ChatClient(url=redis_url)
    with Worker(redis_url, tmp_path) as first:
        turn, _ = _begun(chat, "foo")
        first.signal(signal.SIGSTOP)
        last = chat.ask("foo", "And now?", when_busy="interrupt")
        first.kill()
    with Worker(redis_url, tmp_path):
        assert last.result(timeout=PATIENCE_SECONDS) == "You said: And now?"
    record = turn.status()
    assert (record.state, record.code, record.attempts) == (State.INCOMPLETE, "interrupted", 2)
    assert record.text
    assert [message.content for message in chat.history("foo")] == [SLOW, record.text, "And now?", "You said: And now?"]


def test_a_question_that_steers_is_part_of_the_answer(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    turn, pieces = _begun(chat, "steered")
    waiting = chat.ask("steered", "hello")
    last = chat.ask("steered", "And now?", when_busy="steer")
    assert last.result(timeout=PATIENCE_SECONDS) == turn.result(timeout=PATIENCE_SECONDS) == "You said: And now?"
    assert any(piece.starts_over for piece in pieces)
    assert waiting.result(timeout=PATIENCE_SECONDS)
    told = [(message.role, message.content) for message in chat.history("steered")]
    assert told[:3] == [("user", SLOW), ("user", "And now?"), ("assistant", "You said: And now?")]


@pytest.mark.parametrize("store", [True, False])
def test_a_question_steers_no_turn_that_is_stored_when_it_is_not_nor_the_other_way(stack: Stack, store: bool) -> None:
    chat, session = ChatClient(url=stack.redis_url), f"apart-{store}"
    turn, _ = _begun(chat, session, store=not store)
    waiting = chat.ask(session, "hello")
    last = chat.ask(session, "And now?", when_busy="steer", store=store)
    alike = chat.ask(session, "And then?", when_busy="steer", store=not store)
    assert alike.result(timeout=PATIENCE_SECONDS) == turn.result(timeout=PATIENCE_SECONDS) == "You said: And then?"
    assert last.result(timeout=PATIENCE_SECONDS) == "You said: And now?"
    assert (alike.status().merged, last.status().merged, turn.status().members) == (turn.id, None, (alike.id,))
    told = [str(message.content) for message in chat.history(session)]
    steered, others = [SLOW, "And then?", "You said: And then?"], ["hello", str(waiting.result(timeout=PATIENCE_SECONDS))]
    assert told == ([*others, "And now?", "You said: And now?"] if store else [*steered, *others])
