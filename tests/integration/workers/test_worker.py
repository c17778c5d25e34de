"""One real worker: its work on turns, good and bad."""

import json
from collections.abc import Iterator
from itertools import count
from urllib.request import urlopen

import pytest
from celery import Celery
from langchain_core.messages import AIMessage

from tests.support.processes import Worker
from tests.support.turns import ended
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.memory.history import RedisChatMessageHistory
from turnstile.producers.client import ChatClient
from turnstile.turns.errors import BrokenRecord, InvalidTurn, TurnFailed
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

_names = count()


@pytest.fixture(scope="module")
def url(server: EmbeddedServer, _numbers: Iterator[int]) -> str:
    return f"{server.url.rpartition('/')[0]}/{next(_numbers)}"


@pytest.fixture(scope="module")
def worker(url: str, model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    with Worker(url, folder, TURNSTILE_RETRY_BASE_SECONDS="0.05", TURNSTILE_MAX_ATTEMPTS="3", OPENAI_BASE_URL=model) as running:
        yield running


@pytest.fixture
def turns(url: str, worker: Worker) -> TurnStore:
    return TurnStore(Settings(redis_url=url))


@pytest.fixture
def session() -> str:
    return f"session-{next(_names)}"


def ask(turns: TurnStore, session: str, question: str, options: Options | None = None) -> str:
    turn = f"turn-{next(_names)}"
    turns.submit(turn, session, question, options or Options())
    return turn


def said(turns: TurnStore, session: str) -> list[str]:
    return [json.loads(element)["data"]["content"] for element in reversed(turns.history(session))]


def model_stats(model: str) -> dict[str, int]:
    with urlopen(model.replace("/v1", "/_stats")) as reply:
        return dict(json.load(reply))


def test_two_questions_asked_at_once_are_answered_in_order(turns: TurnStore, session: str) -> None:
    first, second = ask(turns, session, "Hi! I'm bob"), ask(turns, session, "Whats my name")
    assert "Bob" in ended(turns, second).outcome()
    assert ended(turns, first).state is State.COMPLETED
    assert said(turns, session)[::2] == ["Hi! I'm bob", "Whats my name"]


def test_text_streams_into_events_without_gap_or_repeat(turns: TurnStore, session: str) -> None:
    turn = ask(turns, session, "a b c d e f g h i j k l m n o p [[tokens-per-second=40]]")
    record = ended(turns, turn)
    events = turns.events(turn)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [events[0].type, events[-1].type, events[-1].data] == ["started", "ended", "completed"]
    pieces = [event.data for event in events if event.type == "text"]
    assert len(pieces) > 2
    assert "".join(pieces) == record.answer


def test_a_turn_that_nobody_streams_has_only_its_end(turns: TurnStore, session: str) -> None:
    turn = ask(turns, session, "hello", Options(stream=False))
    assert ended(turns, turn).answer == "You said: hello"
    assert [event.type for event in turns.events(turn)] == ["ended"]


@pytest.mark.parametrize("fault", ["fail=429 retry-after=0.1", "fail=500", "drop", "refuse"])
def test_passing_faults_of_the_model_are_retried(turns: TurnStore, session: str, fault: str) -> None:
    turn = ask(turns, session, f"hello again and again [[{fault} times=2 key={session}]]")
    record = ended(turns, turn)
    assert (record.state, record.attempts) == (State.COMPLETED, 3)
    assert len(said(turns, session)) == 2
    events = turns.events(turn)
    last = [event.data for event in events if event.type == "text" and event.attempt == 3]
    assert "".join(last) == record.answer


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("fail=400", "invalid_request"),
        ("fail=401", "authentication"),
        ("fail=context_length_exceeded", "context_length_exceeded"),
        ("finish=content_filter", "content_filter"),
    ],
)
def test_lasting_faults_fail_the_turn_and_leave_no_trace(turns: TurnStore, session: str, fault: str, code: str) -> None:
    bad, good = ask(turns, session, f"hello [[{fault}]]"), ask(turns, session, "good")
    record = ended(turns, bad)
    assert (record.state, record.code, record.attempts) == (State.FAILED, code, 1)
    assert ended(turns, good).state is State.COMPLETED
    assert said(turns, session) == ["good", "You said: good"]


def test_a_turn_gives_up_after_its_last_attempt(turns: TurnStore, session: str) -> None:
    turn = ask(turns, session, "hello [[fail=500]]")
    record = ended(turns, turn)
    assert (record.state, record.code, record.attempts) == (State.FAILED, "model_overloaded", 3)
    assert turn in turns.failed()


def test_a_turn_has_a_deadline(turns: TurnStore, session: str) -> None:
    turn = ask(turns, session, "hello [[hang]]", Options(deadline_seconds=0.5))
    assert ended(turns, turn).code == "deadline_exceeded"


def test_a_truncated_answer_is_incomplete_and_kept(turns: TurnStore, session: str) -> None:
    turn = ask(turns, session, "one two three four five six", Options(max_output_tokens=2))
    record = ended(turns, turn)
    assert record.state is State.INCOMPLETE
    assert said(turns, session)[1] == record.answer != ""


