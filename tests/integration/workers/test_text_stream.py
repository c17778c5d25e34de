"""The text of an answer on a real server, with replies that get lost and turns that are taken away."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.support.wait import wait_until_async
from tests.support.worker_parts import Flaky, chain, claimed, says, started, taken_over, texts
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.report import LOST

HALVES = ("smile \ud83d", "\ude00, and half: \ud83d")


@pytest.mark.parametrize("stream", [True, False])
async def test_an_emoji_that_comes_in_halves_is_whole_everywhere(flaky: Flaky, stream: bool) -> None:
    async def speak() -> AsyncIterator[str]:
        for piece in HALVES:
            yield piece
            await asyncio.sleep(0.1)

    await flaky.submit("a", "foo", "hi", Options(stream=stream))
    assert (await Attempt(await claimed(flaky, "a"), chain(speak), flaky).run()).status == State.COMPLETED
    wanted = "smile \N{GRINNING FACE}, and half: \N{REPLACEMENT CHARACTER}"
    assert (await flaky.status("a")).answer == wanted
    assert json.loads((await flaky.history("foo"))[0])["data"]["content"] == wanted
    assert "".join(await texts(flaky, "a")) == (wanted if stream else "")


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_text_is_written_once_though_replies_are_lost(flaky: Flaky, fault: str) -> None:
    getattr(flaky, fault)["emit"] = 1

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(says(lambda: "emit" in flaky.calls), "the first piece was sent")
        yield "two "
        await wait_until_async(says(lambda: flaky.calls.count("emit") >= 3), "both pieces were sent")
        yield "three"

    await Attempt(await started(flaky, "a"), chain(speak), flaky).run()
    assert "".join(await texts(flaky, "a")) == "one two three"


@pytest.mark.parametrize("fault", ["refused", "unheard"])
async def test_text_whose_fate_is_unknown_at_the_end_is_not_lost(flaky: Flaky, fault: str) -> None:
    getattr(flaky, fault)["emit"] = 1

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(says(lambda: "emit" in flaky.calls), "the first piece was sent")
        yield "two"

    await Attempt(await started(flaky, "a"), chain(speak), flaky).run()
    assert "".join(await texts(flaky, "a")) == "one two"
    assert (await flaky.status("a")).answer == "one two"


async def test_a_stream_stops_when_its_turn_is_taken(flaky: Flaky) -> None:
    claim = await started(flaky, "a")
    await taken_over(flaky, claim)

    async def speak() -> AsyncIterator[str]:
        yield "one "
        await wait_until_async(says(lambda: "emit" in flaky.calls), "the first piece was sent")
        for word in ("two ", "three "):
            await asyncio.sleep(0.1)
            yield word

    assert (await Attempt(claim, chain(speak), flaky).run()).status == LOST
    assert flaky.calls.count("emit") == 1
    assert await texts(flaky, "a") == []
