"""Compaction items: a conversation as a model has summed it up, in OpenAI's form, which a client passes on unread.

The content is encoded, not encrypted: it tells the client nothing that it did not send.
"""

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from turnstile.producers.gateway.content import Message
from turnstile.producers.gateway.edge.api_errors import invalid
from turnstile.producers.gateway.edge.body import values
from turnstile.turns.bounds import MOST_MESSAGES
from turnstile.turns.summaries import ABOUT, TAKEN

_FORM = "turnstile-summary-1."
_MOST_VALUES = 4 * MOST_MESSAGES


class SystemMessage(BaseModel):
    """A system message of the conversation, as it was."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer"]
    content: str


class Compaction(BaseModel):
    """A conversation as it is passed on: its system messages, and a summary of the rest."""

    model_config = ConfigDict(extra="forbid")
    system: Annotated[list[SystemMessage], Field(fail_fast=True)]
    summary: str


def shown_compaction(id: str, left: Compaction) -> dict[str, Any]:
    """Return the item that stands for a conversation."""
    content = _FORM + base64.urlsafe_b64encode(left.model_dump_json().encode()).decode()
    return {"id": id, "type": "compaction", "encrypted_content": content, "created_by": None}


def read_compaction(content: Any, param: str) -> list[Message]:
    """Return the messages that a model is given in place of the conversation. Raises ApiError for another server's item."""
    try:
        if not isinstance(content, str) or not content.startswith(_FORM):
            raise ValueError
        text = base64.b64decode(content.removeprefix(_FORM), altchars=b"-_", validate=True)
        # The body's values were counted while these were encoded.
        if values(text) > _MOST_VALUES:
            raise ValueError
        left = Compaction.model_validate_json(text)
    except ValueError:
        message = f"`{param}` was not made by `/v1/responses/compact` of this server: send the items themselves."
        raise invalid(param, message, "invalid_encrypted_content") from None
    said = [{"role": "user", "content": ABOUT + left.summary}, {"role": "assistant", "content": TAKEN}]
    return [*(message.model_dump() for message in left.system), *said]
