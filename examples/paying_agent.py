"""An agent with a tool that must not act twice: it pays, through a service that knows idempotency keys.

    TURNSTILE_CHAIN=examples.paying_agent:agent PAYMENTS_URL=http://localhost:9000/payments celery -A turnstile worker

Run it in the folder above `examples`. A payment whose tool has ended is never repeated. When a worker dies while the tool
runs, another calls it once more, with the same key; the service then returns the payment it has made already.
"""

import os

import httpx
from langchain.agents import create_agent
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool


@tool
async def pay(payee: str, amount: int, config: RunnableConfig) -> str:
    """Pay an amount to a payee."""
    headers = {"Idempotency-Key": config["configurable"]["idempotency_key"]}
    async with httpx.AsyncClient(timeout=30) as service:
        reply = await service.post(os.environ["PAYMENTS_URL"], json={"payee": payee, "amount": amount}, headers=headers)
        reply.raise_for_status()
    return f"payment {reply.json()['id']}"


agent = create_agent(f"openai:{os.environ.get('MODEL', 'gpt-4o-mini')}", [pay])
