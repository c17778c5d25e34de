"""Shorter prompts, for a model that has no room for a whole window."""

from collections.abc import Sequence
from itertools import accumulate

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately


def without_oldest(messages: Sequence[BaseMessage], last: int, tokens: int = 0) -> list[BaseMessage] | None:
    """Return messages without their oldest exchanges, or None if there is no exchange to leave out.

    As many are left out as have so many `tokens`, counted approximately; 0: as have half of all tokens. An exchange begins with
    a human message. System messages stay where they are, and so do the `last` messages, with the exchange that they go on with.
    """
    kept = len(messages) - last
    starts = [place for place in range(1, kept) if isinstance(messages[place], HumanMessage)]
    if not (last and isinstance(messages[kept], ToolMessage)):
        starts.append(kept)
    sizes = [0 if isinstance(one, SystemMessage) else count_tokens_approximately([one]) for one in messages[:kept]]
    before = [0, *accumulate(sizes)]
    wanted = tokens or before[-1] / 2
    starts = [start for start in starts if before[start]]
    if not starts:
        return None
    cut = next((start for start in starts if before[start] >= wanted), starts[-1])
    return [*(one for one in messages[:cut] if isinstance(one, SystemMessage)), *messages[cut:]]
