"""Summaries of long histories, made in turns of their own while their sessions go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableLambda

from tests.chains.summing import chain as summing
from tests.support.processes import Worker
from tests.support.turns import ended
from tests.support.wait import wait_until
from tests.support.worker_parts import Flaky, claimed
from turnstile.turns.errors import SettingError, UnknownTurn
from turnstile.turns.model_failures import TOO_LONG
from turnstile.turns.question import Options
from turnstile.turns.redis.connection import close_async
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.summaries import ABOUT, MOST_SUMMARY_BYTES, TAKEN
from turnstile.turns.turn import Record
from turnstile.workers.attempt.attempt import Attempt
from turnstile.workers.attempt.prompt import Prompt
from turnstile.workers.attempt.summary import with_past
from turnstile.workers.chains.load import load_chains

SESSION = "acme/foo"


class Talk:
    """A session and those who work for it: turns are asked one by one, and summaries made when the test wants them."""

    def __init__(self, store: Flaky) -> None:
        self.store = store
        self.prompts: list[list[BaseMessage]] = []
        self.refused = 0
        """The requests for a summary that never reach the server, of each turn."""
        self._asked = 0

    async def ask(self, question: str = "", **options: Any) -> None:
        """Ask a question, and answer it."""
        self._asked += 1
        id = f"turn-{self._asked}"
        await self.store.submit(id, SESSION, question or f"question {self._asked}", Options(stream=False, **options))
        await self.answer(id)

    async def answer(self, id: str) -> None:
        """Answer a question."""

        def say(inputs: dict[str, Any]) -> str:
            self.prompts.append(inputs["history"])
            return "fine"

        claim = await claimed(self.store, id)
        self.store.refused["submit"] = self.refused
        assert (await Attempt(claim, RunnableLambda(say), self.store).run()).status == State.COMPLETED
        self.store.refused.clear()

    async def ask_until_summary(self) -> str:
        """Ask until a summary is asked for, and return the turn that is to make it."""
        while not (waits := await self.summaries()):
            await self.ask()
        return waits[0]

    async def summaries(self) -> list[str]:
        """Return the turns that are to make summaries, oldest first."""
        found: Any = await self.store.client.zrange(self.store.keys.open, 0, -1)
        return [id.decode() for id in found if id.startswith(b"summary-")]

    async def make(self, id: str, chain: Runnable[Any, Any] = summing) -> Record:
        """Make a summary."""
        await Attempt(await claimed(self.store, id), chain, self.store).run()
        return await self.store.status(id)


@pytest.fixture
async def talk(redis_url: str) -> AsyncIterator[Talk]:
    async with a_talk(Settings(redis_url=redis_url, summary="default", window_messages=10)) as talk:
        yield talk


@asynccontextmanager
async def a_talk(settings: Settings) -> AsyncIterator[Talk]:
    """Open a talk, in which any number of dispatches may stand on a queue."""
    store = Flaky(settings)
    await store.client.hset(store.keys.stats, "standing", "1000")
    yield Talk(store)
    await close_async(store.url)


def texts(messages: list[BaseMessage]) -> list[str]:
    return [str(message.content) for message in messages]


async def test_a_window_begins_with_the_summary_of_what_fell_out(talk: Talk) -> None:
    await talk.ask("I'm ann")
    id = await talk.ask_until_summary()
    record = await talk.make(id)
    assert record.state is State.COMPLETED
    summary = await talk.store.read_summary(SESSION)
    assert summary
    said = summary.text.splitlines()[1:]
    assert said == ["I'm ann", *(f"question {number}" for number in range(2, len(said) + 1))]
    assert summary.place == 2 * len(said)
    await talk.ask()
    about, taken, first, *_ = talk.prompts[-1]
    assert (about.content, taken.content) == (ABOUT + summary.text, TAKEN)
    assert first.content == f"question {len(said) + 1}"


async def test_prompts_begin_alike_from_one_summary_to_the_next(talk: Talk) -> None:
    starts: list[tuple[str, ...]] = []
    for _ in range(40):
        await talk.ask()
        for id in await talk.summaries():
            await talk.make(id)
        starts.append(tuple(texts(talk.prompts[-1])[:3]))
    assert len(set(starts[10:])) <= 18, "each beginning serves for some turns"
    summary = await talk.store.read_summary(SESSION)
    assert summary
    assert "question 1\n" in summary.text, "a summary tells of all that was before it"


async def test_a_turn_that_sums_up_is_its_sessions_tenants_and_tells_nothing(talk: Talk) -> None:
    await talk.ask("a-secret-word")
    id = await talk.ask_until_summary()
    record = await talk.make(id)
    assert record.session.startswith("acme/summary-")
    assert (record.queue, record.options.store, record.options.stream) == ("batch", False, False)
    assert (record.text, await talk.store.history(record.session)) == ("", [])
    stored = await talk.store.client.hgetall(talk.store.keys.turn(id))
    assert not any(b"a-secret-word" in value for value in stored.values())


async def test_what_was_asked_for_meanwhile_makes_no_other_summary(talk: Talk) -> None:
    await talk.ask_until_summary()
    for _ in range(4):
        await talk.ask()
    first, *others = await talk.summaries()
    assert others
    await talk.make(first)
    for id in others:
        assert (await talk.make(id, RunnableLambda(lambda _: pytest.fail("the chain was asked")))).state is State.COMPLETED


async def test_a_window_goes_on_without_a_summary_that_is_late(talk: Talk) -> None:
    late = await talk.ask_until_summary()
    for _ in range(20):
        await talk.ask()
    assert all(len(prompt) <= 10 and texts(prompt)[0].startswith("question") for prompt in talk.prompts[1:])
    await talk.make(late)
    await talk.ask()
    assert texts(talk.prompts[-1])[0].startswith(ABOUT)
    assert len(talk.prompts[-1]) <= 12
    assert len(await talk.summaries()) >= 1


async def left_of(talk: Talk) -> set[str]:
    """Return the keys that an erase of the session and sweeps leave, beside those of its tenant."""
    while await talk.store.sweep_erased():
        pass
    keys, lasting = talk.store.keys, {"chat", "batch"}
    lasting |= {keys.stats, keys.tenants, keys.tenant("acme")}
    found: Any = await talk.store.client.keys("*")
    return {key.decode() for key in found} - lasting


@pytest.mark.parametrize("at", ["waiting", "running", "failed", "made"])
async def test_an_erase_takes_along_who_sums_up(talk: Talk, at: str) -> None:
    id = await talk.ask_until_summary()

    async def say(inputs: dict[str, Any]) -> str:
        if at == "running":
            await talk.store.erase(SESSION)
        return "" if at == "failed" else "a summary"

    if at != "waiting":
        claim = await claimed(talk.store, id)
        await Attempt(claim, RunnableLambda(say), talk.store).run()
    if at != "running":
        await talk.store.erase(SESSION)
    with pytest.raises(UnknownTurn):
        await talk.store.status(id)
    assert await left_of(talk) == set()


async def test_a_summary_that_was_asked_for_too_late_finds_nothing(talk: Talk) -> None:
    id = await talk.ask_until_summary()
    asked = await talk.store.status(id)
    await talk.store.erase(SESSION)
    await talk.store.submit(id, asked.session, "sum up", asked.options)
    assert (await talk.make(id, RunnableLambda(lambda _: "a summary"))).state is State.COMPLETED
    assert not await talk.store.client.exists(talk.store.keys.conversation(SESSION))


async def test_an_edited_history_takes_no_summary_of_what_was_there(talk: Talk) -> None:
    id = await talk.ask_until_summary()

    async def edit(inputs: dict[str, Any]) -> str:
        [oldest] = (await talk.store.history(SESSION))[-1:]
        await talk.store.drop_message(SESSION, oldest)
        return "a summary"

    await talk.make(id, RunnableLambda(edit))
    assert await talk.store.read_summary(SESSION) is None
    await talk.ask()
    assert not texts(talk.prompts[-1])[0].startswith(ABOUT)


@pytest.mark.parametrize(
    "output",
    [
        "  ",
        "x" * (MOST_SUMMARY_BYTES + 1),
        AIMessage("half of it", response_metadata={"finish_reason": "length"}),
        AIMessage("I won't.", response_metadata={"finish_reason": "refusal"}),
    ],
    ids=["empty", "too long", "cut off", "refused"],
)
async def test_no_summary_is_kept_that_is_not_whole(talk: Talk, output: str | AIMessage) -> None:
    id = await talk.ask_until_summary()
    record = await talk.make(id, RunnableLambda(lambda _: output))
    assert (record.state, record.code, record.output) == (State.FAILED, "no_summary", ())
    assert await talk.store.read_summary(SESSION) is None


async def test_nobody_sums_up_another_tenants_session(talk: Talk) -> None:
    id = await talk.ask_until_summary()
    asked = (await talk.store.status(id)).options.summarises
    await talk.store.submit("forged", "evil/foo", "sum up", Options(stream=False, store=False, summarises=asked))
    assert (await talk.make("forged")).state is State.COMPLETED
    assert await talk.store.read_summary(SESSION) is None


async def test_a_summary_outlasts_an_outage(talk: Talk) -> None:
    id = await talk.ask_until_summary()
    talk.store.unheard["write_summary"] = talk.store.refused["read_summary"] = 1
    assert (await talk.make(id)).state is State.COMPLETED
    assert await talk.store.read_summary(SESSION)


async def test_a_summary_that_cannot_be_asked_for_is_asked_for_after_the_next_turn(talk: Talk) -> None:
    talk.refused = 1
    for _ in range(6):
        await talk.ask()
    assert await talk.summaries() == []
    talk.refused = 0
    await talk.ask()
    assert len(await talk.summaries()) == 1


async def test_no_graph_sums_up(talk: Talk) -> None:
    id = await talk.ask_until_summary()
    record = await talk.make(id, cast("Any", object()))
    assert (record.state, record.code) == (State.FAILED, "no_summary")


async def test_whoever_wants_all_of_a_history_gets_no_summary(talk: Talk) -> None:
    await talk.make(await talk.ask_until_summary())
    await talk.ask(truncation="disabled")
    assert texts(talk.prompts[-1])[0] == "question 1"


async def test_the_summary_is_the_last_to_go_when_the_model_has_no_room(talk: Talk) -> None:
    await talk.make(await talk.ask_until_summary())
    await talk.store.submit("long", SESSION, "hi", Options(stream=False))
    claim = await with_past(talk.store, await claimed(talk.store, "long"))
    assert claim
    prompt = Prompt(claim, talk.store.settings)
    prompt.read()
    lengths = []
    while prompt.shorten(TOO_LONG):
        lengths.append(len(prompt.messages))
        assert prompt.messages == [] or texts(prompt.messages)[0].startswith(ABOUT)
    assert lengths[-2:] == [2, 0]


async def test_system_messages_stay_before_the_summary(talk: Talk) -> None:
    await talk.ask(before=[{"role": "system", "content": "Be kind."}])
    await talk.make(await talk.ask_until_summary())
    await talk.ask()
    rule, about, *_ = talk.prompts[-1]
    assert isinstance(rule, SystemMessage)
    assert str(about.content).startswith(ABOUT)


async def test_nothing_is_read_or_asked_for_without_the_setting(redis_url: str) -> None:
    async with a_talk(Settings(redis_url=redis_url, window_messages=10)) as talk:
        for _ in range(10):
            await talk.ask()
        assert set(talk.store.calls) == {"submit", "claim", "finish"}


@pytest.mark.parametrize("changed", [{"summary": "brief"}, {"summary": "default", "chain": "tests.chains.agents:agent"}])
async def test_a_chain_that_cannot_sum_up_is_named_at_the_start(changed: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=r"^TURNSTILE_SUMMARY: \w+ is no plain chain"):
        await load_chains(Settings(**changed))


def test_a_worker_remembers_what_fell_out_of_the_window(tmp_path: Path, redis_url: str) -> None:
    turns = TurnStore(Settings(redis_url=redis_url))
    chains = '{"brief": "tests.chains.summing:chain"}'

    def ask(number: int, question: str) -> str | None:
        turns.submit(f"turn-{number}", SESSION, question)
        return ended(turns, f"turn-{number}").answer

    with Worker(
        redis_url, tmp_path, TURNSTILE_SUMMARY="brief", TURNSTILE_CHAINS=chains, TURNSTILE_WINDOW_MESSAGES="8"
    ) as worker:
        assert ask(1, "I'm ann") == "Hello Ann! How can I help you today?"
        for number in range(2, 9):
            ask(number, f"question {number}")
        wait_until(lambda: turns.read_summary(SESSION) is not None, "the summary is made")
        for number in range(9, 13):
            ask(number, f"question {number}")
        assert ask(13, "Whats my name") == "Your name is Ann."
        assert "I'm ann" not in worker.text()
