"""Quotas of tenants: turns that are not finished, tokens, money, conversations, files and streams."""

import json
from collections.abc import Callable

import pytest

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene, pair
from tests.scripts.tenants import ask, claim_all
from turnstile.turns.api_keys import Limits
from turnstile.turns.errors import FileRefused, QuotaExceeded, SessionSpent, TooManyWaiting
from turnstile.turns.output import said
from turnstile.turns.question import Options
from turnstile.turns.states import State
from turnstile.turns.store.working import Outcome, Spending
from turnstile.turns.turn import Claim


def _refused(scene: Scene, tenant: str, number: int, quotas: str = "") -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as caught:
        ask(scene, tenant, 1, first=number, quotas=quotas)
    return caught.value


def test_a_tenant_has_no_more_unfinished_turns_than_its_quota(scene: Scene) -> None:
    quotas = Limits(unfinished_turns=3).quotas
    ask(scene, "a", 3, quotas=quotas)
    before = scene.picture()
    error = _refused(scene, "a", 4, quotas)
    assert (error.quota, error.limit, error.wait) == ("unfinished_turns", 3, 5)
    assert "unfinished turns" in str(error)
    assert scene.picture() == before
    ask(scene, "b", 4)
    scene.complete(claim_all(scene)[0])
    ask(scene, "a", 1, first=4, quotas=quotas)


def test_all_that_accept_turns_ask_for_the_quota(scene: Scene) -> None:
    quotas = Limits(unfinished_turns=1).quotas
    scene.hold(scene.start("a", session="a/1"))
    scene.submit("b", session="a/2")
    with pytest.raises(QuotaExceeded):
        scene.turns.submit("c", "a/1", "hi", Options(answers={"call_1": "sunny"}), quotas=quotas)
    with pytest.raises(QuotaExceeded):
        scene.turns.follow("d", "a", "a/branch", "hi", quotas=quotas)


@pytest.mark.parametrize("tenant", ["a", ""])
def test_one_tenant_does_not_shut_out_others(stage: Stage, tenant: str) -> None:
    scene = stage.open(max_waiting=8)
    other = "b"
    ask(scene, other, 1)
    ask(scene, tenant, 4)
    assert _refused(scene, tenant, 5).limit == 4
    ask(scene, other, 2, first=2)
    ask(scene, "c", 1)
    with pytest.raises(TooManyWaiting, match="TURNSTILE_MAX_WAITING"):
        ask(scene, "d", 1)


def test_without_tenants_the_queue_is_filled_by_all(stage: Stage) -> None:
    scene = stage.open(max_waiting=8)
    ask(scene, "", 8)
    with pytest.raises(TooManyWaiting, match="TURNSTILE_MAX_WAITING"):
        ask(scene, "", 1, first=9)


def test_what_has_ended_is_not_counted(stage: Stage) -> None:
    scene = stage.open(max_waiting_per_tenant=2)
    ends: tuple[Callable[[Claim], object], ...] = (scene.complete, scene.fail, lambda claim: scene.turns.cancel(claim.id))
    for number, end in enumerate(ends):
        end(scene.start(f"t{number}", session=f"a/{number}"))
    scene.start("erased", session="a/erased")
    scene.turns.erase("a/erased")
    assert not scene.client.exists(scene.keys.open_turns("a"))
    assert scene.turns.retry("t1") is State.QUEUED
    assert scene.client.zrange(scene.keys.open_turns("a"), 0, -1) == ["t1"]


