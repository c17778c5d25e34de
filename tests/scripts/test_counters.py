"""Counters with labels: each move of a turn is counted once, under bounded names."""

import math
from typing import Any

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene
from turnstile.producers.metrics.counted import COUNTED
from turnstile.turns.counters import split, totals
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.redis import scripts
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

_USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


def _counts(scene: Scene, family: str) -> dict[tuple[tuple[str, str], ...], int]:
    """Return the counters of a family by their labels; `le`, which depends on time, is left out."""
    found: dict[tuple[tuple[str, str], ...], int] = {}
    for name, count in scene.turns.measure().counters.items():
        of, labels = split(name)
        if of == family:
            key = tuple(sorted((label, value) for label, value in labels.items() if label != "le"))
            found[key] = found.get(key, 0) + count
    return found


def _finish(scene: Scene, claim: Claim, **more: Any) -> State | None:
    about: dict[str, Any] = {"usage": _USAGE, "model": "gpt-4o", "chain": "default", "model_calls": 1, **more}
    return scene.turns.finish(claim, Outcome(about.pop("state", State.COMPLETED), said("yes"), **about))


def test_a_turn_is_counted_by_queue_chain_and_code(scene: Scene) -> None:
    _finish(scene, scene.start("a"))
    _finish(scene, scene.start("b"), state=State.FAILED, code="rate_limited", chain="fancy")
    scene.turns.submit("c", "foo", "hi", Options(queue="batch"))
    scene.turns.cancel("c")
    assert _counts(scene, "accepted") == {(("queue", "chat"),): 2, (("queue", "batch"),): 1}
    assert _counts(scene, "completed") == {(("chain", "default"), ("queue", "chat")): 1}
    assert _counts(scene, "failed") == {(("chain", "fancy"), ("code", "rate_limited"), ("queue", "chat")): 1}
    assert _counts(scene, "cancelled") == {(("chain", ""), ("queue", "batch")): 1}
    assert _counts(scene, "tokens_in") == {(("model", "gpt-4o"),): 22}
    assert _counts(scene, "tokens_out") == {(("model", "gpt-4o"),): 14}


@pytest.fixture
def priced(stage: Stage) -> Scene:
    """A scene where a million tokens of input cost 1, and of output 2."""
    return stage.open(prices='{"*": [1, 2]}')


def test_what_tokens_cost_is_counted_by_model(priced: Scene) -> None:
    _finish(priced, priced.start("a"))
    late = priced.start("b", session="bar")
    priced.lose("bar")
    for _ in range(2):
        assert _finish(priced, late, model="other-model") is None
    assert _counts(priced, "cost") == {(("model", "gpt-4o"),): 25, (("model", "other-model"),): 25}


def test_without_prices_no_cost_is_counted(scene: Scene) -> None:
    _finish(scene, scene.start("a"))
    assert _counts(scene, "cost") == {}


def test_the_steps_of_graphs_are_counted_by_chain(scene: Scene) -> None:
    for number, steps in enumerate((1, 2, 3, 40, 0)):
        claim = scene.start(f"t{number}", session=f"s{number}")
        for _ in range(2):
            _finish(scene, claim, chain="agent", steps=steps)
    counters = scene.turns.measure().counters
    found = {split(name)[1]["le"]: count for name, count in counters.items() if split(name)[0] == "steps"}
    assert found == {"1": 1, "2": 1, "4": 1, "64": 1}
    assert _counts(scene, "steps_made") == {(("chain", "agent"),): 46}


