"""The task `workers.notify`: a webhook is to be delivered."""

from celery import Task

from turnstile.turns.celery_message import WEBHOOK_TASK
from turnstile.workers.app import app
from turnstile.workers.process import lifecycle


@app.task(name=WEBHOOK_TASK, bind=True, ignore_result=True)
def notify(_: Task, turn: str) -> None:  # type: ignore[type-arg]  # generic only in its stubs
    """Have the process's loop tell of a turn's end, so that no thread of the pool waits for strangers' servers."""
    lifecycle.runtime().notify(turn)
