"""The way of a request for a chat completion into the queue."""

from typing import Any

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.chat.messages import check_calls, read_messages
from turnstile.producers.gateway.chat.schemas import ChatRequest
from turnstile.producers.gateway.content import Message, is_text
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Caller
from turnstile.producers.gateway.edge.request_log import note_turn
from turnstile.producers.gateway.responses.not_before import refuse_not_before
from turnstile.turns.errors import CallNotAnswered, CallNotOpen, InvalidTurn
from turnstile.turns.question import Question
from turnstile.turns.turn import TurnResult

HEADER = "X-Turnstile-Session"
SESSION = "session_id"
"""In a request's metadata: the session whose next turn the request is; the header X-Turnstile-Session says the same."""
_MESSAGES = ("question", "history", "before", "answers", "instructions", "options")
"""Parts of a turn that a request gives as `messages`."""


async def submit(backend: Backend, caller: Caller, body: ChatRequest, key: str | None, session: str | None) -> TurnResult:
    """Have a turn accepted, and return its record. The same `key` is the same turn."""
    body.check(strict=backend.settings.strict_parameters)
    caller.check_model(body.model)
    refuse_not_before(body.metadata)
    name = caller.key("chat", key)
    session, param = _session(body, session)
    question, brought = _asked(read_messages(body.messages), stateless=session is None)
    stored = caller.session(session, param) if session is not None else caller.session(CONVERSATION + name)
    try:
        options = await backend.chosen(body.options(**brought))
        # Nothing can be under way in a session of its own, and no other question comes there.
        policy = caller.when_busy(body.metadata) if session is not None else "queue"
        submitted = await backend.store.submit(RESPONSE + name, stored, question, options, when_busy=policy, **caller.terms)
        note_turn(submitted.id)
    except InvalidTurn as error:
        raise invalid("messages" if error.param in _MESSAGES else error.param, str(error), "invalid_value") from None
    except (CallNotOpen, CallNotAnswered) as error:
        raise invalid("messages", str(error), error.code) from None
    return await backend.store.result(submitted.id)


def _session(body: ChatRequest, header: str | None) -> tuple[str | None, str]:
    """Return the session that a request names, and where; None if it names none. Raises ApiError for an empty name."""
    named = {HEADER: header, f"metadata.{SESSION}": (body.metadata or {}).get(SESSION)}
    param, session = next(((param, name) for param, name in named.items() if name is not None), ("", None))
    if session == "":
        raise invalid(param, f"`{param}` is empty: name a session, or leave it out.", "invalid_value")
    return session, param


def _asked(messages: list[Message], stateless: bool) -> tuple[Question, dict[str, Any]]:
    """Return the question, and the options for the other messages. System messages at the start are the system prompt."""
    opening = 0
    while opening < len(messages) and messages[opening]["role"] in ("system", "developer"):
        opening += 1
    instructions = "\n\n".join(message["content"] for message in messages[:opening])
    rest = messages[opening:]
    asks = bool(rest) and rest[-1]["role"] == "user" and is_text(rest[-1])
    question = rest[-1]["content"] if asks else ""
    brought = {"instructions": instructions, "name": rest[-1].get("name") if asks else None}
    if not stateless:
        return question, {**brought, **_continued(rest or messages, asks)}
    check_calls(messages)
    return question, {**brought, "history": rest[:-1] if asks else rest, "store": False}


def _continued(messages: list[Message], asks: bool) -> dict[str, Any]:
    """Return the messages that are new to a session, those since the assistant's last: answers to its calls, and others.

    Before a question there are answers alone: the session knows the rest.
    """
    said = [n for n, message in enumerate(messages[:-1]) if message["role"] == "assistant"]
    new = messages[said[-1] + 1 :] if said else messages
    answers = {message["tool_call_id"]: message["content"] for message in new if message["role"] == "tool"}
    before = [] if asks else [message for message in new if message["role"] != "tool"]
    check_calls(before)
    return {"answers": answers, "before": before}
