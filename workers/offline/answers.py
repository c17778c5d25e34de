"""The answers of the offline stand-in, in the form of OpenAI's API.

It is no language model: it greets, remembers names out of the messages it is sent, calls the tools that it is told to call
(`turnstile.workers.offline.calls`), fills in a schema, and repeats everything else.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnstile.workers.offline.calls import Call, next_calls, results
from turnstile.workers.offline.messages import text_of
from turnstile.workers.offline.schemas import example

MODEL = "offline-stand-in"
MOST_EVENTS = 256

_ASKS_NAME = re.compile(r"\b(?:what['\u2019]?s|what is|know|remember|tell me|say)\s+my\s+name\b|\bwho am i\b", re.IGNORECASE)
_GIVES_NAME = re.compile(
    r"\bmy name(?:['\u2019]s| is)\s+(?P<plain>[^\W_][\w'\u2019-]*)"
    r"|\b(?:i['\u2019]?m|i am|call me)\s+(?P<short>[^\W_][\w'\u2019-]*)(?=\s*(?:$|[.,;:!?()\n\[]|(?:and|from|by)\b))",
    re.IGNORECASE,
)
_NO_NAME = re.compile(
    r"an?|afraid|alone|angry|back|better|bored|busy|cold|confused|curious|done|fine|from|glad|going|good|great|happy"
    r"|here|home|hungry|ill|in|late|lost|new|not?|off|ok|okay|on|out|ready|right|sad|sick|so|sorry|sure|the|there"
    r"|tired|well|wrong",
    re.IGNORECASE,
)
_ASKS_SUMMARY = re.compile(r"summari[sz]e (?:the|our) conversation\b", re.IGNORECASE)
_PIECE = re.compile(r"\s*\S{1,12}|\s+$")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, cut into tokens.

    `finish_reason` is OpenAI's (`stop`, `length`, `tool_calls`, `content_filter`), or says: a `refusal`.
    """

    pieces: Sequence[str]
    finish_reason: str
    prompt_tokens: int
    calls: Sequence[Call] = ()
    reasoning: Sequence[str] = ()
    top_logprobs: int | None = None
    """The number of alternatives to tell with each token's probability; None: no probabilities."""
    model: str = MODEL
    cached_tokens: int | None = None
    """Tokens of the prompt that the server has seen; None where it does not tell."""

    @property
    def kind(self) -> str:
        """The field of a message that holds the text."""
        return "refusal" if self.finish_reason == "refusal" else "content"

    @property
    def reported_reason(self) -> str:
        """The finish reason in OpenAI's words."""
        return "stop" if self.finish_reason == "refusal" else self.finish_reason

    @property
    def usage(self) -> dict[str, Any]:
        """Plain counts of word pieces, in the form of OpenAI's `usage`."""
        counted = len(self.pieces) + len(self.reasoning) + sum(len(_PIECE.findall(call.arguments)) for call in self.calls)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": counted,
            "total_tokens": self.prompt_tokens + counted,
            **({} if self.cached_tokens is None else {"prompt_tokens_details": {"cached_tokens": self.cached_tokens}}),
            **({"completion_tokens_details": {"reasoning_tokens": len(self.reasoning)}} if self.reasoning else {}),
        }


def answer(request: Mapping[str, Any], question: str, think: bool = False) -> Answer:
    """Answer `question`, the newest in the request's messages: with the calls that are due, or with text.

    With `think`, reasoning comes before it. Text stops with `length` after the most tokens that the request allows.
    """
    messages, most = request["messages"], most_tokens(request)
    prompt_tokens = sum(sizes(messages))
    reasoning = _PIECE.findall(f"The question is: {question}") if think else ()
    if calls := next_calls(request, question):
        return Answer((), "tool_calls", prompt_tokens, calls, reasoning)
    earlier = [text_of(message.get("content")) for message in messages if message.get("role") == "user"][:-1]
    text = _formed(results(messages) or _reply(question, earlier), request.get("response_format"))
    pieces = _PIECE.findall(_stopped(text, request.get("stop")))
    top = request.get("top_logprobs") or 0 if request.get("logprobs") else None
    if most is not None and len(pieces) > most:
        return Answer(pieces[:most], "length", prompt_tokens, (), reasoning, top)
    return Answer(pieces, "stop", prompt_tokens, (), reasoning, top)


