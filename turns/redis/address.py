"""One reading of a Redis URL: clients, workers, the gateway and Flower all connect with what is read here.

    redis://[user:password@]host[:port][/db]        rediss:// is the same over TLS
    unix://[user:password@]/path[?db=n]             Celery writes redis+socket:// and ?virtual_host=n
    sentinel://[user:password@]host[:port][,host[:port]…][/db][?master=name]
    redis+sentinel://[user:password@]host[:port]…[/master[/db]]      LangChain's form; rediss+sentinel:// is TLS

The query may also give `db`, `username` and `password`, and with TLS `ssl_cert_reqs` (required, optional, none, or Python's
CERT_REQUIRED …), `ssl_check_hostname`, `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`. Celery's list of sentinels,
`sentinel://a:1/0;sentinel://b:2/0`, is read too. Nothing that is written in a URL is quoted in an error.
"""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, unquote_plus

from turnstile.turns.errors import SettingError

_FORMS = (
    "write redis://[user:password@]host[:port][/db], rediss://… for TLS, unix:///path?db=0, "
    "or sentinel://host:26379,host:26379/0?master=mymaster"
)
_QUOTE = (
    "in a user or password, write @ / # [ ] % : ? & as %40 %2F %23 %5B %5D %25 %3A %3F %26 "
    "(Python: urllib.parse.quote(password, safe=''))"
)
SCHEMES = ("redis", "rediss", "unix", "redis+socket", "sentinel", "redis+sentinel", "rediss+sentinel")
_TLS = ("rediss", "rediss+sentinel")
_LOCAL = ("unix", "redis+socket")
_VERIFY = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
_FALSE = ("0", "f", "false", "n", "no")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_PARAMETERS = ("ssl_cert_reqs", "ssl_check_hostname", *_FILES)
_PARAMETERS = ("db", "virtual_host", "username", "password", "master", *_TLS_PARAMETERS)
_NO_MATTER = "decode_responses"
"""LangChain's users write it; here replies are bytes, and read as such."""
_QUOTED = re.compile(r"(?:[^\s@/#\[\]%:?&]|%[0-9A-Fa-f]{2})*")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s@/\[\]:;,%]+))(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Tls:
    """The check of the server's certificate, and the certificate that we show; the defaults are redis-py's."""

    verify: ssl.VerifyMode = ssl.CERT_REQUIRED
    check_hostname: bool = True
    files: tuple[tuple[str, str], ...] = ()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments under the names of redis-py, kombu and Celery."""
        return {"ssl_cert_reqs": self.verify, "ssl_check_hostname": self.check_hostname, **dict(self.files)}


@dataclass(frozen=True, slots=True)
class Address:
    """A server, and how to be let in. `hosts` are sentinels when there is a `master`; none: `path` is a socket's."""

    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    master: str = ""
    tls: Tls | None = None

    def __str__(self) -> str:
        """Return the place without the login, for people."""
        if not self.hosts:
            return f"{self.path}?db={self.db}" if self.db else self.path
        return f"{','.join(f'{bracketed(host)}:{port}' for host, port in self.hosts)}/{self.db}"

    def login(self) -> dict[str, Any]:
        """Return the arguments of redis-py that name the database and who asks."""
        return {"db": self.db, "username": self.username, "password": self.password}

    def security(self) -> dict[str, Any]:
        """Return the arguments of redis-py's TLS connections; none without TLS."""
        return self.tls.arguments() if self.tls else {}


def bracketed(host: str) -> str:
    """Return a host as URLs have it."""
    return f"[{host}]" if ":" in host else host


@cache
def parse(url: str) -> Address:
    """Read a URL.

    Raises:
        SettingError: it has a wrong form, a parameter that nobody knows, or names a file that cannot be read.
    """
    try:
        return _Reader.of(url).address()
    except UnicodeError:
        raise SettingError(f"REDIS_URL is not valid: {_QUOTE}.") from None
    except ValueError as error:
        raise SettingError(f"REDIS_URL is not valid: {error}.") from None


@dataclass(frozen=True, slots=True)
class _Reader:
    scheme: str
    user: str
    hosts: str
    path: str
    query: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> Self:
        scheme, mark, rest = url.partition("://")
        if not mark or scheme not in SCHEMES:
            raise ValueError(f"it must start with one of {', '.join(SCHEMES)} and ://")
        rest = _one_list(rest, f";{scheme}://") if scheme.endswith("sentinel") else rest
        before, _, query = rest.partition("?")
        place, slash, path = before.partition("/")
        user, _, hosts = place.rpartition("@")
        if "#" in rest or "@" in path or ("@" in user or not _is_quoted(*user.split(":", 1))):
            raise ValueError(_QUOTE)
        return cls(scheme, user, hosts, slash + path, _parameters(query))

    def address(self) -> Address:
        username, _, password = self.user.partition(":")
        address = Address(
            username=unquote(username, errors="strict") or self.query.get("username") or None,
            password=unquote(password, errors="strict") or self.query.get("password") or None,
            tls=self._tls(),
        )
        if self.scheme in _LOCAL:
            return self._local(address)
        return self._sentinel(address) if self.scheme.endswith("sentinel") else self._remote(address)

    def _local(self, address: Address) -> Address:
        if self.hosts or len(self.path) < 2 or "master" in self.query:
            raise ValueError(_FORMS)
        return replace(address, path=unquote(self.path), db=self._db(""))

    def _remote(self, address: Address) -> Address:
        if "master" in self.query:
            raise ValueError("its parameter master is for sentinel://")
        return replace(address, hosts=(_host(self.hosts or "localhost", 6379),), db=self._db(self.path))

    def _sentinel(self, address: Address) -> Address:
        master, path = "", self.path
        if "+" in self.scheme:
            master, _, path = path.strip("/").partition("/")
        master = self.query.get("master") or unquote(master) or "mymaster"
        hosts = tuple(_host(host, 26379) for host in self.hosts.split(","))
        return replace(address, hosts=hosts, db=self._db(path), master=master)

    def _db(self, path: str) -> int:
        text = self.query.get("db") or self.query.get("virtual_host") or unquote(path)
        text = text.strip("/") or "0"
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            raise ValueError(f"its database is no number; {_FORMS}")
        return int(text)

    def _tls(self) -> Tls | None:
        given = {name: value for name, value in self.query.items() if name in _TLS_PARAMETERS}
        if self.scheme not in _TLS:
            if given:
                raise ValueError(f"its parameter {min(given)} needs TLS: write rediss:// (or rediss+sentinel://)")
            return None
        mode = given.get("ssl_cert_reqs", "required").removeprefix("CERT_").lower()
        if mode not in _VERIFY:
            raise ValueError("its ssl_cert_reqs must be required, optional or none")
        checks = given.get("ssl_check_hostname", "true").lower() not in _FALSE
        if "ssl_keyfile" in given and "ssl_certfile" not in given:
            raise ValueError("its ssl_keyfile needs an ssl_certfile beside it")
        files = tuple((name, _readable(name, given[name])) for name in _FILES if name in given)
        return Tls(_VERIFY[mode], checks and mode != "none", files)


def _one_list(rest: str, between: str) -> str:
    """Celery's list of sentinel URLs as one URL with all hosts; the login, database and query are the first's."""
    first, *others = rest.split(between)
    cut = re.search(r"[/?]", first)
    end = cut.start() if cut else len(first)
    hosts = [re.split(r"[/?]", other.rpartition("@")[2])[0] for other in others]
    return ",".join([first[:end], *hosts]) + first[end:]


def _parameters(query: str) -> dict[str, str]:
    pairs = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&")) if name or value]
    unknown = [name for name, _ in pairs if name not in (*_PARAMETERS, _NO_MATTER)]
    if unknown and ("@" in query or {"username", "password"} & {name for name, _ in pairs}):
        raise ValueError(_QUOTE)  # perhaps part of a password: it must not be shown
    if unknown:
        raise ValueError(f"Turnstile knows no parameter {unknown[0][:40]!r}; there are {', '.join(_PARAMETERS)}")
    if not _is_quoted(*(value for name, value in pairs if name in ("username", "password"))):
        raise ValueError(_QUOTE)
    return {name: unquote_plus(value, errors="strict") for name, value in reversed(pairs) if value}


def _is_quoted(*parts: str) -> bool:
    return all(_QUOTED.fullmatch(part) for part in parts)


def _host(text: str, default: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found[3] or default) if found else 0
    if not found or not 0 < port < 65_536:
        raise ValueError(_FORMS)
    return found[1] or found[2], port


def _readable(name: str, file: str) -> str:
    if not os.access(file, os.R_OK) or Path(file).is_dir():
        raise ValueError(f"its {name} names a file that cannot be read")
    return file
