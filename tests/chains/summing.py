"""A chain that sums up: it writes down what the user said."""

from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda


def _sum_up(inputs: dict[str, Any]) -> str:
    said = [str(message.content) for message in inputs["history"] if isinstance(message, HumanMessage)]
    return "\n".join(["The user said:", *said])


chain = RunnableLambda(_sum_up)
