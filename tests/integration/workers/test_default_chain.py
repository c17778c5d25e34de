"""The default chain's short way: the same answer as LangChain's own way, which is taken as soon as anybody listens."""

from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda

from turnstile.turns.settings import Settings
from turnstile.workers.chains.load import close_chain, load_chain
from turnstile.workers.chains.run import run_chain
from turnstile.workers.offline.server import OfflineModel

INPUTS: dict[str, Any] = {
    "question": "Whats my name",
    "history": [SystemMessage("Be brief"), HumanMessage("Hi! I'm bob"), AIMessage("Hello")],
}


class Listener(AsyncCallbackHandler):
    """Counts the calls of models by its callbacks."""

    heard = 0

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.heard += 1


@pytest.mark.parametrize(
    "more",
    [{}, {"instructions": "{Brief}"}, {"name": "bob"}, {"question": [{"type": "text", "text": "Whats my name"}]}],
    ids=str,
)
async def test_both_ways_ask_and_answer_the_same(more: dict[str, Any]) -> None:
    listener = Listener()
    async with OfflineModel(record=True) as server:
        chain = load_chain(Settings(), server.base_url)
        short = await chain.ainvoke({**INPUTS, **more})
        long = await chain.ainvoke({**INPUTS, **more}, {"callbacks": [listener]})
        await close_chain(chain)
    assert listener.heard == 1
    assert server.seen[0] == server.seen[1]
    assert short.id.startswith("lc_run-")
    assert (type(short), short.content) == (AIMessage, "Your name is Bob.")
    for message in (short, long):
        message.id = message.response_metadata["id"] = "of each its own"
    assert short == long
    assert (short.model_dump(), short.model_fields_set) == (long.model_dump(), long.model_fields_set)


async def test_who_calls_it_from_another_runnable_is_told() -> None:
    listener = Listener()
    async with OfflineModel() as server:
        chain = load_chain(Settings(), server.base_url)

        async def ask(inputs: dict[str, Any]) -> Any:
            return await chain.ainvoke(inputs)

        await RunnableLambda(ask).ainvoke(INPUTS, {"callbacks": [listener]})
        await close_chain(chain)
    assert listener.heard == 1


async def test_a_cache_is_asked() -> None:
    async with OfflineModel() as server:
        chain = load_chain(Settings(), server.base_url)
        set_llm_cache(InMemoryCache())
        try:
            answers = [await chain.ainvoke(INPUTS) for _ in range(2)]
        finally:
            set_llm_cache(None)
        await close_chain(chain)
    assert server.stats.requests == 1
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    ("more", "roles"),
    [
        ({"history": []}, ["system", "user"]),
        ({}, ["system", "user", "assistant", "user"]),
        ({"instructions": "Be kind"}, ["system", "system", "user", "assistant", "user"]),
        ({"instructions": "", "history": []}, ["user"]),
        ({"instructions": ""}, ["system", "user", "assistant", "user"]),
        ({"question": "", "history": [HumanMessage("Hi")]}, ["system", "user"]),
    ],
    ids=str,
)
async def test_the_usual_system_prompt_is_never_a_second_one(more: dict[str, Any], roles: list[str]) -> None:
    async with OfflineModel(record=True) as server:
        chain = load_chain(Settings(), server.base_url)
        inputs = {**INPUTS, **more}
        options = {"instructions": inputs["instructions"]} if "instructions" in inputs else {}
        heard: list[Any] = []
        for hear in (None, heard.append):
            await run_chain(chain, inputs["question"], inputs["history"], "foo", options, hear)
        await close_chain(chain)
    assert [[message["role"] for message in request["messages"]] for request in server.seen] == [roles] * 2


async def test_a_chain_of_a_users_keeps_its_own_system_prompt() -> None:
    asked: list[Any] = []

    def note(inputs: Any) -> str:
        asked.append(inputs)
        return "Hello"

    await run_chain(RunnableLambda(note), "hi", [], "foo", {"instructions": ""})
    assert asked == [{"question": "hi", "history": []}]
