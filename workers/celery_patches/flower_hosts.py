"""The names under which Flower answers.

A page of a stranger's can have its own name lead to this machine, and so have a browser here read Flower for it. Without a
password, Flower therefore answers only under names that no stranger has.
"""

import socket
import sys
from typing import Any

from turnstile.turns.hosts import address_of, host_of, is_loopback, names
from turnstile.turns.settings import settings

_REFUSAL = (
    "Flower without a password does not answer under this name: use localhost or an address, set FLOWER_BASIC_AUTH, or, behind "
    "a proxy that authenticates, TURNSTILE_TRUSTED_HOSTS.\n"
)
_PROBES = ("/healthcheck", "/metrics")


def guard_flower() -> None:
    """Have Flower look at the name under which it is asked; nothing happens where Flower is not at work."""
    if not (module := sys.modules.get("flower.app")):
        return
    web = module.tornado.web
    refusal = type("Refusal", (web.RequestHandler,), {"prepare": _refuse})

    def find_handler(flower: Any, request: Any, **more: Any) -> Any:
        options = flower.options
        if options.basic_auth or options.auth or request.path.endswith(_PROBES) or _is_ours(request.host):
            return web.Application.find_handler(flower, request, **more)
        return flower.get_handler_delegate(request, refusal, {})

    module.Flower.find_handler = find_handler


def _is_ours(header: str) -> bool:
    host = host_of(header)
    own = "." not in host or host == socket.gethostname().lower() or is_loopback(host) or address_of(host) is not None
    return own or names(settings().trusted_hosts, header)


def _refuse(handler: Any) -> None:
    handler.set_status(403)
    handler.finish(_REFUSAL)
