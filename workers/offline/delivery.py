"""Delivery of an answer: whole or streamed, at a pace, cut short, or as a failure."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from turnstile.workers.offline import answers
from turnstile.workers.offline.behaviour import FAILURES, Behaviour
from turnstile.workers.offline.exchange import Exchange, json_headers


async def deliver(exchange: Exchange, request: Mapping[str, Any], answer: answers.Answer, behaviour: Behaviour) -> bool:
    """Send the answer as the request and the behaviour want it; return whether all of it was sent."""
    return await (_send_streamed if request.get("stream") else _send_whole)(exchange, request, answer, behaviour)


async def fail(exchange: Exchange, behaviour: Behaviour) -> None:
    """Send the failure that the behaviour asks for."""
    status, kind, code = FAILURES[behaviour.fail]
    wait = f"{behaviour.retry_after:g}".encode()
    headers = [(b"retry-after", wait)] if behaviour.retry_after else []
    await exchange.reply(answers.failure("The stand-in was told to fail.", kind, code), status, headers)


async def overflow(exchange: Exchange, tokens: int, context: int) -> None:
    """Refuse a prompt that is too long, as llama.cpp does."""
    message = f"request ({tokens} tokens) exceeds the available context size ({context} tokens), try increasing it"
    await exchange.reply(answers.overflow(message, tokens, context), 400)


async def _send_whole(exchange: Exchange, _request: Mapping[str, Any], answer: answers.Answer, behaviour: Behaviour) -> bool:
    if behaviour.tokens_per_second:
        await exchange.pause(len(answer.pieces) / behaviour.tokens_per_second)
    body = answers.completion(answer)
    await exchange.start(200, json_headers(body))
    if behaviour.drop or behaviour.stall:
        await exchange.write(body[: len(body) // 2], more=True)
        return await _break_off(exchange, behaviour)
    await exchange.write(body, more=False)
    return True


async def _send_streamed(exchange: Exchange, request: Mapping[str, Any], answer: answers.Answer, behaviour: Behaviour) -> bool:
    events = answers.events(answer, bool((request.get("stream_options") or {}).get("include_usage")))
    broken = behaviour.drop or behaviour.stall
    await exchange.start(200, [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")])
    await _write_paced(exchange, events[: len(events) // 2] if broken else events, behaviour, more=broken)
    return await _break_off(exchange, behaviour) if broken else True


async def _break_off(exchange: Exchange, behaviour: Behaviour) -> bool:
    await (exchange.pause(None) if behaviour.stall else exchange.hang_up())
    return False


async def _write_paced(exchange: Exchange, events: Sequence[bytes], behaviour: Behaviour, more: bool) -> None:
    """Write what is due, wait for the next; a loop that lags behind makes it up with larger writes."""
    pace = behaviour.tokens_per_second
    start, sent = time.monotonic(), 0
    while sent < len(events):
        due = int((time.monotonic() - start) * pace) + 1 if pace else len(events)
        written, sent = sent, min(max(due, sent + 1), len(events))
        await exchange.write(b"".join(events[written:sent]), more=more or sent < len(events))
        if sent < len(events):
            await exchange.pause(max(start + sent / pace - time.monotonic(), 0))
