"""The values in a body are counted before it is read as JSON."""

import asyncio
import json
import time
from itertools import count

import pytest

from turnstile.producers.gateway.asgi import build
from turnstile.producers.gateway.edge.api_errors import ApiError
from turnstile.producers.gateway.edge.body import MOST_NUMBERS, MOST_VALUES, BodyRoute, take_turn, values
from turnstile.turns.settings import Settings

LARGEST = 8_388_608

DENSE = {
    "lists": b"[" + b"[]," * (LARGEST // 3) + b"[]]",
    "numbers": b"[" + b"1," * (LARGEST // 2) + b"1]",
    "objects": b"[" + b"{}," * (LARGEST // 3) + b"{}]",
    "names": b"{" + b'"":1,' * (LARGEST // 5) + b'"":1}',
    "texts": b"[" + b'"",' * (LARGEST // 3) + b'""]',
    "nested": b"[" * LARGEST,
}


@pytest.mark.parametrize("kind", DENSE)
def test_a_body_of_millions_of_values_is_told_without_reading_it(kind: str) -> None:
    began = time.process_time()
    assert values(DENSE[kind]) > MOST_VALUES
    counted = time.process_time() - began
    began = time.process_time()
    try:
        json.loads(DENSE[kind])
    except RecursionError:
        return
    assert counted < time.process_time() - began


@pytest.mark.parametrize("text", ['[{",' * 500_000, "\\" * 2_000_000, '"' * 2_000_000, '\\"[' * 700_000])
def test_marks_within_a_text_are_no_values(text: str) -> None:
    assert values(json.dumps({"input": text}).encode()) < 10


@pytest.mark.parametrize("many", [9, 10, 11])
def test_values_are_counted_about_exactly(many: int) -> None:
    assert values(json.dumps(["a,b"] * many).encode()) == many


_keys = (f"key-{number}" for number in count())


async def test_one_keys_values_keep_no_other_key_waiting() -> None:
    read: list[str] = []

    async def read_one(key: str, name: str) -> None:
        await take_turn(key, 30_000)
        read.append(name)

    busy, other = next(_keys), next(_keys)
    await asyncio.gather(*(read_one(busy, "busy") for _ in range(4)), read_one(other, "other"))
    assert read == ["busy", "other", "busy", "busy", "busy"]


async def test_a_key_that_sends_values_without_end_is_refused() -> None:
    key = next(_keys)
    waiting = [asyncio.create_task(take_turn(key, MOST_NUMBERS, MOST_NUMBERS)) for _ in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as refused:
        await take_turn(key, MOST_VALUES)
    assert refused.value.status == 429
    for task in waiting:
        task.cancel()
    with pytest.raises(ApiError, match="more than"):
        await take_turn(next(_keys), MOST_VALUES + 1)


def test_only_lists_of_tokens_may_have_more_values_than_a_turn() -> None:
    included = [route.original_router for route in build(Settings()).routes if hasattr(route, "original_router")]
    routes = [route for router in included for route in router.routes if isinstance(route, BodyRoute)]
    assert {route.path for route in routes if route.most_values != MOST_VALUES} == {"/v1/embeddings", "/v1/moderations"}
