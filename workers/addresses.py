"""Where webhooks may go: public addresses, and the private networks that are allowed."""

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from turns.errors import SettingError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PrivateAddress(OSError):
    """A host is at an address that is not for strangers."""


class PublicResolver(AbstractResolver):
    """Finds a host's addresses, and those only that webhooks may go to; connections then go to just these."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Raises PrivateAddress when there is none."""
        found = await self._resolver.resolve(host, port, family)
        open_to_us = [result for result in found if _permitted(result["host"], self._networks)]
        if not open_to_us:
            raise PrivateAddress("no public address")
        return open_to_us

    async def close(self) -> None:
        """Nothing to close."""
        await self._resolver.close()


def check_host(url: str, networks: Sequence[Network]) -> None:
    """Raises PrivateAddress for a URL whose host is a literal address that webhooks may not go to: nothing resolves that."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    if not _permitted(host, networks):
        raise PrivateAddress("no public address")


def _permitted(host: str, networks: Sequence[Network]) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in network for network in networks):
        return True
    return address.is_global and not address.is_multicast


def read_networks(text: str) -> list[Network]:
    """TURNSTILE_WEBHOOK_NETWORKS, read. Raises SettingError."""
    try:
        return [ipaddress.ip_network(part) for part in text.replace(" ", "").split(",") if part]
    except ValueError:
        raise SettingError("TURNSTILE_WEBHOOK_NETWORKS is not valid.") from None
