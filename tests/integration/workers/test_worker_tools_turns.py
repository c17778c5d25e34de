"""A real worker with tools of its own: turns that call them, beside a client's, and through the worker's death."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import Gateway
from tests.support.mcp_server import mcp_server
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.producers.client import ChatClient
from turnstile.turns.output import open_calls
from turnstile.turns.settings import Settings
from turnstile.turns.states import State

SECRET = "secret-of-the-server"
CLIENTS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "ask_user", "parameters": {"type": "object"}}}]


@pytest.fixture
def chat(redis_url: str) -> ChatClient:
    return ChatClient(settings=Settings(redis_url=redis_url))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def env(ledger: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of a worker with tools."""
    with offline_model() as base_url, mcp_server() as tools:
        yield {
            "OPENAI_BASE_URL": base_url,
            "TURNSTILE_TOOLS": f"tests.chains.worker_tools:tools, {tools}?key={SECRET}",
            "LEDGER": str(ledger),
            "HOLD": str(tmp_path / "hold"),
        }


def test_tools_of_modules_and_servers_answer_beside_a_clients(
    redis_url: str, chat: ChatClient, env: dict[str, str], tmp_path: Path
) -> None:
    with Worker(redis_url, tmp_path, 20, **env) as worker:
        turn = chat.ask("foo", 'call add {"a": 1, "b": 2}\ncall multiply {"a": 3, "b": 4}')
        assert turn.result(PATIENCE_SECONDS) == "add returned 3\nmultiply returned 12"
        assert [(item["type"], item.get("name")) for item in turn.status().output] == [
            ("mcp_call", "add"),
            ("mcp_call", "multiply"),
            ("message", None),
        ]
        assert [message.role for message in chat.history("foo")] == ["user", "assistant", "tool", "tool", "assistant"]
        asked = chat.ask("bar", "call ask_user {}\ncall add {}", tools=CLIENTS)
        asked.result(PATIENCE_SECONDS)
        record = asked.status()
        assert record.state is State.COMPLETED
        assert [item["type"] for item in record.output] == ["function_call", "mcp_call"]
        [call] = open_calls(record.output)
        assert call["name"] == "ask_user"
        assert SECRET not in worker.text()
        assert "session ID" not in worker.text()


def test_a_tool_goes_on_under_its_key_when_its_worker_is_killed(
    redis_url: str, chat: ChatClient, env: dict[str, str], ledger: Path, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    question = 'call pay {"amount": 1}\nthen call pay {"amount": 2}'
    with Worker(redis_url, tmp_path, 20, **env) as first:
        turn = chat.ask("foo", question)
        wait_until(lambda: ledger.exists() and ledger.read_text().count("\n") == 2, "the second payment begins")
        first.kill()
        hold.unlink()
        with Worker(redis_url, tmp_path, 20, **env):
            assert turn.result(PATIENCE_SECONDS) == "pay returned paid 1\npay returned paid 2"
    paid = [line.split() for line in ledger.read_text().splitlines()]
    assert [amount for _, amount in paid] == ["1", "2", "2"]
    assert len({key for key, _ in paid}) == 2
    assert turn.status().attempts == 2


def test_answers_to_a_clients_calls_lead_to_the_next_answer(
    redis_url: str, chat: ChatClient, env: dict[str, str], tmp_path: Path
) -> None:
    with Worker(redis_url, tmp_path, 20, **env, TURNSTILE_WINDOW_MESSAGES="0"):
        turn = chat.ask("foo", 'call ask_user {}\ncall add {"a": 1, "b": 2}\ncall ask_user {}', tools=CLIENTS)
        turn.result(PATIENCE_SECONDS)
        first, second = (call["call_id"] for call in turn.status().calls)
        answered = chat.answer("foo", {second: "blue", first: "large"}, tools=CLIENTS)
        assert answered.result(PATIENCE_SECONDS).splitlines()[::2] == ["ask_user returned large", "ask_user returned blue"]
        assert [message.role for message in chat.history("foo")] == ["user", "assistant", *["tool"] * 3, "assistant"]
        assert turn.status().calls == ()


def test_answers_on_the_plain_default_chain(redis_url: str, chat: ChatClient, tmp_path: Path) -> None:
    with offline_model() as base_url, Worker(redis_url, tmp_path, 20, OPENAI_BASE_URL=base_url):
        for stream in (False, True):
            session = f"foo-{stream}"
            turn = chat.ask(session, "call ask_user {}\nthen call ask_user {}", tools=CLIENTS, stream=stream)
            for output in ("large", "blue"):
                turn.result(PATIENCE_SECONDS)
                [call] = turn.status().calls
                turn = chat.answer(session, {call["call_id"]: output}, tools=CLIENTS, stream=stream)
            assert turn.result(PATIENCE_SECONDS) == "ask_user returned large\nask_user returned blue"
            roles = [message.role for message in chat.history(session)]
            assert roles == ["user", "assistant", "tool", "assistant", "tool", "assistant"]


def test_chat_completions_tell_the_answer_of_a_worker_with_tools(redis_url: str, env: dict[str, str], tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": 'Go. [[think]]\ncall add {"a": 1, "b": 2}'}],
    }
    with Worker(redis_url, tmp_path, 20, **env), Gateway(redis_url, tmp_path) as gateway, gateway.sdk() as sdk:
        with sdk.chat.completions.stream(**asked) as events:
            streamed = events.get_final_completion().choices[0].message
        whole = sdk.chat.completions.create(**asked).choices[0].message
    assert streamed.content == whole.content == "add returned 3"
    thoughts = [message.to_dict()["reasoning_content"] for message in (streamed, whole)]
    assert thoughts[0] == thoughts[1] != ""
