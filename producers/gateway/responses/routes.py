"""/v1/responses: a response is a turn."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway import rendering, schemas, sse
from turnstile.producers.gateway.content import read_items, split_question
from turnstile.producers.gateway.conversations.items import Limit, Order, cut
from turnstile.producers.gateway.desk import AtDesk, Desk
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Caller, Calling
from turnstile.producers.gateway.edge.errors import ApiError, documented, invalid, unsupported
from turnstile.producers.gateway.requests import ResponseRequest
from turnstile.producers.gateway.responses.events import Narrator
from turnstile.producers.gateway.responses.webhook import webhook
from turnstile.producers.reading.follow import follow, look
from turnstile.producers.reading.readers import EventReader
from turnstile.turns.errors import TurnConflict, TurnNotEnded, UnknownTurn
from turnstile.turns.question import Options, Question
from turnstile.turns.turn import Record

router = APIRouter(prefix="/v1/responses", tags=["Responses"])

IdempotencyKey = Annotated[str | None, Header(max_length=255, description="The same key is the same response.")]
Include = Annotated[
    list[Literal["message.input_image.image_url"]] | None, Query(description="What is included anyway; nothing else is there.")
]
MESSAGE_ID = "client_message_id"
"""In a request's metadata: a client's own id of its message, which works as an idempotency key."""

_STREAMED = {"text/event-stream": {"schema": {"type": "string", "description": "The contract's events, numbered from 0."}}}
_ANSWERS: dict[str, Any] = {"model": schemas.ResponseObject, "content": _STREAMED}


@router.post("", responses=documented(_ANSWERS, 404, 413, 422), response_class=JSONResponse)
async def create(
    request: Request, body: ResponseRequest, desk: AtDesk, caller: Calling, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask. Without `background` the call waits for the answer, and a client that goes away cancels it."""
    key = own_key(body.metadata, idempotency_key)
    record = await desk.store.status(await _submit(request, desk, caller, body, key))
    keyed = key is not None
    if body.stream:
        told = narrate(desk, caller, record, None)
        return sse.EventStream(told) if body.background else sse.EventStream(told, desk.attending(record.id, keyed))
    if not body.background and not record.ended:
        record = await desk.outcome(record.id, keyed, request.receive)
    return JSONResponse(_shown(desk, caller, record))


def own_key(metadata: Mapping[str, str] | None, header: str | None) -> str | None:
    """What tells a repeated request from a new one; None when the client gave nothing."""
    if header:
        return f"key\0{header}"
    message = (metadata or {}).get(MESSAGE_ID)
    return f"message\0{message}" if message else None


async def _submit(request: Request, desk: Desk, caller: Caller, body: ResponseRequest, key: str | None) -> str:
    before, question = split_question(read_items(body.input, "input"), "input")
    hook = webhook(desk.settings, caller, body.metadata or {}, background=bool(body.background))
    options = replace(body.options(before), webhook=hook)
    name = caller.key("response", key)
    id, fresh = RESPONSE + name, caller.session(CONVERSATION + name)
    if body.previous_response_id is None:
        session = fresh if body.conversation_id is None else caller.session(body.conversation_id)
        await desk.store.submit(id, session, question, options)
    elif not (key and await _asked_before(desk, id, question, options)):
        await _follow(
            desk,
            caller,
            body.previous_response_id,
            lambda previous: desk.store.follow(id, previous, fresh, question, options),
            request.receive,
        )
    return id


async def _asked_before(desk: Desk, id: str, question: Question, options: Options) -> bool:
    """Whether a repeat finds its turn; then what it followed may be gone. Raises TurnConflict when it is another one."""
    try:
        record = await desk.store.status(id)
    except UnknownTurn:
        return False
    if (record.question, record.options) != (question, Options.decode(options.encode())):
        raise TurnConflict("This idempotency key was used with another request.")
    return True


