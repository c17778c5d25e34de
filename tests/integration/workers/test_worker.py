"""One real worker: what it does with turns, good and bad."""

import json
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest
from celery import Celery
from langchain_core.messages import AIMessage

from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.memory.history import RedisChatMessageHistory
from turnstile.producers.client import ChatClient
from turnstile.turns.errors import BrokenRecord, InvalidTurn, TurnFailed
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

_names = count()


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with offline_model() as base_url:
        yield base_url


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


def ended(turns: TurnStore, turn: str) -> Record:
    wait_until(lambda: turns.status(turn).state.ended, f"{turn} has ended")
    return turns.status(turn)


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
        ("fail=context_length_exceeded", "context_too_long"),
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
    turn = ask(turns, session, "hello [[fail=503]]")
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
        ended(turns, ask(turns, session, question))
    assert "a-secret-word" not in worker.text()


def test_a_worker_that_is_told_to_stop_gives_its_turns_back(url: str, model: str, tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="0.3") as first:
        turns.submit("given-back", "foo", "slow [[hang times=1 key=given-back]]")
        wait_until(lambda: turns.status("given-back").state is State.RUNNING, "the turn runs")
        with Worker(redis_url, tmp_path, OPENAI_BASE_URL=model):
            assert first.stop() == 0
            record = ended(turns, "given-back")
    assert (record.state, record.attempts) == (State.COMPLETED, 2)
    assert turns.stats()["requeued"] == 1
    assert len(turns.history("foo")) == 2


def test_a_cold_shutdown_gives_turns_back_without_a_grace(model: str, tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="600") as first:
        turns.submit("cut-short", "foo", "slow [[hang]]")
        wait_until(lambda: turns.status("cut-short").state is State.RUNNING, "the turn runs")
        first.signal(signal.SIGQUIT)
        assert first.process
        first.process.wait(PATIENCE_SECONDS)
        assert "Unrecoverable" not in first.text()
    assert turns.status("cut-short").state is State.QUEUED
    assert turns.stats()["requeued"] == 1


def test_a_worker_that_is_told_to_stop_leaves_although_redis_is_gone(model: str, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server:
        turns = TurnStore(Settings(redis_url=server.url))
        with Worker(server.url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHUTDOWN_SECONDS="0.3") as worker:
            turns.submit("left-behind", "foo", "slow [[hang times=1 key=left-behind]]")
            wait_until(lambda: turns.status("left-behind").state is State.RUNNING, "the turn runs")
            server.kill()
            worker.stop(90)
        server.start()
        with Worker(server.url, tmp_path, OPENAI_BASE_URL=model):
            assert ended(turns, "left-behind").state is State.COMPLETED
        assert len(turns.history("foo")) == 2


def test_a_question_that_kills_workers_ends_as_failed(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))

    def worker() -> Worker:
        return Worker(redis_url, tmp_path, TURNSTILE_CHAIN="tests.chains.odd:deadly", TURNSTILE_MAX_ATTEMPTS="2")

    turns.submit("deadly", "foo", "die")
    turns.submit("after", "foo", "hello")
    for _ in range(2):
        dying = worker()
        dying.start(ready=False)
        assert dying.process
        assert dying.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    with worker():
        assert ended(turns, "after").answer == "heard hello"
    record = turns.status("deadly")
    assert (record.state, record.code, record.attempts) == (State.FAILED, "worker_lost", 2)


def test_a_chain_that_blocks_does_not_block_the_others(tmp_path: Path, redis_url: str) -> None:
    turns, gate = TurnStore(Settings(redis_url=redis_url)), tmp_path / "gate"
    with Worker(redis_url, tmp_path, concurrency=3, TURNSTILE_CHAIN="tests.chains.odd:blocking", TURNSTILE_LEASE_SECONDS="1"):
        turns.submit("blocked-1", "one", f"gate {gate}")
        turns.submit("blocked-2", "two", f"gate {gate}")
        turns.submit("free", "three", "hello")
        assert ended(turns, "free").answer == "heard hello"
        leased = turns.client.zscore(turns.keys.due, "one")
        wait_until(lambda: turns.client.zscore(turns.keys.due, "one") != leased, "the blocked turn's lease is renewed")
        gate.touch()
        assert [ended(turns, f"blocked-{n}").attempts for n in (1, 2)] == [1, 1]


def test_a_chain_that_raises_fails_its_turn_without_telling_tales(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN="tests.chains.odd:raising") as worker:
        turns.submit("raises", "foo", "a-secret-word")
        record = ended(turns, "raises")
        assert (record.state, record.code) == (State.FAILED, "chain_error")
        assert "a-secret-word" not in (record.message or "") + worker.text()


@pytest.mark.parametrize("name", ["exiting", "exiting_in_a_task"])
def test_a_chain_that_would_end_the_process_ends_its_turn_alone(tmp_path: Path, redis_url: str, name: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=f"tests.chains.odd:{name}") as worker:
        turns.submit("exits", "foo", "exit")
        turns.submit("after", "foo", "hello")
        assert ended(turns, "after").answer == "heard hello"
        record = turns.status("exits")
        assert (record.state, record.code, record.attempts) == (State.FAILED, "chain_error", 1)
        assert worker.stop() == 0


