"""Requests about a large turn that need little of it."""

from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import ended

SIZE = 3_000_000
PICTURE = {"type": "input_image", "image_url": f"data:image/png;base64,{'A' * SIZE}"}
ITS_OWN: Any = [{"role": "user", "content": [PICTURE]}]
REQUESTS: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "retrieve": lambda http, id: http.get(f"/v1/responses/{id}"),
    "read the stream": lambda http, id: http.get(f"/v1/responses/{id}?stream=true"),
    "cancel": lambda http, id: http.post(f"/v1/responses/{id}/cancel"),
    "refer to the answer": lambda http, id: http.post(
        "/v1/responses/input_tokens", json={"input": [{"type": "item_reference", "id": id.replace("resp_", "msg_")}]}
    ),
    "follow, without a window": lambda http, id: http.post("/v1/responses", json={"input": "", "previous_response_id": id}),
    "delete": lambda http, id: http.delete(f"/v1/responses/{id}"),
}


@pytest.mark.parametrize("asked", [ITS_OWN, [*ITS_OWN, {"role": "user", "content": "hi"}]], ids=["question", "before"])
def test_what_was_asked_is_not_read_where_it_is_not_shown(
    sdk: openai.OpenAI, http: httpx.Client, stack: Stack, asked: Any
) -> None:
    id = sdk.responses.create(input=asked).id
    assert ended(sdk, id).status == "completed"
    for name, request in REQUESTS.items():
        before = _sent(stack)
        answer = request(http, id)
        assert answer.status_code in (200, 400), (name, answer.text)
        assert _sent(stack) - before < SIZE, name


def _sent(stack: Stack) -> int:
    """Return the bytes that the server has sent."""
    return int(stack.store.client.info("stats")["total_net_output_bytes"])
