"""Celery as our workers set it up, with a task that does nothing: what Celery itself costs.

`celery -A bench.noop worker -Q bench -c 50`; `BENCH_NO_EVENTS` leaves the events for Flower out.
"""

import os

from celery import Celery
from kombu import Queue

from turnstile.turns.settings import settings
from turnstile.workers.celery_config import configuration
from turnstile.workers.celery_patches.events import PacedEvents

app = Celery("noop")
app.conf.update(configuration(settings()))
app.conf.update(task_queues=[Queue("bench", routing_key="bench")], task_default_queue="bench", task_routes={})
app.conf.worker_send_task_events = not os.environ.get("BENCH_NO_EVENTS")
app.steps["consumer"].add(PacedEvents)


@app.task(name="bench.noop", ignore_result=True)
def noop(session: str) -> None:
    """Nothing."""
