"""An agent whose tool a person must approve, and a program that asks that person.

The worker, in the folder above `examples`:

    TURNSTILE_CHAINS='{"refunds": "examples.approval:agent"}' celery -A turnstile worker

The program:

    python examples/approval.py customer-7 refund-0042 "Refund order 11: 40 euros."

No worker waits for the person. Until they have decided, the program may be stopped and run again: the question has an id, so it
is asked once, and open calls wait in Redis, for TURNSTILE_HOLD_SECONDS at most. `turnstile answer customer-7 --approve` decides
as well.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from turnstile import ChatClient


def agent() -> Any:
    """Return the agent. The program below needs none of its libraries."""
    from langchain.agents import create_agent
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langchain_core.tools import tool

    @tool
    def refund(order: int, amount: int) -> str:
        """Refund a part of an order."""
        return f"refunded {amount} of order {order}"

    approval = HumanInTheLoopMiddleware(interrupt_on={"refund": True})
    return create_agent(f"openai:{os.environ.get('MODEL', 'gpt-4o-mini')}", [refund], middleware=[approval])


def decide(call: Mapping[str, Any]) -> bool:
    """Ask the person at the terminal whether to run a call."""
    return input(f"{call['name']} {call['arguments']}: approve? [y/N] ").strip().lower() == "y"


def main(session: str, id: str, question: str) -> None:
    """Ask, have each call decided, and print the answer."""
    chat = ChatClient()
    turn = chat.ask(session, question, id=id, chain="refunds")
    text = turn.result(timeout=600)
    while held := chat.calls(session):
        turn = chat.answer(session, {call["id"]: decide(call) for call in held.calls})
        text = turn.result(timeout=600)
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
