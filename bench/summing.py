"""A chain that sums up with a call of the model, in a text of the length that summaries have."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda

ENV = {
    "TURNSTILE_SUMMARY": "brief",
    "TURNSTILE_CHAINS": '{"brief": {"chain": "bench.summing:chain", "model": "gpt-4o-mini"}}',
}
"""The settings of a worker that uses it."""
_LETTERS = 1_200


def chain(model: BaseChatModel) -> Runnable[Any, Any]:
    """Return the chain. The stand-in's summaries repeat everything: the beginning stands for a real one."""

    async def sum_up(inputs: dict[str, Any]) -> AIMessage:
        answer = await model.ainvoke([*inputs["history"], HumanMessage(inputs["question"])])
        return answer.model_copy(update={"content": str(answer.content)[:_LETTERS]})

    return RunnableLambda(sum_up)
