"""Addresses that webhooks may go to: public ones, and the private networks that are allowed."""

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from turnstile.turns.errors import SettingError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv4 in the last 32 bits: mapped (RFC 4291), compatible (the same), NAT64 (RFC 6052), translated (RFC 7915).
_TRANSLATED = tuple(ipaddress.IPv6Network(f"{prefix}/96") for prefix in ("::ffff:0:0", "::", "64:ff9b::", "::ffff:0:0:0"))
# Local NAT64 (RFC 8215) and site-local: Python's tables call them global.
_LOCAL = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "fec0::/10")))


class PrivateAddress(OSError):
    """A host resolves to private addresses only."""


class PublicResolver(AbstractResolver):
    """A resolver that returns only addresses webhooks may go to, so connections go to no others."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Return the permitted addresses. Raises PrivateAddress when there is none."""
        found = await self._resolver.resolve(host, port, family)
        permitted = [result for result in found if _permitted(result["host"], self._networks)]
        if not permitted:
            raise PrivateAddress("no public address")
        return permitted

    async def close(self) -> None:
        """Close the resolver below."""
        await self._resolver.close()


def check_host(url: str, networks: Sequence[Network]) -> None:
    """Raise PrivateAddress for a URL with a literal address that webhooks may not go to: no resolver sees those."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return
    if not _permitted(host, networks):
        raise PrivateAddress("no public address")


def _permitted(host: str, networks: Sequence[Network]) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    reached = _reached(address)
    if any(address in network or reached in network for network in networks):
        return True
    return reached.is_global and not reached.is_multicast and not any(address in network for network in _LOCAL)


def _reached(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address


def read_networks(text: str) -> list[Network]:
    """Read TURNSTILE_WEBHOOK_NETWORKS. Raises SettingError."""
    try:
        return [ipaddress.ip_network(part) for part in text.replace(" ", "").split(",") if part]
    except ValueError:
        raise SettingError("TURNSTILE_WEBHOOK_NETWORKS is not valid.") from None
