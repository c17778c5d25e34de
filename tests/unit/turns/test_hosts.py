"""Hosts in URLs, in headers, and in the lists that settings have."""

import pytest

from turnstile.turns.hosts import address_of, host_of, is_loopback, lists, split_url


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


@pytest.mark.parametrize("host", ["a.example", "127.0.0.1.example", "", "localhost.example", "10.0.0.1", "0a.example"])
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


def test_the_host_of_a_header_has_no_port() -> None:
    assert [host_of(text) for text in ("a.example:80", "[::1]:80", "[::1", "", "LOCALHOST")] == [
        "a.example", "::1", "", "", "localhost"
    ]  # fmt: skip
