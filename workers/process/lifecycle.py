"""One runtime in each worker process, started and ended with it."""

import logging
import os
import secrets
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, NoReturn

from celery.utils.nodenames import default_nodename, nodename, nodesplit

from turnstile.turns.celery_message import WEBHOOK_QUEUE
from turnstile.turns.errors import SettingError
from turnstile.turns.settings import settings
from turnstile.workers.process.shutdown import ShutdownDeadline

log = logging.getLogger(__name__)

_WRONG_USE = 2

_lock = threading.Lock()
_current: Any = None
_concurrency = 1
_delivers = True


def runtime() -> Any:
    """Return this process's runtime; start it on the first call."""
    global _current
    with _lock:
        if _current is None or _current[0] != os.getpid():
            from turnstile.workers.celery_patches.events import show_step
            from turnstile.workers.process.runtime import Runtime

            fresh = Runtime(settings(), _concurrency, show_step, delivers=_delivers)
            fresh.start()
            _current = (os.getpid(), fresh)
        return _current[1]


def name_node(worker: Any) -> None:
    """At celeryd_init: give the node a name of its own unless `-n` gave one. Flower takes nodes of one name for one worker."""
    if worker.hostname == default_nodename(""):
        host = nodesplit(worker.hostname)[1]
        worker.hostname = nodename(f"turnstile-{os.getpid()}-{secrets.token_hex(2)}", host)


def check(sender: Any) -> None:
    """At worker_init: stop with one line when a setting, the pool or the chain is invalid."""
    global _concurrency, _delivers
    _concurrency = int(sender.concurrency or settings().concurrency)
    _delivers = WEBHOOK_QUEUE in sender.app.amqp.queues.consume_from
    try:
        check_pool(sender, sys.argv[1:])
        ShutdownDeadline(runtime(), settings().shutdown_seconds).start()
    except SettingError as error:
        stop_with(str(error))
    except Exception as error:
        # Celery would log it, and go on without a runtime.
        log.exception("cannot start")
        stop_with(f"the worker cannot start: {type(error).__name__}: {error}")


def check_pool(sender: Any, arguments: Sequence[str]) -> None:
    """Raise SettingError for a pool that turns cannot run in. Celery takes `-P prefork` for the default, so ours."""
    asked = ArgumentParser(add_help=False, exit_on_error=False)
    asked.add_argument("-P", "--pool")
    named = asked.parse_known_args(arguments)[0].pool or "threads"
    kind = getattr(sender.pool_cls, "__module__", None) or str(sender.pool_cls)
    if named != "threads" or "thread" not in kind:
        raise SettingError(
            "Run the worker with -P threads, the default here: its turns share one event loop, which other pools lack."
        )
    if sender.options.get("autoscale"):
        raise SettingError(
            "Run the worker without --autoscale: idle threads cost nothing, so set -c to the most turns at once."
        )


def ready() -> None:
    """At worker_ready: tell the health probe."""
    if _current and _current[0] == os.getpid():
        _current[1].health.ready()


def drain() -> None:
    """At worker_shutting_down: running turns get their grace."""
    if _current and _current[0] == os.getpid():
        _current[1].drain()


def give_back() -> None:
    """In a cold shutdown: running turns get no grace."""
    if _current and _current[0] == os.getpid():
        _current[1].give_back()


def stop() -> None:
    """At worker_shutdown: the pool is empty; close everything."""
    global _current
    if not _current or _current[0] != os.getpid():
        return
    clean = _current[1].stop()
    _current = None
    if not clean:
        log.warning("a chain still blocks a thread; leaving without it")
        sys.stderr.flush()
        os._exit(0)


def stop_with(line: str) -> NoReturn:
    """End the process with one line on stderr."""
    sys.stderr.write(f"turnstile: {line}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # The loop's thread still runs; the interpreter's own end takes apart what that uses, and has crashed in it.
    os._exit(_WRONG_USE)
