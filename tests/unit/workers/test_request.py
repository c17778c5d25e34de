"""Ends of attempts that are neither answers nor failures, as Celery and Flower hear of them."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.trace import build_tracer
from celery.utils.saferepr import saferepr
from celery.worker.request import Request

from turnstile.turns.output import said
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome
from turnstile.workers.answer import answer
from turnstile.workers.attempt.report import LOST, REQUEUED, STALE, End, Report
from turnstile.workers.process import lifecycle
from turnstile.workers.request import DispatchRequest

ENDS = {State.CANCELLED: End.CANCELLED, REQUEUED: End.REQUEUED, STALE: End.UNTOLD, LOST: End.UNTOLD}


@pytest.mark.parametrize("status", [State.COMPLETED, *ENDS])
def test_an_end_that_is_no_failure_writes_no_traceback(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report(status, Outcome(State.COMPLETED, said("yes")))
    monkeypatch.setattr(lifecycle, "runtime", lambda: SimpleNamespace(perform=lambda _: report))
    traced = build_tracer(answer.name, answer, app=answer.app)("a", ["foo", "hi"], {}, {"id": "a", "ignore_result": True})
    assert traced.info is None
    assert traced.retval == ENDS.get(status, State.COMPLETED)


@pytest.mark.parametrize(
    ("end", "events"), [(End.CANCELLED, ["task-revoked"]), (End.REQUEUED, ["task-retried"]), (End.UNTOLD, [])]
)
def test_flower_is_told_of_each_end_by_its_own_event(end: End, events: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(Request, "send_event", lambda _, name, **__: sent.append(name))
    request = object.__new__(DispatchRequest)
    for name, result in (("task-started", None), ("task-succeeded", saferepr(end)), ("task-succeeded", "'cancelled'")):
        request.send_event(name, **({"result": result} if result else {}))
    assert sent == ["task-started", *events, "task-succeeded"]
