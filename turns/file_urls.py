"""URLs in questions, which the model's server fetches: only from where everybody may."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.hosts import address_of, is_loopback, is_public, lists

_PRIVATE_NAMES = (".local", ".internal", ".home.arpa")
_URL_FIELDS = ("url", "uri")
_FILE_FIELDS = ("audio", "data", "document", "file", "id", "image", "video")
"""Ends of names of fields that hold a file or its id, in whose place some servers take a URL."""
_LONGEST_HOST = 253
"""Letters of a name that DNS can look up."""
_SCHEME = re.compile(r"\s*(?:[a-z][\w+.-]{0,30}://|file:)", re.IGNORECASE)


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


def _urls(value: object, field: str = "") -> Iterator[str]:
    """Yield the URLs in content parts, in all forms that they have; `field` is the one that holds the value."""
    if isinstance(value, str):
        if field in _URL_FIELDS or (field in _FILE_FIELDS and _SCHEME.match(value)):
            yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _urls(inner, str(name).lower().rpartition("_")[2])
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _urls(inner, field)


def _is_public(url: str, allowed: str) -> bool:
    try:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not (host := parts.hostname)
            or len(host) > _LONGEST_HOST
            or "\\" in parts.netloc
        ):
            return False
        if lists(allowed, parts):
            return True
    except ValueError:
        return False
    address = address_of(host)
    if address:
        return parts.scheme == "https" and is_public(address)
    named = "." in host and not host.rstrip(".").endswith(_PRIVATE_NAMES)
    return parts.scheme == "https" and named and not is_loopback(host)