def test_cancel_drops_the_upstream_connection_and_frees_the_session(turns: TurnStore, session: str, model: str) -> None:
    before = model_stats(model)
    running, waiting = ask(turns, session, "slow [[hang]]"), ask(turns, session, "never")
    last = ask(turns, session, "last")
    # A turn that runs has not always reached the model yet.
    wait_until(lambda: model_stats(model)["requests"] > before["requests"], "the model is asked")
    assert turns.cancel(waiting) is State.CANCELLED
    assert turns.cancel(running) is State.CANCELLED
    assert ended(turns, last).state is State.COMPLETED
    wait_until(lambda: model_stats(model)["aborted"] > before["aborted"], "the model saw its client leave")
    assert said(turns, session) == ["last", "You said: last"]


def test_a_plain_celery_app_is_served_in_order(turns: TurnStore, url: str, session: str) -> None:
    stranger = Celery("stranger", broker=url, backend=url)
    results = [stranger.send_task("workers.answer", args=[session, f"question {n}"]) for n in range(10)]
    answers = [result.get(timeout=PATIENCE_SECONDS) for result in results]
    assert answers == [f"You said: question {n}" for n in range(10)]
    assert said(turns, session)[::2] == [f"question {n}" for n in range(10)]
    named = stranger.send_task("workers.answer", kwargs={"session_id": session, "question": "named"}, queue="chat")
    assert named.get(timeout=PATIENCE_SECONDS) == "You said: named"


def test_a_plain_celery_app_gets_its_errors(url: str, worker: Worker, session: str) -> None:
    stranger = Celery("stranger", broker=url, backend=url)
    for args, what in (
        (["no such session!", "x"], "session id"),
        ([session], "session_id, question"),
        ([session, ""], "question"),
    ):
        with pytest.raises(InvalidTurn, match=what):
            stranger.send_task("workers.answer", args=args).get(timeout=PATIENCE_SECONDS)
    with pytest.raises(TurnFailed, match="invalid_request"):
        stranger.send_task("workers.answer", args=[session, "x [[fail=400]]"]).get(timeout=PATIENCE_SECONDS)


def test_messages_for_other_tasks_are_left_alone(turns: TurnStore, url: str, session: str) -> None:
    stranger = Celery("stranger", broker=url, backend=url)
    stranger.send_task("their.task", args=[1])
    assert stranger.send_task("workers.answer", args=[session, "mine"]).get(timeout=PATIENCE_SECONDS) == "You said: mine"
    assert turns.client.llen("celery") == 1
    turns.client.delete("celery")


def test_a_broken_history_is_read_around(turns: TurnStore, session: str) -> None:
    turns.client.lpush(turns.keys.history(session), b"\xff\xfe", "{not json", '{"type":"martian","data":{}}')
    deep = f'[{{"type":"input_audio","input_audio":{"[" * 400}{"]" * 400}}}]'
    turns.client.lpush(turns.keys.history(session), f'{{"type":"human","data":{{"content":{deep},"type":"human"}}}}')
    assert ended(turns, ask(turns, session, "still there?")).answer == "You said: still there?"


def test_half_a_character_in_a_history_costs_no_turn(turns: TurnStore, session: str) -> None:
    cut = json.dumps({"type": "human", "data": {"content": "I'm bob \ud83d", "type": "human"}})
    history = RedisChatMessageHistory(session, url=turns.url)
    turns.client.lpush(turns.keys.history(session), cut)
    history.add_messages([AIMessage("Hello \ud83d")])
    assert ended(turns, ask(turns, session, "still there?")).answer == "You said: still there?"
    assert [message.content for message in history.messages][:2] == ["I'm bob \ufffd", "Hello \ufffd"]


def test_a_history_of_another_type_ends_its_own_turns_alone(turns: TurnStore, session: str) -> None:
    turns.client.hset(turns.keys.history(session), "not", "a list")
    asked = [ask(turns, session, "one"), ask(turns, session, "two"), ask(turns, f"{session}-beside", "three")]
    codes = [(ended(turns, turn).code, ended(turns, turn).attempts) for turn in asked]
    assert codes == [("history_unreadable", 1), ("history_unreadable", 1), (None, 1)]
    with pytest.raises(BrokenRecord, match="its key holds another type"):
        ChatClient(turns.url).history(session)
    assert ChatClient(turns.url).erase(session) == (2, 0)
    assert ended(turns, ask(turns, session, "four")).answer == "You said: four"


def test_content_stays_out_of_the_log(turns: TurnStore, worker: Worker, session: str) -> None:
    for question in ("a-secret-word", "a-secret-word [[fail=400]]", "a-secret-word [[fail=503]]", "a-secret-word [[drop]]"):
        # A server that is away is waited for until the deadline.
        ended(turns, ask(turns, session, question, Options(deadline_seconds=5)))
    assert "a-secret-word" not in worker.text()
