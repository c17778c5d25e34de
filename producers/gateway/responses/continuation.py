"""A request's items, sorted into what is new to its conversation: answers to calls, and messages.

Clients give the same things again: whole transcripts, the last question with the outputs, references to what was said. What
the conversation has, by id or by a call's id, is dropped. What is left is whole: each call has its output, and each output
its call, or the request is refused in OpenAI's own words.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from turnstile.producers.gateway.content import Message
from turnstile.producers.gateway.edge.api_errors import invalid, no_call, no_output
from turnstile.producers.gateway.items.given import Given, Kind, chat_messages
from turnstile.producers.gateway.items.known import Known
from turnstile.turns.text import dumps


@dataclass(slots=True)
class Brought:
    """New input of a request: answers (call id → output), and what else stands before the first of them, and after it."""

    answers: dict[str, str] = field(default_factory=dict)
    earlier: list[Given] = field(default_factory=list)
    later: list[Given] = field(default_factory=list)

    def messages(self, repeated: Sequence[Message] = ()) -> list[Message]:
        """Return the chat messages, without those before the answers that the turn which made the calls had, `repeated`."""
        seen = {dumps(message) for message in repeated}
        return chat_messages([*(one for one in self.earlier if dumps(one.body) not in seen), *self.later])


def sort_out(given: Sequence[Given], known: Known, open_calls: Collection[str] = ()) -> Brought:
    """Return what is new to a conversation that waits for answers to `open_calls`; nothing is known to a new one.

    Raises:
        ApiError: an output has no call, or a call has no output.
    """
    new = [one for one in given if not known.has(one)]
    made = {one.call for one in new if one.kind is Kind.CALL}
    offered: dict[str, Given] = {}
    for one in new:
        if one.answers and one.call not in made:
            offered.setdefault(one.call, one)
    due = _due(given, offered, known, open_calls)
    for call, one in offered.items():
        if one.kind is Kind.OUTPUT and call not in due and call not in known.answered:
            raise no_call(call)
    first = next((place for place, one in enumerate(new) if one.call in due and one.call in offered), 0)
    spent = offered.keys() - due
    earlier, later = (
        [one for one in some if not (one.answers and one.call in offered) and not (one.shows and one.call in spent)]
        for some in (new[:first], new[first:])
    )
    _check_made([*earlier, *later])
    return Brought({call: offered[call].body for call in sorted(due)}, earlier, later)


def _due(given: Sequence[Given], offered: Mapping[str, Given], known: Known, open_calls: Collection[str]) -> Collection[str]:
    """Return the calls that the request answers.

    Where nobody waits for them, that is for the queue to tell: the same answers may have come before. Then they are the last
    thing in the input.
    """
    if due := offered.keys() & set(open_calls):
        return due
    if late := {call for call, one in offered.items() if _is_unanswered(one, known)}:
        return late
    last = given[-1].call if given and (given[-1].answers or given[-1].shows) else ""
    return {call for call in offered if last in offered and known.calls.get(call) == known.calls.get(last, "")}


def _is_unanswered(one: Given, known: Known) -> bool:
    return one.kind is Kind.DECISION or (one.call in known.calls and one.call not in known.answered)


def _check_made(rest: Sequence[Given]) -> None:
    answered = {one.call for one in rest if one.kind is Kind.OUTPUT}
    for one in rest:
        if one.kind is Kind.CALL and one.call not in answered:
            raise no_output(one.call)


def alone(given: Sequence[Given]) -> Brought:
    """Return what a request brings that goes on with nothing. Raises ApiError as `sort_out`."""
    if decision := next((one for one in given if one.kind is Kind.DECISION), None):
        message = "An approval is answered in its conversation: give `conversation` or `previous_response_id`."
        raise invalid(decision.param, message, "invalid_value")
    return sort_out(given, Known())
