"""The way of a request for a chat completion into the queue."""

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.chat.schemas import ChatRequest
from turnstile.producers.gateway.content import read_messages, split_question
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Caller
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.question import Options, Question
from turnstile.turns.turn import Record

HEADER = "X-Turnstile-Session"
SESSION = "session_id"
"""In a request's metadata: the session whose next turn the last message is; the header X-Turnstile-Session says the same."""


async def submit(backend: Backend, caller: Caller, body: ChatRequest, key: str | None, session: str | None) -> Record:
    """Have a turn accepted, and return its record. The same `key` is the same turn."""
    name = caller.key("chat", key)
    session, param = _session(body, session)
    question, options = _read(body, stateless=session is None)
    stored = caller.session(session, param) if session is not None else caller.session(CONVERSATION + name)
    try:
        await backend.store.submit(RESPONSE + name, stored, question, await backend.chosen(options))
    except InvalidTurn as error:
        param = error.param if error.param in ("metadata", "response_format", "name") else "messages"
        raise invalid(param, str(error), "invalid_value") from None
    return await backend.store.status(RESPONSE + name)


def _session(body: ChatRequest, header: str | None) -> tuple[str | None, str]:
    """Return the session that a request names, and where; None if it names none. Raises ApiError for an empty name."""
    named = {HEADER: header, f"metadata.{SESSION}": (body.metadata or {}).get(SESSION)}
    param, session = next(((param, name) for param, name in named.items() if name is not None), ("", None))
    if session == "":
        raise invalid(param, f"`{param}` is empty: name a session, or leave it out.", "invalid_value")
    return session, param


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
