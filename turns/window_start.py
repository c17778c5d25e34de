"""The start of a prompt's window in a history. It moves in blocks, so that the prompts of many turns begin alike.

A provider's cache keeps what prompts have in common from their beginning on: a window that leaves out one more message with
each turn has nothing in common with the last. The start is found from the places of messages alone, and stored nowhere; where a
summary is kept of what is older, the window starts where that ends.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import inf

_LEAST_BLOCK = 0.25
"""Share of a window that is summed up at once, at least: each time is a call of a model."""
_SPARE = 0.25
"""Share of a block that has room when its summary is asked for."""


def token_limit(*limits: int | None) -> int:
    """Return the most tokens of a window that several limits leave; 0 is none."""
    return min(filter(None, limits), default=0)


def kept(tokens: Sequence[int], length: int, most: int, most_tokens: int, block: float, least: int = 1) -> int:
    """Return how many of the newest messages go into a prompt.

    Args:
        tokens: those of the messages that fit, newest first.
        length: messages in the history.
        most: most messages of a window.
        most_tokens: most tokens of a window; 0 is no limit.
        block: share of a window that is left out at once.
        least: so many messages stay in any case.
    """
    if not tokens or len(tokens) >= length:
        return len(tokens)
    fits = _fitting(tokens, most, most_tokens, 1 - block)
    return length - _roundest(length - len(tokens), length - min(max(fits, least), len(tokens)))


def next_place(
    tokens: Sequence[int],
    begins: Sequence[bool],
    length: int,
    place: int,
    most: int,
    most_tokens: int,
    block: float,
) -> int | None:
    """Return the place up to which a history is to be summed up now; None while its window has room.

    It is asked for before the window is full, so that the window can begin there as soon as the summary is made: its start and
    the summary move at once, and no message is in neither.

    Args:
        tokens: those of the newest messages, newest first.
        begins: for each of them, whether a window may begin with it.
        length: messages in the history.
        place: the number of messages that are summed up.
        most: most messages of a window.
        most_tokens: most tokens of a window; 0 is no limit.
        block: share of a window that is left out at once.
    """
    block = max(block, _LEAST_BLOCK)
    newer = min(len(tokens), length - place)
    if newer <= _fitting(tokens, most, most_tokens, 1 - block * _SPARE):
        return None
    first, last = length - newer, length - max(1, _fitting(tokens, most, most_tokens, 1 - block))
    if last <= first:
        return None
    roundest = _roundest(last - (last - first) // 3, last)
    return next((start for start in range(roundest, first, -1) if begins[length - 1 - start]), None)


def _fitting(tokens: Sequence[int], most: int, most_tokens: int, share: float) -> int:
    """Return how many of the newest messages have room in a share of a window."""
    room = most_tokens * share if most_tokens else inf
    return bisect_right(list(accumulate(tokens[: int(most * share)])), room)


def _roundest(first: int, last: int) -> int:
    """Return the place between two that is divisible by the greatest power of two: it is the same for many neighbours."""
    bit = ((first - 1) ^ last).bit_length() - 1
    return last >> bit << bit
