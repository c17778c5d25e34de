"""One attempt at a turn by a graph: it goes on from the kept steps, and ends with what it added, or with open calls."""

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.runtime import RunControl
from langgraph.types import Command, Interrupt

from turnstile.memory.checkpoints import StepSaver
from turnstile.memory.step_errors import LaneClosed, StepError, StepsUnreadable
from turnstile.memory.step_lane import StepLane
from turnstile.turns.asyncio_tasks import end_all
from turnstile.turns.output import Output, said
from turnstile.turns.policies import INTERRUPTED
from turnstile.turns.text import dumps
from turnstile.turns.turn import Claim
from turnstile.workers.attempt.insist import insist
from turnstile.workers.chains.graphs.events import RunEvents
from turnstile.workers.chains.graphs.guard import Guard, LimitReached
from turnstile.workers.chains.graphs.idempotency import THREAD
from turnstile.workers.chains.graphs.interrupts import items_of_interrupts, resumptions
from turnstile.workers.chains.graphs.plan import MESSAGES, STRUCTURED, Plan
from turnstile.workers.chains.graphs.transcript import Additions, items_of, named, question_of, results_of, usage_of
from turnstile.workers.chains.run import (
    Asked,
    ChainOutput,
    ChainOutputError,
    Drained,
    OptionRefused,
    ToolRaised,
    TurnLost,
    configurable,
)

_STREAMS = ["messages", "updates", "values", "tasks"]


class GraphRun:
    """A graph at work on one attempt."""

    def __init__(self, plan: Plan, turn: Asked) -> None:
        self._plan = plan
        self._turn = turn
        self._control = RunControl()
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
        self._control.request_drain()

    def halt(self, error: StepError) -> None:
        """End the attempt where it is, with an error; its steps are kept."""
        self._lane.fail(error)

    @property
    def untouched(self) -> bool:
        """True while no node has ended, in any attempt; a middleware's hooks count for nothing."""
        return bool(self._saved and not self._saved.resumed and not self._events.advanced)

    def so_far(self) -> ChainOutput | None:
        """Return what the graph has added, the results of a step that has not ended, and what a model has begun to say."""
        if not self._added.state:
            return None
        new = [*self._added.new(self._known), *self._results]
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
        given, inputs = self._inputs(), None
        if self._claim.answers and not _answers_calls(self._claim, self._turn.before):
            saver = self._saver(await self._latest_run(), given)
            self._events.advanced = True
            inputs = self._resume(saver, await self._graph(saver).aget_state(self._config(saver)))
        else:
            # Answers that are messages begin a run of their own, too: they are its input.
            saver, inputs = self._saver(self._claim.id, given), {MESSAGES: given}
        self._saved = saver
        async for mode, data in self._graph(saver).astream(
            inputs,
            self._config(saver),
            stream_mode=_STREAMS,
            output_keys=self._plan.outputs,
            durability="sync",
            control=self._control,
        ):
            self._receive(mode, data)
        self._events.settle()

    def _inputs(self) -> list[BaseMessage]:
        claim = self._claim
        return [*named(self._turn.before), *question_of(claim.id, claim.question, claim.options.name)]

    async def _latest_run(self) -> str:
        return await self._lane.read(lambda: self._turn.store.latest_run(self._claim.thread or self._claim.id))

    def _graph(self, saver: StepSaver) -> Any:
        return self._plan.graph.copy(update={"checkpointer": saver})

    def _saver(self, run: str, given: Sequence[BaseMessage]) -> StepSaver:
        plan, turn = self._plan, self._turn
        return StepSaver(
            turn.store,
            turn.claim,
            turn.claim.thread or turn.claim.id,
            self._lane,
            plan.codec,
            run=run,
            known=[str(message.id) for message in given],
            nodes=plan.nodes,
            keep_all=plan.keeps_all,
            after_step=self._guard.check_steps,
        )

    def _resume(self, saver: StepSaver, state: Any) -> Any:
        """Return what the graph is resumed with: the answers to its interrupts, or nothing where they have been taken."""
        if self._claim.question:
            raise OptionRefused("`question`: answers to a graph's interrupts stand alone; ask in the next turn.")
        if not state.created_at:
            raise StepsUnreadable("The steps that these answers belong to are gone: ask again in a new turn.")
        if not saver.resumed:
            saver.known += [str(message.id) for message in state.values.get(MESSAGES, ())]
        resumed = resumptions(state.interrupts, self._claim.answers)
        return Command(resume=resumed) if resumed else None

    def _config(self, saver: StepSaver) -> dict[str, Any]:
        return {
            "configurable": {
                **configurable(self._turn.options),
                "session_id": self._claim.session,
                "thread_id": saver.run,
                THREAD: saver.run,
            },
            # The same in every attempt: by it LangGraph goes on from the steps instead of beginning anew.
            "metadata": {"run_id": saver.run},
            "recursion_limit": self._settings.max_steps,
            "callbacks": [*self._guard.handlers, self._events.calls],
        }

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
        return self._saved.known if self._saved else ()


def _answers_calls(claim: Claim, before: Sequence[BaseMessage]) -> bool:
    """Return whether a turn answers the client's calls of an earlier answer, as messages, and no interrupts."""
    answered = {message.tool_call_id for message in before if isinstance(message, ToolMessage)}
    return claim.answers.keys() <= answered


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
