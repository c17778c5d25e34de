"""The seed's notebook, cell by cell, with only the import of the history changed."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from langchain_core.messages import AIMessage, HumanMessage


@pytest.fixture
def model_url() -> Iterator[str]:
    """Yield the stand-in model, as a process of its own."""
    command = [sys.executable, "-m", "turnstile.workers.offline", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


# The notebook's wrapper is deprecated in langchain-core 1.x, and has to go on working until it is removed.
@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_the_notebook_runs_unchanged(redis_url: str, model_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model_url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    from turnstile.memory.history import RedisChatMessageHistory

    history = RedisChatMessageHistory("foo", url=redis_url)
    history.add_user_message("hi!")
    history.add_ai_message("whats up?")
    assert history.messages == [HumanMessage("hi!"), AIMessage("whats up?")]

    from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
    from langchain_core.runnables.history import RunnableWithMessageHistory
    from langchain_openai import ChatOpenAI

    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "You're an assistant。"),
            MessagesPlaceholder(variable_name="history"),
            ("human", "{question}"),
        ]
    )
    chain = prompt | ChatOpenAI()
    chain_with_history = RunnableWithMessageHistory(
        chain,
        lambda session_id: RedisChatMessageHistory(session_id, url=redis_url),
        input_messages_key="question",
        history_messages_key="history",
    )
    first = chain_with_history.invoke({"question": "Hi! I'm bob"}, config={"configurable": {"session_id": "foo"}})
    second = chain_with_history.invoke({"question": "Whats my name"}, config={"configurable": {"session_id": "foo"}})

    assert "Bob" in second.content
    contents = [message.content for message in history.messages]
    assert contents == ["hi!", "whats up?", "Hi! I'm bob", first.content, "Whats my name", second.content]
