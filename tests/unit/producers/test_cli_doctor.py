"""Each check of the doctor, on facts that are right and facts that are not."""

import pytest

from turnstile.producers.cli.doctor.check import Verdict
from turnstile.producers.cli.doctor.model_checks import check_model
from turnstile.producers.cli.doctor.server_checks import check_durability, check_eviction, check_memory, check_version
from turnstile.turns.settings import Settings

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


@pytest.mark.parametrize(
    ("facts", "verdict", "detail"),
    [
        ({"redis_version": "7.0.15"}, OK, "Redis 7.0.15"),
        ({"redis_version": "8.4.0"}, OK, "Redis 8.4.0"),
        ({"redis_version": "6.2.14"}, FAIL, "Redis 6.2.14"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, OK, "Valkey 9.1.2"),
        ({}, FAIL, "Redis 0"),
    ],
)
def test_version(facts: dict[str, str], verdict: Verdict, detail: str) -> None:
    check = check_version(facts)
    assert (check.verdict, check.detail) == (verdict, detail)
    assert bool(check.advice) == (verdict is not OK)


@pytest.mark.parametrize(("policy", "verdict"), [("noeviction", OK), ("allkeys-lru", FAIL), ("volatile-ttl", FAIL)])
def test_eviction(policy: str, verdict: Verdict) -> None:
    assert check_eviction({"maxmemory_policy": policy}).verdict is verdict


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"aof_enabled": "1"}, OK),
        ({"aof_enabled": "0"}, WARN),
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, FAIL),
    ],
)
def test_durability(facts: dict[str, str], verdict: Verdict) -> None:
    assert check_durability(facts).verdict is verdict


@pytest.mark.parametrize(
    ("used", "limit", "total", "verdict"),
    [
        (10, 100, 1000, OK),
        (81, 100, 1000, WARN),
        (96, 100, 1000, FAIL),
        (10, 0, 1000, OK),
        (960, 0, 1000, FAIL),
        (10, 0, 0, OK),
    ],
)
def test_memory(used: int, limit: int, total: int, verdict: Verdict) -> None:
    facts = {"used_memory": str(used), "maxmemory": str(limit), "total_system_memory": str(total)}
    assert check_memory(facts).verdict is verdict


def test_the_stand_in_is_named_as_such() -> None:
    check = check_model(Settings())
    assert check.verdict is WARN
    assert "OPENAI_API_KEY" in check.advice


def test_a_model_that_cannot_be_reached_fails() -> None:
    check = check_model(Settings(openai_base_url="http://127.0.0.1:1/v1"))
    assert (check.verdict, check.detail) == (FAIL, "127.0.0.1:1 does not answer")


def test_a_password_in_an_address_is_not_shown() -> None:
    check = check_model(Settings(openai_base_url="http://user:sesame@127.0.0.1:1/v1"))
    assert "sesame" not in check.detail


def test_a_chain_of_ones_own_is_left_alone() -> None:
    assert check_model(Settings(chain="mine.chains:answer")).verdict is OK
