"""Messages of a graph ↔ what a turn is given and what it adds."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from turnstile.memory.calls import calls_of
from turnstile.memory.element import REFUSAL, TYPES, call_item, reasoning_text
from turnstile.turns.output import Item, Output, reasoned, refused, said
from turnstile.turns.text import dumps, whole
from turnstile.workers.chains.graphs.plan import MESSAGES

_SOURCE = "lc_source"


def named(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages, each with an id: its own, or one that is the same for the same message in every attempt."""
    seen: Counter[str] = Counter()
    found = []
    for message in messages:
        if not message.id:
            digest = hashlib.sha256(f"{message.type}\0{message.content!r}".encode("utf-8", "replace")).hexdigest()[:24]
            seen[digest] += 1
            message = message.model_copy(update={"id": f"history-{digest}-{seen[digest]}"})
        found.append(message)
    return found


def question_of(id: str, question: Any, name: str | None) -> list[BaseMessage]:
    """Return the question as a message under its turn's id; none where a turn only answers calls."""
    return [HumanMessage(question, name=name, id=id)] if question else []


class Additions:
    """The messages that a turn's graph adds to its state, as it goes."""

    def __init__(self) -> None:
        self.state: list[BaseMessage] = []
        self._seen: dict[str, BaseMessage] = {}

    def note(self, messages: Iterable[Any]) -> None:
        """Note the state's messages after a step."""
        self.state = [message for message in messages if isinstance(message, BaseMessage) and message.type in TYPES]
        self._seen |= {str(message.id): message for message in self.state}

    def latest(self, message: BaseMessage) -> BaseMessage:
        """Return a message of the input as it was last in the state."""
        return self._seen.get(str(message.id), message)

    def new(self, known: Sequence[str]) -> list[BaseMessage]:
        """Return the messages that were not known before; also those that a summary has replaced, but no summary."""
        summed_up = any(map(is_summary, self.state))
        found = list(self._seen.values()) if summed_up else self.state
        given = set(known)
        return [message for message in found if message.id not in given and not is_summary(message)]


def results_of(updates: Mapping[str, Any]) -> list[ToolMessage]:
    """Return the results of tools among what the nodes of a step have written."""
    written = [update.get(MESSAGES) for update in updates.values() if isinstance(update, Mapping)]
    return [message for found in written if isinstance(found, list) for message in found if isinstance(message, ToolMessage)]


def is_summary(message: BaseMessage) -> bool:
    """Return whether a middleware wrote a message in somebody's name, in place of others: nobody said it."""
    return message.type in ("human", "system") and bool(message.additional_kwargs.get(_SOURCE))


def items_of(new: Sequence[BaseMessage], state: Sequence[BaseMessage], *, interrupted: bool) -> Output:
    """Return what a graph said and did. A call without a result is the client's, unless an interrupt stands for it."""
    results = {message.tool_call_id: message for message in (*state, *new) if isinstance(message, ToolMessage)}
    fresh = {message.id for message in new}
    items: list[Item] = []
    for message in _with_calls(new, state):
        if message.id in fresh:
            items += _spoken(message)
        for call in map(call_item, calls_of(message)):
            result = results.get(call["call_id"])
            if result is not None and result.id in fresh:
                items.append(_ran(call, result))
            elif result is None and message.id in fresh and not interrupted:
                items.append(call)
    return tuple(items)


def usage_of(new: Iterable[BaseMessage]) -> dict[str, Any] | None:
    """Return the tokens of all answers together."""
    total: UsageMetadata | None = None
    for message in new:
        if isinstance(message, AIMessage) and message.usage_metadata:
            total = add_usage(total, message.usage_metadata)
    return dict(total) if total else None


def _with_calls(new: Sequence[BaseMessage], state: Sequence[BaseMessage]) -> list[AIMessage]:
    """Return the assistant's new messages, after those whose calls have new results."""
    answered = {message.tool_call_id for message in new if isinstance(message, ToolMessage)}
    fresh = {message.id for message in new}
    earlier = [
        m for m in state if isinstance(m, AIMessage) and m.id not in fresh and any(c["id"] in answered for c in calls_of(m))
    ]
    return [*earlier, *(message for message in new if isinstance(message, AIMessage))]


def _spoken(message: AIMessage) -> list[Item]:
    text, reasoning = whole(str(message.text)), whole(reasoning_text(message.content, message.additional_kwargs))
    refusal = message.response_metadata.get("finish_reason") == REFUSAL
    return [*([reasoned(reasoning)] if reasoning else ()), *((refused if refusal else said)(text) if text else ())]


def _ran(call: Item, result: ToolMessage) -> Item:
    content = result.content if isinstance(result.content, str) else dumps(result.content, str)
    outcome = "error" if result.status == "error" else "output"
    return {
        "type": "mcp_call",
        "id": call["call_id"],
        "name": call["name"],
        "arguments": call["arguments"],
        outcome: whole(content),
    }
