"""Questions that are answered together, through clients and real workers."""

from pathlib import Path

from tests.integration.conftest import Stack
from tests.support.processes import Worker
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.producers.client import AsyncChatClient, ChatClient, Turn
from turnstile.turns.settings import Settings
from turnstile.turns.states import State

BUSY = "[[latency=60]] hello"
THREE = ("I'm bob", "I like tea", "Whats my name")


def _ask(chat: ChatClient, session: str) -> list[Turn]:
    return [chat.ask(session, question, when_busy="merge") for question in THREE]


def _told(chat: ChatClient, session: str) -> list[tuple[str, object]]:
    return [(message.role, message.content) for message in chat.history(session)]


async def test_questions_that_wait_become_one_turn(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    busy = chat.ask("merging", BUSY)
    turns = _ask(chat, "merging")
    busy.cancel()
    async with AsyncChatClient(url=stack.redis_url) as other:
        streamed = "".join([piece async for piece in other.turn(turns[1].id).stream(timeout=PATIENCE_SECONDS)])
    assert streamed == "Your name is Bob."
    assert [turn.result(timeout=PATIENCE_SECONDS) for turn in turns] == ["Your name is Bob."] * 3
    assert ["".join(turn.stream(timeout=PATIENCE_SECONDS)) for turn in turns] == ["Your name is Bob."] * 3
    events = [[(event.type, event.data) for event in turn.events()] for turn in turns]
    assert events[0] == events[1] == events[2]
    assert _told(chat, "merging") == [*(("user", question) for question in THREE), ("assistant", "Your name is Bob.")]
    record = turns[2].status()
    assert (record.merged, record.attempts, record.usage) == (turns[0].id, 1, turns[0].status().usage)
    assert chat.ask("merging", "Whats my name").result(timeout=PATIENCE_SECONDS) == "Your name is Bob."


def test_questions_in_quick_succession_become_one_turn(redis_url: str, tmp_path: Path) -> None:
    chat = ChatClient(settings=Settings(redis_url=redis_url, merge_seconds=1))
    with Worker(redis_url, tmp_path):
        turns = _ask(chat, "foo")
        assert [turn.result(timeout=PATIENCE_SECONDS) for turn in turns] == ["Your name is Bob."] * 3
    assert _told(chat, "foo") == [*(("user", question) for question in THREE), ("assistant", "Your name is Bob.")]


def test_a_worker_that_dies_leaves_all_of_them_to_the_next(redis_url: str, tmp_path: Path) -> None:
    chat = ChatClient(url=redis_url)
    slow = "[[tokens_per_second=4]] one two three four five six"
    turns = [chat.ask("foo", question, when_busy="merge") for question in ("I'm bob", slow)]
    with Worker(redis_url, tmp_path) as first:
        pieces = turns[1].stream(timeout=PATIENCE_SECONDS)
        assert next(pieces)
        assert turns[1].status().state is State.RUNNING
        first.kill()
    with Worker(redis_url, tmp_path):
        answers = [turn.result(timeout=PATIENCE_SECONDS) for turn in turns]
    assert answers[0] == answers[1]
    assert [turn.status().attempts for turn in turns] == [2, 2]
    assert [role for role, _ in _told(chat, "foo")] == ["user", "user", "assistant"]


def test_one_that_is_cancelled_while_it_runs_stops_all(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    busy = chat.ask("stopped", BUSY)
    turns = [chat.ask("stopped", BUSY, when_busy="merge") for _ in range(2)]
    busy.cancel()
    wait_until(lambda: turns[1].status().state is State.RUNNING, "they run")
    assert turns[1].cancel() is State.CANCELLED
    assert [turn.status().state for turn in turns] == [State.CANCELLED] * 2
    assert chat.ask("stopped", "Whats my name").result(timeout=PATIENCE_SECONDS)
