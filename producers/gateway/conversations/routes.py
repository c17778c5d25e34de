"""/v1/conversations: a conversation is a session."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse, Response

from turnstile.memory.element import Element, write
from turnstile.producers.gateway import schemas
from turnstile.producers.gateway.content import read_items, stored
from turnstile.producers.gateway.conversations.items import History, Limit, Order, listed
from turnstile.producers.gateway.desk import AtDesk, Desk
from turnstile.producers.gateway.edge.caller import CONVERSATION, Caller, Calling
from turnstile.producers.gateway.edge.errors import ApiError, documented, missing
from turnstile.producers.gateway.requests import ConversationRequest, ConversationUpdate, ItemsRequest
from turnstile.producers.gateway.responses.routes import IdempotencyKey, Include
from turnstile.turns.errors import TurnConflict, UnknownSession
from turnstile.turns.question import fingerprint
from turnstile.turns.store.conversations import Conversation
from turnstile.turns.text import dumps

router = APIRouter(prefix="/v1/conversations", tags=["Conversations"])

_CONVERSATION: dict[str, Any] = {"model": schemas.ConversationObject}
_ITEM: dict[str, Any] = {"model": schemas.ItemObject}
_ITEMS: dict[str, Any] = {"model": schemas.ItemList}


@router.post("", responses=documented(_CONVERSATION, 413, 422), response_class=JSONResponse)
async def create(
    desk: AtDesk,
    caller: Calling,
    body: Annotated[ConversationRequest | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Begin a conversation. A name of your own needs no beginning: just use it."""
    body = body or ConversationRequest()
    name = CONVERSATION + caller.key("conversation", idempotency_key)
    session = caller.session(name)
    items = [write(element) for element in _stored(caller, body.items or [], idempotency_key or name, at=0)]
    await desk.store.begin(session, body.metadata or {}, items)
    return JSONResponse(_shown(caller, await desk.store.describe(session)))


def _stored(caller: Caller, items: list[dict[str, Any]], key: str | None, at: int) -> list[Element]:
    messages = read_items(items, "items")
    return [stored(message, f"msg_{caller.key('item', key and f'{key}{chr(0)}{n}')}", at) for n, message in enumerate(messages)]


def _shown(caller: Caller, conversation: Conversation) -> dict[str, Any]:
    return {
        "id": caller.name(conversation.session),
        "object": "conversation",
        "created_at": int(conversation.created),
        "metadata": conversation.metadata,
    }


async def _described(desk: Desk, caller: Caller, id: str) -> Conversation:
    try:
        return await desk.store.describe(_session(caller, id))
    except UnknownSession:
        raise missing("conversation_id", "Conversation", id) from None


async def _amend(desk: Desk, caller: Caller, id: str, metadata: dict[str, str] | None, messages: Sequence[str] = ()) -> None:
    try:
        await desk.store.amend(_session(caller, id), metadata, messages)
    except UnknownSession:
        raise missing("conversation_id", "Conversation", id) from None


def _session(caller: Caller, id: str) -> str:
    try:
        return caller.session(id)
    except ApiError:
        raise missing("conversation_id", "Conversation", id) from None


@router.get("/{conversation_id}", responses=documented(_CONVERSATION, 404), response_class=JSONResponse)
async def retrieve(conversation_id: str, desk: AtDesk, caller: Calling) -> Response:
    """What it is called."""
    return JSONResponse(_shown(caller, await _described(desk, caller, conversation_id)))


@router.post("/{conversation_id}", responses=documented(_CONVERSATION, 404, 413), response_class=JSONResponse)
async def update(conversation_id: str, body: ConversationUpdate, desk: AtDesk, caller: Calling) -> Response:
    """Put other metadata in place of what it has."""
    await _amend(desk, caller, conversation_id, body.metadata or {})
    return JSONResponse(_shown(caller, await _described(desk, caller, conversation_id)))


@router.delete("/{conversation_id}", responses=documented({"model": schemas.Deleted}, 404), response_class=JSONResponse)
async def delete(conversation_id: str, desk: AtDesk, caller: Calling) -> Response:
    """Forget it with its items and its responses; what still runs is dropped."""
    found = await _described(desk, caller, conversation_id)
    await desk.store.erase(found.session)
    return JSONResponse({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


async def _agree(desk: Desk, name: str, elements: list[Element]) -> None:
    """Let a repeat's elements be those of the first time, which are not added again. Raises TurnConflict for others."""
    now, mine = elements[0].mark["at"], fingerprint(name, dumps([element.data for element in elements]), "")
    at, _, first = (await desk.store.once(name, f"{now} {mine}")).partition(" ")
    if first != mine:
        raise TurnConflict("This idempotency key was used with other items.")
    for element in elements:
        element.mark["at"] = int(at)


@router.post("/{conversation_id}/items", responses=documented(_ITEMS, 404, 413, 422), response_class=JSONResponse)
async def create_items(
    conversation_id: str,
    body: ItemsRequest,
    desk: AtDesk,
    caller: Calling,
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Add messages without asking anything."""
    session = _session(caller, conversation_id)
    key = idempotency_key and f"{session}\0{idempotency_key}"
    elements = _stored(caller, body.items, key, at=round(time.time() * 1000))
    if key:
        await _agree(desk, caller.key("items", key), elements)
    await _amend(desk, caller, conversation_id, None, [write(element) for element in elements])
    history = History(desk.store, session)
    items = [(await history.find(element.mark["item"]))[1] for element in elements]
    return JSONResponse(listed(items, has_more=False))


@router.get("/{conversation_id}/items", responses=documented(_ITEMS, 404), response_class=JSONResponse)
async def list_items(
    conversation_id: str,
    desk: AtDesk,
    caller: Calling,
    after: str | None = None,
    limit: Limit = 20,
    order: Order = "desc",
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
) -> Response:
    """Its messages, in pages."""
    found = await _described(desk, caller, conversation_id)
    return JSONResponse(await History(desk.store, found.session).page(after, limit, order))


@router.get("/{conversation_id}/items/{item_id}", responses=documented(_ITEM, 404), response_class=JSONResponse)
async def retrieve_item(
    conversation_id: str,
    item_id: str,
    desk: AtDesk,
    caller: Calling,
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
) -> Response:
    """One message."""
    found = await _described(desk, caller, conversation_id)
    return JSONResponse((await History(desk.store, found.session).find(item_id))[1])


@router.delete("/{conversation_id}/items/{item_id}", responses=documented(_CONVERSATION, 404), response_class=JSONResponse)
async def delete_item(conversation_id: str, item_id: str, desk: AtDesk, caller: Calling) -> Response:
    """Take one message out; the conversation that is left."""
    found = await _described(desk, caller, conversation_id)
    _, _, element = await History(desk.store, found.session).find(item_id)
    await desk.store.drop_message(found.session, element)
    return JSONResponse(_shown(caller, found))
