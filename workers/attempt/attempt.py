"""One attempt at one turn: from the claim to its end."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from logging import DEBUG, INFO
from time import monotonic
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from turnstile.memory.calls import no_output, open_calls
from turnstile.memory.codec import encode, plain
from turnstile.memory.open_turn import OpenTurn, opened, transcript
from turnstile.turns.errors import UNREADABLE, BrokenRecord, QueueUnreachable
from turnstile.turns.ids import tenant_of
from turnstile.turns.model_failures import TIMEOUT, TOO_LONG, Failure
from turnstile.turns.model_names import model_of
from turnstile.turns.policies import INTERRUPTED, STEERED
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import AsyncTurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.text import dumps, whole
from turnstile.turns.turn import Claim, Joined
from turnstile.workers.attempt.aside import aside
from turnstile.workers.attempt.failures import backoff, classify, outage_pause
from turnstile.workers.attempt.insist import insist
from turnstile.workers.attempt.marks import marks_of
from turnstile.workers.attempt.merged import asked_together
from turnstile.workers.attempt.outage import Outage
from turnstile.workers.attempt.prompt import Prompt
from turnstile.workers.attempt.recovery import Recoveries
from turnstile.workers.attempt.report import LOST, REQUEUED, Report
from turnstile.workers.attempt.said import Said, said_before
from turnstile.workers.attempt.summary import NO_PLAIN_CHAIN, NO_SUMMARY, ask_summary, keep_summary, summary_in, with_past
from turnstile.workers.attempt.text_stream import TextStream
from turnstile.workers.attempt.trace import trace
from turnstile.workers.budgets.gate import Gate, OverBudget, through
from turnstile.workers.budgets.shared import SharedBudgets
from turnstile.workers.chains.run import (
    AnyChain,
    Asked,
    ChainOutput,
    Drained,
    GraphEvent,
    Listener,
    ModelSwitch,
    StartsOver,
    StepDelta,
    TurnLost,
    TurnRun,
    run_chain,
)

log = logging.getLogger(__name__)
_outage = Outage(log)

_DEADLINE = Failure("deadline_exceeded", "The turn did not end before its deadline.", retryable=False)
_UNREADABLE = Failure("invalid_request", "`history` and `before` must be messages: `role` and `content`.", retryable=False)
_NO_HISTORY = Failure("history_unreadable", UNREADABLE, retryable=False)
_UNKNOWN_CHAIN = Failure(
    "unknown_chain", "This worker has no chain of the name that `chain` gives: check TURNSTILE_CHAINS.", retryable=False
)
_FILTERED = Failure("content_filter", "The model's content filter stopped the answer.", retryable=False)
_MODEL_OPTIONS = (
    *("name", "model", "instructions", "temperature", "top_p", "max_output_tokens", "response_format"),
    *("tools", "tool_choice", "parallel_tool_calls", "parameters"),
)

_HANDOVER_SECONDS = 0.25
"""Time until a drained turn is sent on: a worker that ends may still take a message at once."""


class Attempt:
    """A claimed turn at work. `run` tells how it went; `drop` stops it from outside; `counts`: it counts against the limit."""

    def __init__(
        self,
        claim: Claim,
        chain: AnyChain | None,
        store: AsyncTurnStore,
        show_step: Callable[[str, str], object] | None = None,
        budgets: SharedBudgets | None = None,
        take_room: Callable[[int], bool] = lambda _: True,
        recoveries: Recoveries | None = None,
    ) -> None:
        """Take over a claim.

        Args:
            chain: None where this worker has none of the name that the turn chooses.
            show_step: hears of steps that begin.
            take_room: takes room in memory for so many bytes, if there is some.
        """
        self._take_room = take_room
        self._recoveries = recoveries or Recoveries(store)
        self._kind = f"{claim.chain or ''} {claim.options.model or ''}"
        self._gate = Gate(claim, budgets, self._switch) if budgets else None
        self.claim = self._found = claim
        self.counts = True
        self._chain = chain
        self._store = store
        self._settings: Settings = store.settings
        self._show_step = show_step
        self._task: asyncio.Task[Any] | None = None
        self._dropped = ""
        self._draining = self._steered = self._ends = False
        self._steering: Sequence[Joined] = ()
        self._run: TurnRun | None = None
        self._stream = TextStream(store, claim) if claim.stream else None
        self._said = Said()
        self._prompt = Prompt(claim, store.settings)
        self._began = monotonic()
        self._heard = False
        self._fallback = ""
        self._asked, self._earlier = 0, claim.spent.model_calls

    def drop(self, why: str) -> None:
        """Stop the model's call, and do not commit; repeat this while the attempt goes on. A graph that is steered goes on.

        Nothing happens once the answer is being committed.
        """
        if why == STEERED and not self._is_plain:
            self._steered = True
            if self._run:
                self._run.steer()
        elif self._task:
            self._dropped = why if self._dropped in ("", STEERED) else self._dropped
            self._task.cancel()

    def drain(self) -> None:
        """Let a graph stop between two steps: the turn goes on elsewhere. Any other chain goes on."""
        self._draining = True
        if self._run:
            self._run.drain()

    async def run(self) -> Report:
        """Ask the chain and commit what it says."""
        taken = self.claim.marked and not await self._merge()
        report = Report(LOST) if taken else await self._work()
        while report.status == STEERED:
            report = await self._start_over()
        returned = report.status == REQUEUED
        # A graph that goes on elsewhere counts all of its steps in the end.
        if not self._ends and not (returned and self._run):
            await self._count_spent(0 if returned else self._model_calls)
        return report

    @property
    def _is_plain(self) -> bool:
        """True where the chain takes a question alone, and is asked anew; a graph takes the whole turn, and goes on."""
        return isinstance(self._chain, Runnable)

    async def put_off(self) -> Report:
        """Give a large turn back, to come again when there may be room for it; the pauses grow until its deadline."""
        delay = outage_pause(self._elapsed(), self._remaining(), self._settings)
        if delay is None:
            return await self._after_failure(_DEADLINE)
        log.debug("turn %s: no room for %d bytes, again in %.1f s", self.claim.id, self.claim.size, delay)
        return await self._requeue("no_room", delay, forgive=True)

    async def _work(self) -> Report:
        claim = await insist(lambda: with_past(self._store, self.claim))
        if claim is None:
            return await self._finish(Outcome(State.COMPLETED, stored=False), [])
        if claim is not self.claim:
            self.claim, self._prompt = claim, Prompt(claim, self._settings)
        return await self._carry_out()

    async def _carry_out(self) -> Report:
        if not self._take_room(self.claim.size + self.claim.spent.kept):
            return await self.put_off()
        if obstacle := self._obstacle():
            return await self._after_failure(obstacle)
        try:
            await aside(self.claim, self._prompt.read)
        except Exception as fault:  # LangChain's readers raise whatever a strange message leads them to, and quote it
            trace(self.claim.id, fault, _UNREADABLE, self._settings)
            return await self._after_failure(_UNREADABLE)
        claim, prefix = self.claim, self._settings.history_prefix
        opening = OpenTurn(claim.session, claim.id, claim.token, self._prompt.messages, history_prefix=prefix)
        if claim.interrupted:
            return await self._end_as_before(opening)
        with opened(opening), through(self._gate):
            # A task of its own: a chain may cancel the one it runs in, or raise what only ends tasks.
            asked = self._task = asyncio.create_task(self._ask(opening))
        try:
            await asyncio.wait([asked])
        except asyncio.CancelledError:
            # The process ends, and the chain does not heed it.
            if self._dropped != "shutdown":
                raise
            return await self._after_drop(opening)
        finally:
            self._task = None
            asked.cancel()
        error = asyncio.CancelledError() if asked.cancelled() else asked.exception()
        if error is None:
            _outage.over()
            self._recoveries.end(self._kind, self._began)
            return await self._commit(opening, asked.result())
        if self._dropped:
            return await self._after_drop(opening)
        return await self._after_error(error)

    async def _after_error(self, error: BaseException) -> Report:
        if isinstance(error, Drained):
            return await self._requeue("drained", _HANDOVER_SECONDS, forgive=True)
        if isinstance(error, TurnLost):
            return Report(LOST)
        if isinstance(error, OverBudget):
            await self._take_back_call()
            return await self._wait_for(error.model, error.tokens, others=error.others, patience=error.patience)
        return await self._after_failure(_DEADLINE if isinstance(error, _DeadlinePassed) else self._classified(error))

    def _obstacle(self) -> Failure | None:
        """Return why the chain cannot be asked."""
        if self._chain is None:
            return _UNKNOWN_CHAIN
        if self.claim.options.summarises is not None and not self._is_plain:
            return NO_PLAIN_CHAIN
        if not self.claim.readable:
            return _NO_HISTORY
        return TOO_LONG if self._prompt.is_cut else None

    def _classified(self, error: BaseException) -> Failure:
        failure = classify(error)
        timed_out = failure.code == TIMEOUT.code and failure.retryable
        failure = replace(failure, away=failure.away or (timed_out and not self._heard))
        if failure.away:
            _outage.note(failure.message)
        else:
            trace(self.claim.id, error, failure, self._settings)
        return failure

    async def _ask(self, opening: OpenTurn) -> ChainOutput:
        deadline = asyncio.timeout(self._remaining())
        try:
            async with deadline:
                return await self._answer(opening)
        except TimeoutError:
            if deadline.expired():
                raise _DeadlinePassed from None
            raise

    async def _answer(self, opening: OpenTurn) -> ChainOutput:
        """Ask the chain until the model has room for the prompt: each time without the oldest exchanges of the last."""
        while True:
            try:
                return await self._answer_once(opening.window)
            except Exception as error:
                told = self._heard or (self._run and not self._run.untouched)
                if told or not self._prompt.shorten(classify(error)):
                    if later := self._later(error):
                        raise later from error
                    raise
            if self._run:
                await self._run.forget()
            opening.window = self._prompt.messages
            opening.staged.clear()

    async def _answer_once(self, window: Sequence[BaseMessage]) -> ChainOutput:
        options = self._model_options()
        if isinstance(self._chain, Runnable):
            question = cast("str | list[str | dict[str, Any]]", self.claim.question)
            hear: Listener | None = self._hear if self._stream else None
            self._asked += 1
            return await run_chain(self._chain, question, window, self.claim.session, options, hear)
        assert self._chain
        asked = Asked(self.claim, self._store, window, options, self._hear, self._steering, self._take)
        run = self._run = self._chain.begin(asked)
        if self._gate:
            self._gate.halt = run.halt
        if self._steered:
            run.steer()
        if self._draining:
            run.drain()
        return await run.run()

    def _hear(self, event: GraphEvent) -> None:
        if not self._heard and not isinstance(event, StepDelta | StartsOver):
            self._heard = True
            if self._task:
                self._recoveries.end(self._kind, self._began)
        if isinstance(event, StepDelta) and not event.done and self._show_step:
            self._show_step(self.claim.id, event.name)
        if self._stream:
            self._said.hear(event)
            self._stream.hear(event)

    def _later(self, error: Exception) -> Exception | None:
        """Return the error of a model that may answer later, where that of another is that it has no room for the prompt."""
        return self._gate.later if self._gate and classify(error).code == TOO_LONG.code else None

    def _switch(self, model: str, reason: str) -> None:
        """Note that another model answers than the one that was asked."""
        log.info("turn %s: model %s answers: %s", self.claim.id, model, reason)
        self._fallback = reason
        if self._stream:
            self._stream.hear(ModelSwitch(model, reason))

    def _model_options(self) -> dict[str, Any]:
        return {name: value for name in _MODEL_OPTIONS if (value := getattr(self.claim.options, name)) not in (None, {})}

    @property
    def _model_calls(self) -> int:
        """Calls of models that this attempt has made; a call of a chain that is no graph is one."""
        return self.claim.spent.model_calls - self._earlier if self._run else self._asked

    def _remaining(self) -> float:
        allowed = self.claim.options.deadline_seconds or self._settings.turn_seconds
        return max(0.0, allowed - self._elapsed())

    def _elapsed(self) -> float:
        return self.claim.now - self.claim.started + monotonic() - self._began

    async def _end_as_before(self, opening: OpenTurn) -> Report:
        """End a turn that was interrupted with what it has said in its last attempt."""
        if self._stream:
            for event in await insist(lambda: said_before(self._store, self.claim)):
                self._hear(event)
        return await self._after_interrupt(opening)

    async def _after_interrupt(self, opening: OpenTurn) -> Report:
        """End a turn with what it has said so far, and what its graph has done."""
        claim = self.claim
        if self._run and (so_far := self._run.so_far()):
            return await self._commit(opening, so_far)
        return await self._commit(opening, self._said.output(claim, opening))

    async def _merge(self) -> bool:
        """Take the questions of others that the turn answers, too; False when it is in other hands.

        A graph that may have begun takes those that steer it at its next step.
        """
        found = self._found
        together = self._is_plain or found.interrupted
        steers = self._is_plain or (found.attempt == 1 and not found.answers)
        others = await insist(lambda: self._store.merge(found, steers=steers and not found.interrupted))
        if others is None:
            return False
        self._steering = [] if together else [other for other in others if other.steers]
        self._steered = self._steered or not steers
        self.claim = asked_together(found, [other for other in others if together or not other.steers])
        self._prompt = Prompt(self.claim, self._settings)
        return True

    async def _take(self) -> Sequence[Joined]:
        others = await insist(lambda: self._store.merge(self._found))
        if others is None:
            raise TurnLost
        self._steering = [other for other in others if other.steers]
        return self._steering

    async def _start_over(self) -> Report:
        """Ask the chain anew, with a question that has come meanwhile."""
        self._dropped = ""
        if self._said.text:
            self._hear(StartsOver())
        self._heard = False
        return await self._work() if await self._merge() else Report(LOST)

    async def _after_drop(self, opening: OpenTurn) -> Report:
        if self._dropped == INTERRUPTED:
            return await self._after_interrupt(opening)
        if self._dropped != "shutdown":
            return Report(self._dropped)
        return await self._requeue("shutdown", 0, forgive=True)

    async def _after_failure(self, failure: Failure) -> Report:
        delay = self._pause(failure)
        if delay is not None and failure.away and self._gate and self._gate.limited:
            return await self._wait_for(*self._gate.limited)
        if delay is not None:
            log.log(DEBUG if failure.away else INFO, "turn %s: %s, again in %.1f s", self.claim.id, failure.code, delay)
            away = self._kind if failure.is_outage else ""
            if away:
                self._recoveries.begin(away, tenant_of(self.claim.session))
            return await self._requeue(failure.code, delay, forgive=failure.away, away=away)
        log.info("turn %s: failed with %s", self.claim.id, failure.code)
        detail = failure.words.told(failure.status, whole_text=self._settings.show_content) if failure.words else ""
        outcome = Outcome(State.FAILED, code=failure.code, message=failure.message, detail=detail)
        return await self._finish(replace(outcome, left_out=self._prompt.left_out), [])

    def _pause(self, failure: Failure) -> float | None:
        """Return the seconds until the next attempt, or None if there is none."""
        if failure.away:
            return outage_pause(self._elapsed(), self._remaining(), self._settings, failure.retry_after)
        if not failure.retryable or self.claim.attempts_left <= 0:
            return None
        # Attempts that were forgiven say nothing of how long the model has been failing.
        tried = max(1, self._settings.max_attempts - self.claim.attempts_left)
        delay = backoff(tried, self._settings, failure.retry_after)
        return delay if delay < self._remaining() else None

    async def _commit(self, opening: OpenTurn, output: ChainOutput) -> Report:
        if self.claim.options.summarises is not None:
            text = summary_in(output)
            if not text:
                return await self._after_failure(NO_SUMMARY)
            await insist(lambda: keep_summary(self._store, self.claim, text))
            output = replace(output, output=())
        filtered = output.finish_reason == "content_filter"
        try:
            elements, closing = await self._stored(opening, output) if not filtered else ([], [])
            dumps(output.usage).encode()
        except Exception as error:  # an answer holds whatever its chain has put there
            return await self._after_failure(self._classified(error))
        if filtered:
            log.info("turn %s: failed with %s", self.claim.id, _FILTERED.code)
        try:
            outcome = replace(_outcome(output, closing), left_out=self._prompt.left_out, stored=self.claim.options.store)
            return await self._finish(outcome, elements)
        except BrokenRecord:
            return await self._after_failure(_NO_HISTORY)

    async def _stored(self, opening: OpenTurn, output: ChainOutput) -> tuple[list[str], list[str]]:
        if not self.claim.options.store:
            return [], []
        return await aside(self.claim, lambda: self._elements(opening, output))

    def _elements(self, opening: OpenTurn, output: ChainOutput) -> tuple[list[str], list[str]]:
        """Return what goes into the history now, and what closes its open calls should nobody answer them."""
        options, now = self.claim.options, round(self.claim.now * 1000)
        added = output.transcript
        if added is None:
            added = transcript(opening, self.claim.question, output.message, options.name)
        messages = [*self._prompt.brought, *map(plain, added)]
        closing = [no_output(call) for call in open_calls([*self._prompt.asked, *messages])]
        place = max(0, len(messages) - 1)
        marks = marks_of(messages, len(self._prompt.brought), self.claim.attempt, output.output)
        elements = [encode(m, self.claim.id, now, **mark) for m, mark in zip(messages, marks, strict=True)]
        return elements, [encode(m, self.claim.id, now, place=place + n) for n, m in enumerate(closing)]

    async def _wait_for(self, model: str, tokens: int, **others: Any) -> Report:
        """Give the turn back until there is a place in the budget of a model, or after a while of `others`."""
        log.debug("turn %s: waits for model %s", self.claim.id, model_of(model))
        begun = bool(self._model_calls or self.claim.spent.model_calls)
        return await self._requeue("over_budget", 0, forgive=True, waits_for=model, tokens=tokens, begun=begun, **others)

    async def _take_back_call(self) -> None:
        """Count a call of a model no more that was not made."""
        if not self._run:
            self._asked -= 1
            return
        self.claim.spent.model_calls -= 1
        await insist(lambda: self._store.owns(self.claim, self.claim.spent))

    async def _requeue(self, code: str, delay: float, *, forgive: bool = False, **waiting: Any) -> Report:
        if self._stream:
            await self._stream.close()
        returned: dict[str, Any] = {"forgive": forgive, "code": code, "model_calls": self._model_calls, **waiting}
        kept = await insist(lambda: self._store.requeue(self.claim, delay, **returned))
        self.counts = not (kept and forgive)
        return Report(REQUEUED if kept else LOST)

    async def _count_spent(self, calls: int) -> None:
        """Count what calls of models have spent, though they do not end the turn, and those `calls` that nobody has counted."""
        if self._gate and (spent := self._gate.spent):
            with suppress(QueueUnreachable, BrokenRecord):
                await self._store.spend_attempt(self.claim, spent, calls)

    async def _finish(self, outcome: Outcome, elements: list[str]) -> Report:
        self._ends = True
        after, text = await self._stream.close() if self._stream else (0, "")
        chain = (self.claim.chain or "default") if self._chain else "unknown"
        calls, steps = self._model_calls, self.claim.spent.steps
        outcome = replace(outcome, chain=chain, fallback=self._fallback, model_calls=calls, steps=steps)
        outcome = replace(outcome, spent=self._gate.spent) if self._gate else outcome
        # The answer is paid for: an outage is waited out.
        state = await insist(lambda: self._store.finish(self.claim, outcome, elements, after=after, text=text))
        if state and elements:
            await ask_summary(self._store, self.claim, elements)
        return Report(state, outcome) if state else Report(LOST)


def _outcome(output: ChainOutput, closing: list[str]) -> Outcome:
    about: dict[str, Any] = {"output": output.output, "usage": output.usage, "model": whole(str(output.model or ""))}
    if output.finish_reason == "content_filter":
        return Outcome(State.FAILED, **about, code=_FILTERED.code, message=_FILTERED.message)
    if output.finish_reason == "length":
        return Outcome(State.INCOMPLETE, **about, closing=closing)
    if output.finish_reason == INTERRUPTED:
        return Outcome(State.INCOMPLETE, **about, closing=closing, code=INTERRUPTED)
    return Outcome(State.COMPLETED, **about, closing=closing)


class _DeadlinePassed(Exception):
    pass
