"""Flower's options as Turnstile ships them, what is checked before it listens, and its end."""

import asyncio
import sys
from typing import Any

from turnstile.turns.hosts import is_loopback
from turnstile.turns.settings import settings
from turnstile.workers.process import lifecycle

_SHIPPED = {
    "address": "127.0.0.1",
    "read_only": True,
    # Our workers send events unasked, and Flower would ask all of them every five seconds.
    "enable_events": False,
    # A task takes 5.6 KB, so 56 MB; Flower's own bound is ten times as high.
    "max_tasks": 10_000,
    # Each start of a worker is a node with a name of its own, which Flower would count for ever.
    "purge_offline_workers": 3_600,
    # The arguments are a turn's session. All tasks have the same name.
    "tasks_columns": "uuid,args,state,received,runtime,worker",
}


def set_up_flower() -> None:
    """Give Flower these options, which its variables, file and command line override; check what became of them."""
    if not (module := sys.modules.get("flower.app")):
        return
    for name, value in _SHIPPED.items():
        setattr(module.default_options, name, value)
    listen = module.Flower.start_http_server

    def listen_if_safe(flower: Any) -> Any:
        if fault := _fault(flower.options):
            lifecycle.stop_with(fault)
        return listen(flower)

    module.Flower.start_http_server = listen_if_safe
    sys.modules["flower.command"].sigterm_handler = _end  # type: ignore[attr-defined]  # a module that is only there with Flower


def _fault(options: Any) -> str:
    if any(not all(login.partition(":")[::2]) for login in options.basic_auth or ()):
        return "FLOWER_BASIC_AUTH must be user:password, or several with commas between them."
    if options.basic_auth or options.auth or options.unix_socket or settings().trusted_hosts:
        return ""
    if not is_loopback(options.address):
        return (
            f"Flower would answer other machines ({options.address or 'all addresses'}) without a password: set "
            "FLOWER_BASIC_AUTH=user:password, or, behind a proxy that authenticates, TURNSTILE_TRUSTED_HOSTS."
        )
    return ""


def _end(*_: Any) -> None:
    # Flower's own handler raises SystemExit in whatever runs just then, which may swallow it.
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise SystemExit(0) from None
    loop.call_soon_threadsafe(loop.stop)
