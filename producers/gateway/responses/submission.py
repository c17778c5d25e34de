"""The way of a request for a response into the queue."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.content import Message
from turnstile.producers.gateway.disconnect import Receive
from turnstile.producers.gateway.edge.api_errors import invalid, no_output
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Caller
from turnstile.producers.gateway.items.given import split_question
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.responses.arrival import arrive, find_previous, is_plain
from turnstile.producers.gateway.responses.branches import at_a_pace
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.producers.gateway.responses.webhook import webhook
from turnstile.turns.errors import InvalidTurn, SessionHeld, TurnConflict, TurnNotEnded, UnknownTurn
from turnstile.turns.output import call_name
from turnstile.turns.question import Options
from turnstile.turns.store.acceptance import Submitted
from turnstile.turns.text import dumps

_DIGEST = "digest"
"""In a turn's `request`: what was asked with an idempotency key, where a repeat would find another conversation."""


async def submit(backend: Backend, caller: Caller, body: ResponseRequest, key: str | None, receive: Receive) -> str:
    """Have a turn accepted, and return its id. The same `key` is the same turn."""
    body.check(strict=backend.settings.strict_parameters)
    caller.check_model(body.model)
    given = read_items(body.input, "input")
    name = caller.key("response", key)
    id, fresh = RESPONSE + name, caller.session(CONVERSATION + name)
    digest = _digest(body) if key and (body.previous_response_id is not None or not is_plain(given)) else ""
    if digest and await _was_accepted(backend, id, digest):
        return id
    arrival = await arrive(backend, caller, body, given)
    before, question = split_question(arrival.messages)
    if not (before or question or arrival.answers):
        raise invalid("input", "`input` brings nothing new: ask something, or answer open calls.", "no_question")
    options = await _options(backend, caller, body, before=before, answers=arrival.answers)
    if digest:
        options.request[_DIGEST] = digest
    session = fresh if body.conversation_id is None else caller.session(body.conversation_id)
    policy = caller.when_busy(body.metadata)
    if arrival.previous is None:
        submitting = backend.store.submit(id, session, question, options, when_busy=policy, **caller.terms)
        return (await _unless_held(backend, session, submitting)).id

    def accept(previous: str) -> Awaitable[Submitted]:
        def follow() -> Awaitable[Submitted]:
            return backend.store.follow(id, previous, fresh, question, options, when_busy=policy, **caller.terms)

        return at_a_pace(caller.tenant, fresh, follow)

    return await _follow(backend, caller, arrival.previous, accept, receive)


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
        record = await backend.store.status(id)
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
        previous = await find_previous(backend, caller, id)
        try:
            return (await _unless_held(backend, previous.session, accept(previous.id))).id
        except (TurnNotEnded, UnknownTurn):
            with suppress(UnknownTurn):
                await backend.end_of(previous.id, receive)
