"""API keys, of which only hashes are kept.

    {"<sha256 of the key, hex>": {"tenant": "acme", "name": "web shop", "weight": 3,
     "limits": {"requests_per_minute": 600, "max_body_bytes": 100000},
     "webhook": {"url": "https://…", "secret": "whsec_…"}}}

Everything in an entry may be left out but its name.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from turnstile.turns.errors import SettingError
from turnstile.turns.hosts import split_url
from turnstile.turns.policies import WHEN_BUSY, pattern
from turnstile.turns.prices import MILLION
from turnstile.turns.text import dumps, loads

DEFAULT_TENANT = "default"
MOST_WEIGHT = 100
SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with

_KEY_PREFIX = "tsk_"
_KEY_BYTES = 32
_ID_LENGTH = 16


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Most = Annotated[int, Field(ge=1, le=10**12)]
_Money = Annotated[float, Field(gt=0, le=10**9)]


def add_requests(quotas: str, per_minute: int | None, key: str) -> str:
    """Return quotas of a key, as JSON, with its requests in a minute (None: any number): for turns that no request brings."""
    requests = {"requests_per_minute": per_minute} if per_minute else {}
    return dumps(loads(quotas) | requests | {"key": key}) if key else quotas


class Limits(_Entry):
    """The limits of one key; None: no limit but the gateway's own."""

    requests_per_minute: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    max_body_bytes: Annotated[int, Field(ge=1)] | None = None
    running_turns: _Most | None = None
    """Slots that turns of the key's tenant have at one time."""
    unfinished_turns: _Most | None = None
    """Turns of the key's tenant that run or wait."""
    unfinished_bytes: _Most | None = None
    """Bytes that these turns ask: questions and options, of turns over 1 KiB."""
    streams: _Most | None = None
    """Streams that the key's tenant reads at one time, over all gateways."""
    conversations: _Most | None = None
    """Conversations that the key's tenant keeps."""
    stored_bytes: _Most | None = None
    """Bytes of files, batches and their results."""
    models: Annotated[tuple[str, ...], Field(min_length=1, max_length=1_000)] | None = None
    """Models and chains that requests may name."""
    tokens_per_minute: _Most | None = None
    tokens_per_day: _Most | None = None
    tokens_per_session: _Most | None = None
    spend_per_day: _Money | None = None
    """In the unit of TURNSTILE_PRICES, as `spend_per_session`."""
    spend_per_session: _Money | None = None

    @cached_property
    def quotas(self) -> str:
        """The limits that the scripts count when a turn is asked, as JSON; money in millionths."""
        given = self.model_dump(include=set(QUOTAS), exclude_none=True)
        return dumps({name: round(most * MILLION) if name.startswith("spend") else most for name, most in given.items()})

    def with_requests(self, key: str) -> str:
        """Return `quotas` with the requests of key `key`, which are counted one by one where no HTTP request brings them."""
        return add_requests(self.quotas, self.requests_per_minute, key)


QUOTAS = frozenset(Limits.model_fields) - {"requests_per_minute", "max_body_bytes", "models"}
"""Limits that the scripts count when a turn is asked."""


def _web_url(url: str) -> str:
    try:
        split_url(url)
    except ValueError as error:
        raise ValueError(f"the URL {error}") from None
    return url


class Webhook(_Entry):
    """The webhook for the ends of a key's background responses; without `secret`, TURNSTILE_WEBHOOK_SECRET signs."""

    url: Annotated[str, Field(max_length=2_000), AfterValidator(_web_url)]
    secret: SecretStr = SecretStr("")


class ApiKey(_Entry):
    """One entry: the tenant that a key speaks for, and what it may do."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@+~=:-]{1,200}$")] = DEFAULT_TENANT
    weight: Annotated[int, Field(ge=1, le=MOST_WEIGHT)] = 1
    """While tenants wait for slots, so many of this key's turns go for each turn of weight 1."""
    when_busy: Annotated[str, Field(pattern=pattern(WHEN_BUSY))] | None = None
    """In place of TURNSTILE_WHEN_BUSY; a request may choose otherwise."""
    limits: Limits = Limits()
    webhook: Webhook | None = None
    role: Literal["tenant", "operator"] = "tenant"
    """A tenant's key asks questions; an operator's reads metrics, and sees, cancels and retries the turns of all."""

    @property
    def own_tenant(self) -> str:
        """The tenant as sessions have it: the default one has no name."""
        return "" if self.tenant == DEFAULT_TENANT else self.tenant


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: `text` is shown once and kept nowhere; `digest` and `entry` go into TURNSTILE_API_KEYS."""

    text: str
    digest: str
    entry: dict[str, Any]


_ENTRIES = TypeAdapter(dict[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ApiKey])


def key_hash(key: str) -> str:
    """Return the hash that is stored of a key. Keys are 256 random bits, so one plain SHA-256 cannot be reversed."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def key_id(digest: str) -> str:
    """Return the name of a key in Redis and in logs, by its hash."""
    return digest[:_ID_LENGTH]


def new_secret() -> str:
    """Return a secret to sign webhooks with, in the form that Standard Webhooks asks for."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def secret_bytes(secret: SecretStr) -> bytes:
    """Return the bytes that a `whsec_…` secret signs with; empty when there is none, or it is no base64."""
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix(SECRET_PREFIX) + "==")
    except ValueError:
        return b""


def new_key(
    name: str,
    tenant: str = DEFAULT_TENANT,
    limits: Limits | Mapping[str, Any] | None = None,
    webhook_url: str = "",
    role: str = "tenant",
    weight: int = 1,
    when_busy: str | None = None,
) -> NewKey:
    """Make a key and its entry; with `webhook_url`, a secret to sign with too.

    Raises:
        SettingError: the name, the tenant, the URL, the weight, the policy or a limit has a wrong form.
    """
    webhook = {"url": webhook_url, "secret": new_secret()} if webhook_url else None
    given = {"name": name, "tenant": tenant, "weight": weight, "limits": limits or Limits(), "webhook": webhook, "role": role}
    given["when_busy"] = when_busy
    text = _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    digest = key_hash(text)
    checked = read_entries(json.dumps({digest: given}, default=lambda limits: limits.model_dump()), "The key")[digest]
    entry = checked.model_dump(exclude_defaults=True) | {"tenant": tenant}
    return NewKey(text, digest, entry | ({"webhook": webhook} if webhook else {}))


def read_entries(text: str, where: str) -> dict[str, ApiKey]:
    """Read keys' entries. Raises SettingError, which names what is wrong without showing it."""
    try:
        return _ENTRIES.validate_json(text) if text.strip() else {}
    except ValidationError as error:
        first: Any = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:] if part != "[key]")
        raise SettingError(
            f"{where} is not valid: {field + ': ' if field else ''}{first['msg'].removeprefix('Value error, ')}."
        ) from None
