"""The seed's chain, unchanged but for its HTTP pool: langchain_community's history around `prompt | ChatOpenAI`.

Its pool is sized to the turns in flight and keeps its connections, or it would be measured reconnecting.
"""

import os
from typing import Any

import httpx2
import openai
from langchain_community.chat_message_histories import RedisChatMessageHistory
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_openai import ChatOpenAI

REDIS_URL = os.environ["BENCH_REDIS_URL"]
IN_FLIGHT = int(os.environ["BENCH_IN_FLIGHT"])

PROMPT: list[Any] = [("system", "You're an assistant。"), MessagesPlaceholder("history"), ("human", "{question}")]


def chain(*, asynchronous: bool) -> Runnable[Any, Any]:
    """Return the chain without a history, for blocking or for awaited calls."""
    most = max(100, 2 * IN_FLIGHT)
    limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=30)
    if asynchronous:
        pool = openai.DefaultAioHttpClient(limits=limits, trust_env=False)
        return ChatPromptTemplate.from_messages(PROMPT) | ChatOpenAI(model="gpt-4o-mini", http_async_client=pool, max_retries=0)
    client = openai.DefaultHttpxClient(limits=limits, trust_env=False)
    return ChatPromptTemplate.from_messages(PROMPT) | ChatOpenAI(model="gpt-4o-mini", http_client=client, max_retries=0)


def chain_with_history(*, asynchronous: bool) -> Runnable[Any, Any]:
    """Return the chain as the seed wraps it."""
    return RunnableWithMessageHistory(
        chain(asynchronous=asynchronous),
        lambda session_id: RedisChatMessageHistory(session_id, url=REDIS_URL),
        input_messages_key="question",
        history_messages_key="history",
    )


def config(session: str) -> Any:
    """Return the configuration that names the session."""
    return {"configurable": {"session_id": session}}
