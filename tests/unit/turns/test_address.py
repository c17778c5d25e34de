"""One reading of each spelling of a URL: the same server for redis-py's clients, for kombu, and for Celery's results."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from celery import Celery

from turnstile.turns.errors import SettingError
from turnstile.turns.redis.address import Address, Tls, parse
from turnstile.turns.redis.connection import close_async, connect, connect_async
from turnstile.turns.settings import Settings
from turnstile.workers.celery_config import configuration

_HERE = quote(str(Path(__file__)))
_NONE = Tls(ssl.CERT_NONE, check_hostname=False)


def _at(host: str = "h", port: int = 6379, **rest: Any) -> Address:
    return Address(((host, port),), **rest)


def _behind(*hosts: str, **rest: Any) -> Address:
    return Address(tuple((host, 26379) for host in hosts), **{"master": "mymaster", **rest})


SPELLINGS = {
    "redis://h": _at(),
    "redis://": _at("localhost"),
    "redis:///2": _at("localhost", db=2),
    "redis://h:1/3": _at(port=1, db=3),
    "redis://h?db=3": _at(db=3),
    "redis://h/1?db=3": _at(db=3),
    "redis://h?decode_responses=true": _at(),
    "redis://:p@h": _at(password="p"),
    "redis://u:p@h": _at(username="u", password="p"),
    "redis://h?username=u&password=p": _at(username="u", password="p"),
    "redis://us%3Aer:p%40%2F%23%5B%25%3A%3F%26%20@h": _at(username="us:er", password="p@/#[%:?& "),
    "redis://h?password=p%40%26%23": _at(password="p@&#"),
    "redis://[::1]/1": _at("::1", db=1),
    "redis://u:p@[fe80::1]:7/1": _at("fe80::1", 7, db=1, username="u", password="p"),
    "rediss://h/0": _at(tls=Tls()),
    "rediss://u:p@h:1/2": _at(port=1, db=2, username="u", password="p", tls=Tls()),
    "rediss://h?ssl_cert_reqs=required": _at(tls=Tls()),
    "rediss://h?ssl_cert_reqs=CERT_REQUIRED": _at(tls=Tls()),
    "rediss://h?ssl_cert_reqs=optional": _at(tls=Tls(ssl.CERT_OPTIONAL)),
    "rediss://h?ssl_cert_reqs=CERT_OPTIONAL": _at(tls=Tls(ssl.CERT_OPTIONAL)),
    "rediss://h?ssl_cert_reqs=none": _at(tls=_NONE),
    "rediss://h?ssl_cert_reqs=CERT_NONE&ssl_check_hostname=true": _at(tls=_NONE),
    "rediss://h?ssl_check_hostname=False": _at(tls=Tls(check_hostname=False)),
    f"rediss://h?ssl_ca_certs={_HERE}": _at(tls=Tls(files=(("ssl_ca_certs", __file__),))),
    f"rediss://h?ssl_certfile={_HERE}&ssl_keyfile={_HERE}": _at(
        tls=Tls(files=(("ssl_certfile", __file__), ("ssl_keyfile", __file__)))
    ),
    "unix:///run/redis.sock": Address(path="/run/redis.sock"),
    "unix:///a%20b/c?db=3&password=p%3A": Address(path="/a b/c", db=3, password="p:"),
    "unix://u:p@/run/redis.sock?db=3": Address(path="/run/redis.sock", db=3, username="u", password="p"),
    "redis+socket:///run/redis.sock?virtual_host=3": Address(path="/run/redis.sock", db=3),
    "redis+socket://:p@/run/redis.sock": Address(path="/run/redis.sock", password="p"),
    "sentinel://h": _behind("h"),
    "sentinel://h:1/": Address((("h", 1),), master="mymaster"),
    "sentinel://a:1,b:2,c/3?master=m": Address((("a", 1), ("b", 2), ("c", 26379)), master="m", db=3),
    "sentinel://u:p%2F@a,b/2": _behind("a", "b", username="u", password="p/", db=2),
    "sentinel://[::1]:1,a/0": Address((("::1", 1), ("a", 26379)), master="mymaster"),
    "sentinel://a/1?master=m;sentinel://b/1": _behind("a", "b", master="m", db=1),
    "sentinel://:p@a/1;sentinel://:p@b/1": _behind("a", "b", password="p", db=1),
    "redis+sentinel://:p@h/m/3": _behind("h", password="p", master="m", db=3),
    "redis+sentinel://h": _behind("h"),
    "rediss+sentinel://h,i/m/3?ssl_cert_reqs=none": _behind("h", "i", master="m", db=3, tls=_NONE),
}


@pytest.mark.parametrize("url", SPELLINGS)
def test_a_spelling_is_read(url: str) -> None:
    assert parse(url) == SPELLINGS[url]


_LOGIN = ("db", "username", "password")


def _seen(arguments: dict[str, Any], kind: type) -> Address:
    """Return the address that these arguments of a connection amount to."""
    tls = None
    if issubclass(kind, redis.SSLConnection | redis.asyncio.SSLConnection):
        files = tuple(
            (name, arguments[name]) for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if arguments.get(name)
        )
        tls = Tls(arguments["ssl_cert_reqs"], arguments["ssl_check_hostname"], files)
    login: dict[str, Any] = {name: arguments.get(name) or None for name in _LOGIN}
    host = ((arguments["host"], arguments["port"]),) if "host" in arguments else ()
    return Address(host, arguments.get("path", ""), int(login.pop("db") or 0), tls=tls, **login)


def _without_sentinels(address: Address) -> Address:
    return Address((), address.path, address.db, address.username, address.password, "", address.tls)


def _check_pool(pool: Any, expected: Address) -> None:
    seen = _seen(pool.connection_kwargs, pool.connection_class)
    if not expected.master:
        assert seen == expected
        return
    assert _without_sentinels(seen) == _without_sentinels(expected)
    assert pool.service_name == expected.master
    for sentinel, (host, port) in zip(pool.sentinel_manager.sentinels, expected.hosts, strict=True):
        asked = _seen(sentinel.connection_pool.connection_kwargs, sentinel.connection_pool.connection_class)
        assert asked == Address(((host, port),), tls=expected.tls)


@pytest.mark.parametrize("url", SPELLINGS)
async def test_clients_connect_there(url: str) -> None:
    _check_pool(connect(url).connection_pool, SPELLINGS[url])
    _check_pool(connect_async(url).connection_pool, SPELLINGS[url])
    await close_async(url)


@pytest.fixture
def _celery(request: pytest.FixtureRequest) -> Celery:
    app = Celery("reader", set_as_current=False)
    app.conf.update(configuration(Settings(redis_url=request.param)))
    return app


@pytest.mark.parametrize(("_celery", "url"), [(url, url) for url in SPELLINGS], indirect=["_celery"])
def test_celery_s_broker_connects_there(_celery: Celery, url: str) -> None:
    expected = SPELLINGS[url]
    with _celery.connection_for_write() as connection:
        transport: Any = connection.transport
        channel = object.__new__(transport.Channel)  # a whole one connects at once
        channel.connection = transport
        vars(channel).update(connection.transport_options)
        if expected.master:
            # Each connection asks its pool, and that asks the sentinels, where it is.
            _check_pool(channel._sentinel_managed_pool(), expected)
        else:
            arguments = channel._connparams()
            assert _seen(arguments, arguments["connection_class"]) == expected
        assert (expected.password or "nothing") not in connection.as_uri()


@pytest.mark.parametrize(("_celery", "url"), [(url, url) for url in SPELLINGS], indirect=["_celery"])
def test_celery_s_results_go_there(_celery: Celery, url: str) -> None:
    backend: Any = _celery.backend
    _check_pool(backend.client.connection_pool, SPELLINGS[url])
    if not SPELLINGS[url].hosts:
        backend.client.connection_pool.make_connection()


@pytest.mark.parametrize("mark", "@/#[]%:?&")
@pytest.mark.parametrize(
    "form",
    ["redis://:{}@h/0", "redis://u:{}@h:1", "unix://:{}@/s", "sentinel://u:{}@h,i", "redis://{}:p@h", "unix:///s?password={}"],
)
def test_a_password_that_is_not_quoted_gets_one_line_that_says_how(form: str, mark: str) -> None:
    with pytest.raises(SettingError, match=r"^REDIS_URL is not valid: .*%40 %2F.*quote\(password, safe=''\)\)\.$") as caught:
        parse(form.format(f"sesa{mark}mstreet"))
    assert not [part for part in ("sesa", "mstreet") if part in str(caught.value)]
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["redis://:p%ff@h", "redis://h?password=a&b=sesame", "redis://h?password=a#sesame"])
def test_nor_is_anything_else_of_a_password_shown(url: str) -> None:
    with pytest.raises(SettingError, match=r"Python: urllib\.parse\.quote") as caught:
        parse(url)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rediss://h?ssl_ca_certs=/nowhere", "its ssl_ca_certs names a file that cannot be read"),
        ("rediss://h?ssl_ca_certs=/", "its ssl_ca_certs names a file that cannot be read"),
        (f"rediss://h?ssl_keyfile={_HERE}", "its ssl_keyfile needs an ssl_certfile"),
        ("rediss://h?ssl_cert_reqs=maybe", "its ssl_cert_reqs must be required, optional or none"),
        ("redis://h?ssl_cert_reqs=none", "its parameter ssl_cert_reqs needs TLS: write rediss://"),
        ("redis://h?socket_timeout=1", "Turnstile knows no parameter 'socket_timeout'; there are db, "),
        ("redis://h?master=m", "its parameter master is for sentinel://"),
        ("redis://h/zero", "its database is no number"),
        ("redis://h?db=-1", "its database is no number"),
        *[(url, r"write redis://\[user:password@\]host") for url in ("redis://h:port", "redis://h:0", "redis://h:65536")],
        *[(url, "write redis://") for url in ("redis://[h", "redis://a,b", "redis://a;redis://b", "unix://run/s", "unix://")],
        *[(url, "write redis://") for url in ("sentinel://", "sentinel://a,,b", "sentinel://:p@", "sentinel://u:p@:1")],
        *[
            (url, "it must start with one of redis, rediss")
            for url in ("http://h", "h:1", "h", "://", "redis:/h", "REDIS://h", "")
        ],
    ],
)
def test_a_bad_url_is_named_with_what_to_do(url: str, said: str) -> None:
    with pytest.raises(SettingError, match=rf"^REDIS_URL is not valid: {said}.*\.$") as caught:
        parse(url)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:sesame@h/3", "h:6379/3"),
        ("rediss://:sesame@[::1]:7", "[::1]:7/0"),
        ("unix:///run/s?password=sesame", "/run/s"),
        ("unix:///run/s?db=3", "/run/s?db=3"),
        ("sentinel://:sesame@a,b:1/2", "a:26379,b:1/2"),
    ],
)
def test_people_see_no_password(url: str, shown: str) -> None:
    assert str(parse(url)) == shown
    assert "sesame" not in repr(parse(url))
