"""A session goes on after its history has outgrown the model's context."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.formatting import failed_text, record_text
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.turn import Record

CONTEXT = 120
WORDS = "word " * 20
_names = count()


@pytest.fixture(scope="module")
def url(server: EmbeddedServer, _numbers: Iterator[int]) -> str:
    return f"{server.url.rpartition('/')[0]}/{next(_numbers)}"


@pytest.fixture(scope="module")
def worker(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("context")
    with offline_model("--context", str(CONTEXT)) as model, Worker(url, folder, OPENAI_BASE_URL=model) as running:
        yield running


@pytest.fixture
def turns(url: str, worker: Worker) -> TurnStore:
    return TurnStore(Settings(redis_url=url))


def answered(turns: TurnStore, session: str, question: str, options: Options | None = None) -> Record:
    turn = f"turn-{next(_names)}"
    turns.submit(turn, session, question, options or Options())
    wait_until(lambda: turns.status(turn).ended, f"{turn} ends")
    return turns.status(turn)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("stream", [True, False])
def test_a_session_outgrows_the_models_context(turns: TurnStore, stream: bool) -> None:
    session = f"long-{stream}"
    records = [answered(turns, session, f"{n} {WORDS}", Options(stream=stream)) for n in range(8)]
    assert [(record.state, record.attempts) for record in records] == [(State.COMPLETED, 1)] * 8
    assert [record.left_out for record in records[:2]] == [0, 0]
    assert all(record.left_out >= 2 for record in records[4:])
    assert len(turns.history(session)) == 16
    assert "messages, for which the model had no room" in record_text(records[-1])


@pytest.mark.timeout(240)
def test_with_truncation_disabled_the_turn_fails(turns: TurnStore) -> None:
    for n in range(3):
        answered(turns, "strict", f"{n} {WORDS}")
    record = answered(turns, "strict", WORDS, Options(truncation="disabled"))
    assert (record.state, record.code, record.attempts) == (State.FAILED, "context_length_exceeded", 1)
    assert record.detail == "HTTP 400, exceed_context_size_error"
    assert record.detail in failed_text(record)
    assert record.detail in record_text(record)
    assert answered(turns, "strict", "and now?").state is State.COMPLETED


@pytest.mark.timeout(240)
def test_messages_in_place_of_a_history_are_all_sent_or_none(turns: TurnStore) -> None:
    history = [{"role": "user", "content": WORDS}, {"role": "assistant", "content": WORDS}] * 4
    record = answered(turns, "stateless", WORDS, Options(history=history, store=False))
    assert (record.code, record.left_out) == ("context_length_exceeded", 0)


@pytest.mark.timeout(240)
def test_a_question_that_is_too_long_by_itself_fails(turns: TurnStore) -> None:
    answered(turns, "huge", WORDS)
    record = answered(turns, "huge", WORDS * 10)
    assert (record.state, record.code, record.left_out) == (State.FAILED, "context_length_exceeded", 2)
    assert len(turns.history("huge")) == 2


@pytest.mark.timeout(240)
def test_the_servers_own_words_are_told_where_content_is_shown(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    with (
        offline_model("--context", "30") as model,
        Worker(redis_url, tmp_path, OPENAI_BASE_URL=model, TURNSTILE_SHOW_CONTENT="true"),
    ):
        record = answered(turns, "shown", WORDS * 4)
    assert record.detail
    assert record.detail.startswith("HTTP 400, exceed_context_size_error: request (")
