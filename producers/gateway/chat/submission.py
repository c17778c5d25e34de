"""The way of a request for a chat completion into the queue."""

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.chat.schemas import ChatRequest
from turnstile.producers.gateway.content import read_messages, split_question
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Caller
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options, Question
from turnstile.turns.turn import Record

SESSION = "session_id"
"""In a request's metadata: the session whose next turn the last message is; the header X-Session-Id says the same."""


async def submit(backend: Backend, caller: Caller, body: ChatRequest, key: str | None, session: str | None) -> Record:
    """Have a turn accepted, and return its record. The same `key` is the same turn."""
    name = caller.key("chat", key)
    session = session or (body.metadata or {}).get(SESSION)
    question, options = _read(body, stateless=session is None)
    stored = caller.session(session, "metadata.session_id") if session else caller.session(CONVERSATION + name)
    try:
        await backend.store.submit(RESPONSE + name, stored, question, options)
    except InvalidTurn as error:
        raise invalid("messages", str(error), "invalid_value") from None
    return await backend.store.status(RESPONSE + name)


def _read(body: ChatRequest, stateless: bool) -> tuple[Question, Options]:
    messages = read_messages(body.messages)
    earlier, question = split_question(messages, "messages")
    name = messages[-1].get("name")
    opening = 0
    while opening < len(earlier) and earlier[opening]["role"] in ("system", "developer"):
        opening += 1
    instructions = "\n\n".join(message["content"] for message in earlier[:opening]) or None
    if stateless:
        return question, body.options(name=name, instructions=instructions, history=earlier[opening:], store=False)
    return question, body.options(name=name, instructions=instructions)
