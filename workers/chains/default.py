"""The default chain: `prompt | ChatOpenAI`, with a shorter path for calls that nothing observes."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.prompts.message import BaseMessagePromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableSequence
from langchain_core.runnables.config import ensure_config

from turnstile.workers.chains.openai.model import LoopChatOpenAI


def asked(inputs: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the question as a human message: text, or a list of content parts. A turn that answers calls may ask nothing."""
    question = inputs["question"]
    return [HumanMessage(question, name=inputs.get("name"))] if question else []


def system_prompt(instructions: str | None, history: Iterable[BaseMessage], usual: str) -> list[SystemMessage]:
    """Return the system prompt: the turn's own, else the usual one unless the history has one. An empty one is none."""
    if instructions is None and not any(isinstance(message, SystemMessage) for message in history):
        instructions = usual
    return [SystemMessage(instructions)] if instructions else []


class SystemPrompt(BaseMessagePromptTemplate):
    """The system prompt, where there is one."""

    usual: str

    @property
    def input_variables(self) -> list[str]:
        return []

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return [*system_prompt(kwargs.get("instructions"), kwargs["history"], self.usual)]


class QuestionPrompt(BaseMessagePromptTemplate):
    """The question, where there is one."""

    @property
    def input_variables(self) -> list[str]:
        return ["question"]

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        return asked(kwargs)


class DefaultChain(RunnableSequence[Any, Any]):
    """LangChain's sequence, whose `ainvoke` returns the same message in half the time when nothing observes the call.

    Callbacks, tracers (LangSmith, OpenTelemetry) or a cache, wherever they are set, lead the call through LangChain.
    """

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002 - its name
        model = self.last
        if isinstance(model, LoopChatOpenAI) and not ensure_config(config).get("callbacks") and model.unobserved:
            messages = self._messages(input)
            if not kwargs and all(type(message.content) is str for message in messages):
                return await model.answer(messages)
        return await super().ainvoke(input, config, **kwargs)

    def _messages(self, inputs: Mapping[str, Any]) -> list[BaseMessage]:
        prompt = self.first
        assert isinstance(prompt, ChatPromptTemplate)
        [system, *_] = prompt.messages
        assert isinstance(system, SystemPrompt)
        return [*system.format_messages(**inputs), *inputs["history"], *asked(inputs)]


def default_chain(instructions: str, model: LoopChatOpenAI) -> DefaultChain:
    """Return the chain with its usual system prompt; a call may bring its own as `instructions`."""
    parts = [SystemPrompt(usual=instructions), MessagesPlaceholder("history"), QuestionPrompt()]
    return DefaultChain(first=ChatPromptTemplate.from_messages(parts), last=model)
