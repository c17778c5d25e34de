"""LangChain's message ↔ element of a stored history. Tokens are counted once, when a message is stored."""

from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, message_to_dict, messages_from_dict
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails
from langchain_core.messages.utils import count_tokens_approximately, message_chunk_to_message
from pydantic_core import to_jsonable_python

from turnstile.memory.element import TYPES, Element, Mark, parse, write


@dataclass(slots=True)
class Stored:
    """A message of a history. `turn` is the turn that added it, None for a message from elsewhere."""

    message: BaseMessage
    turn: str | None
    tokens: int


def plain(message: BaseMessage) -> BaseMessage:
    """Return the message itself, or for a chunk of a stream the message it stands for."""
    return message_chunk_to_message(message)


def encode(
    message: BaseMessage,
    turn: str | None = None,
    at: int | None = None,
    place: int | None = None,
    attempt: int | None = None,
    *,
    own: bool = False,
    run: bool = False,
) -> str:
    """Return the element for a message, as text; the other arguments are those of a `Mark`.

    Values that JSON cannot hold (a tool's artifact may be any object) are written the way pydantic writes JSON: bytes as
    base64, times as ISO 8601, anything else as its `str`, and half of a surrogate pair as U+FFFD.

    Raises:
        ValueError: LangChain could not read back a message of this type.
    """
    message = plain(message)
    if message.type not in TYPES:
        raise ValueError(f"A message of type {message.type!r} cannot be kept in a history.")
    mark: Mark = {"tokens": count_tokens_approximately([message])}
    if turn is not None:
        mark["turn"] = turn
    if at is not None:
        mark["at"] = at
    if place is not None:
        mark["place"] = place
    if attempt is not None:
        mark["attempt"] = attempt
    if own:
        mark["own"] = True
    if run:
        mark["run"] = True
    content = message_to_dict(message)
    return write(Element(content["type"], content["data"], mark), default=_jsonable)


def decode(text: bytes | str) -> Stored | None:
    """Return the message in an element, no matter who wrote it, or None when it holds none."""
    try:
        element = parse(text)
        message = ordinary(element)
        if message is None:
            message = plain(messages_from_dict([{"type": element.type, "data": element.data}])[0])
            if message.type not in TYPES:
                return None
        tokens = element.tokens
        return Stored(message, element.turn, count_tokens_approximately([message]) if tokens is None else tokens)
    except Exception:  # LangChain's validators raise whatever a strange value leads them to
        return None


def ordinary(element: Element) -> BaseMessage | None:
    """Return the message of an element that pydantic would take over as it stands: text, no tools, nothing unusual.

    It is put together without another validation, at a fifth of the cost. None: LangChain has to read it.
    """
    data = element.data
    kind, fields = _ORDINARY.get(element.type, (None, ()))
    if kind is None or data.keys() != fields or data["type"] != element.type:
        return None
    if type(data["content"]) is not str or type(data["name"]) not in _OPTIONAL or type(data["id"]) not in _OPTIONAL:
        return None
    if type(data["additional_kwargs"]) is not dict or type(data["response_metadata"]) is not dict:
        return None
    if kind is AIMessage and not _is_plain_answer(data):
        return None
    message = kind.__new__(kind)
    # As pydantic's model_construct does, without its search for defaults.
    object.__setattr__(message, "__dict__", data)
    object.__setattr__(message, "__pydantic_fields_set__", set(data))
    object.__setattr__(message, "__pydantic_extra__", {})
    object.__setattr__(message, "__pydantic_private__", None)
    return message


_HUMAN, _AI = frozenset(HumanMessage.model_fields), frozenset(AIMessage.model_fields)
_ORDINARY: dict[str, tuple[type[BaseMessage], frozenset[str]]] = {
    "human": (HumanMessage, _HUMAN),
    "ai": (AIMessage, _AI),
    "system": (SystemMessage, _HUMAN),
}
_OPTIONAL = (str, type(None))
_COUNTS = {"input_tokens", "output_tokens", "total_tokens"}
_DETAILS = {
    "input_token_details": frozenset(InputTokenDetails.__annotations__),
    "output_token_details": frozenset(OutputTokenDetails.__annotations__),
}


def _is_plain_answer(data: dict[str, Any]) -> bool:
    if data["tool_calls"] != [] or data["invalid_tool_calls"] != [] or "tool_calls" in data["additional_kwargs"]:
        return False
    usage = data["usage_metadata"]
    return usage is None or (type(usage) is dict and _are_plain_counts(usage))


def _are_plain_counts(usage: dict[str, Any]) -> bool:
    if not usage.keys() >= _COUNTS or any(type(usage[name]) is not int for name in _COUNTS):
        return False
    for name in usage.keys() - _COUNTS:
        details = usage[name]
        if name not in _DETAILS or type(details) is not dict or not details.keys() <= _DETAILS[name]:
            return False
        if any(type(count) is not int for count in details.values()):
            return False
    return True


def _jsonable(value: object) -> Any:
    return to_jsonable_python(value, bytes_mode="base64", fallback=str)
