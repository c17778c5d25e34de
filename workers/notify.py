"""The task `workers.notify`: deliver a webhook."""

from celery import Task

from turnstile.turns.celery_message import WEBHOOK_TASK
from turnstile.workers.app import app
from turnstile.workers.process import lifecycle


@app.task(name=WEBHOOK_TASK, bind=True, ignore_result=True, shared=False)
def notify(_: Task, turn: str) -> None:  # type: ignore[type-arg]  # generic only in its stubs
    """Hand the delivery to the process's loop, so that no thread of the pool waits for other people's servers."""
    lifecycle.runtime().notify(turn)
