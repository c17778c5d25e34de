"""The seed's chain as a plain Celery task: `celery -A bench.rivals.celery_seed worker -P prefork|threads|gevent`.

No results, no events, no emulated acknowledgements: nothing that a plain task could do without. `BENCH_DEFAULTS` leaves
Celery as it comes, apart from the results that nobody reads.
"""

import os
from functools import cache
from typing import Any

from celery import Celery

from bench.rivals.chain import REDIS_URL, chain_with_history, config

app = Celery("seed", broker=REDIS_URL)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
if not os.environ.get("BENCH_DEFAULTS"):
    app.conf.update(broker_transport_options={"ack_emulation": False}, worker_send_task_events=False)


@cache
def _chain() -> Any:
    return chain_with_history(asynchronous=False)


@app.task(name="seed.answer")
def answer(session: str, question: str) -> str:
    """One turn."""
    return str(_chain().invoke({"question": question}, config=config(session)).content)
