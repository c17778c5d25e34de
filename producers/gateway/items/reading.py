"""The items of a request, read and checked."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from turnstile.producers.gateway.content import read_item, read_output, text_at
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.items.compaction import read_compaction
from turnstile.producers.gateway.items.given import Given, Kind
from turnstile.producers.gateway.items.ids import MOST_ID
from turnstile.turns.answers import encode_answers
from turnstile.turns.bounds import check_messages

_Item = Mapping[str, Any]

MOST_COMPACTIONS = 8
"""In one list of items. Each holds a conversation as texts of its own, which are read whole; the last one says it all."""


def read_items(items: str | Sequence[_Item], param: str) -> list[Given]:
    """Return what items say, in order. Raises ApiError with the place under `param`, and InvalidTurn for too many."""
    if isinstance(items, str):
        if not items.strip():
            raise invalid(param, f"`{param}` must be a text that is not empty.", "invalid_value")
        return [Given(Kind.MESSAGE, param, body={"role": "user", "content": items})]
    check_messages(items, param)
    kinds = [_kind(item) for item in items]
    if strange := sorted({kind for kind in kinds if kind not in _READERS}):
        first = next(n for n, kind in enumerate(kinds) if kind not in _READERS)
        named = ", ".join(kind[:64] for kind in strange[:20])
        raise invalid(f"{param}[{first}].type", f"Items of these types are not supported: {named}.", "unsupported_value")
    if kinds.count("compaction") > MOST_COMPACTIONS:
        message = f"`{param}` has more than {MOST_COMPACTIONS} compaction items: send the last one."
        raise invalid(param, message, "invalid_value")
    given = [one for n, item in enumerate(items) for one in _READERS[kinds[n]](item, f"{param}[{n}]")]
    # An item may stand for several messages.
    check_messages([one.body for one in given if one.kind is Kind.MESSAGE], param)
    return given


def _kind(item: _Item) -> str:
    kind = item.get("type")
    if kind is None:
        return "item_reference" if "id" in item and "role" not in item else "message"
    return str(kind)


def _message(item: _Item, param: str) -> Iterator[Given]:
    yield Given(Kind.MESSAGE, param, _id(item, param), body=read_item(item, param))


def _call(item: _Item, param: str) -> Iterator[Given]:
    id = _id_at(item, "call_id", param)
    yield Given(Kind.CALL, param, _id(item, param), id, _body(id, item, param))


def _body(id: str, item: _Item, param: str) -> dict[str, Any]:
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        raise invalid(f"{param}.arguments", f"`{param}.arguments` must be a text: JSON.", "invalid_value")
    return {"id": id, "type": "function", "function": {"name": text_at(item, "name", param), "arguments": arguments}}


def _output(item: _Item, param: str) -> Iterator[Given]:
    """Yield the output of a call, and behind it what only a user's message can hold."""
    output, more = read_output(item.get("output"), f"{param}.output")
    id, call = _id(item, param), _id_at(item, "call_id", param)
    yield Given(Kind.OUTPUT, param, id, call, output)
    if more:
        yield Given(Kind.MESSAGE, param, id, call, {"role": "user", "content": more})


def _decision(item: _Item, param: str) -> Iterator[Given]:
    request, approve, reason = _id_at(item, "approval_request_id", param), item.get("approve"), item.get("reason")
    if not isinstance(approve, bool):
        raise invalid(f"{param}.approve", f"`{param}.approve` must be true or false.", "invalid_value")
    if reason is not None and not isinstance(reason, str):
        raise invalid(f"{param}.reason", f"`{param}.reason` must be a text.", "invalid_value")
    decided: Any = {"approve": approve, "reason": reason} if reason else approve
    yield Given(Kind.DECISION, param, _id(item, param), request, encode_answers({request: decided})[request])


def _reasoning(item: _Item, param: str) -> Iterator[Given]:
    told = [text for name in ("summary", "content") for text in _texts(item.get(name))]
    if told:
        yield Given(Kind.REASONING, param, _id(item, param), body="\n\n".join(dict.fromkeys(told)))


def _reference(item: _Item, param: str) -> Iterator[Given]:
    yield Given(Kind.REFERENCE, param, _id_at(item, "id", param))


def _run(item: _Item, param: str) -> Iterator[Given]:
    """Yield the two halves of a call that a worker ran. Its id becomes one that every model's server takes."""
    id = _id_at(item, "id", param)
    call = f"call_{hashlib.sha256(id.encode()).hexdigest()[:24]}"
    yield Given(Kind.CALL, param, id, call, _body(call, item, param))
    yield Given(Kind.OUTPUT, param, id, call, _outcome(item))


def _outcome(item: _Item) -> str:
    output, error = item.get("output"), item.get("error")
    if isinstance(output, str):
        return output
    return error if isinstance(error, str) else "\n".join(_texts(error.get("content") if isinstance(error, dict) else None))


def _texts(parts: Any) -> list[str]:
    """Return the texts of parts that another response showed."""
    told = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return [text for text in told if isinstance(text, str)]


def _compaction(item: _Item, param: str) -> Iterator[Given]:
    for message in read_compaction(item.get("encrypted_content"), f"{param}.encrypted_content"):
        yield Given(Kind.MESSAGE, param, body=message)


def _passed_over(item: _Item, param: str) -> Iterator[Given]:  # noqa: ARG001  # a reader like the others
    """Yield nothing: the item tells a client something, and a model nothing."""
    yield from ()


def _id_at(item: _Item, name: str, param: str) -> str:
    id = text_at(item, name, param)
    if len(id) > MOST_ID:
        raise invalid(f"{param}.{name}", f"`{param}.{name}` has at most {MOST_ID} characters.", "invalid_value")
    return id


def _id(item: _Item, param: str) -> str:
    return _id_at(item, "id", param) if item.get("id") is not None else ""


_READERS: dict[str, Callable[[_Item, str], Iterator[Given]]] = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "mcp_approval_response": _decision,
    "reasoning": _reasoning,
    "item_reference": _reference,
    "mcp_call": _run,
    "compaction": _compaction,
    "mcp_approval_request": _passed_over,
    "mcp_list_tools": _passed_over,
}
