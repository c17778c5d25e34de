"""Output items: what a turn answers with, in order. The answer's text is a projection of them.

An item is JSON in the words of the Responses API:

- `{"type": "message", "content": [part]}` with a part `{"type": "text", "text": …}`, and `logprobs` where the turn
  asked for them, or `{"type": "refusal", "refusal": …}` where the text says why there is no answer;
- `{"type": "function_call", "call_id": …, "name": …, "arguments": JSON text}`: an open call, which the client answers;
- `{"type": "mcp_approval_request", "id": …, "name": …, "arguments": JSON text}`: an open call, which a person answers;
- `{"type": "mcp_call", "id": …, "name": …, "arguments": JSON text, "output" or "error": text}`: a call that the worker ran;
- `{"type": "reasoning", "content": [{"type": "reasoning_text", "text": …}]}`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from turnstile.turns.text import dumps, loads

Item = dict[str, Any]
Output = tuple[Item, ...]

OPEN_ID = {"function_call": "call_id", "mcp_approval_request": "id"}
"""The types of open calls, and the field of each that names the call."""

MOST_OPEN_CALLS = 128
"""Open calls of one turn that can be answered; more of them are closed at once."""
MOST_CALL_ID = 200
"""Characters of a call's id; a call with a longer one, or none, is closed at once."""

OLD_REFUSAL = "refusal"
"""The code with which an older version stored a refusal."""


def said(text: str) -> Output:
    """Return the output that is one message of text."""
    return ({"type": "message", "content": [{"type": "text", "text": text}]},)


def refused(text: str) -> Output:
    """Return the output that is one refusal."""
    return ({"type": "message", "content": [{"type": "refusal", "refusal": text}]},)


def called(call_id: str, name: str, arguments: str) -> Item:
    """Return the item of a call that the client answers."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def reasoned(text: str) -> Item:
    """Return the item of a model's reasoning."""
    return {"type": "reasoning", "content": [{"type": "reasoning_text", "text": text}]}


def open_calls(output: Output) -> tuple[Item, ...]:
    """Return the calls that somebody outside has to answer, in order."""
    return tuple(item for item in output if item["type"] in OPEN_ID)


def answerable(calls: Output) -> bool:
    """Return True if these calls can be answered, as far as their number and their ids go."""
    return len(calls) <= MOST_OPEN_CALLS and all(0 < len(call_name(call)) <= MOST_CALL_ID for call in calls)


def call_name(item: Item) -> str:
    """Return the id under which an open call is answered."""
    return str(item[OPEN_ID[item["type"]]])


def is_approval(item: Item) -> bool:
    """Return whether an open call asks a person for an approval."""
    return bool(item["type"] == "mcp_approval_request")


def encode_calls(calls: Output) -> str:
    """Return JSON for the scripts: the id of each call once, with 1 for an approval (else 0), and its name."""
    if not calls:
        return ""
    described = {call_name(item): [call_name(item), int(is_approval(item)), item["name"]] for item in calls}
    return dumps(list(described.values()))


def describe_calls(text: str) -> list[dict[str, str]]:
    """Return type, id and name of each call that `encode_calls` wrote."""
    return [{"type": _TYPES[approval], "id": id, "name": name} for id, approval, name in loads(text)]


_TYPES = ("function_call", "mcp_approval_request")


def approval_request(interrupt: str, place: int, name: str, arguments: str) -> Item:
    """Return the item that asks for the approval of one call, number `place` of an interrupt.

    Its id holds a digest of the call's name and arguments, so an approval never counts for another call.
    """
    digest = hashlib.sha256("\0".join((interrupt, str(place), name, arguments)).encode()).hexdigest()[:32]
    return {"type": "mcp_approval_request", "id": f"mcpr_{digest}", "name": name, "arguments": arguments}


def text_of(output: Output) -> str:
    """Return the text of all messages, refusals included."""
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts_of(output))


def reasoning_of(output: Output) -> str:
    """Return the reasoning of all items."""
    return "".join(part["text"] for item in output if item["type"] == "reasoning" for part in item["content"])


def is_refusal(output: Output) -> bool:
    """Return whether the output holds a refusal."""
    return any(part["type"] == "refusal" for part in parts_of(output))


def parts_of(output: Output) -> Iterator[dict[str, Any]]:
    """Yield the parts of all messages, in order."""
    for item in output:
        if item["type"] == "message":
            yield from item["content"]


def encode(output: Output) -> str:
    """Return JSON, or nothing where the output is its text and no more: that is stored as the answer anyway."""
    return "" if not output or output == said(text_of(output)) else dumps(output)


def decode(record: Mapping[str, str], answered: bool) -> Output:
    """Read the output of a stored record, of an older version's too."""
    if "output" in record:
        return tuple(loads(record["output"]))
    if not answered and "answer" not in record:
        return ()
    make = refused if record.get("code") == OLD_REFUSAL else said
    return make(record.get("answer", ""))
