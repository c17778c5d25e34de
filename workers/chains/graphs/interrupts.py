"""Interrupts of a graph ↔ open calls of a turn.

LangChain's human in the loop interrupts once for several calls: each becomes a request for approval, under an id that holds a
digest of the call. Any other interrupt becomes a call of the function `interrupt`, under the interrupt's own id.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from langgraph.types import Interrupt
from pydantic_core import to_jsonable_python

from turnstile.turns.answers import decision
from turnstile.turns.output import Item, approval_request, call_name, called
from turnstile.turns.text import dumps, loads

FUNCTION = "interrupt"


def items_of_interrupts(interrupts: Iterable[Interrupt]) -> list[Item]:
    """Return the open calls that stand for interrupts, in order."""
    return [item for interrupt in interrupts for item in _items(interrupt)]


def resumptions(interrupts: Iterable[Interrupt], answers: Mapping[str, str]) -> dict[str, Any]:
    """Return what each interrupt is resumed with, by its id; those that lack an answer are left out."""
    found: dict[str, Any] = {}
    for interrupt in interrupts:
        given = [answers.get(call_name(item)) for item in _items(interrupt)]
        texts = [text for text in given if text is not None]
        if len(texts) == len(given):
            found[interrupt.id] = {"decisions": [_decided(text) for text in texts]} if _actions(interrupt) else _value(texts[0])
    return found


def _items(interrupt: Interrupt) -> list[Item]:
    if actions := _actions(interrupt):
        return [
            approval_request(interrupt.id, place, action["name"], _json(action["args"])) for place, action in enumerate(actions)
        ]
    return [called(interrupt.id, FUNCTION, _json(interrupt.value))]


def _actions(interrupt: Interrupt) -> list[dict[str, Any]]:
    """Return the calls that LangChain's human in the loop asks about; none where something else interrupted."""
    value = interrupt.value
    actions = value.get("action_requests") if isinstance(value, dict) and "review_configs" in value else None
    if not isinstance(actions, list) or not all(
        isinstance(action, dict) and {"name", "args"} <= action.keys() for action in actions
    ):
        return []
    return actions


def _decided(answer: str) -> dict[str, Any]:
    return decision(answer) or {"type": "reject", "message": "The answer was no decision."}


def _value(answer: str) -> Any:
    try:
        return loads(answer)
    except ValueError:
        return answer


def _json(value: Any) -> str:
    return dumps(value, lambda other: to_jsonable_python(other, fallback=str))
