"""The caller of a request. Every id of a request passes through it, so a tenant cannot see what another tenant has."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from turnstile.producers.gateway.edge.api_errors import ApiError, invalid, missing
from turnstile.turns.api_keys import add_requests
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.ids import check_session, tenant_of
from turnstile.turns.turn import RecordForm

RESPONSE, CONVERSATION = "resp_", "conv_"
WHEN_BUSY = "turnstile_when_busy"
"""In a request's metadata: what becomes of it in a conversation that is busy."""
CALLER = "turnstile.caller"
"""Entry of an ASGI scope: its caller."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant at the gateway; the default tenant has no name, and its sessions have no prefix."""

    tenant: str = ""
    api_key: str = ""
    """The id of the API key that was used."""
    weight: int = 1
    """That key's weight against other tenants."""
    quotas: str = ""
    """That key's limits, as the scripts read them."""
    models: tuple[str, ...] | None = None
    """The models that it may name; None: any."""
    streams: int | None = None
    """Streams that its tenant may read at one time; None: any number."""
    default_when_busy: str | None = None
    """That key's choice for conversations that are busy; None: TURNSTILE_WHEN_BUSY."""

    requests_per_minute: int | None = None
    """Requests that this key may make in a minute; None: any number."""

    @property
    def terms(self) -> dict[str, Any]:
        """The terms on which its turns are accepted."""
        return {"weight": self.weight, "quotas": self.quotas}

    @property
    def scheduled_quotas(self) -> str:
        """Its quotas for turns that no request brings, each of which counts as one."""
        return add_requests(self.quotas, self.requests_per_minute, self.api_key)

    @property
    def conversations(self) -> int | None:
        """The number of conversations that its tenant may keep; None: any."""
        most: int | None = json.loads(self.quotas or "{}").get("conversations")
        return most

    def may_name(self, model: str) -> bool:
        """Return whether its requests may name a model, or a chain."""
        return self.models is None or model in self.models

    def check_model(self, model: str | None) -> None:
        """Raise ApiError, as OpenAI does, if a request names a model that it may not."""
        if model is not None and not self.may_name(model):
            raise ApiError(403, f"This API key does not have access to the model `{model[:200]}`.", "model", "model_not_found")

    def session(self, name: str, param: str = "conversation") -> str:
        """Return the session that this caller calls `name`. Raises ApiError if no session can have this name."""
        try:
            if "/" in name:
                raise InvalidTurn("A conversation's id must not contain `/`.", param)
            return check_session(f"{self.tenant}/{name}" if self.tenant else name)
        except InvalidTurn as error:
            raise invalid(param, str(error), "invalid_value") from None

    def when_busy(self, metadata: Mapping[str, str] | None) -> str | None:
        """Return the policy of a request for a busy conversation: its own, or that of its key."""
        return (metadata or {}).get(WHEN_BUSY) or self.default_when_busy

    def name(self, session: str) -> str:
        """Return this caller's name for one of its sessions."""
        return session.rpartition("/")[2]

    def own(self, record: RecordForm, param: str = "response_id") -> RecordForm:
        """Return the record if it is this caller's; otherwise raise ApiError as if it did not exist."""
        if tenant_of(record.session) != self.tenant:
            raise missing(param, "Response", record.id)
        return record

    def key(self, kind: str, key: str | None) -> str:
        """Return 32 hexadecimal digits: the same ones for the same key, new ones without a key."""
        if not key:
            return uuid.uuid4().hex
        return hashlib.sha256("\0".join((self.tenant, kind, key)).encode()).hexdigest()[:32]


_BEARER = HTTPBearer(auto_error=False, description="An API key; required if the gateway has any.")


async def identify(request: Request, _: Annotated[object, Security(_BEARER)]) -> Caller:
    """Return the caller that the authenticator found."""
    caller: Caller = request.scope[CALLER]
    return caller


CurrentCaller = Annotated[Caller, Depends(identify)]
