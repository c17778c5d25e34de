"""The offline stand-in as a process of its own: `python -m turnstile.workers.offline --port 0`."""

from turnstile.workers.offline.server import main

main()
