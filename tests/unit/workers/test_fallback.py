"""The order in which models answer in each other's place, and what becomes of a call that none has answered."""

from collections.abc import Mapping
from typing import Any

import httpx2
import openai
import pytest

from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.turn import Claim
from turnstile.workers.budgets.gate import Gate, OverBudget
from turnstile.workers.budgets.shared import SharedBudgets
from turnstile.workers.chains.openai import fallback, outages
from turnstile.workers.chains.openai.fallback import Fallback
from turnstile.workers.chains.openai.outages import Call, Outages, asker_of

CLAIM = Claim("t", "s", "1:n", 1, 0, 0, 0, Options(), False, 0, 0, 0, ())  # type: ignore[arg-type]  # no question is read
REQUEST = httpx2.Request("POST", "http://model.test")


def refusal(status: int, code: str = "") -> openai.APIStatusError:
    response = httpx2.Response(status, request=REQUEST)
    return openai.APIStatusError("no", response=response, body={"code": code, "message": "no"})


AWAY = refusal(503)
LONG = refusal(400, "context_length_exceeded")
SPENT = refusal(429, "insufficient_quota")
INVALID = refusal(400, "invalid_value")
SILENT = openai.APITimeoutError(REQUEST)
SHORT_WAIT, LONG_WAIT, UNKNOWN_WAIT = (OverBudget("x", 1, wait) for wait in (2, 60, None))


class Models:
    """Models that answer with their names, or raise; `asked` are those that were asked."""

    def __init__(self, **errors: Exception) -> None:
        self.errors: Mapping[str, Exception] = errors
        self.asked = ""
        self.switches: list[tuple[str, str]] = []
        self.fallback = Fallback(Settings(model="a,b,c", fallback_seconds=10), lambda _: "server")
        self.gate = Gate(CLAIM, SharedBudgets(Store()), lambda *found: self.switches.append(found))  # type: ignore[arg-type]

    async def call(self, model: str = "a") -> str:
        async def ask(name: str) -> str:
            self.asked += name
            if name in self.errors:
                raise self.errors[name]
            return name

        return await self.fallback.answer(model, ask, self.gate)


class Store:
    """As much of a store as budgets look at."""

    settings = Settings()


@pytest.mark.parametrize(
    ("error", "reason"),
    [(AWAY, "unreachable"), (SILENT, "unreachable"), (LONG, "too_long"), (SPENT, "out_of_quota"), (LONG_WAIT, "over_budget")],
)
async def test_the_next_answers_and_that_is_told_once(error: Exception, reason: str) -> None:
    models = Models(a=error)
    assert [await models.call(), await models.call()] == ["b", "b"]
    assert models.switches == [("b", reason)]


async def test_any_other_error_is_the_turns() -> None:
    models = Models(a=INVALID)
    with pytest.raises(openai.APIStatusError) as caught:
        await models.call()
    assert (caught.value, models.asked) == (INVALID, "a")


@pytest.mark.parametrize("error", [SHORT_WAIT, UNKNOWN_WAIT])
async def test_a_wait_that_may_be_short_is_waited_for(error: Exception) -> None:
    models = Models(a=error)
    with pytest.raises(OverBudget):
        await models.call()
    assert models.asked == "a"


async def test_a_model_has_those_behind_it() -> None:
    models = Models(a=AWAY)
    assert [models.fallback.behind(name) for name in "abcd"] == [("b", "c"), ("c",), (), ()]
    assert await models.call("b") == "b"


@pytest.mark.parametrize(
    ("errors", "raised", "later"),
    [
        ({"a": AWAY, "b": SILENT, "c": AWAY}, AWAY, None),
        ({"a": LONG, "b": AWAY, "c": AWAY}, LONG, AWAY),
        ({"a": AWAY, "b": LONG_WAIT, "c": LONG}, LONG, LONG_WAIT),
        ({"a": AWAY, "b": LONG_WAIT, "c": SPENT}, LONG_WAIT, None),
        ({"a": LONG, "b": LONG, "c": SPENT}, LONG, None),
        ({"a": SPENT, "b": SPENT, "c": SPENT}, SPENT, None),
        ({"a": LONG, "b": SHORT_WAIT}, SHORT_WAIT, None),
    ],
)
async def test_the_error_that_something_helps_against_is_raised(
    errors: dict[str, Exception], raised: Exception, later: Exception | None
) -> None:
    models = Models(**errors)
    with pytest.raises(type(raised)) as caught:
        await models.call()
    assert (caught.value, models.gate.later) == (raised, later)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    for module in (fallback, outages):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


async def test_a_model_that_was_away_is_asked_last_for_a_while(clock: list[float]) -> None:
    models = Models(a=AWAY)
    for _ in range(3):
        assert await models.call() == "b"
    clock[0] = 1.5
    for _ in range(2):
        assert await models.call() == "b"
    assert models.asked == "ab" + "b" + "b" + "ab" + "b"
    models.errors = {"b": AWAY, "c": AWAY}
    assert await models.call() == "a"
    assert await models.call() == "a"
    assert models.asked.endswith("bca" + "a")


async def test_a_switch_tells_its_reason_though_the_outage_is_over_by_then(clock: list[float]) -> None:
    models, later = Models(a=AWAY), Models()
    await models.call()

    async def answer(name: str) -> str:
        models.fallback._outages.end("a", Call("s", clock[0]))
        return name

    assert await models.fallback.answer("a", answer, later.gate) == "b"
    assert later.switches == [("b", "unreachable")]


