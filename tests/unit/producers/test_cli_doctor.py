"""Each check of the doctor, on facts that are right and facts that are not."""

import pytest

from turnstile.producers.cli.doctor.check import Verdict
from turnstile.producers.cli.doctor.install_checks import check_extras
from turnstile.producers.cli.doctor.model_checks import check_model
from turnstile.producers.cli.doctor.server_checks import check_version
from turnstile.producers.cli.doctor.storage_checks import (
    check_durability,
    check_eviction,
    check_memory,
    check_replicas,
    check_sync,
)
from turnstile.turns.extras import MODULES
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
        ({"aof_enabled": "1", "aof_last_bgrewrite_status": "err"}, WARN),
        ({"aof_enabled": "1", "rdb_last_bgsave_status": "err"}, FAIL),
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
        (10, 500, 1000, OK),
        (10, 950, 1000, WARN),
        (10, 950, 0, OK),
        (10, 0, 1000, WARN),
        (960, 0, 1000, FAIL),
        (10, 0, 0, WARN),
    ],
)
def test_memory(used: int, limit: int, total: int, verdict: Verdict) -> None:
    facts = {"used_memory": str(used), "maxmemory": str(limit), "total_system_memory": str(total)}
    check = check_memory(facts)
    assert (check.verdict, bool(check.advice)) == (verdict, verdict is not OK)


def test_a_server_without_a_limit_is_advised_half_of_the_machine() -> None:
    facts = {"used_memory": "1", "maxmemory": "0", "total_system_memory": "4000"}
    assert "`CONFIG SET maxmemory 2000`" in check_memory(facts).advice


def test_the_age_of_the_last_snapshot_is_told_where_there_is_no_log() -> None:
    facts = {"aof_enabled": "0", "server_time_usec": "1090000000", "rdb_last_save_time": "1000"}
    assert "7 changes in 90 s are on no disk" in check_durability({**facts, "rdb_changes_since_last_save": "7"}).detail


def test_a_disk_that_was_too_slow_is_told() -> None:
    assert "too slow 3 times" in check_durability({"aof_enabled": "1", "aof_delayed_fsync": "3"}).detail


@pytest.mark.parametrize(("policy", "verdict"), [("everysec", OK), ("always", OK), ("no", WARN)])
def test_sync(policy: str, verdict: Verdict) -> None:
    assert check_sync(policy).verdict is verdict


_NEAR = "ip=10.0.0.2,port=6379,state=online,offset=9,lag=1"


@pytest.mark.parametrize(
    ("facts", "verdict", "detail"),
    [
        ({}, OK, "none"),
        ({"slave0": _NEAR}, OK, "1 follow"),
        ({"slave0": _NEAR, "slave1": _NEAR}, WARN, "2 follow, and min-replicas-to-write is 0"),
        ({"slave0": _NEAR, "slave1": _NEAR, "min_slaves_good_slaves": "2"}, OK, "2 follow"),
        ({"slave0": _NEAR.replace("lag=1", "lag=11")}, WARN, "10.0.0.2:6379 is online, heard of 11 s ago"),
        ({"slave0": _NEAR.replace("online", "wait_bgsave")}, WARN, "10.0.0.2:6379 is wait_bgsave, heard of 1 s ago"),
    ],
)
def test_replicas(facts: dict[str, str], verdict: Verdict, detail: str) -> None:
    check = check_replicas(facts)
    assert (check.verdict, check.detail) == (verdict, detail)


@pytest.mark.parametrize(
    ("tools", "lacking", "advice"),
    [
        ("", ("agents", "mcp"), ""),
        ("mine:search", ("mcp",), ""),
        ("mine:search", ("agents",), "pip install 'turnstile[agents]'"),
        ("mine:search,https://tools.example.com/mcp", ("agents", "mcp"), "pip install 'turnstile[agents,mcp]'"),
        ("mine:search,https://tools.example.com/mcp", ("agents", "mcp", "worker"), ""),
    ],
)
def test_extras(monkeypatch: pytest.MonkeyPatch, tools: str, lacking: tuple[str, ...], advice: str) -> None:
    for extra in lacking:
        monkeypatch.setitem(MODULES, extra, ("no_such_module",))
    check = check_extras(Settings(tools=tools))
    assert (check.verdict, check.advice) == (WARN if advice else OK, advice)
    assert advice or not set(lacking) & set(check.detail.split(", "))


@pytest.mark.parametrize("role", ["worker", "gateway"])
def test_traces_that_would_not_be_made_are_warned_of(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    traced = Settings(otel_exporter_otlp_endpoint="http://127.0.0.1:1")
    assert check_extras(traced).verdict is OK
    for extra in {"tracing", "worker", "gateway"} - {role}:
        monkeypatch.setitem(MODULES, extra, ("no_such_module",))
    check = check_extras(traced)
    assert (check.verdict, check.advice) == (WARN, "pip install 'turnstile[tracing]'")
    assert check_extras(traced.model_copy(update={"otel_traces_exporter": "none"})).verdict is OK
    # A machine of producers starts nothing that would trace.
    monkeypatch.setitem(MODULES, role, ("no_such_module",))
    assert check_extras(traced).verdict is OK


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
