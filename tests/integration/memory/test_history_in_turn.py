"""Inside a turn the history stages, however the chain is run; the model is the stand-in over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_openai import ChatOpenAI

from turnstile.memory.history import RedisChatMessageHistory
from turnstile.memory.open_turn import OpenTurn, current, opened, transcript
from turnstile.turns.redis.connection import close_async
from turnstile.workers.offline.server import OfflineModel

# The seed's chain is built on the deprecated wrapper, and has to go on working.
pytestmark = pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")

Chain = Runnable[Any, Any]
CONFIG: RunnableConfig = {"configurable": {"session_id": "foo"}}
QUESTION = {"question": "What's my name"}
WINDOW: list[BaseMessage] = [HumanMessage("Hi! I'm bob"), AIMessage("Hello Bob!")]


@pytest.fixture
async def async_url(redis_url: str) -> AsyncIterator[str]:
    """Yield the test's database, with the loop's client of it closed at the end."""
    yield redis_url
    await close_async(redis_url)


@pytest.fixture
async def model() -> AsyncIterator[ChatOpenAI]:
    """Yield a chat model that talks to the stand-in."""
    async with OfflineModel() as server:
        yield ChatOpenAI(base_url=server.base_url, api_key="none")


@pytest.fixture
def chain(model: ChatOpenAI, async_url: str) -> Chain:
    """Return the seed's chain, history-wrapped."""
    prompt = ChatPromptTemplate.from_messages(
        [("system", "You're an assistant。"), MessagesPlaceholder("history"), ("human", "{question}")]
    )
    return RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: RedisChatMessageHistory(session_id, url=async_url),
        input_messages_key="question",
        history_messages_key="history",
    )


@pytest.fixture
def turn() -> OpenTurn:
    """Return a turn of session foo whose claimed window tells the name."""
    return OpenTurn("foo", "t1", "token", window=list(WINDOW))


async def invoked(chain: Chain) -> BaseMessage:
    message: BaseMessage = await asyncio.to_thread(chain.invoke, QUESTION, CONFIG)
    return message


async def ainvoked(chain: Chain) -> BaseMessage:
    message: BaseMessage = await chain.ainvoke(QUESTION, CONFIG)
    return message


async def streamed(chain: Chain) -> BaseMessage:
    def collect() -> AIMessageChunk:
        return sum(list(chain.stream(QUESTION, CONFIG)), AIMessageChunk(content=""))

    return await asyncio.to_thread(collect)


async def astreamed(chain: Chain) -> BaseMessage:
    whole = AIMessageChunk(content="")
    async for chunk in chain.astream(QUESTION, CONFIG):
        whole += chunk
    return whole


async def in_a_task(chain: Chain) -> BaseMessage:
    return await asyncio.create_task(ainvoked(chain))


RUNS = [invoked, ainvoked, streamed, astreamed, in_a_task]


@pytest.mark.parametrize("run", RUNS)
async def test_a_chain_reads_the_claimed_window_and_writes_nothing(
    run: Callable[[Chain], Awaitable[BaseMessage]], chain: Chain, turn: OpenTurn, client: redis.Redis, async_url: str
) -> None:
    RedisChatMessageHistory("foo", url=async_url).add_user_message("Hi! I'm eve")
    with opened(turn):
        answer = await run(chain)
    assert "Bob" in answer.text
    assert client.llen("message_store:foo") == 1
    assert [type(message) for message in turn.staged] == [HumanMessage, AIMessage]
    assert [message.text for message in turn.staged] == [QUESTION["question"], answer.text]
    assert transcript(turn, QUESTION["question"], answer) == turn.staged


@pytest.mark.parametrize("run", RUNS)
async def test_the_same_chain_outside_a_turn_writes_at_once(
    run: Callable[[Chain], Awaitable[BaseMessage]], chain: Chain, async_url: str
) -> None:
    history = RedisChatMessageHistory("foo", url=async_url)
    history.add_messages(WINDOW)
    answer = await run(chain)
    assert "Bob" in answer.text
    assert [message.text for message in history.messages[2:]] == [QUESTION["question"], answer.text]
    assert {type(message) for message in history.messages} == {HumanMessage, AIMessage}


