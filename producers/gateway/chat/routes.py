"""/v1/chat/completions: stateless, or with a session named, one more turn of it."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from turnstile.producers.gateway import rendering, schemas, sse
from turnstile.producers.gateway.content import read_messages, split_question
from turnstile.producers.gateway.desk import AtDesk, Desk
from turnstile.producers.gateway.edge.caller import CONVERSATION, RESPONSE, Calling
from turnstile.producers.gateway.edge.errors import NO_RETRY, ApiError, documented, invalid
from turnstile.producers.gateway.requests import ChatRequest
from turnstile.producers.gateway.responses.routes import IdempotencyKey, own_key
from turnstile.producers.reading.follow import follow, look
from turnstile.producers.reading.readers import EventReader
from turnstile.turns.errors import InvalidTurn, UnknownTurn
from turnstile.turns.question import Options, Question
from turnstile.turns.states import State
from turnstile.turns.turn import REFUSAL, Record

router = APIRouter(prefix="/v1/chat/completions", tags=["Chat"])

SESSION = "session_id"
"""In a request's metadata: the session whose next turn the last message is; the header X-Session-Id says the same."""

_STREAMED = {"text/event-stream": {"schema": {"type": "string", "description": "Chunks, then `[DONE]`."}}}
_ANSWERS: dict[str, Any] = {"model": schemas.ChatCompletion, "content": _STREAMED}
_FAILURES = {
    "rate_limited": 429,
    "invalid_request": 400,
    "context_too_long": 400,
    "model_timeout": 504,
    "deadline_exceeded": 504,
    "model_unreachable": 502,
    "model_overloaded": 502,
    "authentication": 502,
}


@router.post("", responses=documented(_ANSWERS, 404, 409, 413, 422), response_class=JSONResponse)
async def create(
    request: Request,
    body: ChatRequest,
    desk: AtDesk,
    caller: Calling,
    x_session_id: Annotated[str | None, Header(description="The session whose next turn the last message is.")] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Answer the last message. A client that goes away cancels it."""
    key = own_key(body.metadata, idempotency_key)
    name = caller.key("chat", key)
    session = x_session_id or (body.metadata or {}).get(SESSION)
    question, options = _asked(body, stateless=session is None)
    home = caller.session(session, "metadata.session_id") if session else caller.session(CONVERSATION + name)
    record = await _accepted(desk, RESPONSE + name, home, question, options)
    keyed = key is not None
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        return sse.EventStream(_chunks(desk, record, usage), desk.attending(record.id, keyed))
    if not record.ended:
        record = await desk.outcome(record.id, keyed, request.receive)
    record = rendering.as_told(record)
    if not record.state.answered:
        raise _failure(record)
    return JSONResponse(rendering.completion(record, desk.settings.model))


async def _accepted(desk: Desk, id: str, session: str, question: Question, options: Options) -> Record:
    try:
        await desk.store.submit(id, session, question, options)
    except InvalidTurn as error:
        raise invalid("messages", str(error), "invalid_value") from None
    return await desk.store.status(id)


def _asked(body: ChatRequest, stateless: bool) -> tuple[Question, Options]:
    messages = read_messages(body.messages)
    earlier, question = split_question(messages, "messages")
    name = messages[-1].get("name")
    opening = 0
    while opening < len(earlier) and earlier[opening]["role"] in ("system", "developer"):
        opening += 1
    instructions = "\n\n".join(message["content"] for message in earlier[:opening]) or None
    if stateless:
        return question, body.options(name=name, instructions=instructions, history=earlier[opening:], store=False)
    return question, body.options(name=name, instructions=instructions)


def _failure(record: Record) -> ApiError:
    if record.state is State.CANCELLED:
        return ApiError(409, "The completion was cancelled.", None, "cancelled", NO_RETRY)
    code = record.code or "internal"
    status = _FAILURES.get(code, 500)
    return ApiError(status, record.message or "The turn failed.", None, code, NO_RETRY)


def _started_again() -> ApiError:
    return ApiError(500, "The turn had to start again, and the model answers differently; ask again.", None, "started_again")


class _Teller:
    """Tells a turn as chunks. What was told cannot be taken back, so a new attempt must begin with the same words."""

    def __init__(self, record: Record, model: str) -> None:
        self._head = rendering.completion_head(record, model, "chat.completion.chunk")
        self._told = ""
        self._text = ""

    def chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        """One chunk."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return sse.data({**self._head, "choices": [choice]})

    def restart(self) -> None:
        """A new attempt begins."""
        self._text = ""

    def write(self, text: str) -> bytes:
        """More of the answer; what of it is new. Raises ApiError when it contradicts what was told."""
        self._text += text
        if not self._told.startswith(self._text[: len(self._told)]):
            raise _started_again()
        new, self._told = self._text[len(self._told) :], max(self._told, self._text, key=len)
        return self.chunk({"content": new}) if new else b""

    def _write_whole(self, record: Record) -> bytes:
        refused = record.code == REFUSAL and not self._told
        return self.chunk({"refusal": record.answer}) if refused else self.write(record.answer or "")

    def end(self, record: Record, usage: bool) -> bytes:
        """The last chunks."""
        record = rendering.as_told(record)
        if not record.state.answered:
            raise _failure(record)
        last = b"" if self._text or not record.answer else self._write_whole(record)
        if self._text != self._told:
            raise _started_again()
        last += self.chunk({}, rendering.finish_reason(record))
        if usage:
            last += sse.data({**self._head, "choices": [], "usage": rendering.chat_usage(record)})
        return last + sse.data("[DONE]")


async def _chunks(desk: Desk, record: Record, usage: bool) -> AsyncGenerator[bytes]:
    teller = _Teller(record, desk.settings.model)
    reader = EventReader()
    yield teller.chunk({"role": "assistant", "content": "", "refusal": None})
    try:
        async for batch in follow(desk.store, desk.watch, record.id, reader):
            yield b""
            for event in batch:
                if event.type == "started":
                    teller.restart()
                elif event.type == "text":
                    yield teller.write(event.data)
                else:
                    yield teller.end(await look(desk.store, record.id), usage)
        if reader.left:
            yield teller.end(reader.left, usage)
    except (ApiError, UnknownTurn) as error:
        yield _trouble(error)


def _trouble(error: ApiError | UnknownTurn) -> bytes:
    told = error if isinstance(error, ApiError) else ApiError(404, "The completion was deleted.", None, "not_found")
    return sse.data({"error": {"message": told.message, "type": "server_error", "param": None, "code": told.code}})
