"""A client's tools and a held session, through clients, commands and real workers, which may all be restarted meanwhile."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Stack
from tests.integration.producers.conftest import Run
from tests.support.processes import Worker
from tests.support.step_worker import StepWorker, element
from tests.support.wait import PATIENCE_SECONDS
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.memory.element import Element, write
from turnstile.producers.client import AsyncChatClient, ChatClient
from turnstile.turns.errors import CallNotAnswered, CallNotOpen, InvalidTurn, SessionHeld
from turnstile.turns.output import approval_request, call_name, called, said
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "time")
]
BOTH = 'call weather {"city":"Köln"}\ncall time {}'
PAY = approval_request("i1", 0, "pay", '{"amount":1}')


def hold(settings: Settings, session: str = "foo") -> str:
    """A turn ends with an approval and a call that wait for answers; returns its id."""
    turn = ChatClient(settings=settings).ask(session, "pay")
    worker = StepWorker(settings)
    claim = worker.take()
    closing = [write(Element("tool", {"content": "none", "type": "tool"}, {"turn": claim.id}))]
    output = (*said("May I?"), PAY, called("call_1", "weather", "{}"))
    messages = [element("human", "pay", claim.id), element("ai", "May I?", claim.id)]
    assert worker.store.finish(claim, Outcome(State.COMPLETED, output, closing=closing), messages) is State.COMPLETED
    return turn.id


def test_a_clients_tools_are_answered_and_the_next_turn_goes(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    turn = chat.ask("tools", BOTH, tools=TOOLS)
    assert turn.result(timeout=PATIENCE_SECONDS) == ""
    calls = turn.status().calls
    assert [(call["name"], call["arguments"]) for call in calls] == [("weather", '{"city":"Köln"}'), ("time", "{}")]
    later = chat.ask("tools", "Well?")
    assert later.submitted
    assert later.submitted.place == 1
    held = chat.calls("tools")
    assert held
    assert (held.turn, held.calls) == (turn.id, calls)
    assert "tools" in chat.held()

    weather, time = map(call_name, calls)
    with pytest.raises(CallNotAnswered, match=time):
        chat.answer("tools", {weather: "sunny"})
    answer = chat.answer("tools", {weather: "sunny", time: {"hour": 12}}, tools=TOOLS)
    assert answer.result(timeout=PATIENCE_SECONDS) == 'weather returned sunny\ntime returned {"hour":12}'
    assert chat.answer("tools", {weather: "sunny", time: {"hour": 12}}, tools=TOOLS).id == answer.id
    assert later.result(timeout=PATIENCE_SECONDS)
    assert [message.role for message in chat.history("tools")] == [
        *("user", "assistant", "tool", "tool", "assistant"),
        *("user", "assistant"),
    ]
    assert (turn.status().calls, chat.calls("tools")) == ((), None)
    assert "tools" not in chat.held()


async def test_calls_are_answered_with_a_question_and_released_without_answers(stack: Stack) -> None:
    async with AsyncChatClient(url=stack.redis_url) as chat:
        turn = await chat.ask("awaited", "call weather {}", tools=TOOLS)
        await turn.result(timeout=PATIENCE_SECONDS)
        [call] = (await turn.status()).calls
        answer = await chat.answer("awaited", {call_name(call): "sunny"}, "And now?\ncall time {}", tools=TOOLS)
        await answer.result(timeout=PATIENCE_SECONDS)
        held = await chat.calls("awaited")
        assert held
        assert (held.turn, [call["name"] for call in held.calls]) == (answer.id, ["time"])
        assert "awaited" in await chat.held()
        assert await chat.release("awaited")
        assert not await chat.release("awaited")
        later = await chat.ask("awaited", "Well?")
        assert await later.result(timeout=PATIENCE_SECONDS)
        roles = [message.role for message in await chat.history("awaited")]
        assert roles == ["user", "assistant", "tool", "user", "assistant", "tool", "user", "assistant"]
        with pytest.raises(CallNotOpen):
            await chat.answer("awaited", {call_name(held.calls[0]): "noon"})


def test_a_question_may_close_the_calls_or_be_refused(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    chat.ask("busy", "call weather {}", tools=TOOLS).result(timeout=PATIENCE_SECONDS)
    with pytest.raises(SessionHeld):
        chat.ask("busy", "Well?", when_held="reject")
    assert chat.ask("busy", "Well?", when_held="close").result(timeout=PATIENCE_SECONDS)
    assert [message.role for message in chat.history("busy")] == ["user", "assistant", "tool", "user", "assistant"]


def test_a_turn_that_is_not_stored_holds_nothing(stack: Stack) -> None:
    chat = ChatClient(url=stack.redis_url)
    turn = chat.ask("stateless", "call weather {}", tools=TOOLS, store=False)
    turn.result(timeout=PATIENCE_SECONDS)
    record = turn.status()
    assert (len(record.output), record.calls, chat.calls("stateless")) == (1, (), None)


def test_a_restart_of_everything_loses_no_call(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    with server, Worker(server.url, tmp_path):
        turn = ChatClient(url=server.url).ask("foo", "call weather {}", tools=TOOLS)
        turn.result(timeout=PATIENCE_SECONDS)
        [call] = turn.status().calls
        later = ChatClient(url=server.url).ask("foo", "Well?").id
    with EmbeddedServer(tmp_path / "data") as server, Worker(server.url, tmp_path):
        chat = ChatClient(url=server.url)
        assert chat.turn(turn.id).status().calls == (call,)
        answer = chat.answer("foo", {call_name(call): "sunny"}, tools=TOOLS)
        assert answer.result(timeout=PATIENCE_SECONDS) == "weather returned sunny"
        assert chat.turn(later).result(timeout=PATIENCE_SECONDS)


def test_answers_that_are_none_are_refused(settings: Settings) -> None:
    chat = ChatClient(settings=settings)
    for answers in ({}, {"": "x"}, {"call_1": object()}):
        with pytest.raises(InvalidTurn) as refused:
            chat.answer("foo", answers)
        assert refused.value.param == "answers"


# The commands.


def test_open_calls_are_listed(run: Run, settings: Settings) -> None:
    assert run("calls").output == ""
    nobody = run("calls", "foo")
    assert (nobody.stdout, "waits for no answers" in nobody.stderr) == ("", True)
    turn = hold(settings)
    listed = run("calls").output
    assert listed.startswith(f"foo  turn {turn}, until ")
    assert listed.splitlines()[1:] == [f'  {PAY["id"]}  approval of pay {{"amount":1}}', "  call_1  weather {}"]
    found = json.loads(run("calls", "foo", "--json").output)
    assert (found["session"], found["turn"], found["calls"]) == ("foo", turn, [PAY, called("call_1", "weather", "{}")])
    assert "held" in run("stats").output


def test_calls_are_answered_by_their_ids(run: Run, settings: Settings) -> None:
    hold(settings)
    refused = run("answer", "foo", "call_1", "sunny")
    assert (refused.exit_code, PAY["id"] in refused.stderr) == (1, True)
    assert run("answer", "foo").exit_code == 2
    assert run("answer", "foo", "call_1").exit_code == 2
    done = run("answer", "foo", "call_1", "sunny", PAY["id"], "approve", "--no-wait", "--json")
    claim = StepWorker(settings).take()
    assert json.loads(done.output) == {"id": claim.id, "session": "foo", "state": "queued", "place": 0}
    assert claim.answers == {"call_1": "sunny", PAY["id"]: "approve"}


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_approvals_are_decided_together(run: Run, settings: Settings, decision: str) -> None:
    nothing = run("answer", "foo", f"--{decision}")
    assert (nothing.exit_code, "waits for no approval" in nothing.stderr) == (1, True)
    hold(settings)
    refused = run("answer", "foo", f"--{decision}")
    assert (refused.exit_code, "call_1" in refused.stderr) == (1, True)
    run("answer", "foo", PAY["id"], "call_1", f"--{decision}", "--no-wait")
    assert StepWorker(settings).take().answers == {PAY["id"]: decision, "call_1": decision}


def test_a_session_is_released(run: Run, settings: Settings) -> None:
    hold(settings)
    assert (run("release", "foo").output, run("release", "foo").exit_code) == ("released\n", 1)
    assert json.loads(run("release", "foo", "--json").output) == {"session": "foo", "released": False}