def test_deployments_with_prefixes_of_their_own_share_a_server(tmp_path: Path, redis_url: str) -> None:
    chain = "tests.chains.odd:blocking"
    settings = Settings(redis_url=redis_url, key_prefix="a:", history_prefix="ha:")
    turns = TurnStore(settings)
    with (
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain, TURNSTILE_KEY_PREFIX="b:", TURNSTILE_HISTORY_PREFIX="hb:"),
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain),
        Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain, TURNSTILE_KEY_PREFIX="a:", TURNSTILE_HISTORY_PREFIX="ha:"),
    ):
        for n in range(20):
            turns.submit(f"t{n}", f"s{n}", "hello", Options(queue="batch" if n % 2 else "chat"))
        for n in range(20):
            assert ended(turns, f"t{n}").dispatches == 1
    assert turns.stats()["completed"] == 20


class _KnowsNoModel(BaseHTTPRequestHandler):
    """A model's server on which nobody has a model of that name."""

    def do_GET(self) -> None:
        """Refuse."""
        text = json.dumps({"error": {"message": "No.", "type": "invalid_request_error", "code": "model_not_found"}}).encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Nothing."""


def test_a_model_that_its_server_does_not_know_stops_the_worker(tmp_path: Path, redis_url: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _KnowsNoModel) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        worker = Worker(redis_url, tmp_path, OPENAI_BASE_URL=f"http://127.0.0.1:{server.server_port}/v1")
        worker.start(ready=False)
        assert worker.process
        assert worker.process.wait(PATIENCE_SECONDS) == 2
        server.shutdown()
    lines = [line for line in worker.text().splitlines() if line.startswith("turnstile: ")]
    assert len(lines) == 1
    assert "TURNSTILE_MODEL" in lines[0]


def test_the_seeds_own_chain_commits_atomically(tmp_path: Path, redis_url: str, model: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    chain = "tests.chains.seed:chain_with_history"
    with Worker(redis_url, tmp_path, TURNSTILE_CHAIN=chain, OPENAI_BASE_URL=model, OPENAI_API_KEY="none"):
        turns.submit("t1", "foo", "Hi! I'm bob")
        turns.submit("t2", "foo", "Whats my name", Options(stream=False))
        turns.submit("t3", "foo", "bad [[fail=400]]")
        turns.submit("t4", "foo", "Whats my name")
        assert "Bob" in ended(turns, "t4").outcome()
        assert "Bob" in ended(turns, "t2").outcome()
        assert ended(turns, "t3").state is State.FAILED
    elements = [json.loads(element) for element in reversed(turns.history("foo"))]
    assert [element["turnstile"]["turn"] for element in elements] == ["t1", "t1", "t2", "t2", "t4", "t4"]
    assert [element["type"] for element in elements] == ["human", "ai"] * 3


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("TURNSTILE_CHAIN", "no.such.module:chain", "TURNSTILE_CHAIN"),
        ("TURNSTILE_CHAIN", "tests.chains.odd:not_a_chain", "TURNSTILE_CHAIN"),
        ("TURNSTILE_MODEL", "two words", "TURNSTILE_MODEL"),
        ("OPENAI_BASE_URL", "nonsense", "OPENAI_BASE_URL"),
        ("TURNSTILE_LEASE_SECONDS", "soon", "TURNSTILE_LEASE_SECONDS"),
        ("REDIS_URL", "http://localhost", "REDIS_URL"),
    ],
)
def test_a_bad_setting_stops_the_worker_with_one_clear_line(
    tmp_path: Path, redis_url: str, variable: str, value: str, what: str
) -> None:
    worker = Worker(redis_url, tmp_path)
    worker.env[variable] = value
    _stops_with_one_line(worker, what)


def test_a_login_or_database_that_is_wrong_stops_the_worker_with_one_clear_line(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", append_only=False, password="word") as server:
        _stops_with_one_line(Worker(server.url.replace(":word@", ":other@"), tmp_path), "refuses the login")
        _stops_with_one_line(Worker(f"{server.url.removesuffix('/0')}/99", tmp_path), "has no database 99")


def test_workers_of_the_same_command_are_nodes_of_their_own(tmp_path: Path, redis_url: str) -> None:
    first, second, named = workers = [Worker(redis_url, tmp_path) for _ in range(3)]
    for worker in (first, second):
        place = worker.command.index("-n")
        del worker.command[place : place + 2]
    with first, second, named, Celery(broker=redis_url) as stranger:
        replies = stranger.control.ping(timeout=PATIENCE_SECONDS, limit=3) or ()
        names = [one for reply in replies for one in reply]
        assert len(set(names)) == len(workers)
        assert sum(name.startswith("turnstile-") for name in names) == 2
        assert all(f"turnstile-{worker.pid}-" in " ".join(names) for worker in (first, second))


def _stops_with_one_line(worker: Worker, what: str) -> None:
    worker.start(ready=False)
    assert worker.process
    assert worker.process.wait(PATIENCE_SECONDS) == 2
    lines = [line for line in worker.text().splitlines() if line.startswith("turnstile: ")]
    assert len(lines) == 1
    assert what in lines[0]
    assert "Traceback" not in worker.text()
