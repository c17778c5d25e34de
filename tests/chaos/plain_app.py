"""The same work as a plain Celery app does it, with `acks_late`: for comparison.

A task reads its session's history, asks the model, and appends question and answer. `visibility_timeout` is short, so that
what a dead worker held comes back at all within a measurement; it is still much longer than a task takes.
"""

import json
import os
import urllib.request

import redis
from celery import Celery

VISIBILITY_SECONDS = 10

app = Celery("plain", broker=os.environ.get("REDIS_URL", ""))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
)


@app.task(name="plain.answer")
def answer(session: str, question: str, turn: str) -> None:
    """Answer one question."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        history = client.lrange(f"message_store:{session}", 0, 39)
        elements = [_element("human", question, turn), _element("ai", _ask(question, len(list(history))), turn)]
        client.lpush(f"message_store:{session}", *elements)


def _element(kind: str, text: str, turn: str) -> str:
    return json.dumps({"type": kind, "data": {"content": text, "type": kind}, "turnstile": {"turn": turn}})


def _ask(question: str, earlier: int) -> str:
    body = {"model": "any", "messages": [{"role": "user", "content": f"{earlier} messages before. {question}"}]}
    url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return str(json.load(reply)["choices"][0]["message"]["content"])
