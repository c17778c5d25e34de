"""One turn, as operators look at it."""

from typing import Any

from turnstile.turns.output import call_name
from turnstile.turns.question import Question
from turnstile.turns.turn import Record


def turn_facts(record: Record, *, show_content: bool) -> dict[str, Any]:
    """Return what is known of a turn, as JSON has it; question, answer and arguments of calls only with `show_content`.

    Times are seconds since the epoch.
    """
    calls = [{"id": call_name(call), "name": call["name"]} for call in record.calls]
    found = {
        "turn": record.id,
        "session": record.session,
        "state": record.state,
        "queue": record.queue,
        "chain": record.options.chain,
        "place": record.place,
        "attempts": record.attempts,
        "uncounted_attempts": record.uncounted_attempts,
        "dispatches": record.dispatches,
        "created": record.created,
        "started": record.started,
        "finished": record.finished,
        "waits_for": record.waits_for,
        "model": record.model,
        "fallback": record.fallback,
        "tokens": {name: count for name, count in (record.usage or {}).items() if isinstance(count, int)},
        "code": record.code,
        "message": record.message,
        "left_out": record.left_out,
        "merged": record.merged,
        "members": list(record.members),
        "calls": calls,
    }
    return found | (_content(record) if show_content else {})


def attempts_text(attempts: int, uncounted: int) -> str:
    """Return how many attempts count against the limit, and how many more there were."""
    return f"{attempts - uncounted}" + (f" (+{uncounted} not counted)" if uncounted else "")


def question_text(question: Question) -> str:
    """Return a question's text; other parts are named."""
    if isinstance(question, str):
        return question
    return " ".join(str(part.get("text") or f"[{part['type']}]") for part in question)


def _content(record: Record) -> dict[str, Any]:
    calls = [{"id": call_name(call), "name": call["name"], "arguments": call["arguments"]} for call in record.calls]
    return {"question": question_text(record.question), "answer": record.answer, "detail": record.detail, "calls": calls}
