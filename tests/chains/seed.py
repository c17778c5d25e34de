"""The seed's own chain, history wrapper and all, as a worker's chain."""

import os
import warnings

from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_openai import ChatOpenAI

from turnstile.memory.history import RedisChatMessageHistory

prompt = ChatPromptTemplate.from_messages(
    [("system", "You're an assistant。"), MessagesPlaceholder(variable_name="history"), ("human", "{question}")]
)
chain = prompt | ChatOpenAI()

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecated in langchain-core, and still what people have
    chain_with_history = RunnableWithMessageHistory(
        chain,
        lambda session_id: RedisChatMessageHistory(session_id, url=os.environ["REDIS_URL"]),
        input_messages_key="question",
        history_messages_key="history",
    )
