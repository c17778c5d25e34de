"""The task `workers.answer`: answer a dispatched turn."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from celery import Task
from celery.result import AsyncResult

from turnstile.turns.celery_message import TASK
from turnstile.turns.errors import TurnFailed
from turnstile.turns.question import Options, Question
from turnstile.turns.settings import settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.workers.app import app
from turnstile.workers.attempt.report import REQUEUED, End, Report
from turnstile.workers.process import lifecycle
from turnstile.workers.upkeep.celery_messages import UNSUPPORTED, bind, unsupported


class AnswerTask(Task):  # type: ignore[type-arg]  # generic only in its stubs
    """A task whose `.delay()` submits a turn, which keeps its place in the order."""

    Request = "turnstile.workers.request:DispatchRequest"

    def apply_async(  # type: ignore[override]  # the stubs spell out every option
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        queue: str = "chat",
        **options: object,
    ) -> AsyncResult[Any]:
        """Submit the turn.

        Raises:
            TurnRefused: the turn was not accepted; InvalidTurn also for unsupported options such as `countdown`.
        """
        for name in UNSUPPORTED:
            if options.get(name):
                raise unsupported(name)
        turn = task_id or str(uuid4())
        _submit(turn, queue, args or (), kwargs or {})
        return self.AsyncResult(turn)


def _submit(turn: str, queue: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    session, question = bind(args, kwargs)
    TurnStore(settings()).submit(turn, session, question, Options(queue=queue), reply=True)


@app.task(bind=True, base=AnswerTask, name=TASK, ignore_result=True, throws=(TurnFailed,), shared=False)
def answer(self: AnswerTask, session_id: str, question: Question | None = None) -> str | End:  # noqa: ARG001 - what callers give
    """Answer the turn that has this task's id.

    The return value is for Flower; the answer itself goes from the worker to Redis.
    """
    return _result(lifecycle.runtime().perform(self.request.id))


def _result(report: Report) -> str | End:
    outcome = report.outcome or Outcome(State.FAILED)
    if report.status == State.FAILED:
        raise TurnFailed(outcome.code, outcome.message)
    if report.status in (State.COMPLETED, State.INCOMPLETE):
        return outcome.answer if settings().show_content else report.status
    return {State.CANCELLED: End.CANCELLED, REQUEUED: End.REQUEUED}.get(report.status, End.UNTOLD)
