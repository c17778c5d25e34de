"""One request of a batch: its line, the turn that it becomes, and its result in the form of OpenAI's output files."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.lines import Line
from turnstile.producers.gateway.chat import rendering as chat_rendering
from turnstile.producers.gateway.chat import submission as chat_submission
from turnstile.producers.gateway.chat.schemas import ChatRequest
from turnstile.producers.gateway.edge.api_errors import ApiError, invalid, unsupported
from turnstile.producers.gateway.edge.body import MOST_VALUES, values
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.edge.error_handlers import wrong_body
from turnstile.producers.gateway.failure import failure
from turnstile.producers.gateway.records import as_shown
from turnstile.producers.gateway.responses import rendering as response_rendering
from turnstile.producers.gateway.responses import submission as response_submission
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.turns.text import dumps
from turnstile.turns.turn import Record

RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
ENDPOINTS = (RESPONSES, CHAT)


class RequestLine(BaseModel):
    """A line of a batch's file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    custom_id: str = Field(min_length=1, max_length=512)
    method: str = Field("POST", pattern="^POST$")
    url: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A line that was read: `custom_id` is None where it has none, and `error` is the reason why it is no request."""

    line: Line
    custom_id: str | None = None
    body: dict[str, Any] | None = None
    error: ApiError | None = None


def read_request(line: Line, endpoint: str) -> BatchRequest:
    """Read a line."""
    if line.text is None:
        return BatchRequest(line, error=ApiError(413, "The line is larger than a request may be.", None, "request_too_large"))
    content = _object(line.text)
    if content is None:
        return BatchRequest(line, error=ApiError(400, "The line is not a JSON object.", None, "invalid_json_line"))
    name = content.get("custom_id")
    custom_id = name if isinstance(name, str) and len(name) <= 512 else None
    try:
        read = RequestLine.model_validate(content)
    except ValidationError as error:
        return BatchRequest(line, custom_id, error=_wrong(error))
    if read.url != endpoint:
        return BatchRequest(line, custom_id, error=invalid("url", f"`url` must be the batch's endpoint, {endpoint}."))
    return BatchRequest(line, custom_id, read.body)


def _object(text: bytes) -> dict[str, Any] | None:
    if values(text) > MOST_VALUES:
        return None
    try:
        content = json.loads(text)
        dumps(content).encode()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _wrong(error: ValidationError) -> ApiError:
    return wrong_body([{**found, "loc": ("body", *found["loc"])} for found in error.errors()])


def reading(endpoint: str, backend: Backend, caller: Caller, request: BatchRequest, key: str) -> Callable[[], Awaitable[str]]:
    """Return a function that has a request's turn accepted and returns its id; the same `key` is the same turn.

    Raises:
        ApiError: the request is wrong.
    """
    assert request.body is not None
    for name in ("stream", "background", "previous_response_id"):
        if request.body.get(name):
            raise unsupported(name)
    try:
        if endpoint == RESPONSES:
            response = ResponseRequest.model_validate(request.body).for_batch()
            return partial(response_submission.submit, backend, caller, response, key, _never)
        chat = ChatRequest.model_validate(request.body).for_batch()
    except ValidationError as error:
        raise _wrong(error) from None

    async def submit() -> str:
        return (await chat_submission.submit(backend, caller, chat, key, None)).id

    return submit


async def _never() -> Any:
    await asyncio.Event().wait()


def answered(endpoint: str, backend: Backend, caller: Caller, record: Record) -> tuple[int, dict[str, Any]]:
    """Return the status and the body that a request's client would have received."""
    record, model = as_shown(record), backend.settings.model
    if not record.state.answered:
        error = failure(record)
        return error.status, error.body()
    if endpoint == RESPONSES:
        return 200, response_rendering.response(record, caller.name(record.session), model)
    return 200, chat_rendering.completion(record, model)


def result(batch: str, request: BatchRequest, status: int, body: dict[str, Any]) -> str:
    """Return a line of an output file."""
    id = f"{batch}_{request.line.number}"
    return dumps(
        {
            "id": f"batch_req_{id}",
            "custom_id": request.custom_id,
            "response": {"status_code": status, "request_id": f"req_{id}", "body": body},
            "error": None,
        }
    )


def not_asked(batch: str, request: BatchRequest, code: str, message: str) -> str:
    """Return a line of an error file, for a request that has no answer of a server."""
    return dumps(
        {
            "id": f"batch_req_{batch}_{request.line.number}",
            "custom_id": request.custom_id,
            "response": None,
            "error": {"code": code, "message": message},
        }
    )
