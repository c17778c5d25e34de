"""Who may come in: API keys and what each may do; without keys, this machine only."""

import ipaddress
import logging
import math
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from turnstile.producers.gateway.desk import PromptStore
from turnstile.producers.gateway.edge.caller import CALLER, Caller
from turnstile.producers.gateway.edge.errors import ApiError
from turnstile.turns.api_keys import DEFAULT_TENANT, ApiKey, keyring
from turnstile.turns.settings import Settings
from turnstile.turns.store.limits import Admission

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Header = tuple[bytes, bytes]

_GUARDED = "/v1"
_PROBES = ("/healthz", "/readyz")
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to go on: how large the body may be, and what to say in the response's headers."""

    max_bytes: int
    headers: list[Header] = field(default_factory=list)


class Gate:
    """Lets requests in, or raises ApiError; those let in know their caller.

    Raises:
        SettingError: the keys cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = keyring(settings)
        self._max_bytes = settings.max_body_bytes
        self._rates = PromptStore(settings)
        if not self._keys.enforced:
            log.warning("no API keys are set (TURNSTILE_API_KEYS): this gateway answers this machine only")

    async def admit(self, scope: Scope) -> Pass:
        """Let one request in. Raises ApiError (401, 403, 429), QueueUnreachable."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        scope[CALLER] = Caller()
        if not self._keys.enforced:
            if scope["path"] not in _PROBES:
                _check_local(scope, headers)
            return Pass(self._max_bytes)
        if not _guarded(scope["path"]):
            return Pass(self._max_bytes)
        id, key = self._identify(headers.get(b"authorization", ""))
        scope[CALLER] = Caller("" if key.tenant == DEFAULT_TENANT else key.tenant, id)
        return Pass(min(self._max_bytes, key.limits.max_body_bytes or self._max_bytes), await self._count(id, key))

    def _identify(self, authorization: str) -> tuple[str, ApiKey]:
        if not authorization.lower().startswith(_SCHEME):
            raise _unauthorized("No API key was given: send it as `Authorization: Bearer KEY`.")
        found = self._keys.find(authorization[len(_SCHEME) :].strip())
        if found is None:
            raise _unauthorized("The API key is not known here.")
        return found

    async def _count(self, id: str, key: ApiKey) -> list[Header]:
        most = key.limits.requests_per_minute
        if most is None:
            return []
        admission = await self._rates.admit(id, most)
        told = _told(admission, most)
        if not admission.admitted:
            raise _too_many(admission, most, told)
        return [(name.encode(), value.encode()) for name, value in told.items()]


def _guarded(path: str) -> bool:
    return path == _GUARDED or path.startswith(f"{_GUARDED}/")


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, None, "invalid_api_key", {"www-authenticate": "Bearer", "connection": "close"})


def _told(admission: Admission, most: int) -> dict[str, str]:
    return {"x-ratelimit-limit-requests": str(most), "x-ratelimit-remaining-requests": str(admission.left)}


def _too_many(admission: Admission, most: int, told: dict[str, str]) -> ApiError:
    wait = {"retry-after": str(math.ceil(admission.wait)), "retry-after-ms": str(math.ceil(admission.wait * 1000))}
    message = f"This API key may make {most:,} requests a minute; try again in {admission.wait:.1f} s."
    return ApiError(429, message, None, "rate_limit_exceeded", {**told, **wait, "connection": "close"})


def _check_local(scope: Scope, headers: dict[bytes, str]) -> None:
    """Raise ApiError for a request from elsewhere, also for one that a page from elsewhere has a local browser make."""
    client = scope.get("client")
    if client and not _loopback(client[0]):
        raise _elsewhere("Without API keys (TURNSTILE_API_KEYS) this gateway answers the machine that it runs on only.")
    host = headers.get(b"host", "")
    if not _loopback(_name(host)):
        raise _elsewhere("Without API keys this gateway answers under the names of its own machine only: use localhost.")
    origin = headers.get(b"origin")
    if origin is not None and origin.lower().partition("://")[2] != host.lower():
        raise _elsewhere("Without API keys this gateway answers its own pages only.")


def _elsewhere(message: str) -> ApiError:
    return ApiError(403, message, None, "loopback_only", {"connection": "close"})


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
