"""A client's tools on the default chain: calls become open items, and their answers lead to the next answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from tests.support.worker_parts import Flaky, claimed
from turnstile.memory.codec import decode
from turnstile.turns.output import Item, called, open_calls, reasoned, said
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.turn import Record
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.chains.load import close_chain, load_chain
from turnstile.workers.chains.run import Chain
from turnstile.workers.offline.server import OfflineModel

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("look", "pay")
]
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture
async def chain(offline: OfflineModel) -> AsyncIterator[Chain]:
    loaded = load_chain(Settings(), offline.base_url)
    yield loaded
    await close_chain(loaded)


async def turn(flaky: Flaky, chain: Chain, id: str, question: str, **options: Any) -> Record:
    """Run a turn in session foo to its end."""
    await flaky.submit(id, "foo", question, Options(**options))
    await Attempt(await claimed(flaky, id), chain, flaky).run()
    return await flaky.status(id)


async def stored(store: Flaky) -> list[Any]:
    """Return the messages of the history, oldest first."""
    found = [decode(element) for element in reversed(await store.history("foo"))]
    return [one.message for one in found if one]


def calls(record: Record) -> list[Item]:
    return [{**call, "call_id": ""} for call in open_calls(record.output)]


@BOTH
async def test_calls_of_a_client_tool_end_the_turn_as_open_items(flaky: Flaky, chain: Chain, stream: bool) -> None:
    question = 'Look and pay.\ncall look {"at": "Köln"}\ncall pay {"amount": 3}'
    record = await turn(flaky, chain, "a", question, tools=TOOLS, stream=stream)
    assert (record.state, record.answer, record.text) == (State.COMPLETED, "", "")
    assert calls(record) == [called("", "look", '{"at":"Köln"}'), called("", "pay", '{"amount":3}')]
    human, asked = (await stored(flaky))[:2]
    assert (human.content, [call["id"] for call in asked.tool_calls]) == (question, [c["call_id"] for c in record.output])
    assert [event.type for event in await flaky.events("a")] == (["started", "ended"] if stream else ["ended"])


@BOTH
async def test_arguments_that_do_not_parse_are_passed_on(flaky: Flaky, chain: Chain, stream: bool) -> None:
    record = await turn(flaky, chain, "a", 'call pay {"amount', tools=TOOLS, stream=stream)
    assert calls(record) == [called("", "pay", '{"amount')]


@BOTH
async def test_reasoning_is_an_item_and_stays_in_the_history(flaky: Flaky, chain: Chain, stream: bool) -> None:
    record = await turn(flaky, chain, "a", "Well? [[think]]", stream=stream)
    assert record.output == (reasoned("The question is: Well?"), *said("You said: Well?"))
    assert (await stored(flaky))[1].additional_kwargs["reasoning_content"] == "The question is: Well?"


async def test_reasoning_is_told_while_it_comes(flaky: Flaky, chain: Chain) -> None:
    await turn(flaky, chain, "a", "Well? [[think tokens-per-second=40]]")
    events = [(event.type, event.data) for event in await flaky.events("a")]
    kinds = [kind for kind, _ in events]
    assert kinds.count("reasoning") > 1
    assert kinds == ["started", *sorted(kinds[1:-1]), "ended"]
    assert "".join(data for kind, data in events if kind == "reasoning") == "The question is: Well?"


@pytest.mark.parametrize("given", [False, True], ids=["session", "given"])
async def test_reasoning_goes_back_to_the_model_within_a_loop_of_tools_alone(
    flaky: Flaky, chain: Chain, offline: OfflineModel, given: bool
) -> None:
    asked = {"role": "user", "content": "Look.\ncall look {} [[think]]"}
    [_, call] = (await turn(flaky, chain, "a", asked["content"], tools=TOOLS)).output
    called = {"id": call["call_id"], "type": "function", "function": {"name": "look", "arguments": "{}"}}
    loop = [
        asked,
        {"role": "assistant", "content": "", "tool_calls": [called], "reasoning_content": "The question is: Look."},
        {"role": "tool", "content": "a cat", "tool_call_id": call["call_id"]},
    ]
    if given:
        await flaky.release_session("foo")
        await turn(flaky, chain, "b", "", tools=TOOLS, history=loop, store=False)
        await turn(
            flaky, chain, "c", "And?", tools=TOOLS, history=[*loop, {"role": "assistant", "content": "A cat."}], store=False
        )
    else:
        await turn(flaky, chain, "b", "", tools=TOOLS, answers={call["call_id"]: "a cat"})
        await turn(flaky, chain, "c", "And?", tools=TOOLS)
    sent = [[message.get("reasoning_content") for message in seen["messages"]] for seen in offline.seen]
    assert [[text.split("\n")[0] for text in texts if text] for texts in sent] == [[], ["The question is: Look."], []]


async def test_the_choice_of_a_tool_reaches_the_model(flaky: Flaky, chain: Chain, offline: OfflineModel) -> None:
    named = {"type": "function", "function": {"name": "look"}}
    await turn(flaky, chain, "a", "Hello", tools=TOOLS, tool_choice=named, parallel_tool_calls=False)
    [seen] = offline.seen
    assert (seen["tools"], seen["tool_choice"], seen["parallel_tool_calls"]) == (TOOLS, named, False)


async def test_calls_that_were_cut_off_are_nobodys(flaky: Flaky, chain: Chain) -> None:
    record = await turn(flaky, chain, "a", "call pay {} [[finish=length]]", tools=TOOLS)
    assert (record.state, open_calls(record.output)) == (State.INCOMPLETE, ())
    assert not (await stored(flaky))[1].tool_calls


async def test_a_chain_that_takes_no_tools_says_so(flaky: Flaky) -> None:
    record = await turn(flaky, RunnableLambda(lambda _: AIMessage("hi")), "a", "Hello", tools=TOOLS)
    assert (record.state, record.code) == (State.FAILED, "invalid_request")
    assert "tools" in str(record.message)


async def test_tools_of_messages_before_the_question_reach_the_model_in_pairs(
    flaky: Flaky, chain: Chain, offline: OfflineModel
) -> None:
    called_ = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    before: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": "c0", "content": "an orphan"},
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": "", "tool_calls": [called_]},
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
    ]
    await turn(flaky, chain, "a", "Well?", before=before)
    assert [message["role"] for message in offline.seen[0]["messages"]] == ["system", "user", "assistant", "tool", "user"]


@BOTH
async def test_further_parameters_reach_the_model_as_they_are(
    flaky: Flaky, chain: Chain, offline: OfflineModel, stream: bool
) -> None:
    sent = {"seed": 1, "stop": ["."], "reasoning_effort": "low", "top_k": 5, "chat_template_kwargs": {"enable_thinking": False}}
    wanted = {"type": "json_object"}
    await turn(flaky, chain, "a", "Hello", parameters=sent, response_format=wanted, tools=TOOLS, stream=stream)
    [seen] = offline.seen
    assert {name: seen[name] for name in (*sent, "response_format", "tools")} == {
        **sent, "response_format": wanted, "tools": TOOLS
    }  # fmt: skip
