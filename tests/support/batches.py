"""Files and batches by OpenAI's own SDK."""

import json
from typing import Any

import openai
from openai.types import Batch

from tests.support.wait import wait_until

RESPONSES: Any = "/v1/responses"
CHAT: Any = "/v1/chat/completions"
ENDED = ("completed", "failed", "cancelled", "expired")


def line(custom_id: str, body: dict[str, Any], url: str = RESPONSES) -> str:
    """Return a line of a file."""
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


def uploaded(sdk: openai.OpenAI, *lines: str | bytes) -> str:
    """Upload a file with these lines, and return its id."""
    content = b"\n".join(text.encode() if isinstance(text, str) else text for text in lines)
    return sdk.files.create(file=("questions.jsonl", content), purpose="batch").id


def begun(sdk: openai.OpenAI, *lines: str | bytes, endpoint: Any = RESPONSES, **options: Any) -> Batch:
    """Begin a batch over these lines."""
    file = uploaded(sdk, *lines)
    return sdk.batches.create(
        input_file_id=file, endpoint=endpoint, completion_window="24h", metadata={"mine": "yes"}, **options
    )


def ended(sdk: openai.OpenAI, id: str) -> Batch:
    """Return a batch when it has ended."""

    def look() -> Batch | None:
        batch = sdk.batches.retrieve(id)
        return batch if batch.status in ENDED else None

    batch = wait_until(look, "the batch has ended")
    assert batch
    return batch


def results(sdk: openai.OpenAI, file: str | None) -> list[dict[str, Any]]:
    """Return the lines of a file of results; none where there is no file."""
    return [json.loads(text) for text in sdk.files.content(file).text.splitlines()] if file else []


def text_of(result: dict[str, Any]) -> str:
    """Return the text of a result that is a response."""
    return str(result["response"]["body"]["output"][0]["content"][0]["text"])


def completed(sdk: openai.OpenAI, batch: Batch) -> int:
    """Return how many requests of a batch are answered by now."""
    counts = sdk.batches.retrieve(batch.id).request_counts
    return counts.completed if counts else 0
