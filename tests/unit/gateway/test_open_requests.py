"""Requests that are open at once."""

from contextlib import ExitStack

import pytest

from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.open_requests import OpenRequests


def _opened(requests: OpenRequests, stack: ExitStack, key: str) -> int:
    """Return how many requests a key can open."""
    opened: list[object] = []

    def open_for_ever() -> None:
        while True:
            opened.append(stack.enter_context(requests.of(key)))

    with pytest.raises(ApiError, match="too many requests open") as refused:
        open_for_ever()
    assert refused.value.status == 429
    return len(opened)


async def test_a_key_that_opens_all_it_can_leaves_room_for_others() -> None:
    requests = OpenRequests(100)
    with ExitStack() as stack:
        assert _opened(requests, stack, "one") == 50
        assert _opened(requests, stack, "two") == 25
        assert _opened(requests, stack, "three") == 13
        assert _opened(requests, stack, "one") == 0
    with ExitStack() as stack:
        assert _opened(requests, stack, "one") == 50


@pytest.mark.parametrize("most", [1, 2])
async def test_the_first_request_is_always_taken(most: int) -> None:
    with ExitStack() as stack:
        assert _opened(OpenRequests(most), stack, "one") == 1
