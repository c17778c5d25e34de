"""The messages that go before a turn's question."""

import logging
from collections.abc import Sequence
from math import ceil

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from turnstile.memory.calls import answering, paired
from turnstile.memory.codec import decode
from turnstile.memory.given import given_messages
from turnstile.memory.shortening import without_oldest
from turnstile.memory.window import fit, opening
from turnstile.turns.model_failures import TOO_LONG, Failure
from turnstile.turns.settings import Settings
from turnstile.turns.summaries import ABOUT, TAKEN, Summary
from turnstile.turns.turn import Claim
from turnstile.turns.window_start import token_limit

log = logging.getLogger(__name__)

_MARGIN = 1.2
_EXACT_TRIES = 3


class Prompt:
    """The window of a history, and what the turn brings.

    `asked`: the end of the history from the message on whose calls the turn answers. `left_out` counts messages for which the
    model has no room.
    """

    def __init__(self, claim: Claim, settings: Settings) -> None:
        self.messages: list[BaseMessage] = []
        self.brought: list[BaseMessage] = []
        self.asked: list[BaseMessage] = []
        self.left_out = 0
        self._begun: list[BaseMessage] = []
        self._noted: list[BaseMessage] = []
        self._claim, self._settings = claim, settings
        self._tries = 0

    def read(self) -> None:
        """Read the messages of the claim, and note which of them the turn adds to the history."""
        answers = answering(self._claim.answers)
        self.brought = [*answers, *given_messages(self._claim.options.before)]
        self.messages = self._with_history(self.brought)
        if answers:
            self.asked = _last_exchange(self._claim.window)
            # In the order of their calls; an answer to anything else than a call in the history is no message.
            kept = [message for message in self.messages if any(message is answer for answer in answers)]
            self.brought = [*kept, *self.brought[len(answers) :]]

    def shorten(self, failure: Failure) -> bool:
        """Leave the oldest exchanges out after the model had no room for all; False if there is nothing to leave out.

        Messages that the caller sent in place of a history are all sent, or none; so are all with `truncation="disabled"`.
        """
        options = self._claim.options
        if failure.code != TOO_LONG.code or options.history is not None or self._whole:
            return False
        self._tries += 1
        words = failure.words
        excess = words.asked - words.allowed if words and words.allowed and self._tries <= _EXACT_TRIES else 0
        older = self.messages[len(self._begun) + len(self._noted) :]
        shorter = without_oldest(older, len(self.brought), ceil(max(0, excess) * _MARGIN))
        if shorter is None:
            if not self._noted:
                return False
            # The summary is the last to go.
            self._noted, shorter = [], older
        self.left_out += len(older) - len(shorter)
        self.messages = [*self._begun, *self._noted, *shorter]
        return True

    def _with_history(self, following: list[BaseMessage]) -> list[BaseMessage]:
        claim = self._claim
        if claim.options.history is not None:
            return paired([*given_messages(claim.options.history), *following])
        begun = opening(claim.window)
        elements = claim.window[: len(claim.window) - len(begun)]
        most = max(self._settings.window_messages, len(elements))
        every = self._whole or claim.options.summarises is not None
        limit = token_limit(self._settings.window_tokens, claim.options.compact_threshold)
        tokens, block = (0, 0.0) if every else (limit, self._settings.window_block)
        place = claim.summary.place if claim.summary else 0
        window = fit(elements, most, tokens, following, cut=claim.cut, length=claim.length, block=block, summarised=place)
        if window.broken:
            log.warning("session %s: %d broken elements in its history", claim.session, window.broken)
        self._begun, self._noted = begun, _told(claim.summary)
        return [*begun, *self._noted, *window.messages]

    @property
    def _whole(self) -> bool:
        """True where the turn wants all of its history, or none."""
        return self._claim.options.truncation == "disabled"

    @property
    def is_cut(self) -> bool:
        """True where the turn wants all of its history, and there is more than a claim reads and a summary covers."""
        claim = self._claim
        newest = len(claim.window) - len(opening(claim.window))
        covered = claim.summary is not None and claim.length - claim.summary.place <= newest
        return self._whole and claim.cut and not covered and claim.options.history is None


def _told(summary: Summary | None) -> list[BaseMessage]:
    """Return the messages that tell a model of a summary: the same as long as that is."""
    return [HumanMessage(ABOUT + summary.text), AIMessage(TAKEN)] if summary else []


def _last_exchange(window: Sequence[bytes]) -> list[BaseMessage]:
    """Return the newest message that is no answer to a call, and the answers after it."""
    newest: list[BaseMessage] = []
    for stored in map(decode, window):
        if stored:
            newest.append(stored.message)
            if not isinstance(stored.message, ToolMessage):
                break
    return newest[::-1]
