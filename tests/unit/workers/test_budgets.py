"""Budgets of models in a worker: what the server tells, and the gate before each call."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest

from turnstile.turns.model_limits import answered, failed
from turnstile.turns.model_names import budget_name
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.budgets import CallEnd, CallLimits, ModelCall, Slot
from turnstile.turns.store.working import Spending
from turnstile.turns.turn import Claim
from turnstile.workers.budgets.answer_sizes import AnswerSizes
from turnstile.workers.budgets.gate import Gate, OverBudget
from turnstile.workers.budgets.shared import SharedBudgets
from turnstile.workers.offline.rate_limits import RateLimits

CLAIM = Claim("t", "s", "1:n", 1, 0, 0, "", Options(), False, 0, 0, 0, ())


class Noted:
    """A store that answers with one slot, and notes what it is asked."""

    def __init__(self, slot: Slot, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.slot = slot
        self.asked: list[object] = []
        self._another = asyncio.Condition()

    async def until(self, count: int) -> None:
        """Wait until it was asked so often."""
        async with self._another:
            await self._another.wait_for(lambda: len(self.asked) >= count)

    async def reserve_call(self, call: ModelCall, limits: CallLimits, *, falls_back: bool) -> Slot:
        await self._note(limits)
        return self.slot

    async def settle_call(self, call: ModelCall, end: CallEnd) -> float:
        await self._note(end)
        return 0.0

    async def _note(self, given: object) -> None:
        async with self._another:
            self.asked.append(given)
            self._another.notify_all()


def gate(store: Noted) -> tuple[Gate, SharedBudgets]:
    budgets = SharedBudgets(store)  # type: ignore[arg-type]  # as much of one as is used
    return Gate(CLAIM, budgets), budgets


def refusal(status: int, headers: Mapping[str, str] | None = None, code: str | None = None) -> openai.APIStatusError:
    response = httpx2.Response(status, headers=headers or {}, request=httpx2.Request("POST", "http://model.test"))
    return openai.APIStatusError("no", response=response, body={"code": code, "message": "no"})


@pytest.mark.parametrize(
    ("error", "how", "pause"),
    [
        (refusal(429), "limited", 0),
        (refusal(429, {"retry-after": "7"}), "limited", 7),
        (refusal(429, {"retry-after-ms": "1500", "retry-after": "9"}), "limited", 1.5),
        (refusal(503, {"retry-after": "7"}), "limited", 7),
        (refusal(503), "failed", 0),
        (refusal(400, {"retry-after": "7"}), "failed", 0),
        (refusal(429, {"x-should-retry": "false"}), "failed", 0),
        (refusal(429, code="insufficient_quota"), "failed", 0),
        (ConnectionError(), "failed", 0),
        (asyncio.CancelledError(), "failed", 0),
    ],
)
def test_a_failure_pauses_the_model_where_the_server_asks_for_patience(error: BaseException, how: str, pause: float) -> None:
    end = failed(error)
    assert (end.how, end.pause) == (how, pause)


@pytest.mark.parametrize(("text", "number"), [("60", 60), ("-1", None), ("1e3", None), ("", None), ("9" * 30, 10**9)])
def test_limits_are_read_from_the_headers(text: str, number: int | None) -> None:
    end = answered({"x-ratelimit-limit-requests": text, "x-ratelimit-remaining-tokens": text}, 3)
    assert (end.limit_requests, end.left_tokens, end.limit_tokens, end.tokens) == (number, number, None, 3)


def test_a_budget_is_that_of_a_model_an_address_and_a_key() -> None:
    names = {budget_name(f"{url} {key}", model) for url in ("http://a", "http://b") for key in "xy" for model in ("m", "n")}
    assert len(names) == 8
    assert budget_name("http://a secret", "gpt-4o mini/ü").startswith("gpt-4o_mini/_@")
    assert "secret" not in budget_name("http://a secret", "m")
    assert len(budget_name("http://a x", "m" * 200)) < 80


async def test_a_call_without_a_budget_asks_nobody() -> None:
    store = Noted(Slot(False, 5))
    begun = await gate(store)[0].enter("server", "gpt", 250, None)
    begun.heard({"x-ratelimit-limit-requests": "60"})
    begun.used({"total_tokens": 5})
    begun.ended()
    await begun.failed(ConnectionError())
    assert store.asked == []


async def test_a_model_that_others_found_limited_is_asked_for() -> None:
    store = Noted(Slot(True))
    mine, budgets = gate(store)
    budgets.hear([budget_name("server", "gpt")])
    await mine.enter("server", "gpt", 250, None)
    await mine.enter("server", "another", 250, None)
    assert store.asked == [CallLimits()]


@pytest.mark.parametrize(("model", "requests"), [("gpt", 60), ("other", 5)])
async def test_the_settings_name_a_budget(model: str, requests: int) -> None:
    store = Noted(Slot(True), model_budgets='{"gpt": {"requests": 60}, "*": {"requests": 5, "concurrent": 2}}')
    begun = await gate(store)[0].enter("server", model, 250, None)
    begun.used({"total_tokens": 33, "completion_tokens": 3})
    begun.ended()
    begun.ended()
    await store.until(2)
    limits, end = store.asked
    assert isinstance(limits, CallLimits)
    assert limits.requests == requests
    assert end == CallEnd("answered", 33)


async def test_who_is_over_the_budget_waits_elsewhere() -> None:
    store = Noted(Slot(False, 30), model_budgets='{"*": {"requests": 5}}')
    with pytest.raises(OverBudget) as caught:
        await gate(store)[0].enter("server", "gpt", 1_000, 100)
    assert (caught.value.tokens, caught.value.wait) == (1_100, 30)


async def test_a_graph_is_stopped_and_hears_of_no_error() -> None:
    mine, _ = gate(Noted(Slot(False, 30), model_budgets='{"*": {"requests": 5}}'))
    stopped: list[OverBudget] = []
    mine.halt = stopped.append
    with pytest.raises(OverBudget) as caught:
        await mine.enter("server", "gpt", 1_000, 100)
    with pytest.raises(asyncio.CancelledError):
        mine.refuse(caught.value)
    assert stopped == [caught.value]


async def test_a_call_that_is_dropped_while_it_waits_for_its_moment_is_settled() -> None:
    store = Noted(Slot(True, 30), model_budgets='{"*": {"requests": 5}}')
    entering = asyncio.create_task(gate(store)[0].enter("server", "gpt", 1_000, 100))
    await store.until(1)
    entering.cancel()
    await store.until(2)
    assert store.asked[1] == CallEnd("failed")


async def test_a_429_is_told_before_the_attempt_goes_on() -> None:
    store = Noted(Slot(True))
    mine, budgets = gate(store)
    begun = await mine.enter("server", "gpt", 250, None)
    await begun.failed(refusal(429, {"retry-after": "7"}))
    assert store.asked == [CallEnd("limited", pause=7)]
    assert mine.limited == (budget_name("server", "gpt"), 0)
    assert budgets.counts(budget_name("server", "gpt"), CallLimits())


async def test_what_the_server_tells_is_spent() -> None:
    mine, _ = gate(Noted(Slot(True)))
    begun = await mine.enter("server", "gpt", 1_000, None)
    begun.said([{"role": "assistant", "content": "Hello"}])
    begun.used({"total_tokens": 33, "completion_tokens": 3})
    begun.ended()
    begun.ended()
    assert mine.spent == Spending("gpt", 30, 3)


async def test_what_is_left_in_the_middle_is_estimated() -> None:
    mine, _ = gate(Noted(Slot(True)))
    for text in ("Hello", "ü" * 100):
        begun = await mine.enter("server", "gpt", 100, None)
        begun.said([{"role": "assistant", "content": text}])
        begun.ended()
    assert mine.spent == Spending("gpt", 200, 2 + 50)


@pytest.mark.parametrize(("error", "tokens"), [(asyncio.CancelledError(), 100), (ConnectionError(), 0), (refusal(500), 0)])
async def test_a_call_without_an_answer_is_spent_where_nobody_waits_for_it(error: BaseException, tokens: int) -> None:
    mine, _ = gate(Noted(Slot(True)))
    begun = await mine.enter("server", "gpt", 100, None)
    await begun.failed(error)
    assert mine.spent.tokens_in == tokens


def _answer(budgets: SharedBudgets, model: str, session: str, output: int) -> None:
    call = ModelCall(replace(CLAIM, session=session), 1, model, 0)
    budgets.settle(call, CallEnd("answered", output), output)


async def test_answers_teach_how_long_the_next_are_to_their_model_and_tenant_alone() -> None:
    _, budgets = gate(Noted(Slot(True)))
    assert budgets.guess("gpt", "acme/1", 100, None) == 356
    for _ in range(50):
        _answer(budgets, "gpt", "acme/1", 40_000)
    assert budgets.guess("gpt", "acme/2", 100, None) > 39_000
    assert budgets.guess("gpt", "acme/2", 100, 16) == 116
    assert budgets.guess("gpt", "umbrella/1", 100, None) == 356
    assert budgets.guess("gpt", "1", 100, None) == 356
    assert budgets.guess("another", "acme/1", 100, None) == 356


def test_of_many_estimates_those_that_were_not_needed_for_longest_are_forgotten() -> None:
    sizes = AnswerSizes()
    sizes.learn("gpt", "acme/1", 1256)
    for number in range(6000):
        if not number % 1000:
            sizes.learn("gpt", "umbrella/1", 1256)
        sizes.learn(f"model {number}", "other/1", 1256)
    assert sizes.guess("gpt", "acme/1") == 256
    assert sizes.guess("gpt", "umbrella/1") > 600
    assert sizes.guess("model 5999", "other/1") == 356
    assert len(sizes._known) <= 4096


@pytest.mark.parametrize(("requests", "tokens", "granted"), [(3, 0, 3), (0, 25, 2), (3, 25, 2), (0, 0, 9)])
def test_the_stand_in_limits_any_minute(requests: int, tokens: int, granted: int) -> None:
    limits = RateLimits()
    found = [limits.take("m", 10, requests, tokens) for _ in range(9)]
    assert [wait == 0 for wait, _ in found] == [n < granted for n in range(9)]
    assert all(59 < wait <= 60 for wait, _ in found[granted:])
    told = dict(found[0][1])
    assert told.get(b"x-ratelimit-remaining-requests") == (str(requests - 1).encode() if requests else None)
    assert limits.take("another", 10, requests, tokens)[0] == 0
