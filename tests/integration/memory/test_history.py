"""The history in Redis, side by side with langchain_community's class on the same lists."""

import json
import logging
import threading
import warnings
from asyncio import gather
from collections.abc import AsyncIterator

import pytest
import redis
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)

from tests.support.wait import wait_until
from turnstile.memory.codec import decode, encode
from turnstile.memory.history import RedisChatMessageHistory
from turnstile.turns.redis.connection import close_async

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # that the package is no longer maintained
    from langchain_community.chat_message_histories import RedisChatMessageHistory as CommunityHistory

CONVERSATION: list[BaseMessage] = [
    SystemMessage("Antworte kurz. 请简短。"),
    HumanMessage([{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
    AIMessage(
        content="",
        id="run-1",
        tool_calls=[{"name": "look", "args": {"depth": 2, "at": ["a", None]}, "id": "call_1", "type": "tool_call"}],
        additional_kwargs={"refusal": None},
        response_metadata={"finish_reason": "tool_calls"},
        usage_metadata={"input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
    ),
    ToolMessage("a cat 🐈", tool_call_id="call_1", name="look", artifact={"score": 0.5}),
    AIMessage("A cat.", name="bot"),
]


@pytest.fixture
async def async_url(redis_url: str) -> AsyncIterator[str]:
    """Yield the test's database, with the loop's client of it closed at the end."""
    yield redis_url
    await close_async(redis_url)


def test_messages_come_back_in_the_order_they_were_added(redis_url: str) -> None:
    history = RedisChatMessageHistory("foo", url=redis_url)
    assert history.messages == []
    history.add_user_message("hi")
    history.add_ai_message("hello")
    history.add_message(HumanMessage("how are you"))
    history.add_messages([AIMessage("fine"), HumanMessage("good")])
    history.add_messages([])
    assert [message.content for message in history.messages] == ["hi", "hello", "how are you", "fine", "good"]
    assert str(history).startswith("Human: hi\nAI: hello\n")
    history.clear()
    assert history.messages == []


def test_langchain_community_reads_what_we_write(redis_url: str) -> None:
    RedisChatMessageHistory("foo", url=redis_url).add_messages(CONVERSATION)
    assert CommunityHistory("foo", url=redis_url).messages == CONVERSATION


def test_langchain_community_reads_what_a_turn_commits(redis_url: str, client: redis.Redis) -> None:
    client.lpush("message_store:foo", *[encode(message, turn="t1", at=1_700_000_000_000) for message in CONVERSATION])
    assert CommunityHistory("foo", url=redis_url).messages == CONVERSATION


def test_we_read_what_langchain_community_writes(redis_url: str) -> None:
    CommunityHistory("foo", url=redis_url).add_messages(CONVERSATION)
    assert RedisChatMessageHistory("foo", url=redis_url).messages == CONVERSATION
    assert RedisChatMessageHistory("foo", url=redis_url, window=5).messages == CONVERSATION


async def test_both_classes_and_both_faces_take_turns_on_one_session(async_url: str) -> None:
    ours, theirs = RedisChatMessageHistory("foo", url=async_url), CommunityHistory("foo", url=async_url)
    expected: list[BaseMessage] = []
    for number in range(4):
        said: list[BaseMessage] = [HumanMessage(f"question {number}"), AIMessage(f"answer {number}")]
        if number % 2:
            await ours.aadd_messages(said)
        else:
            theirs.add_messages(said)
        ours.add_message(HumanMessage(f"and {number}"))
        expected += [*said, HumanMessage(f"and {number}")]
        assert ours.messages == theirs.messages == await ours.aget_messages() == expected
    await ours.aclear()
    assert theirs.messages == []


def test_the_constructor_is_langchain_communitys(redis_url: str) -> None:
    ours = RedisChatMessageHistory("foo", redis_url, "other:", 60)
    theirs = CommunityHistory("foo", redis_url, "other:", 60)
    assert (ours.key, ours.session_id, ours.key_prefix, ours.ttl) == ("other:foo", "foo", "other:", 60)
    assert vars(theirs).keys() <= vars(ours).keys()
    with pytest.raises(NotImplementedError):
        ours.messages = []
    with pytest.raises(NotImplementedError):
        theirs.messages = []


def test_every_addition_sets_the_time_to_live_again(redis_url: str, client: redis.Redis) -> None:
    history = RedisChatMessageHistory("foo", url=redis_url, ttl=600)
    history.add_user_message("hi")
    assert 590 < client.ttl("message_store:foo") <= 600
    client.expire("message_store:foo", 5)
    history.add_messages([AIMessage("hello"), HumanMessage("how are you")])
    assert 590 < client.ttl("message_store:foo") <= 600


async def test_the_async_face_sets_the_time_to_live_too(async_url: str, client: redis.Redis) -> None:
    await RedisChatMessageHistory("foo", url=async_url, ttl=600).aadd_messages([HumanMessage("hi")])
    assert 590 < client.ttl("message_store:foo") <= 600


def test_without_a_time_to_live_a_history_stays(redis_url: str, client: redis.Redis) -> None:
    RedisChatMessageHistory("foo", url=redis_url).add_user_message("hi")
    assert client.ttl("message_store:foo") == -1
    client.expire("message_store:foo", 5)
    RedisChatMessageHistory("foo", url=redis_url).add_user_message("there")
    assert client.ttl("message_store:foo") == -1


@pytest.mark.parametrize(
    ("window", "first"), [(None, 0), (100, 0), (22, 0), (21, 2), (20, 2), (19, 4), (3, 20), (1, 22), (0, 22)]
)
async def test_a_window_reads_the_newest_turns(async_url: str, window: int | None, first: int) -> None:
    conversation = [HumanMessage(f"{n}") if n % 2 == 0 else AIMessage(f"{n}") for n in range(22)]
    RedisChatMessageHistory("foo", url=async_url).add_messages(conversation)
    history = RedisChatMessageHistory("foo", url=async_url, window=window)
    assert history.messages == await history.aget_messages() == conversation[first:]


@pytest.mark.parametrize("window", [2, 1, 0])
def test_a_window_asks_the_server_for_no_more_than_it_needs(window: int, redis_url: str, client: redis.Redis) -> None:
    client.lpush("message_store:foo", *["x" * 1_000_000 for _ in range(30)])
    RedisChatMessageHistory("foo", url=redis_url).add_messages([HumanMessage("hi"), AIMessage("hello")])
    sent = client.info("stats")["total_net_output_bytes"]
    assert len(RedisChatMessageHistory("foo", url=redis_url, window=window).messages) == window // 2 * 2
    assert client.info("stats")["total_net_output_bytes"] - sent < 100_000


def test_many_messages_go_in_one_round_trip(redis_url: str, client: redis.Redis) -> None:
    history = RedisChatMessageHistory("foo", url=redis_url, ttl=600)

    def calls() -> list[int]:
        client.config_resetstat()
        history.add_messages([HumanMessage(f"{number}") for number in range(500)])
        counted = client.info("commandstats")
        return [counted[f"cmdstat_{name}"]["calls"] for name in ("exec", "lpush", "expire")]

    # The server counts what workers of other tests call meanwhile.
    assert wait_until(lambda: calls() == [1, 1, 1], "they go in one round trip")


def test_an_addition_that_cannot_be_stored_leaves_nothing(redis_url: str, client: redis.Redis) -> None:
    history = RedisChatMessageHistory("foo", url=redis_url)
    with pytest.raises(ValueError, match="wish"):
        history.add_messages([HumanMessage("hi"), BaseMessage(content="x", type="wish")])
    assert client.exists("message_store:foo") == 0


def test_broken_elements_are_passed_over_counted_and_told_without_their_content(
    redis_url: str, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    history = RedisChatMessageHistory("foo", url=redis_url)
    history.add_user_message("hi")
    client.lpush("message_store:foo", "{secret", json.dumps({"type": "secret", "data": {}}))
    history.add_ai_message("hello")
    with caplog.at_level(logging.DEBUG):
        assert history.messages == [HumanMessage("hi"), AIMessage("hello")]
    assert history.broken == 2
    assert [record.getMessage() for record in caplog.records] == ["Passed over 2 broken elements in the history of foo"]
    windowed = RedisChatMessageHistory("foo", url=redis_url, window=3)
    assert (windowed.messages, windowed.broken) == ([], 2)
    windowed.clear()
    assert (windowed.messages, windowed.broken) == ([], 0)


def test_chunks_are_stored_as_messages(redis_url: str, client: redis.Redis) -> None:
    history = RedisChatMessageHistory("foo", url=redis_url)
    history.add_messages([AIMessageChunk(content="hel") + AIMessageChunk(content="lo", id="run-1")])
    assert history.messages == [AIMessage("hello", id="run-1")]
    stored = decode(client.lindex("message_store:foo", 0) or "")
    assert stored is not None
    assert (type(stored.message), stored.turn) == (AIMessage, None)


def test_chunks_that_langchain_community_stored_are_read_as_messages(redis_url: str, client: redis.Redis) -> None:
    client.lpush("message_store:foo", json.dumps(message_to_dict(AIMessageChunk(content="hello", id="run-1"))))
    assert RedisChatMessageHistory("foo", url=redis_url).messages == [AIMessage("hello", id="run-1")]


def test_a_url_that_decodes_replies_serves_as_well(redis_url: str) -> None:
    history = RedisChatMessageHistory("foo", url=f"{redis_url}?decode_responses=true")
    history.add_messages(CONVERSATION)
    assert history.messages == CONVERSATION


def test_one_history_an_invocation_costs_one_connection_in_all(redis_url: str, client: redis.Redis) -> None:
    before = client.info("stats")["total_connections_received"]
    for number in range(50):
        RedisChatMessageHistory(f"session{number}", url=redis_url).add_user_message("hi")
        assert len(RedisChatMessageHistory(f"session{number}", url=redis_url).messages) == 1
    assert client.info("stats")["total_connections_received"] - before <= 1


async def test_the_async_face_needs_no_threads(async_url: str) -> None:
    histories = [RedisChatMessageHistory(f"session{number}", url=async_url) for number in range(30)]
    threads = threading.active_count()
    await gather(*[history.aadd_messages([HumanMessage("hi")]) for history in histories])
    read = await gather(*[history.aget_messages() for history in histories])
    assert read == [[HumanMessage("hi")]] * 30
    await gather(*[history.aclear() for history in histories])
    assert threading.active_count() == threads


def test_a_server_that_is_away_is_no_concern_until_it_is_needed() -> None:
    assert RedisChatMessageHistory("foo", url="redis://127.0.0.1:1/0").key == "message_store:foo"
