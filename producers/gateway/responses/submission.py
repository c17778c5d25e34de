"""The way of a request for a response into the queue."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.content import read_items, split_question
from turnstile.producers.gateway.dependencies import find_response
from turnstile.producers.gateway.disconnect import Receive
from turnstile.producers.gateway.edge.api_errors import ApiError, invalid
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Caller
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.producers.gateway.responses.webhook import webhook
from turnstile.turns.errors import TurnConflict, TurnNotEnded, UnknownTurn
from turnstile.turns.question import Options, Question
from turnstile.turns.turn import Record


async def submit(backend: Backend, caller: Caller, body: ResponseRequest, key: str | None, receive: Receive) -> str:
    """Have a turn accepted, and return its id. The same `key` is the same turn."""
    body.check(strict=backend.settings.strict_parameters)
    before, question = split_question(read_items(body.input, "input"), "input")
    destination = webhook(backend.settings, caller, body.metadata or {}, background=bool(body.background))
    options = await backend.chosen(replace(body.options(before), webhook=destination))
    name = caller.key("response", key)
    id, fresh = RESPONSE + name, caller.session(CONVERSATION + name)
    if body.previous_response_id is None:
        session = fresh if body.conversation_id is None else caller.session(body.conversation_id)
        await backend.store.submit(id, session, question, options)
    elif not (key and await _was_accepted(backend, id, question, options)):
        await _follow(
            backend,
            caller,
            body.previous_response_id,
            lambda previous: backend.store.follow(id, previous, fresh, question, options),
            receive,
        )
    return id


async def _was_accepted(backend: Backend, id: str, question: Question, options: Options) -> bool:
    """Return True for a repeated request, whose previous response may be gone. Raises TurnConflict for another request."""
    try:
        record = await backend.store.status(id)
    except UnknownTurn:
        return False
    if (record.question, record.options) != (question, Options.decode(options.encode())):
        raise TurnConflict("This idempotency key was used with another request.")
    return True


async def _follow(
    backend: Backend, caller: Caller, id: str, accept: Callable[[str], Awaitable[object]], receive: Receive
) -> None:
    """Have a turn accepted after response `id`. Wait while that runs and others follow it: the fork has no place yet."""
    while True:
        previous = await _previous(backend, caller, id)
        try:
            await accept(previous.id)
        except (TurnNotEnded, UnknownTurn):
            with suppress(UnknownTurn):
                await backend.end_of(previous.id, receive)
        else:
            return


async def _previous(backend: Backend, caller: Caller, id: str) -> Record:
    try:
        record = await find_response(backend, caller, id, "previous_response_id")
    except ApiError as error:
        error.code = "previous_response_not_found"
        raise
    if not record.options.store:
        raise invalid("previous_response_id", "That response was not stored (`store`: false): nothing can follow it.")
    return record
