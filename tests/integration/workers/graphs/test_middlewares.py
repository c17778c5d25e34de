"""LangChain's middlewares in agents of real models: retries and fallbacks, limits, and what readers are shown meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
    before_model,
)
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from tests.chains import agents
from tests.chains.sturdy import SOON, shaky
from tests.integration.workers.graphs.conftest import Stage
from tests.support.processes import Worker, offline_model
from turnstile import ChatClient
from turnstile.producers.reading.readers import TextReader
from turnstile.turns.states import State
from turnstile.workers.attempt.report import REQUEUED
from turnstile.workers.offline.behaviour import Behaviour
from turnstile.workers.offline.server import OfflineModel


def asks(url: str) -> ChatOpenAI:
    return ChatOpenAI(base_url=url, api_key="none", model="m", max_retries=0)


def paying(url: str, *middleware: AgentMiddleware[Any, Any]) -> Any:
    return create_agent(asks(url), [agents.pay, shaky], middleware=middleware)


@pytest.fixture
def offline_url() -> Iterator[str]:
    with offline_model() as url:
        yield url


@pytest.fixture
def away_url() -> Iterator[str]:
    with offline_model("--fail", "503") as url:
        yield url


CALL = 'call shaky {"what": "1"}'


async def test_a_tool_that_fails_is_tried_again(stage: Stage, offline: OfflineModel) -> None:
    assert (await stage.run(CALL, paying(offline.base_url))).status == State.FAILED
    # Not the model's server: nobody waits for that.
    record = await stage.store.status("a")
    assert (record.code, record.message) == ("chain_error", "A tool raised ConnectionError.")
    assert agents.entries() == ["tried 1"]
    retrying = paying(offline.base_url, ToolRetryMiddleware(max_retries=2, **SOON))
    assert (await stage.run(CALL.replace("1", "2"), retrying, "b")).status == State.COMPLETED
    assert agents.entries() == ["tried 1", *["tried 2"] * 3]
    assert "done 2" in str((await stage.store.status("b")).answer)


async def test_a_tool_that_goes_on_failing_is_told_to_the_model(stage: Stage, offline: OfflineModel) -> None:
    giving_up = paying(offline.base_url, ToolRetryMiddleware(max_retries=1, on_failure="continue", **SOON))
    assert (await stage.run(CALL, giving_up)).status == State.COMPLETED
    assert agents.entries() == ["tried 1"] * 2
    [item] = [item for item in (await stage.store.status("a")).output if item["type"] == "mcp_call"]
    assert "shaky" in item["error"]


async def test_another_model_answers_for_one_that_is_away(stage: Stage, offline: OfflineModel) -> None:
    """The first model answers 503 to everything."""
    async with OfflineModel(behaviour=Behaviour(fail="503"), record=True) as away:
        graph = paying(away.base_url, ModelFallbackMiddleware(asks(offline.base_url)))
        assert (await stage.run('call pay {"what": "1"}', graph)).status == State.COMPLETED
        assert [model.stats.requests for model in (away, offline)] == [2, 2]
    assert agents.entries() == [f"paid 1 a:{(await stage.store.status('a')).output[0]['id']}"]
    assert await stage.texts() == (await stage.store.status("a")).answer


@pytest.mark.parametrize("stream", [True, False])
async def test_text_of_a_call_that_broke_off_is_taken_back(stage: Stage, offline: OfflineModel, stream: bool) -> None:
    """The first call of the model ends in the middle of its answer."""
    question = "one two three four five six seven [[drop times=1 tokens_per_second=50]]"
    graph = paying(offline.base_url, ModelRetryMiddleware(max_retries=1, **SOON))
    assert (await stage.run(question, graph, stream=stream)).status == State.COMPLETED
    record, events = await stage.store.status("a"), await stage.store.events("a")
    assert record.attempts == 1
    assert record.answer == "You said: one two three four five six seven"
    if not stream:
        return
    starts = [place for place, event in enumerate(events) if event.type == "started"]
    assert len(starts) == 2
    assert "".join(event.data for event in events[: starts[1]] if event.type == "text")
    assert "".join(event.data for event in events[starts[1] :] if event.type == "text") == record.answer
    reader = TextReader()
    pieces = reader.take(events[: starts[1]])
    assert pieces
    later = reader.take(events[starts[1] :])
    assert later[0].starts_over
    assert "".join(later) == record.answer


async def test_text_before_a_call_that_broke_off_is_shown_again(stage: Stage, offline: OfflineModel) -> None:
    graph = paying(offline.base_url, ModelRetryMiddleware(max_retries=1, **SOON))
    question = 'call pay {"what": "1"}\nthen [[drop times=1 key=k tokens_per_second=50]]'
    assert (await stage.run(question, graph)).status == State.COMPLETED
    events = await stage.store.events("a")
    last = max(place for place, event in enumerate(events) if event.type == "started")
    shown = "".join(event.data for event in events[last:] if event.type == "text")
    assert shown == (await stage.store.status("a")).answer


async def test_a_model_that_a_tool_asks_may_be_away(stage: Stage) -> None:
    """An error of a model is that, also where a tool asked it: the turn is tried again."""
    async with OfflineModel() as model:
        url = model.base_url

    @tool
    async def thinks(what: str) -> str:
        """Ask a model."""
        return str((await asks(url).ainvoke(what)).text)

    assert (await stage.run("call thinks 1", create_agent(agents.Scripted(), [thinks]))).status == REQUEUED
    assert (await stage.store.status("a")).state == State.QUEUED


async def test_limits_of_langchain_end_a_run_in_good_order(stage: Stage, offline: OfflineModel) -> None:
    calls = "\nthen ".join(f'call pay {{"what": "{n}"}}' for n in range(4))
    limits = (ToolCallLimitMiddleware(run_limit=2), ModelCallLimitMiddleware(run_limit=4, exit_behavior="end"))
    assert (await stage.run(calls, paying(offline.base_url, *limits))).status == State.COMPLETED
    assert [entry.split()[1] for entry in agents.entries()] == ["0", "1"]


def test_agents_of_middlewares_in_a_worker(redis_url: str, tmp_path: Path, offline_url: str, away_url: str) -> None:
    urls = {"OPENAI_BASE_URL": offline_url, "OPENAI_API_KEY": "none", "AWAY_URL": away_url}
    with Worker(redis_url, tmp_path, 20, TURNSTILE_CHAIN="tests.chains.sturdy:agent", **urls):
        client = ChatClient(redis_url)
        answer = client.ask("foo", 'call shaky {"what": "1"}').result(60)
        pieces = list(client.ask("bar", "one two three four [[drop times=1 tokens_per_second=50]]").stream(timeout=60))
    assert "done 1" in answer
    assert agents.entries() == ["tried 1"] * 3
    start = max(place for place, piece in enumerate(pieces) if place == 0 or piece.starts_over)
    assert "".join(pieces[start:]) == "You said: one two three four"


@pytest.mark.parametrize("hooked", [True, False])
async def test_a_history_that_is_too_long_for_the_model_is_shortened(stage: Stage, hooked: bool) -> None:
    @before_model
    def looks(_: Any, __: Any) -> None:
        return None

    words = "word " * 20
    async with OfflineModel(behaviour=Behaviour(context=120)) as model:
        graph = paying(model.base_url, *([looks] if hooked else []))
        for n in range(6):
            assert (await stage.run(f"{n} {words}", graph, f"t{n}")).status == State.COMPLETED
        record = await stage.store.status("t5")
        assert (record.attempts, record.left_out > 0) == (1, True)
        assert len(await stage.history()) == 12
        assert await stage.texts("t5") == record.answer


async def test_a_step_that_is_kept_is_not_forgotten_for_room(stage: Stage) -> None:
    """The tool's answer is what is too long: nothing may be run again, so the turn ends with a clear code."""

    @tool
    async def tells(what: str) -> str:
        """Pay, and tell a long story."""
        agents.note(f"paid {what}")
        return "word " * 200

    async with OfflineModel(behaviour=Behaviour(context=150)) as model:
        assert (await stage.run("hello", paying(model.base_url), "before")).status == State.COMPLETED
        graph = create_agent(asks(model.base_url), [tells])
        assert (await stage.run('call tells {"what": "1"}', graph)).status == State.FAILED
    assert (await stage.store.status("a")).code == "context_length_exceeded"
    assert agents.entries() == ["paid 1"]
