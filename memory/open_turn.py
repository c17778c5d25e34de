"""The turn that is being worked on, as the history inside it sees it.

A worker opens a turn around the chain. Until it is closed, a history of the same session reads the window that was
claimed with the turn, and stages what the chain adds instead of writing it; the worker then commits the transcript in
one step. The context variable follows the chain into tasks, and into threads that run in a copy of the context, as
LangChain's do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from turnstile.memory.codec import plain
from turnstile.turns.redis.keys import Keys


@dataclass(slots=True)
class OpenTurn:
    """A turn at work: the window claimed with it, oldest first, and what its chain added so far."""

    session: str
    turn: str
    token: str
    """The claim's token, which fences whatever is stored for this attempt."""
    window: list[BaseMessage] = field(default_factory=list)
    staged: list[BaseMessage] = field(default_factory=list)
    history_prefix: str = Keys().history_prefix

    @property
    def key(self) -> str:
        """The history that this turn adds to."""
        return Keys(history_prefix=self.history_prefix).history(self.session)

    @property
    def messages(self) -> list[BaseMessage]:
        """The history as the chain sees it, oldest first."""
        return [*self.window, *self.staged]

    def stage(self, messages: Sequence[BaseMessage]) -> None:
        """Keep messages for the commit; chunks of a stream become plain messages."""
        self.staged.extend([plain(message) for message in messages])


current: ContextVar[OpenTurn | None] = ContextVar("turnstile_open_turn", default=None)


@contextmanager
def opened(turn: OpenTurn) -> Iterator[OpenTurn]:
    """Make a turn the current one for the block, and for the tasks and threads that start in it."""
    token = current.set(turn)
    try:
        yield turn
    finally:
        current.reset(token)


def transcript(
    turn: OpenTurn, question: str | list[Any], answer: BaseMessage | str, name: str | None = None
) -> list[BaseMessage]:
    """Return the messages that a turn adds to the history: those that its chain staged, else the question and the answer.

    Args:
        question: text, or a list of content parts; empty where the turn asks nothing, and answers calls.
        answer: what the chain returned.
        name: who asked.
    """
    if turn.staged:
        return list(turn.staged)
    said = AIMessage(content=answer) if isinstance(answer, str) else plain(answer)
    return [*([HumanMessage(content=question, name=name)] if question else []), said]
