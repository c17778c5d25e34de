"""URLs in questions, which the model's server fetches: only from where everybody may."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import urlsplit

from turnstile.turns.errors import InvalidTurn
from turnstile.turns.hosts import address_of, is_loopback, is_public, lists

_PRIVATE_NAMES = (".local", ".internal", ".home.arpa")
_URL_FIELDS = ("url", "uri")
_FILE_FIELDS = ("audio", "data", "document", "file", "id", "image", "video")
"""Ends of names of fields that hold a file or its id, in whose place some servers take a URL."""
_LONGEST_FIELD = 16
"""Letters at the end of a name that have all of these words."""
_FILE_ID = re.compile(r"(\w[\w.-]*)?", re.ASCII)
"""An id of a file is nothing else: what looks like a path or a host is taken for a URL."""
_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}", re.ASCII)
"""A name that DNS can look up, or an address. Clients differ on all else: some decode `%31`, or map full-width letters."""
_SCHEME = re.compile(r"[\0-\x20\s]*(?:[a-z][\w+.-]{0,30}://|file:)", re.IGNORECASE)
_NEXT_WORD = re.compile(r"_|(?<=[a-z])(?=[A-Z])")


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


def _urls(value: object, name: str = "") -> Iterator[str]:
    """Yield the URLs in content parts, in all forms that they have; `name` is that of the field that holds the value."""
    if isinstance(value, str):
        if _takes_url(name, value):
            yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _urls(inner, str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _urls(inner, name)


def _takes_url(name: str, value: str) -> bool:
    """Return True where a value is a URL, or may be taken for one. Base64 may begin with two slashes, an id of a file not."""
    field, is_file_id = _field(name[-_LONGEST_FIELD:])
    if is_file_id:
        return not _FILE_ID.fullmatch(value)
    return field in _URL_FIELDS or (field in _FILE_FIELDS and bool(_SCHEME.match(value)))


@lru_cache(256)
def _field(name: str) -> tuple[str, bool]:
    """Return the last word of a field's name, without an s, and whether it is the id of a file."""
    words = _NEXT_WORD.sub("_", name.lower() if name.isupper() else name).lower().split("_")
    field = words[-1].removesuffix("s")
    return field, field == "id" and words[-2:-1] == ["file"]


def _is_public(url: str, allowed: str) -> bool:
    try:
        parts = urlsplit(url)
        host, in_brackets = parts.hostname or "", "[" in parts.netloc
        plain = url.isprintable() and _HOST.fullmatch(host) and in_brackets == (":" in host)
        if parts.scheme not in ("http", "https") or not plain:
            return False
        if lists(allowed, parts):
            return True
    except ValueError:
        return False
    return parts.scheme == "https" and _is_public_host(host.rstrip("."))


def _is_public_host(host: str) -> bool:
    if address := address_of(host):
        return is_public(address)
    return "." in host and not host.endswith(_PRIVATE_NAMES) and not is_loopback(host)
