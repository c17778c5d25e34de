"""The forms of answers about models."""

from typing import Literal

from turnstile.producers.gateway.schemas import Answer


class ModelObject(Answer):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Answer):
    """The available models."""

    object: Literal["list"]
    data: list[ModelObject]
