"""Addresses that webhooks may go to: public ones, and the private networks that are allowed."""

import ipaddress
import socket
from collections.abc import Sequence

from aiohttp.connector import AddrInfoType

from turnstile.turns.errors import SettingError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv4 in the last 32 bits: mapped (RFC 4291), compatible (the same), NAT64 (RFC 6052), translated (RFC 7915).
_TRANSLATED = tuple(ipaddress.IPv6Network(f"{prefix}/96") for prefix in ("::ffff:0:0", "::", "64:ff9b::", "::ffff:0:0:0"))
# Local NAT64 (RFC 8215) and site-local: Python's tables call them global.
_LOCAL = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "fec0::/10")))


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
