"""The parameters that routes share: the backend, the caller's own resources, keys of repeats."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from fastapi import Depends, Header, Query, Request

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.api_errors import ApiError, missing
from turnstile.producers.gateway.edge.caller import Caller, CurrentCaller
from turnstile.turns.errors import InvalidTurn, UnknownTurn
from turnstile.turns.ids import check_turn
from turnstile.turns.turn import RecordForm

IdempotencyKey = Annotated[str | None, Header(max_length=255, description="The same key is the same response.")]
Includable = Literal[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
]
"""Parts of items that a client may want. What there is, is always included; the model is asked for probabilities alone."""
LOGPROBS = "message.output_text.logprobs"
Include = Annotated[list[Includable] | None, Query(description="What there is, is always included.")]


async def backend_of(request: Request) -> Backend:
    """Return the process's backend, once it agrees with the workers."""
    backend: Backend = request.app.state.backend
    await backend.agree()
    return backend


CurrentBackend = Annotated[Backend, Depends(backend_of)]


async def find_response(
    read: Callable[[str], Awaitable[RecordForm]], caller: Caller, id: str, param: str = "response_id"
) -> RecordForm:
    """Return a caller's turn, as much of it as `read` reads. Raises ApiError if the caller has none of this id."""
    try:
        return caller.own(await read(check_turn(id)), param)
    except (InvalidTurn, UnknownTurn):
        raise missing(param, "Response", id) from None


class _OwnResponse:
    """The caller's turn in the path; it is looked for when the rest of the request has been checked."""

    def __init__(self, id: str, caller: Caller) -> None:
        self._id, self._caller = id, caller

    async def __call__(self, read: Callable[[str], Awaitable[RecordForm]]) -> RecordForm:
        """Return as much of it as `read` reads. Raises ApiError if the caller has none of this id."""
        return await find_response(read, self._caller, self._id)


class _StoredResponse(_OwnResponse):
    """The caller's turn in the path, unless it was not to be stored: such a response does not exist.

    In the background, `store` is about the history alone: its client has to fetch the response.
    """

    async def __call__(self, read: Callable[[str], Awaitable[RecordForm]]) -> RecordForm:
        """Return as much of it as `read` reads. Raises ApiError if the caller has none of this id."""
        record = await super().__call__(read)
        if not (record.options.store or record.options.request.get("background")):
            raise missing("response_id", "Response", record.id)
        return record


async def own_response(response_id: str, caller: CurrentCaller) -> _OwnResponse:
    """Return the caller's turn in the path, to be looked for."""
    return _OwnResponse(response_id, caller)


async def stored_response(response_id: str, caller: CurrentCaller) -> _StoredResponse:
    """Return the caller's turn in the path, to be looked for, unless it was not to be stored."""
    return _StoredResponse(response_id, caller)


# FastAPI would make the instances in threads.
OwnResponse = Annotated[_OwnResponse, Depends(own_response)]
StoredResponse = Annotated[_StoredResponse, Depends(stored_response)]


async def own_session(conversation_id: str, caller: CurrentCaller) -> str:
    """Return the session of the conversation in the path; an id that no session can have is one that is not there."""
    try:
        return caller.session(conversation_id)
    except ApiError:
        raise missing("conversation_id", "Conversation", conversation_id) from None


OwnSession = Annotated[str, Depends(own_session)]
