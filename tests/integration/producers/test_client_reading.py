"""Both faces of the client read the same: whole, late, again, in the middle, over a restart, and to every kind of end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import pytest

from tests.support.step_worker import StepWorker
from turnstile.producers.client import AsyncChatClient, AsyncTurn, ChatClient, Turn
from turnstile.turns.errors import InvalidTurn, TurnCancelled, TurnFailed, TurnNotFinished, UnknownTurn
from turnstile.turns.settings import Settings
from turnstile.turns.states import State

T = TypeVar("T")
PATIENCE = 30.0


class Face(Protocol):
    """Reads a turn to its end, in one way or the other."""

    def result(self, id: str, timeout: float = PATIENCE) -> str: ...
    def pieces(self, id: str, after: int = 0, timeout: float = PATIENCE) -> list[tuple[str, bool]]: ...
    def events(self, id: str, after: int = 0) -> list[tuple[int, str]]: ...


class Blocking:
    def __init__(self, settings: Settings) -> None:
        self.client = ChatClient(settings=settings)

    def result(self, id: str, timeout: float = PATIENCE) -> str:
        return self.client.turn(id).result(timeout)

    def pieces(self, id: str, after: int = 0, timeout: float = PATIENCE) -> list[tuple[str, bool]]:
        return [(str(piece), piece.starts_over) for piece in self.client.turn(id).stream(after, timeout)]

    def events(self, id: str, after: int = 0) -> list[tuple[int, str]]:
        return [(event.sequence, event.type) for event in self.client.turn(id).events(after, PATIENCE)]


class Awaited:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def _run(self, id: str, what: Callable[[AsyncTurn], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            async with AsyncChatClient(settings=self.settings) as client:
                return await what(client.turn(id))

        return asyncio.run(run())

    def result(self, id: str, timeout: float = PATIENCE) -> str:
        return self._run(id, lambda turn: turn.result(timeout))

    def pieces(self, id: str, after: int = 0, timeout: float = PATIENCE) -> list[tuple[str, bool]]:
        pieces = self._run(id, lambda turn: _all(turn.stream(after, timeout)))
        return [(str(piece), piece.starts_over) for piece in pieces]

    def events(self, id: str, after: int = 0) -> list[tuple[int, str]]:
        return [(event.sequence, event.type) for event in self._run(id, lambda turn: _all(turn.events(after, PATIENCE)))]


async def _all(found: AsyncIterator[T]) -> list[T]:
    return [item async for item in found]


@pytest.fixture(params=[Blocking, Awaited])
def face(request: pytest.FixtureRequest, settings: Settings) -> Face:
    built: Face = request.param(settings)
    return built


@pytest.fixture
def worker(settings: Settings) -> StepWorker:
    return StepWorker(settings)


@pytest.fixture
def turn(settings: Settings) -> Turn:
    return ChatClient(settings=settings).ask("foo", "hello")


def test_an_ended_turn_is_read_whole_again_and_again(face: Face, worker: StepWorker, turn: Turn) -> None:
    claim = worker.take()
    worker.say(claim, "Hel", "lo")
    worker.answer(claim, "Hello")
    for _ in range(2):
        assert face.pieces(turn.id) == [("Hel", False), ("lo", False)]
        assert face.result(turn.id) == "Hello"
    assert face.events(turn.id) == [(1, "started"), (2, "text"), (3, "text"), (4, "ended")]
    assert face.events(turn.id, after=2) == [(3, "text"), (4, "ended")]
    assert face.events(turn.id, after=4) == []
    assert face.pieces(turn.id, after=2) == [("lo", False)]
    assert face.pieces(turn.id, after=3) == []


def test_a_turn_that_does_not_stream_is_one_piece(face: Face, worker: StepWorker, settings: Settings) -> None:
    turn = ChatClient(settings=settings).ask("foo", "hello", stream=False)
    worker.answer(worker.take(), "Hello")
    assert face.pieces(turn.id) == [("Hello", False)]
    assert face.events(turn.id) == [(1, "ended")]


def test_an_answer_outlives_its_events(face: Face, worker: StepWorker, turn: Turn) -> None:
    claim = worker.take()
    worker.say(claim, "Hel", "lo")
    worker.answer(claim, "Hello")
    worker.store.client.delete(worker.store.keys.events(turn.id))
    assert face.pieces(turn.id) == [("Hello", False)]
    assert face.pieces(turn.id, after=2) == [("Hello", True)]
    assert face.pieces(turn.id, after=4) == []
    assert face.events(turn.id) == []


def test_a_late_reader_sees_only_the_attempt_that_counts(face: Face, worker: StepWorker, turn: Turn) -> None:
    claim = worker.take()
    worker.say(claim, "Hel")
    worker.store.requeue(claim)
    again = worker.take()
    worker.say(again, "Good ", "day")
    worker.answer(again, "Good day")
    assert face.pieces(turn.id) == [("Good ", False), ("day", False)]
    assert face.pieces(turn.id, after=2) == [("Good ", True), ("day", False)]


def test_more_events_than_one_read_holds(face: Face, worker: StepWorker, turn: Turn) -> None:
    claim = worker.take()
    words = [f"{number} " for number in range(2_500)]
    assert worker.store.emit(claim, claim.sequence, words) == 2_501
    worker.answer(claim, "".join(words))
    assert [piece for piece, _ in face.pieces(turn.id)] == words


def test_an_incomplete_answer_is_an_answer(face: Face, worker: StepWorker, turn: Turn) -> None:
    worker.answer(worker.take(), "Hel", State.INCOMPLETE)
    assert face.result(turn.id) == "Hel"
    assert turn.status().state is State.INCOMPLETE


def test_a_failure_is_told_after_what_was_said(face: Face, worker: StepWorker, turn: Turn) -> None:
    claim = worker.take()
    worker.say(claim, "Hel")
    worker.fail(claim, "rate_limited", "The model's server is busy.")
    for read in (face.result, face.pieces):
        with pytest.raises(TurnFailed, match=r"rate_limited: The model's server is busy\."):
            read(turn.id)
    assert face.events(turn.id)[-1] == (3, "ended")


def test_a_cancelled_turn_raises(face: Face, turn: Turn) -> None:
    turn.cancel()
    for read in (face.result, face.pieces):
        with pytest.raises(TurnCancelled):
            read(turn.id)


def test_an_unknown_turn_raises_at_once(face: Face) -> None:
    for read in (face.result, face.pieces, face.events):
        with pytest.raises(UnknownTurn):
            read("nobody")


def test_an_id_that_no_turn_can_have_is_refused(face: Face) -> None:
    with pytest.raises(InvalidTurn):
        face.result("no such/id")


def test_the_time_out_is_for_the_whole_answer(face: Face, worker: StepWorker, turn: Turn) -> None:
    worker.say(worker.take(), "Hel")
    for read in (face.result, face.pieces):
        with pytest.raises(TurnNotFinished):
            read(turn.id, timeout=0.2)
    with pytest.raises(TimeoutError):
        face.result(turn.id, timeout=0)


def test_no_time_at_all_is_enough_for_an_ended_turn(face: Face, worker: StepWorker, turn: Turn) -> None:
    worker.answer(worker.take(), "Hello")
    assert face.result(turn.id, timeout=0) == "Hello"
    assert face.pieces(turn.id, timeout=0) == [("Hello", False)]


def test_pieces_are_shown_before_the_turn_ends(worker: StepWorker, turn: Turn) -> None:
    pieces = turn.stream(timeout=PATIENCE)
    claim = worker.take()
    worker.say(claim, "Hel")
    assert next(pieces) == "Hel"
    worker.say(claim, "lo")
    assert next(pieces) == "lo"
    assert turn.status().state is State.RUNNING
    worker.answer(claim, "Hello")
    assert list(pieces) == []


def test_a_reader_who_was_shown_void_text_is_told(worker: StepWorker, turn: Turn) -> None:
    pieces = turn.stream(timeout=PATIENCE)
    claim = worker.take()
    worker.say(claim, "Hel")
    first = next(pieces)
    worker.store.requeue(claim)
    again = worker.take()
    worker.say(again, "Good day")
    second = next(pieces)
    worker.answer(again, "Good day")
    assert [(first, first.starts_over), (second, second.starts_over)] == [("Hel", False), ("Good day", True)]
    assert list(pieces) == []


async def test_pieces_are_shown_before_the_turn_ends_awaited(worker: StepWorker, settings: Settings) -> None:
    async with AsyncChatClient(settings=settings) as client:
        turn = await client.ask("foo", "hello")
        pieces = turn.stream(timeout=PATIENCE)
        claim = await asyncio.to_thread(worker.take)
        for word in ("Hel", "lo"):
            await asyncio.to_thread(worker.say, claim, word)
            assert await anext(pieces) == word
        await asyncio.to_thread(worker.answer, claim, "Hello")
        assert [piece async for piece in pieces] == []


def test_two_streams_are_read_in_turns(worker: StepWorker, settings: Settings) -> None:
    client = ChatClient(settings=settings)
    turns = [client.ask(session, "hello") for session in ("foo", "bar")]
    for _ in turns:
        claim = worker.take()
        worker.say(claim, f"{claim.session} ", "says hello")
        worker.answer(claim, f"{claim.session} says hello")
    streams = [turn.stream(timeout=PATIENCE) for turn in turns]
    assert [next(stream) for stream in streams] == ["foo ", "bar "]
    assert [next(stream) for stream in streams] == ["says hello", "says hello"]


def test_a_blocked_result_wakes_when_the_turn_ends(worker: StepWorker, turn: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = _count_looks(monkeypatch, worker)
    with worker.later(lambda: worker.answer(worker.take(), "Hello")):
        assert turn.result(timeout=PATIENCE) == "Hello"
    assert looks() <= 3, "it was woken, and did not poll"


def _count_looks(monkeypatch: pytest.MonkeyPatch, worker: StepWorker) -> Callable[[], int]:
    from turnstile.turns.store.bounded import BoundedStore

    made: list[str] = []
    run = BoundedStore.run

    def counted(store: BoundedStore, call: Any) -> Any:
        made.append(call.name)
        return run(store, call)

    monkeypatch.setattr(BoundedStore, "run", counted)
    return lambda: made.count("status")
