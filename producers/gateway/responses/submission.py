"""The way of a request for a response into the queue."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.content import Message
from turnstile.producers.gateway.disconnect import Receive
from turnstile.producers.gateway.edge.api_errors import invalid, no_output
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Caller
from turnstile.producers.gateway.items.given import Given, split_question
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.responses.arrival import arrive, find_previous, is_plain
from turnstile.producers.gateway.responses.branches import at_a_pace
from turnstile.producers.gateway.responses.compaction import check_compaction
from turnstile.producers.gateway.responses.not_before import not_before
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.producers.gateway.responses.webhook import webhook
from turnstile.turns.errors import InvalidTurn, SessionHeld, TurnConflict, TurnNotEnded, UnknownTurn
from turnstile.turns.output import call_name
from turnstile.turns.question import Options, Question
from turnstile.turns.store.acceptance import Submitted
from turnstile.turns.text import dumps

_DIGEST = "digest"
"""In a turn's `request`: what was asked with an idempotency key, where a repeat would find another conversation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a turn: its question and options, the session that it names or a `fresh` one, and what it follows."""

    session: str
    fresh: str
    question: Question
    options: Options
    terms: dict[str, Any]
    previous: str | None


async def submit(backend: Backend, caller: Caller, body: ResponseRequest, key: str | None, receive: Receive) -> str:
    """Have a turn accepted, and return its id. The same `key` is the same turn."""
    later = not_before(body)
    name = caller.key("response", key)
    id, given = RESPONSE + name, _given(backend, caller, body)
    digest = _digest(body) if key and (body.previous_response_id is not None or not is_plain(given)) else ""
    if digest and await _was_accepted(backend, id, digest):
        return id
    asked = await _read(backend, caller, body, given, name)
    if digest:
        asked.options.request[_DIGEST] = digest
    if later is not None:
        await backend.store.ask_later(id, asked.session, asked.question, asked.options, not_before=later, **asked.terms)
        return id
    if asked.previous is None:
        submitting = backend.store.submit(id, asked.session, asked.question, asked.options, **asked.terms)
        return (await _unless_held(backend, asked.session, submitting)).id

    def accept(previous: str) -> Awaitable[Submitted]:
        def follow() -> Awaitable[Submitted]:
            return backend.store.follow(id, previous, asked.fresh, asked.question, asked.options, **asked.terms)

        return at_a_pace(caller.tenant, asked.fresh, follow)

    return await _follow(backend, caller, asked.previous, accept, receive)


async def read_request(backend: Backend, caller: Caller, body: ResponseRequest, name: str) -> Asked:
    """Return a request as a turn; `name` is for a session of its own. Raises ApiError, InvalidTurn."""
    return await _read(backend, caller, body, _given(backend, caller, body), name)


def _given(backend: Backend, caller: Caller, body: ResponseRequest) -> list[Given]:
    body.check(strict=backend.settings.strict_parameters)
    caller.check_model(body.model)
    return read_items(body.input, "input")


async def _read(backend: Backend, caller: Caller, body: ResponseRequest, given: list[Given], name: str) -> Asked:
    fresh = caller.session(CONVERSATION + name)
    arrival = await arrive(backend, caller, body, given)
    check_compaction(backend.settings, body, arrival)
    before, question = split_question(arrival.messages)
    if not (before or question or arrival.answers):
        raise invalid("input", "`input` brings nothing new: ask something, or answer open calls.", "no_question")
    options = await _options(backend, caller, body, before=before, answers=arrival.answers)
    session = fresh if body.conversation_id is None else caller.session(body.conversation_id)
    terms = {**caller.terms, "when_busy": caller.when_busy(body.metadata)}
    return Asked(session, fresh, question, options, terms, arrival.previous)


async def _options(
    backend: Backend, caller: Caller, body: ResponseRequest, before: list[Message], answers: dict[str, str]
) -> Options:
    destination = webhook(backend.settings, caller, body.metadata or {}, background=bool(body.background))
    try:
        options = body.options(before=before, answers=answers)
    except InvalidTurn as error:
        # Tools have the form of chat completions by now.
        raise InvalidTurn(str(error).replace(".function", ""), error.param.replace(".function", "")) from None
    return await backend.chosen(replace(options, webhook=destination))


def _digest(body: ResponseRequest) -> str:
    return hashlib.sha256(dumps(body.model_dump(mode="json", exclude_none=True)).encode()).hexdigest()[:32]


async def _was_accepted(backend: Backend, id: str, digest: str) -> bool:
    """Return True for a repeated request, whose previous response may be gone. Raises TurnConflict for another request."""
    try:
        record = await backend.store.outline(id)
    except UnknownTurn:
        return False
    if record.options.request.get(_DIGEST) != digest:
        raise TurnConflict("This idempotency key was used with another request.")
    return True


async def _unless_held(backend: Backend, session: str, accepting: Awaitable[Submitted]) -> Submitted:
    """Return what is accepted. Raises ApiError in OpenAI's words for a conversation that waits for answers first."""
    try:
        return await accepting
    except SessionHeld:
        hold = await backend.store.read_hold(session)
        if hold is None or not hold.calls:
            raise
    raise no_output(call_name(hold.calls[0]))


async def _follow(
    backend: Backend, caller: Caller, id: str, accept: Callable[[str], Awaitable[Submitted]], receive: Receive
) -> str:
    """Have a turn accepted after response `id`. Wait while that runs and others follow it: the fork has no place yet."""
    while True:
        previous = await find_previous(backend.store.outline, caller, id)
        try:
            return (await _unless_held(backend, previous.session, accept(previous.id))).id
        except (TurnNotEnded, UnknownTurn):
            with suppress(UnknownTurn):
                await backend.end_of(previous.id, receive)
