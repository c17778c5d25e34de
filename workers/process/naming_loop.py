"""The look-ups that turns make on a worker's loop: what a tool fetches may be a name that the model or a caller chose."""

import asyncio
import ipaddress
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies
from weakref import WeakValueDictionary

import uvloop

from turnstile.turns.ids import tenant_of
from turnstile.turns.settings import Settings
from turnstile.turns.store.registry import OPENAI_URL
from turnstile.workers.lookups import Lookup, Lookups, Name

OF_A_TENANT = 10
IN_ALL = 200

_party: ContextVar[str] = ContextVar("whose look-ups these are", default="")


@contextmanager
def lookups_of(session: str) -> Iterator[None]:
    """Have the look-ups of this task, and of those that it starts, count as those of a session's tenant."""
    token = _party.set(tenant_of(session) or session)
    try:
        yield
    finally:
        _party.reset(token)


class NamingLoop(uvloop.Loop):
    """uvloop, whose look-ups have threads of their own, bounded for each tenant and in all.

    Names that the settings have wait for nobody. `create_connection` with a name, as redis-py calls it, keeps libuv's threads.
    """

    def __init__(self, own: Collection[str]) -> None:
        super().__init__()
        self._own = own
        self._lookups = Lookups()
        self._in_all = asyncio.Semaphore(IN_ALL)
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look a host up; a look-up keeps its place until it has ended, whether or not somebody waits for it."""
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if not host or _is_address(host):
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        name = (host, port, family, type, proto, flags)
        lookup = self._lookups.under_way(name)
        if lookup is None and host in self._own:
            lookup = self._lookups.start(name)
        return await (asyncio.wrap_future(lookup) if lookup else self._find(name))

    async def _find(self, name: Name) -> list[Any]:
        async with AsyncExitStack() as places:
            await places.enter_async_context(self._of.setdefault(_party.get(), asyncio.Semaphore(OF_A_TENANT)))
            await places.enter_async_context(self._in_all)
            ending = asyncio.create_task(_end(self._lookups.start(name), places.pop_all()))
        return await asyncio.shield(ending)


async def _end(lookup: Lookup, places: AsyncExitStack) -> list[Any]:
    async with places:
        return await asyncio.wrap_future(lookup)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def own_hosts(settings: Settings) -> frozenset[str]:
    """Return the hosts that the settings name for the worker's loop: of models, of tools, and of proxies."""
    servers = [url for url, _ in settings.servers_by_model.values()]
    urls = [settings.openai_base_url or OPENAI_URL, *servers, *settings.tools.split(","), *getproxies().values()]
    return frozenset(filter(None, (_host(url.strip()) for url in urls)))


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
