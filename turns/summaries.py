"""Summaries of long histories: the words around them, and what a stored one says of the history that it belongs to."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from turnstile.turns.ids import tenant_of
from turnstile.turns.text import as_text

ASK = (
    "Summarize our conversation so far, for yourself: you will go on with it and see nothing of it but your summary. Keep all "
    "facts, names, numbers, decisions and results, what was asked of you, and what is still open. Write the summary alone, in "
    "the language of the conversation."
)
"""The question that makes a model sum a conversation up."""
ABOUT = "This is a summary of our conversation so far:\n\n"
"""The words before a summary, which a model is given as the user's."""
TAKEN = "Thank you. I will go on from there."
"""The assistant takes note of the summary, because some models take no two messages of the user in a row."""

MOST_SUMMARY_BYTES = 65_536
_TAIL_BYTES = 16_384
_NAME = re.compile(r"(?:.+/)?summary-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary of the beginning of a history. `mark` tells the last message that it covers."""

    mark: str
    text: str

    @property
    def place(self) -> int:
        """The number of messages that it covers, from the oldest on."""
        return int(self.mark.partition(" ")[0])

    @classmethod
    def decode(cls, reply: list[bytes]) -> Self | None:
        """Read `read_summary`'s reply."""
        return cls(*map(as_text, reply)) if reply else None


def mark(place: int, element: bytes) -> str:
    """Return the mark of a summary whose last message is the stored `element`, at a place that counts from 1, the oldest's.

    Of a large element only the end is read, where its turn and its time stand.
    """
    return f"{place} {hashlib.sha1(element[-_TAIL_BYTES:], usedforsecurity=False).hexdigest()}"


def name(*parts: str) -> str:
    """Return a name for a turn that sums up, or the session of such turns: the same for the same parts."""
    return f"summary-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"


def home_of(session: str) -> str:
    """Return the session of the turns that sum a session up: the tenant's own."""
    tenant = tenant_of(session)
    return f"{tenant}/{name(session)}" if tenant else name(session)


def is_named(session: str) -> bool:
    """Return True for a name as sessions of turns that sum up have it. A tenant may give another session such a name."""
    return _NAME.fullmatch(session) is not None