async def _follow(
    desk: Desk, caller: Caller, id: str, accept: Callable[[str], Awaitable[object]], receive: Callable[[], Awaitable[Any]]
) -> None:
    """Have a turn accepted after response `id`. While that runs and others follow it, the fork has no place yet: wait."""
    while True:
        previous = await _previous(desk, caller, id)
        try:
            await accept(previous.id)
        except (TurnNotEnded, UnknownTurn):
            with suppress(UnknownTurn):
                await desk.end_of(previous.id, receive)
        else:
            return


async def _previous(desk: Desk, caller: Caller, id: str) -> Record:
    try:
        record = await desk.look_up(caller, id, "previous_response_id")
    except ApiError as error:
        error.code = "previous_response_not_found"
        raise
    if not record.options.store:
        raise invalid("previous_response_id", "That response was not stored (`store`: false): nothing can follow it.")
    return record


def _shown(desk: Desk, caller: Caller, record: Record) -> dict[str, Any]:
    return rendering.response(record, caller.name(record.session), desk.settings.model)


async def narrate(desk: Desk, caller: Caller, record: Record, after: int | None) -> AsyncGenerator[bytes]:
    """All events of a response after sequence number `after`, as they happen, ready for the wire."""
    narrator = Narrator(record, caller.name(record.session), desk.settings.model)
    reader = EventReader()
    first = -1 if after is None else after
    for told in narrator.begin():
        if told["sequence_number"] > first:
            yield sse.event(told)
    try:
        async for batch in follow(desk.store, desk.watch, record.id, reader):
            yield b""
            for event in batch:
                latest = await look(desk.store, record.id) if event.type == "ended" else None
                for told in narrator.tell(event, latest):
                    if told["sequence_number"] > first:
                        yield sse.event(told)
        for told in narrator.retell(reader.left) if reader.left else ():
            yield sse.event(told)
    except UnknownTurn:
        yield sse.event(narrator.trouble("not_found", "The response was deleted."))


@router.get("/{response_id}", responses=documented(_ANSWERS, 404), response_class=JSONResponse)
async def retrieve(
    response_id: str,
    desk: AtDesk,
    caller: Calling,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0, description="Only events after this sequence number.")] = None,
    include_obfuscation: Annotated[bool | None, Query(description="There is none here.")] = None,
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
) -> Response:
    """The response as it is, or, with `stream`, its events from the first one on: also of one created without `stream`."""
    if include_obfuscation:
        raise unsupported("include_obfuscation")
    record = await desk.look_up(caller, response_id)
    if not stream:
        return JSONResponse(_shown(desk, caller, record))
    if starting_after is not None and record.ended and not await desk.store.events(record.id, 0, 1):
        message = "The events of this response have expired; retrieve it without `starting_after`."
        raise invalid("starting_after", message, "stream_expired")
    return sse.EventStream(narrate(desk, caller, record, starting_after))


@router.post("/{response_id}/cancel", responses=documented(_ANSWERS, 404), response_class=JSONResponse)
async def cancel(response_id: str, desk: AtDesk, caller: Calling) -> Response:
    """Cancel it, unless it has ended already; the response that stands."""
    record = await desk.look_up(caller, response_id)
    await desk.store.cancel(record.id)
    return JSONResponse(_shown(desk, caller, await desk.store.status(record.id)))


@router.delete("/{response_id}", responses=documented({"model": schemas.Deleted}, 404, 409), response_class=JSONResponse)
async def delete(response_id: str, desk: AtDesk, caller: Calling) -> Response:
    """Forget it; one that has not ended is cancelled. What it added to its conversation stays there."""
    record = await desk.look_up(caller, response_id)
    await desk.store.cancel(record.id)
    await desk.store.forget(record.id)
    return JSONResponse({"id": record.id, "object": "response", "deleted": True})


@router.get("/{response_id}/input_items", responses=documented({"model": schemas.ItemList}, 404), response_class=JSONResponse)
async def input_items(
    response_id: str,
    desk: AtDesk,
    caller: Calling,
    after: str | None = None,
    limit: Limit = 20,
    order: Order = "desc",
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
) -> Response:
    """The items that it was asked with."""
    record = await desk.look_up(caller, response_id)
    return JSONResponse(cut(rendering.input_items(record), after, limit, order))
