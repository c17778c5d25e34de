"""The start of a prompt's window in a history. It moves in blocks, so that the prompts of many turns begin alike.

A provider's cache keeps what prompts have in common from their beginning on: a window that leaves out one more message with
each turn has nothing in common with the last. The start is found from the places of messages alone, and stored nowhere.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import inf


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
    room = most_tokens * (1 - block) if most_tokens else inf
    fits = bisect_right(list(accumulate(tokens[: int(most * (1 - block))])), room)
    return length - _roundest(length - len(tokens), length - min(max(fits, least), len(tokens)))


def _roundest(first: int, last: int) -> int:
    """Return the place between two that is divisible by the greatest power of two: it is the same for many neighbours."""
    bit = ((first - 1) ^ last).bit_length() - 1
    return last >> bit << bit
