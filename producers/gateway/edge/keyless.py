"""The rule of a gateway without keys: it answers this machine, under its own names, and nobody through a proxy."""

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.body import Scope
from turnstile.turns.hosts import host_of, is_loopback, listed, names

_PROXIES = frozenset({b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip"})
_PROXIES |= {b"cf-connecting-ip", b"fastly-client-ip"}
_PROXY_PREFIX = b"x-forwarded-"


def check_local(scope: Scope, headers: dict[bytes, str], trusted: str, origins: str) -> None:
    """Raise ApiError for a request from another machine, through a proxy, or that a foreign page has a local browser make.

    `trusted` lists the hosts of a proxy that authenticates: under those, everybody is answered. `origins` lists pages that are
    not foreign.
    """
    host = headers.get(b"host", "")
    if not names(trusted, host):
        _check_peer(scope, headers)
        if not is_loopback(host_of(host)):
            raise _foreign("Without API keys this gateway only answers to its own machine's names: use localhost.")
    origin = headers.get(b"origin")
    if origin is not None and origin.lower() not in listed(origins) and origin.lower().partition("://")[2] != host.lower():
        raise _foreign("Without API keys this gateway only answers its own pages.")


def _check_peer(scope: Scope, headers: dict[bytes, str]) -> None:
    client = scope.get("client")
    if not client or not is_loopback(client[0]):
        raise _foreign("Without API keys (TURNSTILE_API_KEYS) this gateway only answers requests from its own machine.")
    # nginx adds no header by itself, but asks by HTTP/1.0.
    if scope["http_version"] == "1.0" or any(name in _PROXIES or name.startswith(_PROXY_PREFIX) for name in headers):
        raise _foreign(
            "Without API keys this gateway answers no proxy: set TURNSTILE_API_KEYS, or, behind a proxy that authenticates, "
            "TURNSTILE_TRUSTED_HOSTS."
        )


def _foreign(message: str) -> ApiError:
    return ApiError(403, message, None, "loopback_only", {"connection": "close"})
