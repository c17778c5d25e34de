"""The Celery app: `celery -A turnstile worker`."""

import logging
import sys
from pathlib import Path

from celery import Celery, signals

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings, settings
from turnstile.workers.celery_config import configuration
from turnstile.workers.celery_patches import revoke  # noqa: F401 - takes the place of Celery's own commands
from turnstile.workers.celery_patches.broker import EagerAMQP, mend_transport
from turnstile.workers.celery_patches.events import PacedEvents
from turnstile.workers.celery_patches.flower_hosts import guard_flower
from turnstile.workers.celery_patches.flower_options import set_up_flower
from turnstile.workers.celery_patches.flower_queues import show_in_flower
from turnstile.workers.celery_patches.flower_rights import bear_missing_rights
from turnstile.workers.celery_patches.own_queues import keep_to_dispatches
from turnstile.workers.celery_patches.quiet import set_up_logs
from turnstile.workers.process import lifecycle


def _settings() -> Settings:
    try:
        return settings()
    except SettingError as error:
        if "celery" in (Path(sys.argv[0]).stem, Path(sys.argv[0]).parent.name):
            lifecycle.stop_with(str(error))
        raise


mend_transport()
show_in_flower()
guard_flower()
set_up_flower()
bear_missing_rights()
keep_to_dispatches()
app = Celery("turnstile", amqp=EagerAMQP, include=["turnstile.workers.answer", "turnstile.workers.notify"])
app.conf.update(configuration(_settings()))
app.steps["consumer"].add(PacedEvents)

# HTTP clients log each request, with the address of the model or the MCP server, at INFO, and the MCP client its sessions' ids.
for name in ("httpx2", "httpx", "mcp.client"):
    logging.getLogger(name).setLevel(logging.WARNING)

signals.celeryd_init.connect(lambda **_: set_up_logs(settings()), weak=False)
signals.celeryd_init.connect(lambda instance=None, **_: lifecycle.name_node(instance), weak=False)
signals.worker_init.connect(lambda sender=None, **_: lifecycle.check(sender), weak=False)
signals.worker_ready.connect(lambda **_: lifecycle.ready(), weak=False)
signals.worker_shutting_down.connect(lambda **_: lifecycle.drain(), weak=False)
signals.worker_shutdown.connect(lambda **_: lifecycle.stop(), weak=False)
