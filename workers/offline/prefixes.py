"""The prompt cache of the offline stand-in: it tells how much of a prompt it has seen, from the beginning on.

The counts are OpenAI's: nothing below 1,024 tokens, and beyond in steps of 128.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

_LEAST, _STEP = 1_024, 128
_MOST_PREFIXES = 200_000


class Prefixes:
    """The beginnings of prompts that were seen, message by message; the oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def take(self, messages: Sequence[Mapping[str, Any]], tokens: Sequence[int]) -> int:
        """Remember a prompt, and return how many of its tokens were there; `tokens` are those of each message."""
        digest, known, cached = hashlib.blake2b(digest_size=16), True, 0
        for message, count in zip(messages, tokens, strict=True):
            digest.update(json.dumps(message).encode())
            name = digest.digest()
            known = known and name in self._seen
            cached += count if known else 0
            self._seen[name] = None
            self._seen.move_to_end(name)
        while len(self._seen) > _MOST_PREFIXES:
            self._seen.popitem(last=False)
        return cached // _STEP * _STEP if cached >= _LEAST else 0
