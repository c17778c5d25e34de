"""count_request: a key's requests, counted."""

from typing import Any

from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import AsyncTurnStore


async def test_a_minutes_worth_may_come_at_once(redis_url: str, client: Any) -> None:
    rates = AsyncTurnStore(Settings(redis_url=redis_url))
    answers = [await rates.count_request("k", 5) for _ in range(6)]
    assert [answer.admitted for answer in answers] == [True] * 5 + [False]
    assert [answer.left for answer in answers] == [4, 3, 2, 1, 0, 0]
    assert 0 < answers[-1].wait <= 12
    assert (await rates.count_request("other", 5)).admitted
    assert 0 < client.pttl("turnstile:rate:k") <= 60_000


async def test_what_was_spent_comes_back_evenly(redis_url: str, client: Any) -> None:
    rates = AsyncTurnStore(Settings(redis_url=redis_url))
    for _ in range(5):
        await rates.count_request("k", 5)
    client.set("turnstile:rate:k", float(client.get("turnstile:rate:k")) - 12_000)  # twelve seconds pass
    assert [(await rates.count_request("k", 5)).admitted for _ in range(2)] == [True, False]
    client.delete("turnstile:rate:k")
    assert (await rates.count_request("k", 5)).left == 4


async def test_a_refusal_costs_nothing(redis_url: str, client: Any) -> None:
    rates = AsyncTurnStore(Settings(redis_url=redis_url))
    await rates.count_request("k", 1)
    before = client.get("turnstile:rate:k")
    assert not (await rates.count_request("k", 1)).admitted
    assert client.get("turnstile:rate:k") == before