async def test_turns_at_once_keep_apart(chain: Chain, async_url: str) -> None:
    async def work(number: int) -> OpenTurn:
        name = f"Name{chr(65 + number)}"
        with opened(OpenTurn(f"s{number}", f"t{number}", "token", window=[HumanMessage(f"my name is {name}")])) as mine:
            await chain.ainvoke(QUESTION, {"configurable": {"session_id": f"s{number}"}})
        assert name in mine.staged[1].text
        return mine

    turns = await asyncio.gather(*[work(number) for number in range(20)])
    assert [len(one.staged) for one in turns] == [2] * 20
    assert current.get() is None


async def test_a_step_in_an_executor_thread_is_inside_the_turn(turn: OpenTurn, async_url: str) -> None:
    def look(_: object) -> list[BaseMessage]:
        return RedisChatMessageHistory("foo", url=async_url).messages

    steps = RunnableParallel(one=RunnableLambda(look), two=RunnableLambda(look))
    with opened(turn):
        assert await steps.ainvoke(0) == {"one": WINDOW, "two": WINDOW}
        assert await asyncio.to_thread(steps.invoke, 0) == {"one": WINDOW, "two": WINDOW}


async def test_both_faces_stage(turn: OpenTurn, client: redis.Redis, async_url: str) -> None:
    history = RedisChatMessageHistory("foo", url=async_url)
    with opened(turn):
        history.add_user_message("one")
        await history.aadd_messages([AIMessageChunk(content="two", id="run-1")])
        assert turn.staged == [HumanMessage("one"), AIMessage("two", id="run-1")]
        assert history.messages == await history.aget_messages() == [*WINDOW, *turn.staged]
    assert client.exists("message_store:foo") == 0
    assert history.messages == []


async def test_another_history_is_written_at_once(turn: OpenTurn, client: redis.Redis, async_url: str) -> None:
    with opened(turn):
        RedisChatMessageHistory("notes", url=async_url).add_user_message("of another session")
        await RedisChatMessageHistory("foo", url=async_url, key_prefix="facts:").aadd_messages([AIMessage("of another kind")])
    assert turn.staged == []
    assert (client.llen("message_store:notes"), client.llen("facts:foo")) == (1, 1)


async def test_a_turn_with_a_prefix_of_its_own_is_told_by_the_whole_key(client: redis.Redis, async_url: str) -> None:
    with opened(OpenTurn("foo", "t1", "token", history_prefix="facts:")) as turn:
        RedisChatMessageHistory("foo", url=async_url, key_prefix="facts:").add_user_message("staged")
    assert (len(turn.staged), client.exists("facts:foo")) == (1, 0)


async def test_a_turn_cannot_clear_its_own_history(turn: OpenTurn, client: redis.Redis, async_url: str) -> None:
    history = RedisChatMessageHistory("foo", url=async_url)
    history.add_user_message("hi")
    with opened(turn):
        with pytest.raises(RuntimeError, match="erase the session"):
            history.clear()
        with pytest.raises(RuntimeError, match="erase the session"):
            await history.aclear()
        RedisChatMessageHistory("notes", url=async_url).clear()
    assert client.llen("message_store:foo") == 1


@pytest.mark.parametrize("question", ["Hi!", [{"type": "text", "text": "Hi!"}, "there"]])
@pytest.mark.parametrize("answer", ["Hello", AIMessage("Hello"), AIMessageChunk(content="Hello")])
def test_a_chain_that_stages_nothing_gets_question_and_answer(question: str | list[Any], answer: BaseMessage | str) -> None:
    turn = OpenTurn("foo", "t1", "token", window=list(WINDOW))
    assert transcript(turn, question, answer) == [HumanMessage(content=question), AIMessage("Hello")]
    assert turn.staged == []


def test_what_a_chain_staged_is_the_transcript() -> None:
    call = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "a"}])
    said = [HumanMessage("Hi!"), call, ToolMessage("seen", tool_call_id="a"), AIMessage("A cat.")]
    turn = OpenTurn("foo", "t1", "token", window=list(WINDOW))
    turn.stage(said)
    assert transcript(turn, "Hi!", "A cat.") == said


async def test_a_failed_chain_stages_nothing(turn: OpenTurn, async_url: str) -> None:
    def fail(_: object) -> str:
        raise LookupError("no answer")

    chain = RunnableWithMessageHistory(
        RunnableLambda(fail),
        lambda session_id: RedisChatMessageHistory(session_id, url=async_url),
        input_messages_key="question",
        history_messages_key="history",
    )
    with opened(turn), pytest.raises(LookupError):
        await chain.ainvoke(QUESTION, CONFIG)
    assert turn.staged == []