def _spend(scene: Scene, tenant: str, number: int, quotas: str, tokens: int, model: str = "gpt") -> None:
    """Ask a question, and let its answer cost so many tokens."""
    ask(scene, tenant, 1, first=number, quotas=quotas)
    claim = scene.claim(f"{tenant}{number}")
    usage = {"input_tokens": tokens // 2, "output_tokens": tokens - tokens // 2}
    outcome = Outcome(State.COMPLETED, said("yes"), usage, model)
    assert scene.turns.finish(claim, outcome, pair(claim.id)) is State.COMPLETED


def _pass(scene: Scene, tenant: str, ms: int) -> None:
    """Let so much time pass for what a tenant owes of its minute."""
    scene.client.hincrbyfloat(scene.keys.tenant(tenant), "spent_until", -ms)


def test_a_tenant_that_has_spent_its_tokens_waits(scene: Scene) -> None:
    quotas = Limits(tokens_per_minute=100).quotas
    _spend(scene, "a", 1, quotas, 60)
    _spend(scene, "a", 2, quotas, 65)
    error = _refused(scene, "a", 3, quotas)
    assert error.quota == "tokens_per_minute"
    assert 0 < error.wait <= 15.1
    ask(scene, "b", 1, quotas=quotas)
    _pass(scene, "a", 15_100)
    _spend(scene, "a", 3, quotas, 1)


def test_a_turn_that_runs_is_not_ended_for_a_quota(scene: Scene) -> None:
    quotas = Limits(tokens_per_day=10).quotas
    ask(scene, "a", 2, quotas=quotas)
    for id in ("a1", "a2"):
        usage = {"input_tokens": 50, "output_tokens": 50}
        outcome = Outcome(State.COMPLETED, said("yes"), usage, "gpt")
        assert scene.turns.finish(scene.claim(id), outcome) is State.COMPLETED
    assert _refused(scene, "a", 3, quotas).quota == "tokens_per_day"


def test_a_day_s_tokens_are_there_again_the_next_day(scene: Scene) -> None:
    quotas = Limits(tokens_per_day=100).quotas
    _spend(scene, "a", 1, quotas, 100)
    error = _refused(scene, "a", 2, quotas)
    assert (error.quota, error.limit) == ("tokens_per_day", 100)
    assert 0 < error.wait <= 86_400
    scene.client.hincrby(scene.keys.tenant("a"), "day", -1)
    _spend(scene, "a", 2, quotas, 40)
    assert scene.client.hmget(scene.keys.tenant("a"), "tokens", "turns") == ["40", "1"]


def test_money_is_told_by_prices(stage: Stage) -> None:
    scene = stage.open(prices='{"gpt": [1, 3]}')
    quotas = Limits(spend_per_day=2.0).quotas
    _spend(scene, "a", 1, quotas, 990_000, "gpt-2026")
    assert scene.client.hget(scene.keys.tenant("a"), "cost") == "1980000"
    _spend(scene, "a", 2, quotas, 10_000)
    error = _refused(scene, "a", 3, quotas)
    assert (error.quota, error.limit) == ("spend_per_day", 2)


def test_a_session_that_is_spent_is_left(scene: Scene) -> None:
    quotas = Limits(tokens_per_session=100).quotas
    for number in (1, 2):
        scene.turns.submit(f"t{number}", "a/1", "hi", quotas=quotas)
        usage = {"input_tokens": 50, "output_tokens": 0}
        scene.turns.finish(scene.claim(f"t{number}"), Outcome(State.COMPLETED, said("yes"), usage, "gpt"), pair(f"t{number}"))
    with pytest.raises(SessionSpent, match="tokens per session"):
        scene.turns.submit("t3", "a/1", "hi", quotas=quotas)
    ask(scene, "a", 1, first=2, quotas=quotas)
    scene.turns.erase("a/1")
    scene.turns.submit("t4", "a/1", "hi", quotas=quotas)


def test_a_turn_that_is_not_stored_leaves_no_session(scene: Scene) -> None:
    scene.turns.submit("t1", "a/1", "hi", quotas=Limits(tokens_per_session=100).quotas)
    scene.turns.finish(scene.claim("t1"), Outcome(State.COMPLETED, said("yes"), {"input_tokens": 50}, "gpt"))
    assert scene.client.exists(scene.keys.conversation("a/1")) == 0
    assert scene.client.hget(scene.keys.tenant("a"), "tokens") == "50"


def test_what_a_lost_attempt_has_spent_counts(scene: Scene) -> None:
    ask(scene, "a", 1)
    claim = scene.claim("a1")
    scene.lose("a/1")
    for _ in range(2):
        usage = {"input_tokens": 7, "output_tokens": 0}
        assert scene.turns.finish(claim, Outcome(State.COMPLETED, said("yes"), usage, "gpt")) is None
    assert scene.client.hget(scene.keys.tenant("a"), "tokens") == "7"


@pytest.mark.parametrize("leave", ["cancel", "erase", "requeue"])
def test_what_an_attempt_has_spent_that_ends_no_turn_counts(scene: Scene, leave: str) -> None:
    ask(scene, "a", 2, quotas=Limits(tokens_per_day=10).quotas)
    claim = scene.claim("a1")
    match leave:
        case "cancel":
            scene.turns.cancel("a1")
        case "erase":
            scene.turns.erase("a/1")
        case _:
            scene.turns.requeue(claim)
    for _ in range(2):
        scene.turns.spend_attempt(claim, Spending("gpt", 7, 4), 1)
    assert scene.client.hmget(scene.keys.tenant("a"), "tokens", "turns") == ["11", "0"]
    assert _refused(scene, "a", 3, Limits(tokens_per_day=10).quotas).quota == "tokens_per_day"
    assert scene.client.hget(scene.keys.stats, 'tokens_out{model="gpt"}') == "4"


def test_what_an_attempt_has_spent_has_a_price(stage: Stage) -> None:
    scene = stage.open(prices='{"gpt": [1, 3]}')
    ask(scene, "a", 1)
    scene.turns.spend_attempt(scene.claim("a1"), Spending("gpt-2026", 10, 100), 1)
    assert scene.client.hget(scene.keys.tenant("a"), "cost") == "310"


def test_an_attempt_of_a_tenant_that_was_forgotten_brings_nothing_back(scene: Scene) -> None:
    ask(scene, "a", 1, quotas=Limits(tokens_per_day=10).quotas)
    claim = scene.claim("a1")
    scene.turns.erase("a/1")
    scene.turns.erase_tenant("a")
    scene.turns.spend_attempt(claim, Spending("gpt", 7, 4), 1)
    assert scene.client.exists(scene.keys.tenant("a"), scene.keys.tenants) == 0


def test_an_end_counts_what_calls_have_spent_beside_its_usage(scene: Scene) -> None:
    ask(scene, "a", 2)
    usage = {"input_tokens": 5, "output_tokens": 5}
    outcome = Outcome(State.COMPLETED, said("yes"), usage, "gpt", spent=Spending("gpt", 11, 3))
    scene.turns.finish(scene.claim("a1"), outcome)
    scene.turns.finish(scene.claim("a2"), Outcome(State.FAILED, code="deadline_exceeded", spent=Spending("gpt", 2, 2)))
    assert scene.client.hmget(scene.keys.tenant("a"), "tokens", "turns") == ["20", "2"]
    assert scene.turns.status("a1").usage == usage


def test_requests_of_a_batch_are_counted_one_by_one(scene: Scene) -> None:
    quotas = Limits(requests_per_minute=4).with_requests("key")
    ask(scene, "a", 2, quotas=quotas)
    error = _refused(scene, "a", 3, quotas)
    assert error.quota == "requests_per_minute"
    assert 0 < error.wait <= 15.1
    # The other half of the minute is for those who wait for their answers.
    assert [scene.turns.count_request("key", 4).left for _ in range(2)] == [1, 0]
    assert not scene.turns.count_request("key", 4).admitted
    # A repeat is the same turn, and costs nothing.
    assert not scene.turns.submit("a1", "a/1", "hi", quotas=quotas).fresh


def test_what_is_left_is_told(scene: Scene) -> None:
    quotas = Limits(tokens_per_minute=100).quotas
    admission = scene.turns.count_request("key", 0, "a", quotas)
    assert (admission.tokens, admission.reset) == (100, 0)
    _spend(scene, "a", 1, quotas, 40)
    admission = scene.turns.count_request("key", 5, "a", quotas)
    assert (admission.left, 59 < admission.tokens <= 61, 0 < admission.reset <= 24) == (4, True, True)
    _spend(scene, "a", 2, quotas, 400)
    assert scene.turns.count_request("key", 5, "a", quotas).tokens == 0


def test_a_tenant_keeps_so_many_conversations(scene: Scene) -> None:
    quotas = Limits(conversations=3).quotas
    for number in (1, 2):
        _spend(scene, "a", number, quotas, 1)
    assert scene.turns.begin("a/begun", {}, most=3)
    before = scene.picture()
    assert _refused(scene, "a", 4, quotas).quota == "conversations"
    with pytest.raises(QuotaExceeded, match="delete some"):
        scene.turns.begin("a/another", {}, most=3)
    assert scene.picture() == before
    scene.turns.submit("more", "a/1", "hi", quotas=quotas)
    ask(scene, "b", 1, quotas=quotas)
    scene.turns.erase("a/2")
    ask(scene, "a", 1, first=4, quotas=quotas)


def test_what_keeps_nothing_is_no_conversation(scene: Scene) -> None:
    quotas, aside = Limits(conversations=1).quotas, Options(store=False)
    scene.turns.submit("kept", "a/kept", "hi", quotas=quotas)
    scene.turns.submit("aside", "a/aside", "hi", aside, quotas=quotas)
    scene.turns.submit("asked", "a/asked", "hi", aside, quotas=quotas, when_busy="reject")
    large = Options(store=False, history=[{"role": "user", "content": "x" * 9_000}])
    scene.turns.submit("large", "a/large", "hi", large, quotas=quotas)
    assert scene.client.zrange(scene.keys.conversations("a"), 0, -1) == ["a/kept"]
    for options in (Options(metadata={"note": '"store":false'}), Options(request={"store": False})):
        with pytest.raises(QuotaExceeded, match="delete some"):
            scene.turns.submit("another", "a/another", "hi", options, quotas=quotas)


def test_what_kept_nothing_becomes_a_conversation_only_where_there_is_room(scene: Scene) -> None:
    quotas = Limits(conversations=1).quotas
    scene.turns.submit("kept", "a/kept", "hi", quotas=quotas)
    scene.turns.submit("aside", "a/aside", "hi", Options(store=False), quotas=quotas)
    scene.turns.submit("gone", "a/gone", "hi", Options(store=False), quotas=quotas)
    scene.turns.cancel("gone")
    for session in ("a/aside", "a/gone"):
        with pytest.raises(QuotaExceeded, match="delete some"):
            scene.turns.submit("more", session, "hi", quotas=quotas)
        with pytest.raises(QuotaExceeded, match="delete some"):
            scene.turns.amend(session, messages=pair("more"), most=1)
    scene.turns.submit("again", "a/kept", "hi", quotas=quotas)


def test_a_branch_is_a_conversation(scene: Scene) -> None:
    quotas = Limits(conversations=2).quotas
    scene.turns.submit("t1", "a/1", "hi", quotas=quotas)
    scene.complete(scene.claim("t1"))
    scene.turns.submit("t2", "a/1", "hi", quotas=quotas)
    scene.complete(scene.claim("t2"))
    assert scene.turns.follow("t3", "t1", "a/branch", "hi", quotas=quotas).session == "a/branch"
    with pytest.raises(QuotaExceeded):
        scene.turns.follow("t4", "t1", "a/another", "hi", quotas=quotas)
    assert not scene.client.keys("*a/another*")


def test_what_has_expired_makes_room_for_conversations(scene: Scene) -> None:
    quotas = Limits(conversations=2).quotas
    for number in (1, 2):
        _spend(scene, "a", number, quotas, 1)
    scene.client.delete(scene.keys.history("a/1"), scene.keys.conversation("a/1"))
    ask(scene, "a", 1, first=3, quotas=quotas)
    assert _refused(scene, "a", 4, quotas).quota == "conversations"


def test_files_of_a_tenant_take_no_more_than_its_quota(scene: Scene) -> None:
    scene.turns.count_request("key", 0, "a", Limits(stored_bytes=100).quotas)
    for tenant in ("a", "b"):
        scene.turns.create_file(tenant, f"of-{tenant}", "x.jsonl")
    scene.turns.append_piece("b", "of-b", 0, 0, b"x" * 101)
    with pytest.raises(FileRefused):
        scene.turns.append_piece("a", "of-a", 0, 0, b"x" * 101)
    scene.turns.append_piece("a", "of-a", 0, 0, b"x" * 100)


def test_a_tenant_reads_so_many_streams(scene: Scene) -> None:
    opened = [scene.turns.open_stream("a", stream, 2) for stream in ("one", "two", "three", "one")]
    assert opened == [True, True, False, True]
    assert scene.turns.open_stream("b", "one", 2)
    scene.turns.close_stream("a", "one")
    assert scene.turns.open_stream("a", "three", 2)
    assert 0 < scene.client.pttl(scene.keys.streams("a")) <= 60_000


def test_a_stream_that_nobody_hears_of_is_closed(scene: Scene) -> None:
    scene.turns.open_stream("a", "gone", 1)
    scene.client.zincrby(scene.keys.streams("a"), -60_001, "gone")
    assert scene.turns.open_stream("a", "another", 1)


def test_tenants_are_listed(scene: Scene) -> None:
    quotas = Limits(unfinished_turns=9, streams=2, conversations=4, tokens_per_day=100, spend_per_day=0.5).quotas
    _spend(scene, "a", 1, quotas, 40)
    scene.turns.open_stream("a", "s1", 2)
    scene.turns.create_file("a", "f1", "x.jsonl")
    scene.turns.append_piece("a", "f1", 0, 0, b"12345")
    ask(scene, "a", 2, first=2, quotas=quotas)
    scene.client.zadd(scene.keys.tenants, {"a": 1})
    ask(scene, "", 1)
    ask(scene, "b", 1)
    found = {tenant.name: tenant for tenant in scene.turns.tenants()}
    assert found.keys() == {"a", "b", ""}
    assert (found["a"].unfinished, found["a"].slots, found["a"].tokens, found["a"].turns) == (2, 2, 40, 1)
    assert (found["a"].streams, found["a"].conversations, found["a"].stored_bytes) == (1, 3, 5)
    assert found["a"].quotas == {
        "unfinished_turns": 9,
        "streams": 2,
        "conversations": 4,
        "tokens_per_day": 100,
        "spend_per_day": 0.5,
    }
    assert (found[""].unfinished, found[""].slots, found["b"].unfinished) == (1, 1, 1)
    assert [tenant.name for tenant in scene.turns.tenants(1)] != ["a"]


def test_quotas_are_told_as_json() -> None:
    assert Limits().quotas == "{}"
    assert json.loads(Limits(spend_per_day=0.5).quotas) == {"spend_per_day": 500_000}
    assert json.loads(Limits(running_turns=2, streams=3, requests_per_minute=3).quotas) == {"running_turns": 2, "streams": 3}
