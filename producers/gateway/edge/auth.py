"""Authentication: API keys and the limits of each; without keys, only this machine is answered."""

import asyncio
import logging

from turnstile.producers.gateway.edge.api_errors import ApiError, retry_after
from turnstile.producers.gateway.edge.body import MAX_BODY_BYTES, Scope
from turnstile.producers.gateway.edge.caller import CALLER, Caller
from turnstile.producers.gateway.edge.connections import raise_file_limit
from turnstile.producers.gateway.edge.keyless import check_local
from turnstile.producers.gateway.edge.open_requests import OpenRequests
from turnstile.producers.gateway.prompt_store import PromptStore
from turnstile.turns.api_keys import ApiKey
from turnstile.turns.keyring import keyring
from turnstile.turns.settings import Settings
from turnstile.turns.store.limits import Admission

log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]

_GUARDED = "/v1"
_OPERATORS = ("/metrics", "/admin/")
PROBES = ("/healthz", "/readyz")
_SCHEME = "bearer "
_KEYLESS = "no API keys are set (TURNSTILE_API_KEYS): this gateway only answers requests from this machine"
_KEYLESS_TRUSTING = (
    "no API keys are set: this gateway answers everybody who asks under a name of TURNSTILE_TRUSTED_HOSTS; "
    "let only the proxy that authenticates them reach it"
)
_LOOK_SECONDS = 1.0


class Authenticator:
    """An authenticator of requests; it writes each one's caller and largest body into its scope.

    Raises:
        SettingError: the keys cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = keyring(settings)
        self._max_bytes = settings.max_body_bytes
        self._trusted, self._origins = settings.trusted_hosts, settings.cors_origins
        self._rates = PromptStore(settings)
        self.requests = OpenRequests(raise_file_limit())
        if not self._keys.enforced:
            log.warning("%s", _KEYLESS_TRUSTING if self._trusted else _KEYLESS)

    def admit(self, scope: Scope) -> None:
        """Admit one request, whose key's requests are counted later. Raises ApiError: 401 or 403."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        scope[CALLER], scope[MAX_BODY_BYTES] = Caller(), self._max_bytes
        if not self._keys.enforced:
            if scope["path"] not in PROBES:
                check_local(scope, headers, "" if _for_operators(scope["path"]) else self._trusted, self._origins)
            return
        if not _guarded(scope["path"]):
            return
        id, key = self._identify(headers.get(b"authorization", ""))
        if (key.role == "operator") != _for_operators(scope["path"]):
            raise _forbidden(key)
        limits = key.limits
        scope[CALLER] = Caller(
            key.own_tenant,
            id,
            key.weight,
            limits.quotas,
            limits.models,
            limits.streams,
            key.when_busy,
            limits.requests_per_minute,
        )
        scope[MAX_BODY_BYTES] = min(self._max_bytes, limits.max_body_bytes or self._max_bytes)

    async def end_removed(self) -> None:
        """End the open requests of keys that are removed, for as long as the gateway runs."""
        while self._keys.enforced:
            self.requests.end_others(self._keys.ids())
            await asyncio.sleep(_LOOK_SECONDS)

    def _identify(self, authorization: str) -> tuple[str, ApiKey]:
        if not authorization.lower().startswith(_SCHEME):
            raise _unauthorized("The request has no API key: send one as `Authorization: Bearer KEY`.")
        found = self._keys.find(authorization[len(_SCHEME) :].strip())
        if found is None:
            raise _unauthorized("The API key is unknown.")
        return found

    async def count(self, id: str) -> list[Header]:
        """Count a request of a key, and return headers of its response; none where it has no limits to count.

        Raises:
            ApiError: 429: there were too many.
            QueueUnreachable: they cannot be counted.
        """
        if (key := self._keys.by_id(id)) is None:
            return []
        most, tokens = key.limits.requests_per_minute or 0, key.limits.tokens_per_minute or 0
        quotas = key.limits.quotas
        if not most and quotas == "{}":
            return []
        admission = await self._rates.count_request(id, most, key.own_tenant, quotas)
        rates = _rate_headers(admission, most, tokens)
        if not admission.admitted:
            raise _too_many(admission, most, rates)
        return [(name.encode(), value.encode()) for name, value in rates.items()]


def _for_operators(path: str) -> bool:
    """Return whether a path is for operators alone; `/admin` itself, a page without content, is for all."""
    return path == _OPERATORS[0] or path.startswith(_OPERATORS[1])


def _guarded(path: str) -> bool:
    return path == _GUARDED or path.startswith(f"{_GUARDED}/") or _for_operators(path)


def key_removed() -> ApiError:
    """Return the error of a request whose key was removed before its answer."""
    return _unauthorized("The API key has been removed.")


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, None, "invalid_api_key", {"www-authenticate": "Bearer", "connection": "close"})


def _forbidden(key: ApiKey) -> ApiError:
    need = "a tenant's key" if key.role == "operator" else "an operator's key (`turnstile key NAME --role operator`)"
    return ApiError(403, f"This path needs {need}.", None, "wrong_role", {"connection": "close"})


def _rate_headers(admission: Admission, most: int, tokens: int) -> dict[str, str]:
    """Return OpenAI's headers of what a key may still do."""
    reset = admission.wait or (most - admission.left) * 60 / max(1, most)
    found = {"requests": (most, admission.left, reset), "tokens": (tokens, admission.tokens, admission.reset)}
    return {
        f"x-ratelimit-{word}-{name}": value
        for name, (limit, left, seconds) in found.items()
        if limit and (name == "requests" or admission.admitted)
        for word, value in (("limit", str(limit)), ("remaining", str(left)), ("reset", f"{seconds:.3f}s"))
    }


def _too_many(admission: Admission, most: int, rates: dict[str, str]) -> ApiError:
    message = f"This API key may make {most:,} requests a minute; try again in {admission.wait:.1f} s."
    return ApiError(429, message, None, "rate_limit_exceeded", {**rates, **retry_after(admission.wait)})
