"""URLs in questions, which the model's server fetches: only from where everybody may."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.hosts import address_of, is_loopback, is_public, lists

_PRIVATE_NAMES = (".local", ".internal", ".home.arpa")


def check_urls(contents: Iterable[object], allowed: str, param: str) -> None:
    """Raise InvalidTurn for a picture or a file of a URL that is neither `data:` nor `https:` of a public host.

    `allowed` lists further hosts, also for `http:`.
    """
    for url in _urls(contents):
        if url[:5].lower() != "data:" and not _is_public(url, allowed):
            raise InvalidTurn(
                "The URL of a picture or file must be `data:`, or `https:` of a public host; TURNSTILE_FILE_HOSTS lists more.",
                param=param,
            )


def _urls(value: object) -> Iterator[str]:
    """Yield the URLs in content parts, in all forms that they have."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str):
                if str(name).rpartition("_")[2] == "url":
                    yield inner
            else:
                yield from _urls(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _urls(inner)


def _is_public(url: str, allowed: str) -> bool:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "\\" in parts.netloc:
            return False
        if lists(allowed, parts):
            return True
    except ValueError:
        return False
    address = address_of(parts.hostname)
    if address:
        return parts.scheme == "https" and is_public(address)
    named = "." in parts.hostname and not parts.hostname.rstrip(".").endswith(_PRIVATE_NAMES)
    return parts.scheme == "https" and named and not is_loopback(parts.hostname)
