"""A run of a graph on its kept steps: what it begins with, or goes on from."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.runtime import RunControl
from langgraph.types import Command

from turnstile.memory.checkpoints import StepSaver
from turnstile.memory.step_errors import StepsUnreadable
from turnstile.memory.step_lane import StepLane
from turnstile.workers.chains.graphs.idempotency import THREAD
from turnstile.workers.chains.graphs.interrupts import resumptions
from turnstile.workers.chains.graphs.plan import MESSAGES, Plan
from turnstile.workers.chains.graphs.steering import Steering
from turnstile.workers.chains.graphs.transcript import named, question_of
from turnstile.workers.chains.run import Asked, OptionRefused, configurable

_STREAMS = ["messages", "updates", "values", "tasks"]


class KeptRun:
    """The steps of a graph in one attempt at a turn, from `begin` on."""

    saver: StepSaver

    def __init__(
        self,
        plan: Plan,
        turn: Asked,
        lane: StepLane,
        callbacks: Sequence[BaseCallbackHandler],
        after_step: Callable[[], None],
    ) -> None:
        """`after_step`: is called when a step is kept, and none is under way."""
        self._plan, self._turn, self._claim, self._lane = plan, turn, turn.claim, lane
        self._callbacks, self._after_step = list(callbacks), after_step

    @property
    def answers_interrupts(self) -> bool:
        """True where the graph is resumed; answers that are messages begin a run of their own, and are its input."""
        answered = {message.tool_call_id for message in self._turn.before if isinstance(message, ToolMessage)}
        return not self._claim.answers.keys() <= answered

    async def begin(self, steering: Steering) -> Any:
        """Return what the graph is given to begin, or to go on from its steps. Raises TurnLost, StepError, OptionRefused."""
        claim, resumes = self._claim, self.answers_interrupts
        given = [*named(self._turn.before), *question_of(claim.id, claim.question, claim.options.name)]
        saver = self.saver = self._saver(await self._latest_run() if resumes else claim.id, given)
        if not resumes and not steering.concerned:
            return {MESSAGES: given}
        state = await self.state()
        if resumes and (resumed := self._resume(state)):
            return resumed
        if not state.created_at:
            return {MESSAGES: [*given, *await steering.begin(saver)]}
        return await steering.go_on(saver, state)

    async def state(self) -> Any:
        """Return the state as it is kept."""
        return await self._graph.aget_state(self._config)

    def stream(self, inputs: Any, control: RunControl) -> AsyncIterator[tuple[str, Any]]:
        """Run the graph, and return what it tells."""
        stream: AsyncIterator[tuple[str, Any]] = self._graph.astream(
            inputs,
            self._config,
            stream_mode=_STREAMS,
            output_keys=self._plan.outputs,
            durability="sync",
            control=control,
        )
        return stream

    @property
    def _graph(self) -> Any:
        return self._plan.graph.copy(update={"checkpointer": self.saver})

    async def _latest_run(self) -> str:
        return await self._lane.read(lambda: self._turn.store.latest_run(self._claim.thread or self._claim.id))

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
            after_step=self._after_step,
        )

    def _resume(self, state: Any) -> Command[Any] | None:
        """Return what the graph is resumed with: the answers to its interrupts, or nothing where they have been taken."""
        if self._claim.question:
            raise OptionRefused("`question`: answers to a graph's interrupts stand alone; ask in the next turn.")
        if not state.created_at:
            raise StepsUnreadable("The steps that these answers belong to are gone: ask again in a new turn.")
        if not self.saver.resumed:
            self.saver.known += [str(message.id) for message in state.values.get(MESSAGES, ())]
        resumed = resumptions(state.interrupts, self._claim.answers)
        return Command(resume=resumed) if resumed else None

    @property
    def _config(self) -> dict[str, Any]:
        run = self.saver.run
        return {
            "configurable": {
                **configurable(self._turn.options),
                "session_id": self._claim.session,
                "thread_id": run,
                THREAD: run,
            },
            # The same in every attempt: by it LangGraph goes on from the steps instead of beginning anew.
            "metadata": {"run_id": run},
            "recursion_limit": self._turn.store.settings.max_steps,
            "callbacks": self._callbacks,
        }
