"""The size of a prompt in tokens, estimated: four characters are a token, and each message has three more.

Tokenizers belong to models, and servers share none. What is counted is what a worker would send: a window of the history, the
messages of the request, the system prompt, and tools.
"""

from math import ceil
from typing import Any

from turnstile.memory.element import read
from turnstile.producers.gateway.backend import Backend
from turnstile.producers.gateway.edge.caller import Caller
from turnstile.producers.gateway.items.history import History
from turnstile.producers.gateway.items.reading import read_items
from turnstile.producers.gateway.items.shown import Item
from turnstile.producers.gateway.responses.arrival import Arrival, arrive, find_previous
from turnstile.producers.gateway.responses.schemas import InputTokensRequest
from turnstile.turns.bounds import MOST_MESSAGES
from turnstile.turns.text import dumps
from turnstile.turns.window_start import kept, token_limit

_LETTERS_OF_A_TOKEN = 4
_TOKENS_OF_A_MESSAGE = 3
_TOKENS_OF_A_FILE = 85
_SYSTEM = ("system", "developer")


async def count_tokens(backend: Backend, caller: Caller, body: InputTokensRequest) -> int:
    """Return about how many tokens the prompt of a request has. Raises ApiError as the request itself would."""
    given = read_items(body.input, "input") if body.input else []
    arrival = await arrive(backend, caller, body, given)
    options = body.options(before=arrival.messages)
    past, has_system = await _past(backend, caller, body, arrival)
    brought = sum(map(message_tokens, arrival.messages))
    answers = sum(_text_tokens(answer) + _TOKENS_OF_A_MESSAGE for answer in arrival.answers.values())
    has_system |= any(message["role"] in _SYSTEM for message in arrival.messages)
    system = options.instructions
    if system is None and not has_system:
        system = backend.settings.system_prompt
    prompt = _text_tokens(system) + _TOKENS_OF_A_MESSAGE if system else 0
    return past + brought + answers + prompt + (_text_tokens(dumps(options.tools)) if options.tools else 0)


class _Past:
    """The part of a history that goes into a prompt, read from its end; `last` is the turn that ends it, if named."""

    def __init__(self, most: int, most_tokens: int, last: str | None, length: int) -> None:
        self._most, self._most_tokens, self._last, self._length = most, most_tokens, last, length
        self._read: list[tuple[str, int]] = []
        self._total = 0

    def see(self, element: bytes, items: list[Item]) -> bool:
        """Count an element; True when no more fits."""
        stored = read(element)
        if self._last is not None and (stored is None or stored.turn != self._last):
            self._length -= 1
            return False
        if stored is None:
            return False
        self._last = None
        size = sum(map(_item_tokens, items)) if stored.tokens is None else stored.tokens
        if len(self._read) == self._most or (self._most_tokens and self._total + size > self._most_tokens):
            return True
        self._total += size
        self._read.append((stored.role, size))
        return False

    def counted(self, block: float) -> tuple[int, bool]:
        """Return the tokens of what goes into the prompt, and whether a system message does."""
        human = next((number for number, (role, _) in enumerate(self._read, 1) if role == "user"), len(self._read))
        sizes = [size for _, size in self._read]
        count = kept(sizes, self._length, self._most, self._most_tokens, block, human) if block else len(sizes)
        return sum(sizes[:count]), any(role == "system" for role, _ in self._read[:count])


async def _past(backend: Backend, caller: Caller, body: InputTokensRequest, arrival: Arrival) -> tuple[int, bool]:
    whole = body.truncation == "disabled"
    settings = backend.settings
    limit = token_limit(settings.window_tokens, body.compact_threshold)
    most, most_tokens = (MOST_MESSAGES, 0) if whole else (settings.window_messages, limit)
    if arrival.previous is not None:
        record = await find_previous(backend.store.outline, caller, arrival.previous)
        session, last = record.session, record.id
    elif body.conversation_id is not None:
        session, last = caller.session(body.conversation_id), None
    else:
        return 0, False
    past = _Past(most, most_tokens, last, await backend.store.count_messages(session))
    await History(backend.store, session).look_back(past.see, MOST_MESSAGES)
    return past.counted(0 if whole else settings.window_block)


def message_tokens(message: dict[str, Any]) -> int:
    """Return about how many tokens a message of a request has."""
    calls = message.get("tool_calls")
    return _TOKENS_OF_A_MESSAGE + _content_tokens(message["content"]) + (_text_tokens(dumps(calls)) if calls else 0)


def _item_tokens(item: Item) -> int:
    told = "".join(str(item[name]) for name in ("name", "arguments", "output") if item.get(name))
    return _TOKENS_OF_A_MESSAGE + _text_tokens(told) + _content_tokens(item.get("content"))


def _content_tokens(content: Any) -> int:
    if not isinstance(content, list):
        return _text_tokens(content or "")
    return sum(_text_tokens(part["text"]) if isinstance(part.get("text"), str) else _TOKENS_OF_A_FILE for part in content)


def _text_tokens(text: str) -> int:
    return ceil(len(text) / _LETTERS_OF_A_TOKEN)
