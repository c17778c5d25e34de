"""Requests about a large turn that need little of it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.integration.conftest import Stack
from tests.support.gateways import running
from tests.support.turns import ended
from turnstile.turns.states import State

SIZE = 3_000_000
PICTURE = {"type": "input_image", "image_url": f"data:image/png;base64,{'A' * SIZE}"}
BEFORE = [{"role": "user", "content": [PICTURE]}]
Request = Callable[[httpx.Client, str], httpx.Response]


def referred(http: httpx.Client, id: str) -> httpx.Response:
    answer = {"type": "item_reference", "id": id.replace("resp_", "msg_")}
    return http.post("/v1/responses/input_tokens", json={"input": [answer]})


def followed(http: httpx.Client, id: str) -> httpx.Response:
    """Ask a question that stays behind the turn, and cancel it."""
    queued = http.post("/v1/responses", json={"input": "hi", "previous_response_id": id, "background": True}).json()["id"]
    return http.post(f"/v1/responses/{queued}/cancel")


RUNNING: dict[str, Request] = {
    "retrieve": lambda http, id: http.get(f"/v1/responses/{id}"),
    "follow": followed,
    "cancel": lambda http, id: http.post(f"/v1/responses/{id}/cancel"),
}
ENDED: dict[str, Request] = {
    "retrieve": lambda http, id: http.get(f"/v1/responses/{id}"),
    "read the stream": lambda http, id: http.get(f"/v1/responses/{id}?stream=true"),
    "cancel": lambda http, id: http.post(f"/v1/responses/{id}/cancel"),
    "refer to the answer": referred,
    "delete": lambda http, id: http.delete(f"/v1/responses/{id}"),
}


@pytest.mark.parametrize("place", ["question", "before"])
@pytest.mark.parametrize(("words", "requests"), [("[[latency=600]] hi", RUNNING), ("hi", ENDED)], ids=["running", "ended"])
def test_what_was_asked_is_not_read_where_it_is_not_shown(
    http: httpx.Client, stack: Stack, place: str, words: str, requests: dict[str, Request]
) -> None:
    said: Any = {"type": "input_text", "text": words}
    asked = (
        [*BEFORE, {"role": "user", "content": words}] if place == "before" else [{"role": "user", "content": [PICTURE, said]}]
    )
    id = http.post("/v1/responses", json={"input": asked, "background": True}).json()["id"]
    if requests is RUNNING:
        running(stack.store, id)
    else:
        assert ended(stack.store, id).state is State.COMPLETED
    for name, request in requests.items():
        before = _sent(stack)
        answer = request(http, id)
        assert answer.status_code == 200, (name, answer.text)
        assert _sent(stack) - before < SIZE, name


def _sent(stack: Stack) -> int:
    """Return the bytes that the server has sent."""
    return int(stack.store.client.info("stats")["total_net_output_bytes"])
