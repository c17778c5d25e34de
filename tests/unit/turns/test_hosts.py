"""Hosts in URLs, in headers, and in the lists that settings have."""

import ipaddress

import pytest

from turnstile.turns.hosts import address_of, host_of, is_loopback, is_public, lists, split_url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "a.example", "https://", "https://x y", "https://x\ty", "https://a.example:99999/", "https://a.example:x/",
        "https://a.example:0/", "https://[::1", "http://①②⑦.0.0.1/", "http://127。0。0。1/", "https://bücher.example/", "",
        "https://b.example\\.a.example/",
    ],
)  # fmt: skip
def test_urls_of_a_wrong_form_are_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|is)") as refused:
        split_url(url)
    assert not url or url not in str(refused.value)


@pytest.mark.parametrize(
    ("allowed", "url", "listed"),
    [
        ("a.example", "https://a.example/x", True),
        ("a.example", "https://A.Example/x", True),
        ("a.example", "https://a.example:8443/x", False),
        ("a.example:8443", "https://a.example:8443/x", True),
        ("b.example, a.example", "http://a.example", True),
        ("*.example.com", "https://a.b.example.com", True),
        ("*.example.com", "https://example.com", False),
        ("*.example.com", "https://evilexample.com", False),
        ("*.example.com", "http://[fe80::1%25.example.com]/", False),
        ("*.example.com", "http://[fe80::1%.example.com]/", False),
        ("[::1]:80", "http://[::1]/", True),
        ("", "https://a.example", False),
    ],
)
def test_a_list_names_hosts_and_their_ports(allowed: str, url: str, listed: bool) -> None:
    assert lists(allowed, split_url(url)) is listed


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "127.0.0.1.", "::ffff:127.0.0.1"],
)
def test_an_address_is_known_however_it_is_written(host: str) -> None:
    assert str(address_of(host)) == "127.0.0.1"
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "a.localhost", "a.localhost."])
def test_names_of_this_machine_may_be_absolute(host: str) -> None:
    assert is_loopback(host.lower())


@pytest.mark.parametrize(
    "host", ["a.example", "mylocalhost", "127.0.0.1.example", "", "localhost.example", "10.0.0.1", "0a.example"]
)
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


def test_the_host_of_a_header_has_no_port() -> None:
    assert [host_of(text) for text in ("a.example:80", "[::1]:80", "[::1", "", "LOCALHOST")] == [
        "a.example", "::1", "", "", "localhost"
    ]  # fmt: skip


# From IANA's registries: the first and the last address of each network that is not globally reachable.
_SPECIAL = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
    "::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
    "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip
_PUBLIC = (
    "1.1.1.1", "100.63.255.255", "192.0.1.0", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "3ffe::1",
)  # fmt: skip
_EMBEDDING = ("::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:{}")


def _in_ipv6(address: ipaddress.IPv4Address) -> list[ipaddress.IPv6Address]:
    sixtofour = f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::1"
    return [ipaddress.IPv6Address(text) for text in (*(form.format(address) for form in _EMBEDDING), sixtofour)]


@pytest.mark.parametrize("special", _SPECIAL)
def test_special_addresses_are_not_public_in_any_form(special: str) -> None:
    network = ipaddress.ip_network(special)
    for address in (network[0], network[-1]):
        assert not is_public(address)
        if isinstance(address, ipaddress.IPv4Address):
            assert not any(map(is_public, _in_ipv6(address)))


@pytest.mark.parametrize("public", _PUBLIC)
def test_other_addresses_are_public(public: str) -> None:
    address = ipaddress.ip_address(public)
    assert is_public(address)
    if isinstance(address, ipaddress.IPv4Address):
        assert all(map(is_public, _in_ipv6(address)))
