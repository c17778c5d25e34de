"""A Celery app that knows nothing of Turnstile: it needs the task's name and the server's URL.

REDIS_URL=redis://localhost:6379/0 python examples/plain_celery.py
"""

import os

from celery import Celery

url = os.environ["REDIS_URL"]
app = Celery("shop", broker=url, backend=url)


def main() -> None:
    """Ask two questions of one session at once; the second sees the first in its history."""
    first = app.send_task("workers.answer", args=["plain-celery", "Hi! I'm Eve"])
    second = app.send_task("workers.answer", args=["plain-celery", "Whats my name"])
    print(first.get(timeout=120))
    print(second.get(timeout=120))


if __name__ == "__main__":
    main()