def _all_moves(scene: Scene) -> None:
    """Make each move that is counted."""
    streamed = scene.start("a")
    after = scene.turns.emit(streamed, 1, ["x"], opens=True)
    outcome = Outcome(State.COMPLETED, said("xy"), chain="c", model_calls=2, steps=3, fallback="too_long")
    scene.turns.finish(streamed, outcome, after=after or 0)
    for number, state in enumerate((State.FAILED, State.INCOMPLETE)):
        code = "internal" if state is State.FAILED else ""
        _finish(scene, scene.start(f"e{number}", session=f"e{number}"), state=state, code=code)
    scene.turns.requeue(scene.start("r", session="r"), code="shutdown")
    scene.claim(str(scene.pop()))
    for reaped in (False, True):
        scene.start(f"l{reaped}", session="l", worker="w9")
        if reaped:
            scene.client.hset(scene.keys.session("l"), "reaped", 1)
        scene.lose("l")
        scene.turns.cancel(f"l{reaped}")
        scene.pop()
    scene.turns.retry("e0")
    scene.pop()
    late = scene.start("late", session="late")
    scene.lose("late")
    _finish(scene, late)
    scene.pop()
    scene.make_due("late")
    scene.turns.sweep()


def test_every_metric_is_counted_by_a_script(priced: Scene) -> None:
    _all_moves(priced)
    elsewhere = {"refused", "broken", "holds_expired", "ticks", "webhooks_delivered", "webhooks_given_up", "webhooks_too_many"}
    told = {family for metric in COUNTED for family in metric.all_families}
    assert {split(name)[0] for name in priced.turns.measure().counters} & told == told - elsewhere


def test_repeats_count_nothing_twice(scene: Scene) -> None:
    scene.submit("a")
    scene.submit("a")
    claim = scene.turns.claim("a", "w1", "n")
    again = scene.turns.claim("a", "w1", "n")
    assert isinstance(claim, Claim)
    assert isinstance(again, Claim)
    for _ in range(2):
        scene.turns.emit(claim, claim.sequence, ["x"], opens=True)
    for _ in range(2):
        _finish(scene, claim)
    counts = totals(scene.turns.measure().counters)
    assert [counts[name] for name in ("accepted", "claimed", "streamed", "completed", "tokens_in")] == [1, 1, 1, 1, 11]


def test_another_model_is_counted_once_by_why_and_recorded(scene: Scene) -> None:
    claim = scene.start("a")
    for _ in range(2):
        _finish(scene, claim, fallback="too_long")
    assert _counts(scene, "fallbacks") == {(("reason", "too_long"),): 1}
    assert scene.turns.status("a").fallback == "too_long"


def test_a_late_commit_is_counted_once_with_its_tokens(scene: Scene) -> None:
    claim = scene.start("a")
    scene.lose()
    for _ in range(2):
        assert _finish(scene, claim, model_calls=3) is None
    counts = totals(scene.turns.measure().counters)
    assert [counts[name] for name in ("fenced", "tokens_out", "claimed", "more_calls")] == [1, 7, 1, 2]


def test_recoveries_have_a_cause(scene: Scene) -> None:
    scene.start("a")
    scene.lose()
    assert _counts(scene, "recovered") == {(("cause", "lease_expired"),): 1}
    scene.claim(str(scene.pop()))
    scene.client.hset(scene.keys.session("foo"), "reaped", 1)
    scene.lose()
    assert _counts(scene, "recovered")[(("cause", "worker_died"),)] == 1
    assert scene.turns.stats()["recovered"] == 2
    assert "reaped" not in scene.seat()


def test_a_returned_attempt_is_counted_by_its_reason(scene: Scene) -> None:
    for code in ("rate_limited", "shutdown", "rate_limited"):
        claim = scene.start("a") if code == "rate_limited" and not scene.stat("claimed") else scene.claim(str(scene.pop()))
        scene.turns.requeue(claim, code=code, model_calls=1)
    assert _counts(scene, "requeued") == {(("code", "rate_limited"),): 2, (("code", "shutdown"),): 1}