async def test_names_that_clients_choose_displace_no_outage(clock: list[float]) -> None:
    models = Models(a=AWAY)
    await models.call()
    names = [f"name-{number}" for number in range(1_100)]
    models.errors = dict.fromkeys(names, AWAY)
    for name in names:
        with pytest.raises(openai.APIStatusError):
            await models.call(name)
        assert await models.call(f"good-{name}") == f"good-{name}"
    assert await models.call() == "b"
    known = models.fallback._outages
    assert [len(noted) for noted in (known._own, known._found, known._failed, known._answered)] == [1, 0, 1, 1]


def fails(found: Outages, session: str, began: float, *, unconnected: bool = False) -> None:
    found.begin("a", "unreachable", Call(asker_of(session), began), unconnected=unconnected)


def answers(found: Outages, session: str, began: float) -> None:
    found.end("a", Call(asker_of(session), began))


def moved(found: Outages, *sessions: str) -> list[str]:
    """Those of the sessions whose next call would not ask model a first."""
    return [session for session in sessions if found.last(["a", "b"], asker_of(session)) == ["b", "a"]]


@pytest.mark.usefixtures("clock")
def test_one_tenants_failures_move_its_own_turns() -> None:
    found = Outages(1, 4)
    for n in range(10):
        fails(found, f"acme/{n}", n)
    assert moved(found, "acme/1", "acme/other", "victim/1", "acme", "") == ["acme/1", "acme/other"]
    assert (found.reason("a", "acme/"), found.reason("a", "victim/")) == ("unreachable", "")


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("sessions", [("acme/1", "other/1"), ("acme/1", "nobody"), ("1", "2", "3")])
def test_failures_of_several_move_everybody(sessions: tuple[str, ...]) -> None:
    found = Outages(1, 4)
    for session in sessions[:-1]:
        fails(found, session, 1)
    assert moved(found, "victim/1") == []
    fails(found, sessions[-1], 2)
    assert moved(found, "victim/1", "nobody") == ["victim/1", "nobody"]


@pytest.mark.usefixtures("clock")
def test_a_connection_that_cannot_be_made_moves_everybody() -> None:
    found = Outages(1, 4)
    fails(found, "acme/1", 1, unconnected=True)
    assert moved(found, "victim/1") == ["victim/1"]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("answered", "after"), [(1.5, []), (0.5, ["victim/1"])])
def test_an_answer_to_a_later_call_between_speaks_against_it(answered: float, after: list[str]) -> None:
    found = Outages(1, 4)
    fails(found, "acme/1", 1)
    answers(found, "victim/1", answered)
    fails(found, "other/1", 2)
    assert moved(found, "victim/1") == after


@pytest.mark.usefixtures("clock")
def test_a_slow_failure_is_its_questions_where_later_calls_were_answered() -> None:
    found = Outages(1, 4)
    answers(found, "victim/1", 5)
    for session in ("acme/1", "other/1", "third/1"):
        fails(found, session, 4)
    assert moved(found, "victim/1", "acme/1") == ["acme/1"]


@pytest.mark.usefixtures("clock")
def test_an_answer_to_an_older_call_ends_no_outage() -> None:
    found = Outages(1, 4)
    fails(found, "acme/1", 2, unconnected=True)
    answers(found, "victim/1", 1)
    assert moved(found, "victim/1") == ["victim/1"]
    answers(found, "victim/1", 3)
    assert moved(found, "victim/1", "acme/1") == []


@pytest.mark.usefixtures("clock")
def test_anothers_answer_leaves_a_tenants_own_outage() -> None:
    found = Outages(1, 4)
    fails(found, "acme/1", 1)
    answers(found, "victim/1", 2)
    assert moved(found, "acme/1") == ["acme/1"]
    answers(found, "acme/2", 2)
    assert moved(found, "acme/1") == []


@pytest.mark.usefixtures("clock")
def test_of_many_own_outages_the_oldest_are_forgotten() -> None:
    found = Outages(1, 4)
    for n in range(1_001):
        fails(found, f"t{n}/s", n)
        answers(found, "victim/1", n)
    assert moved(found, "t0/s", "t1/s", "t1000/s") == ["t1/s", "t1000/s"]


def test_pauses_double_up_to_the_longest(clock: list[float]) -> None:
    found = Outages(1, 4)
    pauses: list[float] = []
    for _ in range(5):
        for _ in range(3):
            fails(found, "s", clock[0])
        began = clock[0]
        while found.last(["a", "b"], "s") == ["b", "a"]:
            clock[0] += 0.5
        pauses.append(clock[0] - began)
    assert pauses == [1, 2, 4, 4, 4]


def test_one_call_looks_whether_a_model_is_back(clock: list[float]) -> None:
    found = Outages(1, 4)
    fails(found, "s", 0)
    clock[0] = 1
    orders: list[Any] = [found.last(["a", "b"], "s") for _ in range(3)]
    assert orders == [["a", "b"], ["b", "a"], ["b", "a"]]
    found.end("a", Call("s", 1))
    assert (found.last(["a", "b"], "s"), found.reason("a", "s")) == (["a", "b"], "")