def sizes(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the tokens of each message."""
    return [len(_PIECE.findall(text_of(message.get("content")))) for message in messages]


def _stopped(text: str, stop: Any) -> str:
    """Return the text up to the first of the words that end it."""
    words = [word for word in (stop if isinstance(stop, list) else [stop]) if isinstance(word, str) and word in text]
    return text[: min(map(text.find, words), default=len(text))]


def most_tokens(request: Mapping[str, Any]) -> Any:
    """Return the most tokens that a request allows an answer; None for any number."""
    return request.get("max_completion_tokens") or request.get("max_tokens")


def _formed(text: str, wanted: Any) -> str:
    """Return the text in the form that `response_format` wants."""
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema":
        return json.dumps(example((wanted.get("json_schema") or {}).get("schema") or {}, text), ensure_ascii=False)
    return json.dumps({"answer": text}, ensure_ascii=False) if kind == "json_object" else text


def _reply(question: str, earlier: Sequence[str]) -> str:
    if _ASKS_SUMMARY.match(question):
        return "The user said:\n" + "\n".join(f"- {text}" for text in earlier)
    if _ASKS_NAME.search(question):
        name = next(filter(None, map(_given_name, (question, *reversed(earlier)))), None)
        return f"Your name is {name}." if name else "I don't know your name: you have not told me."
    if name := _given_name(question):
        return f"Hello {name}! How can I help you today?"
    return f"You said: {question}"


def _given_name(text: str) -> str | None:
    names = [found["plain"] or found["short"] for found in _GIVES_NAME.finditer(text)]
    names = [name.rstrip("'\u2019-") for name in names if not _NO_NAME.fullmatch(name)]
    return names[-1][0].upper() + names[-1][1:] if names else None


def completion(answer: Answer) -> bytes:
    """Return the body of a `chat.completion`."""
    text = None if answer.calls else "".join(answer.pieces)
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, answer.kind: text}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.calls:
        message["tool_calls"] = [_call(call, call.arguments) for call in answer.calls]
    logprobs = _logprobs(answer.pieces, answer)
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": answer.reported_reason}
    return _dump({**_envelope("chat.completion", answer.model), "choices": [choice], "usage": answer.usage})


def events(answer: Answer, include_usage: bool) -> list[bytes]:
    """Return the server-sent events of a streamed completion, the closing `[DONE]` last; at most about `MOST_EVENTS`."""
    return list(_events(answer, include_usage))


def _events(answer: Answer, include_usage: bool) -> Iterator[bytes]:
    envelope = _envelope("chat.completion.chunk", answer.model)
    if include_usage:
        envelope["usage"] = None
    yield _event(envelope, {"role": "assistant", "content": None if answer.calls else ""})
    for text in _grouped(answer.reasoning):
        yield _event(envelope, {"reasoning_content": text})
    for text in _grouped(answer.pieces):
        yield _event(envelope, {answer.kind: text}, logprobs=_logprobs([text], answer))
    for place, call in enumerate(answer.calls):
        yield _event(envelope, {"tool_calls": [{"index": place, **_call(call, "")}]})
        for text in _grouped(_PIECE.findall(call.arguments)):
            yield _event(envelope, {"tool_calls": [{"index": place, "function": {"arguments": text}}]})
    yield _event(envelope, {}, answer.reported_reason)
    if include_usage:
        yield b"data: " + _dump({**envelope, "choices": [], "usage": answer.usage}) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _grouped(pieces: Sequence[str]) -> Iterator[str]:
    step = 1 + len(pieces) // MOST_EVENTS
    for start in range(0, len(pieces), step):
        yield "".join(pieces[start : start + step])


def _call(call: Call, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _logprobs(pieces: Sequence[str], answer: Answer) -> dict[str, Any] | None:
    """Return probabilities of tokens, all of which are certain: there is nothing else that the stand-in could have said."""
    if answer.top_logprobs is None:
        return None
    tokens = [{"token": piece, "logprob": 0.0, "bytes": list(piece.encode())} for piece in pieces]
    return {"content": [{**token, "top_logprobs": [token][: answer.top_logprobs]} for token in tokens], "refusal": None}


def _event(
    envelope: Mapping[str, Any],
    delta: Mapping[str, Any],
    finish_reason: str | None = None,
    logprobs: Mapping[str, Any] | None = None,
) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
    return b"data: " + _dump({**envelope, "choices": [choice]}) + b"\n\n"


def _envelope(kind: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def failure(message: str, kind: str, code: str | None) -> bytes:
    """Return the body of an error, in OpenAI's form."""
    return _dump({"error": {"message": message, "type": kind, "param": None, "code": code}})


def overflow(message: str, tokens: int, context: int) -> bytes:
    """Return the body of llama.cpp's error for a prompt that is too long."""
    error = {"code": 400, "message": message, "type": "exceed_context_size_error"}
    return _dump({"error": {**error, "n_prompt_tokens": tokens, "n_ctx": context}})


def models() -> bytes:
    """Return the body of the list of models."""
    return _dump({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL}]})


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
