"""The parameters that routes share: the backend, the caller's own resources, keys of repeats."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import Depends, Header, Query, Request

from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.api_errors import ApiError, missing
from turnstile.producers.gateway.edge.caller import Caller, CurrentCaller
from turnstile.turns.errors import InvalidTurn, UnknownTurn
from turnstile.turns.ids import check_turn
from turnstile.turns.turn import Record

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


async def find_response(backend: Backend, caller: Caller, id: str, param: str = "response_id") -> Record:
    """Return a caller's turn. Raises ApiError if the caller has none of this id."""
    try:
        return caller.own(await backend.store.status(check_turn(id)), param)
    except (InvalidTurn, UnknownTurn):
        raise missing(param, "Response", id) from None


async def own_response(response_id: str, backend: CurrentBackend, caller: CurrentCaller) -> Callable[[], Awaitable[Record]]:
    """Return a function that finds the caller's turn in the path; the rest of a wrong request is refused before."""
    return partial(find_response, backend, caller, response_id)


OwnResponse = Annotated[Callable[[], Awaitable[Record]], Depends(own_response)]


async def stored_response(find: OwnResponse) -> Callable[[], Awaitable[Record]]:
    """Return a function as `own_response`, for which a response that was not to be stored does not exist.

    In the background, `store` is about the history alone: its client has to fetch the response.
    """

    async def find_stored() -> Record:
        record = await find()
        if not (record.options.store or record.options.request.get("background")):
            raise missing("response_id", "Response", record.id)
        return record

    return find_stored


async def own_session(conversation_id: str, caller: CurrentCaller) -> str:
    """Return the session of the conversation in the path; an id that no session can have is one that is not there."""
    try:
        return caller.session(conversation_id)
    except ApiError:
        raise missing("conversation_id", "Conversation", conversation_id) from None


StoredResponse = Annotated[Callable[[], Awaitable[Record]], Depends(stored_response)]
OwnSession = Annotated[str, Depends(own_session)]
