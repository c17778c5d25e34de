"""One request of a batch: its line, the turn that it becomes, and its result in the form of OpenAI's output files."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.batches.lines import Line
from turnstile.producers.gateway.chat import rendering as chat_rendering
from turnstile.producers.gateway.chat import submission as chat_submission
from turnstile.producers.gateway.chat.schemas import ChatRequest
from turnstile.producers.gateway.edge.api_errors import ApiError, invalid, unsupported
from turnstile.producers.gateway.edge.caller import RESPONSE, Caller
from turnstile.producers.gateway.edge.error_handlers import wrong_body
from turnstile.producers.gateway.failure import failure
from turnstile.producers.gateway.records import as_shown
from turnstile.producers.gateway.responses import rendering as response_rendering
from turnstile.producers.gateway.responses import submission as response_submission
from turnstile.producers.gateway.responses.schemas import ResponseRequest
from turnstile.producers.gateway.schemas import Part
from turnstile.turns.store.batches import Place
from turnstile.turns.text import dumps
from turnstile.turns.turn import TurnResult

RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
ENDPOINTS = (RESPONSES, CHAT)


class RequestLine(Part):
    """A line in OpenAI's form."""

    model_config = ConfigDict(extra="forbid", strict=True)
    custom_id: str = Field(min_length=1, max_length=512)
    method: str = Field("POST", pattern="^POST$")
    url: str
    body: dict[str, Any]


class QuestionLine(Part):
    """A line in the form of `turnstile batch`; its other fields are those of a response's body."""

    model_config = ConfigDict(extra="allow", strict=True)
    session: str
    question: str
    id: str | None = Field(None, min_length=1, max_length=512)

    def body(self) -> dict[str, Any]:
        """Return the body of the same request in OpenAI's form."""
        return {**(self.model_extra or {}), "conversation": self.session, "input": self.question}


@dataclass(frozen=True, slots=True)
class Row:
    """The place of a request: its line, the place behind that, and its `custom_id`, if it has one."""

    number: int
    after: Place
    custom_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A line that was read: `error` is the reason why it is no request."""

    row: Row
    body: dict[str, Any] | None = None
    error: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose turn was accepted."""

    row: Row
    turn: str


@dataclass(frozen=True, slots=True)
class Done:
    """A request with its result. `asked`: a turn was accepted for it."""

    row: Row
    outcome: str
    text: str
    asked: bool = False


def read_request(line: Line, endpoint: str) -> BatchRequest:
    """Read a line."""
    row = Row(line.number, line.after)
    if line.text is None:
        return BatchRequest(row, error=ApiError(413, "The line is larger than a request may be.", None, "request_too_large"))
    content = _object(line.text)
    if content is None:
        return BatchRequest(row, error=ApiError(400, "The line is not a JSON object.", None, "invalid_json_line"))
    asks = "question" in content and "body" not in content
    name = content.get("id" if asks else "custom_id")
    row = replace(row, custom_id=name if isinstance(name, str) and len(name) <= 512 else None)
    try:
        body = _question(content, endpoint) if asks else _request(content, endpoint)
    except ValidationError as error:
        return BatchRequest(row, error=_wrong(error))
    except ApiError as error:
        return BatchRequest(row, error=error)
    return BatchRequest(row, body)


def _request(content: dict[str, Any], endpoint: str) -> dict[str, Any]:
    read = RequestLine.model_validate(content)
    if read.url != endpoint:
        raise invalid("url", f"`url` must be the batch's endpoint, {endpoint}.")
    return read.body


def _question(content: dict[str, Any], endpoint: str) -> dict[str, Any]:
    read = QuestionLine.model_validate(content)
    if endpoint != RESPONSES:
        raise invalid("session", f"Lines with `session` and `question` are for batches whose endpoint is {RESPONSES}.")
    if twice := content.keys() & {"conversation", "input", "custom_id"}:
        raise invalid(min(twice), f"A line with `session` and `question` has no `{min(twice)}`.")
    return read.body()


def _object(text: bytes) -> dict[str, Any] | None:
    if b"\0" in text:
        return None
    try:
        content = json.loads(text)
        dumps(content).encode()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _wrong(error: ValidationError) -> ApiError:
    return wrong_body([{**found, "loc": ("body", *found["loc"])} for found in error.errors()])


def turn_id(endpoint: str, batch: str, caller: Caller, row: Row) -> str:
    """Return the id of the turn that a request becomes: that of its `custom_id`, however often it is asked."""
    return RESPONSE + caller.key("response" if endpoint == RESPONSES else "chat", _key(batch, row))


def _key(batch: str, row: Row) -> str:
    return f"{batch}\0{row.number if row.custom_id is None else f'id {row.custom_id}'}"


def checked(endpoint: str, request: BatchRequest) -> ResponseRequest | ChatRequest:
    """Return the body of a request. Raises ApiError for one that is wrong."""
    if request.body is None:
        raise request.error or invalid("body", "The line is no request.")
    if names := [name for name in ("stream", "background", "previous_response_id") if request.body.get(name)]:
        raise unsupported(*names)
    try:
        return (ResponseRequest if endpoint == RESPONSES else ChatRequest).model_validate(request.body).for_batch()
    except ValidationError as error:
        raise _wrong(error) from None


def asking(
    endpoint: str, batch: str, backend: Backend, caller: Caller, request: BatchRequest
) -> Callable[[], Awaitable[object]]:
    """Return a function that has a request's turn accepted. Raises ApiError as `checked`."""
    body, key = checked(endpoint, request), _key(batch, request.row)
    if isinstance(body, ResponseRequest):
        return partial(response_submission.submit, backend, caller, body, key, _never)
    return partial(chat_submission.submit, backend, caller, body, key, None)


async def _never() -> Any:
    await asyncio.Event().wait()


def answered(endpoint: str, backend: Backend, caller: Caller, record: TurnResult) -> tuple[int, dict[str, Any]]:
    """Return the status and the body that a request's client would have received."""
    record, model = as_shown(record), backend.settings.models[0]
    if not record.state.answered:
        error = failure(record)
        return error.status, error.body()
    if endpoint == RESPONSES:
        return 200, response_rendering.response(record, caller.name(record.session), model)
    return 200, chat_rendering.completion(record, model)


def result(batch: str, row: Row, status: int, body: dict[str, Any]) -> str:
    """Return a line of an output file."""
    id = f"{batch}_{row.number}"
    return dumps({"id": f"batch_req_{id}", **response(f"req_{id}", row, status, body)})


def response(id: str, row: Row, status: int, body: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a request that has an answer of a server, in OpenAI's form but for its id."""
    answer = {"status_code": status, "request_id": id, "body": body}
    return {"custom_id": row.custom_id, "response": answer, "error": None}


def not_asked(batch: str, row: Row, code: str, message: str) -> str:
    """Return a line of an error file, for a request that has no answer of a server."""
    return dumps(
        {
            "id": f"batch_req_{batch}_{row.number}",
            "custom_id": row.custom_id,
            "response": None,
            "error": {"code": code, "message": message},
        }
    )
