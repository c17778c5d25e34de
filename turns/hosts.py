"""Hosts as URLs write them, and lists of hosts that a setting allows: `hooks.example.com, *.example.com, localhost:8080`."""

import ipaddress
import socket
import unicodedata
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
# IPv4 in the last 32 bits: mapped (RFC 4291), compatible (the same), NAT64 (RFC 6052), translated (RFC 7915).
_TRANSLATED = tuple(ipaddress.IPv6Network(f"{prefix}/96") for prefix in ("::ffff:0:0", "::", "64:ff9b::", "::ffff:0:0:0"))
# IANA's registries of special addresses, as far as some release of Python calls one of a network global.
_SPECIAL = tuple(
    ipaddress.ip_network(special)
    for special in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All IPv6 addresses that are given to anybody: local NAT64 (RFC 8215), site-local and the like are not among them."""


def split_url(url: str) -> SplitResult:
    """Return the parts of a http or https URL. Raises ValueError, which says what is wrong with it without quoting it."""
    if not url.isascii():
        raise ValueError("must be ASCII: write an international host as xn--…")
    if not url.isprintable() or " " in url:
        raise ValueError("must not contain spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if "\\" in parts.netloc:
        # Browsers and others read it as a slash: the host is another one for them.
        raise ValueError("must not contain a backslash")
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        raise ValueError("must be an http or https URL")
    return parts


def listed(text: str) -> list[str]:
    """Return the parts of a comma-separated setting."""
    return [part for part in text.lower().replace(" ", "").split(",") if part]


def lists(allowed: str, parts: SplitResult) -> bool:
    """Return True if a comma-separated list of hosts names the one of a URL, with the port that the URL means."""
    return any(_matches(name, parts) for name in listed(allowed))


def _matches(allowed: str, parts: SplitResult) -> bool:
    name, _, port = allowed.rpartition(":") if allowed.rpartition(":")[2].isdigit() else (allowed, "", "")
    usual = PORTS[parts.scheme]
    if (parts.port or usual) != int(port or usual):
        return False
    host = parts.hostname or ""
    if name.startswith("*."):
        return host.endswith(name[1:]) and ":" not in host
    return host == name.strip("[]")


def host_of(header: str) -> str:
    """Return the host of a Host header, without its port; empty if it is none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def names(allowed: str, header: str) -> bool:
    """Return True if a comma-separated list of hosts names the one of a Host header."""
    try:
        return lists(allowed, urlsplit(f"http://{header}"))
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Return True for this machine's own addresses and names."""
    address = address_of(host)
    return address.is_loopback if address else f".{host.rstrip('.')}".endswith(".localhost")


def address_of(host: str) -> Address | None:
    """Return the address that a client would connect to for a host that needs no look-up; None for a name."""
    host = unicodedata.normalize("NFKC", host).replace("。", ".").rstrip(".")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _short_address(host)
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: Address) -> bool:
    """Return True for an address of one host that everybody may reach."""
    reached = stands_for(address)
    if reached.version == 6 and reached not in _GLOBAL_UNICAST:
        return False
    return reached.is_global and not reached.is_multicast and not any(reached in network for network in _SPECIAL)


def stands_for(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address


def _short_address(host: str) -> ipaddress.IPv4Address | None:
    """Return the address of a short, octal, hexadecimal or whole-number form, such as `127.1`, which resolvers read too."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    except (OSError, UnicodeError):
        return None
