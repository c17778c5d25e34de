"""One budget for a model, whichever worker calls it."""

import json
import urllib.request
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import redis

from tests.support.processes import Worker, offline_model
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

MODEL = "gpt-4o-mini"


def stats(base_url: str) -> dict[str, int]:
    """The stand-in's counts."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/_stats") as answer:
        found: dict[str, int] = json.load(answer)
    return found


def workers(url: str, folder: Path, model: str, **settings: Any) -> list[Worker]:
    """Two workers of one model's server."""
    made = []
    for name in ("one", "two"):
        folder.joinpath(name).mkdir()
        made.append(Worker(url, folder / name, OPENAI_BASE_URL=model, **settings))
    return made


def all_answered(store: TurnStore, ids: list[str]) -> bool:
    return all(store.status(id).state is State.COMPLETED for id in ids)


@pytest.mark.timeout(240)
def test_the_budget_is_kept_and_used_up(tmp_path: Path, redis_url: str, client: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    budget = json.dumps({MODEL: {"requests": 600}})
    with offline_model("--requests-per-minute", "600", "--latency", "0.5") as model:
        one, two = workers(redis_url, tmp_path, model, TURNSTILE_MODEL_BUDGETS=budget, TURNSTILE_MAX_ATTEMPTS="1")
        with one, two:
            store.submit("first", "first", "hello")
            wait_until(lambda: all_answered(store, ["first"]), "it is known that turns call the model")
            ids = [f"t{n}" for n in range(120)]
            began = monotonic()
            for n, id in enumerate(ids):
                store.submit(id, f"s{n % 60}", "hello", Options(stream=n % 2 == 0))
            wait_until(lambda: any(store.status(id).waits_for == MODEL for id in ids), "some wait for the model")
            wait_until(lambda: client.zcard(store.keys.budgets) == 1, "the budget is shared")
            wait_until(lambda: all_answered(store, ids), "all are answered")
            passed = monotonic() - began
        found = stats(model)
    assert (found["requests"], found["limited"], found["completed"]) == (121, 0, 121)
    assert passed > 0.8 * 120 / 600 * 60
    assert sum(store.status(id).dispatches for id in ids) <= 1.05 * len(ids)
    assert [event.type for event in store.events("t118")].count("waiting") <= 1


@pytest.mark.timeout(240)
def test_a_429_pauses_all_workers_and_costs_no_attempt(tmp_path: Path, redis_url: str) -> None:
    store = TurnStore(Settings(redis_url=redis_url))
    with offline_model("--requests-per-minute", "20") as model:
        one, two = workers(redis_url, tmp_path, model, TURNSTILE_MAX_ATTEMPTS="1", TURNSTILE_RETRY_MAX_SECONDS="5")
        with one, two:
            for n in range(20):
                store.submit(f"first{n}", f"s{n}", "hello")
            wait_until(lambda: all_answered(store, [f"first{n}" for n in range(20)]), "the first are answered")
            refused = stats(model)["limited"]
            assert refused == 0
            ids = [f"t{n}" for n in range(10)]
            for id in ids:
                store.submit(id, id, "hello")
            wait_until(lambda: all(store.status(id).waits_for for id in ids), "all wait")
            seen = stats(model)["limited"]
            assert 0 < seen <= len(ids)
            wait_until(lambda: stats(model)["limited"] > seen, "the model is tried when the pause is over")
            assert stats(model)["limited"] <= seen + 2
            assert not any(store.status(id).state.ended for id in ids)


@pytest.mark.timeout(240)
def test_an_agent_waits_between_two_steps_without_a_slot(tmp_path: Path, redis_url: str, client: redis.Redis) -> None:
    store, ledger = TurnStore(Settings(redis_url=redis_url)), tmp_path / "ledger"
    chains = {"agent": {"chain": "tests.chains.agents:of_models", "model": MODEL}, "other": {"model": "other"}}
    settings = {
        "TURNSTILE_MODEL_BUDGETS": json.dumps({MODEL: {"concurrent": 1}}),
        "TURNSTILE_CHAINS": json.dumps(chains),
        "TURNSTILE_MAX_ATTEMPTS": "1",
        "LEDGER": str(ledger),
    }
    agent, session = Options(chain="agent", stream=True), store.keys.session("agent")
    with offline_model() as model, Worker(redis_url, tmp_path, 2, OPENAI_BASE_URL=model, **settings):
        store.submit("agent", "agent", 'call pay {"what": "rent"}\ncall slowly {"what": "rent"}', agent)
        wait_until(lambda: "begun rent" in ledger.read_text() if ledger.exists() else False, "its tools are at work")
        store.submit("holds", "holds", "hello [[latency=600]]")
        wait_until(lambda: stats(model)["open"] == 1, "another turn has the model's one place")
        store.submit("behind", "agent", "hello")
        store.submit("later", "later", "hello")
        wait_until(lambda: store.status("later").waits_for == MODEL, "a turn waits for the model")
        ledger.with_name("go").touch()
        wait_until(lambda: store.status("agent").waits_for == MODEL, "the agent waits for its second call")
        assert store.status("agent").state is State.QUEUED
        assert client.hget(session, "phase") == "ready"
        assert not client.hexists(session, "lease")
        [line] = client.keys(store.keys.ready("chat@*"))
        assert client.zrange(line, 0, -1) == ["agent", "later"]
        store.submit("other", "other", "hello", Options(chain="other"))
        wait_until(lambda: store.status("other").ended, "its slot serves another turn")
        store.cancel("holds")
        wait_until(lambda: all_answered(store, ["agent", "behind", "later", "other"]), "all are answered")
        found = stats(model)
    assert [line.rpartition(" ")[0] or line for line in sorted(ledger.read_text().splitlines())] == [
        "begun rent",
        "ended",
        "paid rent",
    ]
    assert found["limited"] == 0
    assert "waiting" in [event.type for event in store.events("agent")]
