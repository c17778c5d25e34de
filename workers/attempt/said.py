"""The words of a turn so far: for one that another question ends before it has answered."""

from collections.abc import Callable
from typing import Any, cast

from langchain_core.messages import AIMessage, HumanMessage

from turnstile.memory.element import REFUSAL
from turnstile.memory.open_turn import OpenTurn
from turnstile.turns.output import refused, said
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.turn import Claim
from turnstile.workers.chains.run import ChainOutput, GraphEvent, RefusalDelta, StartsOver, TextDelta

_EVENTS_AT_ONCE = 1000
_KINDS: dict[str, Callable[[str], GraphEvent]] = {"text": TextDelta, "refusal": RefusalDelta}


class Said:
    """A listener to an answer, which keeps its text."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refuses = False

    def hear(self, event: GraphEvent) -> None:
        """Note what the answer goes on with."""
        if isinstance(event, TextDelta | RefusalDelta):
            self._texts.append(event.text)
            self._refuses = isinstance(event, RefusalDelta)
        elif isinstance(event, StartsOver):
            self._texts.clear()

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    def output(self, claim: Claim, opening: OpenTurn) -> ChainOutput:
        """Return what a turn ends with: its question, and the text, if there is any."""
        about = {"finish_reason": REFUSAL} if self._refuses else {}
        message, staged = AIMessage(self.text, response_metadata=about), opening.staged
        question = cast("str | list[str | dict[str, Any]]", claim.question)
        asked = staged or ([HumanMessage(question, name=claim.options.name)] if question else [])
        added = [] if not self.text or (staged and isinstance(staged[-1], AIMessage)) else [message]
        output = (refused if self._refuses else said)(self.text)
        return ChainOutput(message, output, None, None, finish_reason=INTERRUPTED, transcript=[*asked, *added])


async def said_before(store: AsyncTurnStore, claim: Claim) -> list[GraphEvent]:
    """Return the text of the attempt before this one, as its readers have it."""
    heard: list[GraphEvent] = []
    after = 0
    while events := await store.events(claim.id, after, _EVENTS_AT_ONCE):
        after = events[-1].sequence
        for event in events:
            if event.attempt == claim.attempt:
                return heard
            if event.type == "started":
                heard.clear()
            elif event.type in _KINDS:
                heard.append(_KINDS[event.type](event.data))
    return heard
