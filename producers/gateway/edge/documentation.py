"""Errors in the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field


class ErrorDetail(BaseModel):
    """The details of an error."""

    message: str
    type: str
    param: str | None = Field(description="The part of the request that is wrong.")
    code: str | None = Field(description="A word for programs.")


class ErrorBody(BaseModel):
    """The form of every error."""

    error: ErrorDetail


Documented = dict[int | str, dict[str, Any]]


def documented(success: dict[str, Any], *statuses: int) -> Documented:
    """Return a route's OpenAPI entries: its success, its errors, and the errors that every route has."""
    described = {
        400: "The request is wrong.",
        401: "The API key is missing or wrong.",
        404: "Not found.",
        409: "Not possible now.",
        408: "The body came too slowly.",
        413: "The request is too large.",
        415: "The body is not said to be JSON.",
        422: "The idempotency key was used with another request.",
        429: "Too many requests or waiting turns.",
        502: "The model's server does not answer.",
        503: "The queue does not answer.",
        504: "The model's server, or the turn, took too long.",
    }
    wanted = {400, 401, 429, 503, *statuses}
    errors: Documented = {
        status: {"model": ErrorBody, "description": text} for status, text in described.items() if status in wanted
    }
    return {200: success, **errors}
