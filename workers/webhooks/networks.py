"""Addresses that webhooks may go to: public ones, and the private networks that are allowed."""

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.connector import AddrInfoType

from turnstile.turns.errors import SettingError
from turnstile.turns.hosts import is_public, stands_for

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PrivateAddress(OSError):
    """An address that webhooks may not go to."""


class PublicSockets:
    """A maker of an HTTP client's sockets, each for an address that webhooks may go to.

    It sees the address of the connection itself, so it does not matter how a URL writes the host, nor how it is looked up.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def __call__(self, address: AddrInfoType) -> socket.socket:
        """Return a socket for a connection to this address. Raises PrivateAddress."""
        family, kind, protocol, _, (host, *_) = address
        if not permitted(str(host), self._networks):
            raise PrivateAddress("no public address")
        return socket.socket(family, kind, protocol)


def permitted(host: str, networks: Sequence[Network]) -> bool:
    """Return True for an address that webhooks may go to, in its usual form."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return any(address in network or stands_for(address) in network for network in networks) or is_public(address)


def read_networks(text: str) -> list[Network]:
    """Read TURNSTILE_WEBHOOK_NETWORKS. Raises SettingError."""
    try:
        return [ipaddress.ip_network(part) for part in text.replace(" ", "").split(",") if part]
    except ValueError:
        raise SettingError("TURNSTILE_WEBHOOK_NETWORKS is not valid.") from None
