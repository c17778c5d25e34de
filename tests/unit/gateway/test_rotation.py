"""The rotation of API keys over the passes of the event loop."""

import asyncio

from turnstile.producers.gateway.edge.rotation import Rotation


async def _go(rotation: Rotation, key: str, served: list[str]) -> None:
    await rotation.wait(key)
    served.append(key)


async def test_a_key_with_many_requests_keeps_nobody_waiting() -> None:
    rotation, served = Rotation(), list[str]()
    greedy = [asyncio.create_task(_go(rotation, "greedy", served)) for _ in range(1_000)]
    await asyncio.sleep(0)
    await _go(rotation, "other", served)
    assert served.count("greedy") <= 3
    others = [asyncio.create_task(_go(rotation, "other", served)) for _ in range(10)]
    await asyncio.gather(*others)
    assert served.count("greedy") <= 25
    await asyncio.gather(*greedy)
    assert served.count("greedy") == 1_000


async def test_requests_of_a_key_go_in_the_order_in_which_they_came() -> None:
    rotation, served = Rotation(), list[int]()

    async def go(number: int) -> None:
        await rotation.wait("key")
        served.append(number)

    await asyncio.gather(*map(go, range(50)))
    assert served == list(range(50))


async def test_nobody_waits_behind_a_request_that_was_given_up() -> None:
    rotation, served = Rotation(), list[str]()
    tasks = [asyncio.create_task(_go(rotation, "key", served)) for _ in range(4)]
    await asyncio.sleep(0)
    for given_up in tasks[1:3]:
        given_up.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == ["key", "key"]
    await _go(rotation, "key", served)


async def test_one_pass_is_all_that_a_lone_request_costs() -> None:
    rotation = Rotation()
    await rotation.wait("key")
    await asyncio.sleep(0)
    assert not rotation._passing
