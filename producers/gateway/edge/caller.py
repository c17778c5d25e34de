"""Who asks. Every id of a request passes through its caller, so that one tenant's things do not exist for another.

The gate (`access`) tells callers apart; `identify` is where routes learn who theirs is.
"""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from turnstile.producers.gateway.edge.errors import invalid, missing
from turnstile.turns.errors import InvalidTurn
from turnstile.turns.ids import check_session
from turnstile.turns.turn import Record

RESPONSE, CONVERSATION = "resp_", "conv_"
CALLER = "turnstile.caller"
"""Where an ASGI scope holds its caller."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One tenant at the gateway; the default tenant has no name, and its sessions are written without one."""

    tenant: str = ""
    api_key: str = ""
    """The id of the API key that was used."""

    def session(self, name: str, param: str = "conversation") -> str:
        """The session that this caller calls `name`. Raises ApiError when no session can be called so."""
        try:
            if "/" in name:
                raise InvalidTurn("A conversation's id holds no `/`.", param)
            return check_session(f"{self.tenant}/{name}" if self.tenant else name)
        except InvalidTurn as error:
            raise invalid(param, str(error), "invalid_value") from None

    def name(self, session: str) -> str:
        """What this caller calls a session of its own."""
        return session.rpartition("/")[2]

    def own(self, record: Record, param: str = "response_id") -> Record:
        """The record, if it is this caller's. Raises ApiError as for one that is not there."""
        if record.session.rpartition("/")[0] != self.tenant:
            raise missing(param, "Response", record.id)
        return record

    def key(self, kind: str, key: str | None) -> str:
        """32 hexadecimal digits: the same for the same key, new ones without a key."""
        if not key:
            return uuid.uuid4().hex
        return hashlib.sha256("\0".join((self.tenant, kind, key)).encode()).hexdigest()[:32]


_BEARER = HTTPBearer(auto_error=False, description="An API key, where the gateway has any.")


async def identify(request: Request, _: Annotated[object, Security(_BEARER)]) -> Caller:
    """The caller of a request, as the gate knows it."""
    caller: Caller = request.scope[CALLER]
    return caller


Calling = Annotated[Caller, Depends(identify)]
