"""Answers to a turn's open calls: a text for a function's call, a decision for an approval."""

import json
from collections.abc import Mapping
from typing import Any

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.output import MOST_CALL_ID, MOST_OPEN_CALLS
from turnstile.turns.text import dumps, loads

Decision = dict[str, Any]
"""A decision about a call, in the form of LangChain's HumanInTheLoopMiddleware: `{"type": "approve"}`."""

_FORM = "call id → output: a text, or JSON"


def encode_answers(answers: Mapping[str, object]) -> dict[str, str]:
    """Return answers as texts: a text as it is, anything else as JSON. Raises InvalidTurn."""
    if not isinstance(answers, Mapping):
        raise InvalidTurn(f"`answers` must be an object, {_FORM}.", param="answers")
    return {call: value if isinstance(value, str) else _json(value) for call, value in answers.items()}


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise InvalidTurn(f"`answers` must be {_FORM}.", param="answers") from None


def well_formed(answers: object) -> bool:
    """Return whether these are answers as `encode_answers` returns them, to a number of calls that one turn may have."""
    return (
        isinstance(answers, dict)
        and len(answers) <= MOST_OPEN_CALLS
        and all(isinstance(call, str) and 0 < len(call) <= MOST_CALL_ID for call in answers)
        and all(isinstance(value, str) for value in answers.values())
    )


def encode_answered(answers: Mapping[str, str], max_bytes: int) -> str:
    """Return JSON of the calls that are answered, each with 1 where its answer decides something, else 0.

    Raises:
        InvalidTurn: the answers are too large.
    """
    size = sum(len(answer.encode()) for answer in answers.values())
    if size > max_bytes:
        raise InvalidTurn(
            f"The answers have {size:,} bytes; TURNSTILE_MAX_QUESTION_BYTES allows {max_bytes:,}.", param="answers"
        )
    return dumps([[call, int(decision(answer) is not None)] for call, answer in answers.items()])


def decision(answer: str) -> Decision | None:
    """Read the decision in an approval's answer; None if it is none.

    `true` or `approve` approves and `false` or `reject` rejects, and so does JSON with an `approve` that is true or false (and
    a `reason`). JSON with a `type` or `decision` is LangChain's own: `approve`, `reject` (and a `message`), `respond` with a
    `message`, or `edit` with an `edited_action` of `name` and `args`.
    """
    if answer.strip().lower() in _WORDS:
        return {"type": _WORDS[answer.strip().lower()]}
    try:
        value = loads(answer)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    kind = _WORDS.get(str(value.get("type") or value.get("decision") or value.get("approve")).lower(), "")
    message = value.get("message") or value.get("reason")
    if message is not None and not isinstance(message, str):
        return None
    return _complete(kind, message, value.get("edited_action"))


_WORDS = {
    "true": "approve",
    "approve": "approve",
    "false": "reject",
    "reject": "reject",
    "respond": "respond",
    "edit": "edit",
}


def _complete(kind: str, message: str | None, action: Any) -> Decision | None:
    if kind == "approve":
        return {"type": kind}
    if kind == "reject":
        return {"type": kind, "message": message} if message else {"type": kind}
    if kind == "respond" and message:
        return {"type": kind, "message": message}
    edits = kind == "edit" and isinstance(action, dict) and isinstance(action.get("args"), dict)
    if edits and isinstance(action.get("name"), str):
        return {"type": kind, "edited_action": {"name": action["name"], "args": action["args"]}}
    return None
