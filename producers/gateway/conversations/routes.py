"""/v1/conversations: a conversation is a session."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway.conversations.changes import add_items, amend, begin, described
from turnstile.producers.gateway.conversations.schemas import (
    ConversationObject,
    ConversationRequest,
    ConversationUpdate,
    ItemsRequest,
)
from turnstile.producers.gateway.dependencies import CurrentBackend, IdempotencyKey, Include, OwnSession
from turnstile.producers.gateway.edge.body import BodyRoute
from turnstile.producers.gateway.edge.caller import Caller, CurrentCaller
from turnstile.producers.gateway.edge.documentation import documented
from turnstile.producers.gateway.items.history import History
from turnstile.producers.gateway.paging import Limit, Order, listed
from turnstile.producers.gateway.schemas import Deleted, ItemList, ItemObject
from turnstile.turns.store.conversations import Conversation

router = APIRouter(prefix="/v1/conversations", tags=["Conversations"], route_class=BodyRoute)

_CONVERSATION: dict[str, Any] = {"model": ConversationObject}
_ITEM: dict[str, Any] = {"model": ItemObject}
_ITEMS: dict[str, Any] = {"model": ItemList}


def _shown(caller: Caller, conversation: Conversation) -> dict[str, Any]:
    return {
        "id": caller.name(conversation.session),
        "object": "conversation",
        "created_at": int(conversation.created),
        "metadata": conversation.metadata,
    }


@router.post("", responses=documented(_CONVERSATION, 413, 422), response_class=JSONResponse)
async def create(
    backend: CurrentBackend,
    caller: CurrentCaller,
    body: Annotated[ConversationRequest | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Create a conversation. A name of your own needs no creation: just use it."""
    return JSONResponse(_shown(caller, await begin(backend, caller, body or ConversationRequest(), idempotency_key)))


@router.get("/{conversation_id}", responses=documented(_CONVERSATION, 404), response_class=JSONResponse)
async def retrieve(session: OwnSession, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Retrieve a conversation."""
    return JSONResponse(_shown(caller, await described(backend, caller, session)))


@router.post("/{conversation_id}", responses=documented(_CONVERSATION, 404, 413), response_class=JSONResponse)
async def update(session: OwnSession, body: ConversationUpdate, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Replace a conversation's metadata."""
    await amend(backend, caller, session, body.metadata or {})
    return JSONResponse(_shown(caller, await described(backend, caller, session)))


@router.delete("/{conversation_id}", responses=documented({"model": Deleted}, 404), response_class=JSONResponse)
async def delete(session: OwnSession, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Delete a conversation with its items and its responses; those that still run are dropped."""
    await described(backend, caller, session)
    await backend.store.erase(session)
    return JSONResponse({"id": caller.name(session), "object": "conversation.deleted", "deleted": True})


@router.post("/{conversation_id}/items", responses=documented(_ITEMS, 404, 413, 422), response_class=JSONResponse)
async def create_items(
    session: OwnSession,
    body: ItemsRequest,
    backend: CurrentBackend,
    caller: CurrentCaller,
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Add messages without asking anything."""
    return JSONResponse(listed(await add_items(backend, caller, session, body.items, idempotency_key), has_more=False))


@router.get("/{conversation_id}/items", responses=documented(_ITEMS, 404), response_class=JSONResponse)
async def list_items(
    session: OwnSession,
    backend: CurrentBackend,
    caller: CurrentCaller,
    after: str | None = None,
    limit: Limit = 20,
    order: Order = "desc",
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
) -> Response:
    """List a conversation's messages, in pages."""
    await described(backend, caller, session)
    return JSONResponse(await History(backend.store, session).page(after, limit, order))


@router.get("/{conversation_id}/items/{item_id}", responses=documented(_ITEM, 404), response_class=JSONResponse)
async def retrieve_item(
    session: OwnSession,
    item_id: str,
    backend: CurrentBackend,
    caller: CurrentCaller,
    include: Include = None,  # noqa: ARG001  # the SDKs' parameter
) -> Response:
    """Retrieve one message."""
    await described(backend, caller, session)
    return JSONResponse((await History(backend.store, session).find(item_id))[1])


@router.delete("/{conversation_id}/items/{item_id}", responses=documented(_CONVERSATION, 404), response_class=JSONResponse)
async def delete_item(session: OwnSession, item_id: str, backend: CurrentBackend, caller: CurrentCaller) -> Response:
    """Delete one message, and return the conversation."""
    found = await described(backend, caller, session)
    _, _, element = await History(backend.store, session).find(item_id)
    await backend.store.drop_message(session, element)
    # A summary that tells of the message goes, too.
    await backend.store.read_summary(session)
    return JSONResponse(_shown(caller, found))
