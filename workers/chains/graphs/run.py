"""One attempt at a turn by a graph: it goes on from the kept steps, and ends with what it added, or with open calls."""

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.runtime import RunControl
from langgraph.types import Interrupt

from turnstile.memory.checkpoints import StepSaver
from turnstile.memory.step_errors import LaneClosed, StepError
from turnstile.memory.step_lane import StepLane
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.output import Output, said
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.text import dumps
from turnstile.workers.attempt.insist import insist
from turnstile.workers.chains.graphs.events import RunEvents
from turnstile.workers.chains.graphs.guard import Guard, LimitReached
from turnstile.workers.chains.graphs.interrupts import items_of_interrupts
from turnstile.workers.chains.graphs.kept_run import KeptRun
from turnstile.workers.chains.graphs.plan import MESSAGES, STRUCTURED, Plan
from turnstile.workers.chains.graphs.steering import Steering
from turnstile.workers.chains.graphs.transcript import Additions, items_of, question_of, results_of, usage_of
from turnstile.workers.chains.run import (
    Asked,
    ChainOutput,
    ChainOutputError,
    Drained,
    ToolRaised,
    TurnLost,
)


class GraphRun:
    """A graph at work on one attempt."""

    def __init__(self, plan: Plan, turn: Asked) -> None:
        self._turn = turn
        self._control = RunControl()
        self._draining = False
        self._steering = Steering(turn)
        self._claim = claim = turn.claim
        self._settings = turn.store.settings
        self._stopped: StepError | None = None
        self._work: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._lane = StepLane(insist, self._stop)
        self._guard = Guard(self._lane, lambda: turn.store.owns(claim, claim.spent), claim.spent, self._settings)
        self._added = Additions()
        self._events = RunEvents(turn.on_event)
        self._interrupts: tuple[Interrupt, ...] = ()
        self._results: list[ToolMessage] = []
        self._structured: Any = None
        self._kept = KeptRun(plan, turn, self._lane, [*self._guard.handlers, self._events.calls], self._after_step)
        self._saved: StepSaver | None = None

    async def run(self) -> ChainOutput:
        """Run the graph to its end or its next interrupt.

        Raises:
            TurnLost: the turn is in other hands.
            Drained: the process ends, and another goes on from the step.
            StepError: the steps cannot be kept or read, or a limit is reached.
            Exception: whatever the graph raises.
        """
        work = self._work = asyncio.create_task(self._follow())
        try:
            await asyncio.wait([work])
        finally:
            # Before the graph is cancelled: a cancelled task writes an error that would read as an end.
            self._lane.close()
            await end_all([work])
        if self._stopped:
            raise TurnLost if isinstance(self._stopped, LaneClosed) else self._stopped
        return self._output(work)

    def drain(self) -> None:
        """Stop between two steps."""
        self._draining = True
        self._control.request_drain()

    def steer(self) -> None:
        """Take the questions that wait, between two steps."""
        self._steering.wanted = True

    def halt(self, error: StepError) -> None:
        """End the attempt where it is, with an error; its steps are kept."""
        self._lane.fail(error)

    @property
    def untouched(self) -> bool:
        """True while no node has ended, in any attempt; a middleware's hooks count for nothing."""
        return bool(self._saved and not self._saved.resumed and not self._events.advanced)

    def so_far(self) -> ChainOutput | None:
        """Return what the graph has added, the results of a step that has not ended, and what a model has begun to say."""
        if not self._added.state and not self._steering.messages:
            return None
        new = [*self._added.new(self._known), *self._results]
        new += self._steering.missing({str(message.id) for message in new})
        begun = self._events.begun({str(message.id) for message in self._added.state})
        new += [AIMessage(begun)] if begun else []
        message = next((m for m in reversed(new) if isinstance(m, AIMessage)), AIMessage(""))
        output = items_of(new, self._added.state, interrupted=True) or said("")
        transcript = [*self._question(), *new]
        return ChainOutput(message, output, usage_of(new), None, finish_reason=INTERRUPTED, transcript=transcript)

    async def forget(self) -> None:
        """Forget the steps, so that another run begins anew. Raises TurnLost."""
        saver = self._saved
        assert saver
        if not await insist(lambda: self._turn.store.drop_steps(self._claim, saver.thread, saver.root)):
            raise TurnLost

    def _stop(self, error: StepError) -> None:
        self._stopped = error
        if self._work:
            self._ending = asyncio.ensure_future(end_all([self._work]))

    def _output(self, work: "asyncio.Task[None]") -> ChainOutput:
        try:
            work.result()
        except GraphDrained:
            raise Drained from None
        except GraphRecursionError:
            most = f"{self._settings.max_steps:,}"
            raise LimitReached(f"The turn has made {most} steps, the most that TURNSTILE_MAX_STEPS allows.") from None
        except Exception as error:
            if not self._events.calls.raised_by_tool(error):
                raise
            raise ToolRaised(f"A tool raised {type(error).__name__}.") from error
        new = self._added.new(self._known)
        last = next((message for message in reversed(new) if isinstance(message, AIMessage)), None)
        if last is None and not self._interrupts and not new:
            raise ChainOutputError("The graph added no message.")
        about = last.response_metadata if last else {}
        return ChainOutput(
            message=last or AIMessage(""),
            output=self._items(new),
            usage=usage_of(new),
            model=about.get("model_name") or about.get("model"),
            finish_reason=None if self._interrupts else about.get("finish_reason"),
            transcript=[*self._question(), *new],
        )

    def _question(self) -> list[BaseMessage]:
        """Return the question as the graph left it: a middleware may have blacked something out."""
        asked = question_of(self._claim.id, self._claim.question, self._claim.options.name)
        return [self._added.latest(message) for message in asked]

    def _items(self, new: Sequence[BaseMessage]) -> Output:
        items = items_of(new, self._added.state, interrupted=bool(self._interrupts))
        asked = items_of_interrupts(self._interrupts)
        if self._structured is not None and not any(item["type"] == "message" for item in items[-1:]):
            items += said(dumps(_plain(self._structured), str))
        return (*items, *asked) or said("")

    async def _follow(self) -> None:
        self._guard.check_steps()
        self._events.advanced = self._kept.answers_interrupts
        inputs = await self._kept.begin(self._steering)
        self._saved = self._kept.saver
        while True:
            try:
                return await self._go_on(inputs)
            except GraphDrained:
                if self._draining:
                    raise
                inputs = await self._steering.take(self._saved, await self._kept.state())

    async def _go_on(self, inputs: Any) -> None:
        self._control = RunControl()
        if self._draining:
            self._control.request_drain()
        async for mode, data in self._kept.stream(inputs, self._control):
            self._receive(mode, data)
        self._events.settle()

    def _after_step(self) -> None:
        """Look at the limits, and stop for questions: here no step is under way, nor one of a graph inside this one."""
        self._guard.check_steps()
        if self._steering.wanted:
            self._control.request_drain()

    def _receive(self, mode: str, data: Any) -> None:
        if mode == "messages":
            self._events.send_message(*data)
        elif mode == "tasks":
            self._events.send_step(data)
        elif mode == "updates":
            self._interrupts += tuple(data.get("__interrupt__", ()))
            self._results += results_of(data)
        elif mode == "values" and isinstance(data, dict):
            first = not self._added.state
            self._added.note(data.get(MESSAGES, ()))
            self._results = []
            self._structured = data.get(STRUCTURED)
            if first:
                self._events.send_again(self._added.new(self._known))

    @property
    def _known(self) -> Sequence[str]:
        return [*self._saved.known, *self._steering.others(self._added.state)] if self._saved else ()


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
