"""The bodies of requests for conversations, and the form of a conversation."""

from typing import Annotated, Literal

from pydantic import Field

from turnstile.producers.gateway.schemas import Answer, Body, Items, Metadata

MAX_ITEMS = 20
MOST_MESSAGES = 100
"""That these stand for: a compaction item holds several, and each is looked for in the history before it is added."""


class ConversationRequest(Body):
    """POST /v1/conversations."""

    items: Annotated[Items, Field(max_length=MAX_ITEMS)] | None = None
    metadata: Metadata | None = None


class ConversationUpdate(Body):
    """POST /v1/conversations/{id}."""

    metadata: Metadata | None


class ItemsRequest(Body):
    """POST /v1/conversations/{id}/items."""

    items: Annotated[Items, Field(min_length=1, max_length=MAX_ITEMS)]


class ConversationObject(Answer):
    """A conversation."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]
