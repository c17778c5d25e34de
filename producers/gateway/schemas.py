"""The answers' shapes, for the OpenAPI document; the routes write them as they are, without a detour through these."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class ResponseObject(_Shape):
    """A response: what OpenAI's `Response` has."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"]
    model: str
    output: list[dict[str, Any]]
    metadata: dict[str, str]
    conversation: dict[str, str] | None
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    usage: dict[str, Any] | None


class Deleted(_Shape):
    """What is gone."""

    id: str
    object: str
    deleted: Literal[True]


class ItemObject(_Shape):
    """A message."""

    id: str
    type: Literal["message"]
    role: str
    status: str
    content: list[dict[str, Any]]


class ItemList(_Shape):
    """A page of items."""

    object: Literal["list"]
    data: list[ItemObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ConversationObject(_Shape):
    """A conversation."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class ModelObject(_Shape):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(_Shape):
    """The models that answer."""

    object: Literal["list"]
    data: list[ModelObject]


class ChatCompletion(_Shape):
    """A chat completion: what OpenAI's `ChatCompletion` has."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]


class Health(_Shape):
    """How the gateway is."""

    status: Literal["ok"]
