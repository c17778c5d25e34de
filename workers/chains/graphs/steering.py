"""Questions that become part of a graph's turn amid its steps.

A question becomes part of the turn in Redis first, and comes into the state before the next step. One that is missing there
is of a worker that died in between: the graph stands where it stood then.
"""

from collections.abc import Collection, Iterable
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Command, StateSnapshot

from turnstile.memory.calls import open_calls
from turnstile.memory.checkpoints import StepSaver
from turnstile.memory.given import given_messages
from turnstile.turns.turn import Joined
from turnstile.workers.chains.graphs.events import HOOKS
from turnstile.workers.chains.graphs.plan import MESSAGES
from turnstile.workers.chains.graphs.transcript import question_of
from turnstile.workers.chains.run import Asked

_PREFIX = "steered-"


class Steering:
    """The questions that steer a turn: those that are part of it, and those that wait while `wanted`."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.messages = _messages(asked.steering)
        self.wanted = False

    @property
    def concerned(self) -> bool:
        """True where there are questions, or may be."""
        return self.wanted or bool(self.messages)

    async def begin(self, saver: StepSaver) -> list[BaseMessage]:
        """Return the messages for the input of a graph that has not begun. Raises TurnLost."""
        if self.wanted:
            await self._take()
        self._note(saver)
        return self.messages

    async def go_on(self, saver: StepSaver, state: StateSnapshot) -> Command[Any] | None:
        """Return the update of a graph that goes on where another attempt was; None if there is none. Raises TurnLost."""
        if self.wanted and await self._has_begun(saver, state):
            return self._update(saver, state)
        return await self.take(saver, state)

    async def take(self, saver: StepSaver, state: StateSnapshot) -> Command[Any] | None:
        """Take the questions that wait, if this is a place for them, and return the graph's update. Raises TurnLost."""
        if self.wanted and _is_place(state):
            await self._take()
        return self._update(saver, state)

    async def _take(self) -> None:
        self.wanted = False
        self.messages = _messages(await self._asked.take())

    async def _has_begun(self, saver: StepSaver, state: StateSnapshot) -> bool:
        """Return whether a part of the next step is done, which would not know of a question."""
        places = await self._asked.store.list_checkpoints(saver.thread)
        return saver.begun or any(task.id in graph for task in state.tasks for graph, _ in places)

    def _update(self, saver: StepSaver, state: StateSnapshot) -> Command[Any] | None:
        """Return the update with the messages that are not in the state, and never were."""
        missing = self.missing({*saver.steered, *(str(message.id) for message in state.values.get(MESSAGES, ()))})
        self._note(saver)
        return Command(update={MESSAGES: missing}) if missing else None

    def _note(self, saver: StepSaver) -> None:
        """Note that all messages come into the state: the next step that is kept tells."""
        saver.steered |= {str(message.id) for message in self.messages}

    def missing(self, known: Collection[str]) -> list[BaseMessage]:
        """Return the messages that are not known."""
        return [message for message in self.messages if message.id not in known]

    def others(self, state: Iterable[BaseMessage]) -> list[str]:
        """Return the ids of messages that steered the turn before it failed: their turns are retried by themselves."""
        ours = {message.id for message in self.messages}
        return [str(m.id) for m in state if str(m.id).startswith(_PREFIX) and m.id not in ours]


def _is_place(state: StateSnapshot) -> bool:
    """Return whether a question may come next: behind the results of all calls, with what leads to the model done."""
    return not open_calls(state.values.get(MESSAGES, ())) and not any(name.endswith(HOOKS) for name in state.next)


def _messages(questions: Iterable[Joined]) -> list[BaseMessage]:
    """Return the questions, and what they bring along, each message under an id that it has in every attempt."""
    found: list[BaseMessage] = []
    for asked in questions:
        told = [*given_messages(asked.options.before), *question_of(asked.id, asked.question, asked.options.name)]
        found += [one.model_copy(update={"id": f"{_PREFIX}{asked.id}-{place}"}) for place, one in enumerate(told)]
    return found