def test_failed_turns_that_are_retried_no_longer_count_as_failed(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    assert scene.stat("failed") == 1
    scene.turns.retry("a")
    assert scene.stat("failed") == 0
    assert sum(_counts(scene, "failed").values()) == 1


def test_a_retried_turn_tells_nothing_of_the_first_text(scene: Scene) -> None:
    scene.fail(scene.start("a"))
    scene.turns.retry("a")
    claim = scene.claim(str(scene.pop()))
    scene.turns.emit(claim, claim.sequence, ["x"], opens=True)
    _finish(scene, claim)
    assert _counts(scene, "streamed") == {}


@pytest.mark.parametrize("opens", [True, False], ids=["streamed", "in one piece"])
def test_the_first_text_counts_once(scene: Scene, opens: bool) -> None:
    claim = scene.start("a")
    after = scene.turns.emit(claim, 1, ["x"], opens=True) if opens else 1
    outcome = Outcome(State.COMPLETED, said("xy"), chain="default", model_calls=1)
    scene.turns.finish(claim, outcome, after=after or 0, text="y")
    assert _counts(scene, "streamed") == {(("queue", "chat"),): 1}


@pytest.mark.parametrize("model", ['a"b', "x" * 101, "line\nbreak", "a model"])
def test_a_model_s_name_of_another_form_counts_as_other(scene: Scene, model: str) -> None:
    _finish(scene, scene.start("a"), model=model)
    assert _counts(scene, "tokens_in") == {(("model", "other"),): 11}


def test_models_beyond_the_bound_count_as_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "MOST_COUNTERS", 20)
    scene = stage.open()
    for number in range(30):
        _finish(scene, scene.start(f"t{number}", session=f"s{number}"), model=f"m{number}")
    counters = scene.turns.measure().counters
    assert len(counters) < 30
    assert sum(_counts(scene, "tokens_in").values()) == 30 * 11
    assert _counts(scene, "tokens_out")[(("model", "other"),)] > 7
    _finish(scene, scene.start("known", session="known"), model="m0")
    assert _counts(scene, "tokens_in")[(("model", "m0"),)] == 22


@pytest.mark.parametrize("ms", [0, 1, 16, 17, 32, 33, 1_048_576, 1_048_577, 10**12])
def test_a_duration_falls_into_the_smallest_bucket_that_holds_it(scene: Scene, ms: int) -> None:
    scene.submit("a")
    scene.client.hincrby(scene.keys.session("foo"), "since", -ms)
    scene.claim("a")
    (le,) = {split(name)[1]["le"] for name in scene.turns.measure().counters if name.startswith("claimed")}
    bounds = [2**n for n in range(4, 21)]
    least = next((bound for bound in bounds if ms <= bound), math.inf)
    later = next((bound for bound in bounds if ms + 2_000 <= bound), math.inf)
    assert least <= float(le) <= later


def test_phases_are_told_apart(scene: Scene) -> None:
    scene.client.hset(scene.keys.workers, "w1", "{}")
    scene.hold(scene.start("a", session="held"))
    scene.start("b")
    scene.submit("c", "d")
    scene.submit("e", session="bar")
    found = scene.turns.measure()
    assert (found.open, found.running, found.ready, found.blocked, found.held) == (4, 1, 1, 2, 1)
    assert found.queues == {"chat": 1, "batch": 0}


def test_the_oldest_wait_is_that_of_a_turn_that_could_run(scene: Scene) -> None:
    scene.submit("a", "b")
    scene.client.hincrby(scene.keys.session("foo"), "since", -5_000)
    assert 5 <= scene.turns.measure().oldest < 60
    scene.pop()
    scene.claim("a")
    assert scene.turns.measure().oldest == 0


def test_counters_of_an_earlier_version_count(scene: Scene) -> None:
    scene.client.hset(scene.keys.stats, mapping={"completed": 5, "failed": 2})
    _finish(scene, scene.start("a"))
    assert (scene.stat("completed"), scene.stat("failed")) == (6, 2)


def test_totals_leave_durations_out() -> None:
    assert totals({'run_ms{queue="chat"}': 4, 'completed{queue="chat",le="16"}': 2, "open": 1}) == {"completed": 2, "open": 1}
