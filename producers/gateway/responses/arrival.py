"""New input of a request, at the place where it goes on: after a response, in a conversation, or nowhere."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.content import Message
from turnstile.producers.gateway.dependencies import find_response
from turnstile.producers.gateway.edge.api_errors import ApiError, invalid
from turnstile.producers.gateway.edge.caller import RESPONSE, Caller
from turnstile.producers.gateway.items.given import Given, Kind
from turnstile.producers.gateway.items.history import History
from turnstile.producers.gateway.items.known import look_up
from turnstile.producers.gateway.responses.continuation import Brought, alone, sort_out
from turnstile.producers.gateway.responses.references import resolved
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.turns.errors import UnknownTurn
from turnstile.turns.output import call_name, open_calls
from turnstile.turns.turn import RecordForm, TurnResult


@dataclass(frozen=True, slots=True)
class Arrival:
    """New input of a request, as a turn. `previous` is the response that it follows."""

    answers: dict[str, str]
    messages: list[Message]
    previous: str | None = None


def is_plain(given: Sequence[Given]) -> bool:
    """Return True for messages that nobody can have seen before."""
    return all(one.kind is Kind.MESSAGE and not one.id for one in given)


async def arrive(backend: Backend, caller: Caller, body: ResponseRequest, given: Sequence[Given]) -> Arrival:
    """Return what a request's items bring. Raises ApiError for items that do not belong together, or are not the caller's."""
    if is_plain(given):
        return Arrival({}, Brought(later=list(given)).messages(), body.previous_response_id)
    if body.previous_response_id is not None:
        return await _after(backend, caller, body.previous_response_id, given)
    if body.conversation_id is not None:
        return await _within(backend, caller, caller.session(body.conversation_id), given)
    return Arrival({}, alone(await resolved(backend, caller, given)).messages())


async def _after(backend: Backend, caller: Caller, id: str, given: Sequence[Given]) -> Arrival:
    previous = await find_previous(backend.store.result, caller, id)
    previous = await _waiting_follower(backend, previous, given) or previous
    known = await look_up(History(backend.store, previous.session), given, last=previous.merged or previous.id)
    if previous.merged and previous.state.answered:
        # The history has its items under the other turn's name.
        known.names.add(previous.id.removeprefix(RESPONSE))
    fresh = await resolved(backend, caller, [one for one in given if not known.has(one)])
    brought = sort_out(fresh, known, [call_name(call) for call in open_calls(previous.output)])
    return replace(await _arrival(backend, brought, previous.id), previous=previous.id)


async def _waiting_follower(backend: Backend, previous: TurnResult, given: Sequence[Given]) -> TurnResult | None:
    """Return the response whose calls are answered, where the client still names the one before it."""
    given_calls = {one.call for one in given if one.answers}
    if not given_calls or given_calls & {call_name(call) for call in open_calls(previous.output)}:
        return None
    hold = await backend.store.read_hold(previous.session)
    if hold and hold.turn != previous.id and given_calls & {call_name(call) for call in hold.calls}:
        follower = await backend.store.result(hold.turn)
        return follower if follower.options.request.get("previous_response_id") == previous.id else None
    return None


async def _within(backend: Backend, caller: Caller, session: str, given: Sequence[Given]) -> Arrival:
    known = await look_up(History(backend.store, session), given)
    fresh = await resolved(backend, caller, [one for one in given if not known.has(one)])
    hold = await backend.store.read_hold(session) if any(one.answers for one in fresh) else None
    brought = sort_out(fresh, known, [call_name(call) for call in hold.calls] if hold else ())
    answered = next(iter(brought.answers), "")
    return await _arrival(backend, brought, known.calls.get(answered) or (hold.turn if hold else ""))


async def _arrival(backend: Backend, brought: Brought, asked_by: str) -> Arrival:
    """Return what is brought; the messages of the turn that made the calls, `asked_by`, may come with their outputs again."""
    repeated = await _messages(backend, asked_by) if brought.answers and brought.earlier else []
    return Arrival(brought.answers, brought.messages(repeated))


async def _messages(backend: Backend, turn: str) -> list[Message]:
    with suppress(UnknownTurn):
        record = await backend.store.status(turn)
        said: list[Message] = [{"role": "user", "content": record.question}, {"role": "assistant", "content": record.text}]
        return [*record.options.before, *said]
    return []


async def find_previous(read: Callable[[str], Awaitable[RecordForm]], caller: Caller, id: str) -> RecordForm:
    """Return the caller's response that a request follows, as much of it as `read` reads. Raises ApiError."""
    try:
        record = await find_response(read, caller, id, "previous_response_id")
    except ApiError as error:
        error.code = "previous_response_not_found"
        raise
    if not record.options.store:
        raise invalid("previous_response_id", "That response was not stored (`store`: false): nothing can follow it.")
    return record
