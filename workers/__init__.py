"""Workers: the Celery app and its process."""

import sys
from importlib import import_module

from turnstile.turns.extras import need

need("worker")

if __name__ == "workers":  # the folder under its own name, at the top of a checkout: the same app, not a second one
    for name in ("turnstile.workers", "turnstile.workers.app"):
        sys.modules[name.removeprefix("turnstile.")] = import_module(name)
