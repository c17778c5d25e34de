"""The addresses that webhooks may go to."""

import socket

import pytest

from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.workers.webhooks.networks import PrivateAddress, PublicSockets, read_networks

PRIVATE = (
    "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%lo", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "ff02::1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::", "64:ff9b:1::5db8:d822", "2002:a00:1::", "::10.0.0.1",
    "::ffff:0:10.0.0.1", "fec0::1", "127.1", "2130706433", "0", "0x7f000001",
)  # fmt: skip
PUBLIC = ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::93.184.216.34", "2002:5db8:d822::1")


def _allowed(host: str, networks: str = "") -> bool:
    """Ask for a socket as the HTTP client does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        PublicSockets(read_networks(networks))((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, 443))).close()
    except PrivateAddress:
        return False
    except OSError:  # a machine without IPv6
        assert family is socket.AF_INET6
    return True


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused(host: str) -> None:
    assert not _allowed(host)


def test_public_addresses_and_allowed_networks_are_not() -> None:
    networks = "10.0.0.0/8, fd00::/8, ::1/128, 64:ff9b:1::/48"
    assert all(_allowed(host) for host in PUBLIC)
    assert all(_allowed(host, networks) for host in ("::1", "64:ff9b:1::a00:1", "10.1.2.3", "fd00::1"))
    assert not _allowed("127.0.0.1", networks)


@pytest.mark.parametrize("text", ["10.0.0.0/99", "nonsense", "10.0.0.1/8"])
def test_networks_of_a_wrong_form_are_named(text: str) -> None:
    with pytest.raises(SettingError, match="TURNSTILE_WEBHOOK_NETWORKS is not valid"):
        Settings.load({"TURNSTILE_WEBHOOK_NETWORKS": text})
