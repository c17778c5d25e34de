"""The bodies of requests for batches, and the form of a batch."""

import json
from typing import Any, Literal

from turnstile.producers.gateway.batches.lines import MOST_LINES
from turnstile.producers.gateway.schemas import Answer, Metadata, Part
from turnstile.turns.store.batches import Batch

WINDOW_SECONDS = 86_400.0
FULL = "Files and results take all the room there is: delete some, and retry the batch."
"""The fault of a batch whose results had no room."""
LOST = "Redis has lost results more than once. Requests without one may have been answered: look before you retry them."
"""The fault of a batch whose results Redis has lost."""
_CODES = {FULL: ("storage_full", None), LOST: ("results_lost", None)}


class BatchCreation(Part):
    """POST /v1/batches."""

    input_file_id: str
    endpoint: Literal["/v1/responses", "/v1/chat/completions"]
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    retry_of: str | None = None
    """Turnstile's own: a batch over the same file, of which the requests without an answer are asked again."""


class BatchObject(Answer):
    """A batch, with the fields of OpenAI's `Batch`."""

    id: str
    object: Literal["batch"]
    endpoint: str
    input_file_id: str
    status: Literal["validating", "failed", "in_progress", "completed", "expired", "cancelling", "cancelled"]
    output_file_id: str | None
    error_file_id: str | None
    request_counts: dict[str, int]


class BatchList(Answer):
    """A page of batches."""

    object: Literal["list"]
    data: list[BatchObject]
    has_more: bool


def shown(batch: Batch) -> dict[str, Any]:
    """Return a batch as the API has it."""
    facts = json.loads(batch.facts)
    code, param = _CODES.get(batch.fault, ("invalid_file", "input_file_id"))
    fault = {"code": code, "message": batch.fault, "line": None, "param": param}
    ends = {f"{state}_at": _moment(batch.ended) if batch.state == state else None for state in _ENDS}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": facts["endpoint"],
        "errors": {"object": "list", "data": [fault]} if batch.fault else None,
        "input_file_id": batch.file,
        "completion_window": "24h",
        "status": batch.state,
        "output_file_id": batch.completed_file or None,
        "error_file_id": batch.failed_file or None,
        "created_at": int(batch.created),
        "in_progress_at": _moment(batch.started),
        "expires_at": int(batch.expires),
        "finalizing_at": _moment(batch.ended),
        "cancelling_at": _moment(batch.cancelling),
        **ends,
        "request_counts": {"total": min(batch.total, MOST_LINES), "completed": batch.completed, "failed": batch.failed},
        "metadata": facts["metadata"],
    }


_ENDS = ("completed", "failed", "expired", "cancelled")


def _moment(seconds: float) -> int | None:
    return int(seconds) or None
