"""The doctor, at real servers: Redis, a model's server, and workers that live or have fallen silent."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from tests.chaos.proxy import ProxyThread
from tests.support.certificates import Certificates
from tests.support.processes import Worker, offline_model
from tests.support.wait import PATIENCE_SECONDS
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.producers.cli.doctor.key_checks import check_keys
from turnstile.producers.cli.doctor.model_checks import check_model
from turnstile.producers.cli.doctor.report import examine
from turnstile.producers.cli.doctor.worker_checks import asked_models, living_workers
from turnstile.turns.redis.scripts import digest
from turnstile.turns.settings import Settings
from turnstile.turns.store import registry
from turnstile.turns.store.registry import package_version
from turnstile.turns.store.schema import SCHEMA
from turnstile.turns.store.turns import TurnStore


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with offline_model() as url:
        yield url


def checks(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in examine(settings)}


@contextmanager
def listening(client: redis.Redis, *channels: str) -> Iterator[None]:
    """Be there as workers are, who listen for orders."""
    with client.pubsub() as orders:  # type: ignore[no-untyped-call]  # untyped in redis-py
        orders.subscribe(*channels)
        for _ in channels:
            assert orders.get_message(timeout=PATIENCE_SECONDS)
        yield


def test_a_server_as_it_should_be(tmp_path: Path, base_url: str) -> None:
    with EmbeddedServer(tmp_path / "server") as server:
        found = checks(Settings(redis_url=server.url, openai_base_url=base_url, model="offline-stand-in"))
    verdicts = {name: check.verdict for name, check in found.items()}
    assert verdicts.pop("workers") is Verdict.FAIL
    assert set(verdicts.values()) == {Verdict.OK}
    assert found["version"].detail.startswith(("Valkey ", "Redis "))


def test_a_server_that_would_lose_things(tmp_path: Path) -> None:
    options = {"maxmemory-policy": "allkeys-lru"}
    with EmbeddedServer(tmp_path / "server", append_only=False, maxmemory="2mb", options=options) as server:
        found = checks(Settings(redis_url=server.url))
    assert found["eviction"].verdict is Verdict.FAIL
    assert found["durability"].verdict is Verdict.WARN
    assert "of 2 MiB used" in found["memory"].detail


def test_a_server_that_is_not_there_ends_the_checks_of_it() -> None:
    found = checks(Settings(redis_url="redis://127.0.0.1:1/0"))
    assert set(found) == {"redis", "extras", "API keys", "model"}
    assert found["redis"].verdict is Verdict.FAIL


def _enrol(client: redis.Redis, store: TurnStore, name: str, *, ago: float = 0, **facts: Any) -> None:
    told = {"seen": store.now() - ago, "running": 2, "concurrency": 100, **facts}
    client.hset(store.keys.workers, name, json.dumps(told))


def test_only_workers_that_listen_count_and_those_not_seen_of_late_hang(settings: Settings, client: redis.Redis) -> None:
    store = TurnStore(settings)
    for name, ago in (("here", 0), ("hangs", 3_600), ("died a moment ago", 0), ("gone", 3_600)):
        _enrol(client, store, name, ago=ago)
    with listening(client, store.keys.orders("here"), store.keys.orders("hangs")):
        assert set(living_workers(store)) == {"here"}
        found = checks(settings)["workers"]
    assert found.detail == "1 at work, 2 of 100 turns at once; hangs makes no progress: loop"


def test_a_worker_that_says_of_late_that_a_part_hangs_is_named_although_it_does_not_listen(
    settings: Settings, client: redis.Redis
) -> None:
    store = TurnStore(settings)
    for name, ago in (("deaf", 0), ("gone", 3_600)):
        _enrol(client, store, name, ago=ago, stale=["subscribed"])
    found = checks(settings)["workers"]
    assert (found.verdict, found.detail) == (Verdict.FAIL, "none is at work; deaf makes no progress: subscribed")
    assert living_workers(store) == {}


def test_a_full_server_is_named_as_the_cause_and_no_restart_is_advised(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, redis.Redis.from_url(server.url) as client:
        settings = Settings(redis_url=server.url)
        _enrol(client, TurnStore(settings), "waits", stale=["intake"])
        before = checks(settings)["workers"]
        client.config_set("maxmemory", 1)
        found = checks(settings)
    assert before.advice.startswith("Restart it")
    assert found["workers"].advice == "Redis is full, which a restart does not change: raise its maxmemory."
    assert (found["memory"].verdict, found["memory"].advice[:11]) == (Verdict.FAIL, "It is full:")


def test_a_user_without_the_right_to_ask_who_listens_counts_those_seen_of_late(
    settings: Settings, client: redis.Redis, redis_url: str
) -> None:
    _enrol(client, TurnStore(settings), "here")
    _enrol(client, TurnStore(settings), "gone", ago=3_600)
    client.execute_command("ACL", "SETUSER", "few", "on", ">word", "~*", "&*", "+@all", "-pubsub")  # type: ignore[no-untyped-call]  # untyped
    try:
        few = f"redis://few:word@{redis_url.rpartition('@')[2].removeprefix('redis://')}"
        assert set(living_workers(TurnStore(Settings(redis_url=few)))) == {"here"}
    finally:
        client.execute_command("ACL", "DELUSER", "few")  # type: ignore[no-untyped-call]  # untyped


@pytest.mark.parametrize(
    ("models", "verdict", "detail"),
    [
        (["m at h"], Verdict.OK, "the workers ask m at h; this environment has the offline stand-in, so it was not checked"),
        (["m at h", "n at h"], Verdict.WARN, "the workers ask several: m at h, n at h"),
        (["the offline stand-in"], Verdict.WARN, "no key and no base URL: the offline stand-in answers"),
    ],
)
def test_the_model_is_the_workers_and_not_that_of_this_environment(
    settings: Settings, client: redis.Redis, models: list[str], verdict: Verdict, detail: str
) -> None:
    store = TurnStore(settings)
    for number, model in enumerate(models):
        _enrol(client, store, f"w{number}", model=model)
    with listening(client, *(store.keys.orders(f"w{number}") for number in range(len(models)))):
        found = checks(settings)["model"]
    assert (found.verdict, found.detail) == (verdict, detail)


def test_workers_without_a_model_are_pointed_out_where_this_environment_has_one(base_url: str) -> None:
    found = check_model(Settings(openai_base_url=base_url, model="offline-stand-in"), {"the offline stand-in"})
    assert found.verdict is Verdict.WARN
    assert "for the workers" in found.advice


def test_a_worker_tells_the_model_that_it_asks(settings: Settings, redis_url: str, tmp_path: Path, base_url: str) -> None:
    with Worker(redis_url, tmp_path, OPENAI_BASE_URL=base_url, TURNSTILE_MODEL="offline-stand-in"):
        told = asked_models(TurnStore(settings))
        found = checks(settings.model_copy(update={"openai_base_url": base_url, "model": "offline-stand-in"}))["model"]
    assert told == {f"offline-stand-in at {base_url.split('/')[2]}"}
    assert found.verdict is Verdict.OK


def test_a_replica_is_no_server_for_turns(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "primary") as primary:
        options = {"replicaof": f"127.0.0.1 {primary.port}"}
        with EmbeddedServer(tmp_path / "replica", options=options) as replica:
            found = checks(Settings(redis_url=replica.url))
    assert found["role"] == Check("role", Verdict.FAIL, f"a replica of 127.0.0.1:{primary.port}", found["role"].advice)
    assert "workers" not in found
    assert "model" in found


@pytest.mark.parametrize(
    ("change", "told"),
    [("/99", "has no database 99"), ("/0?username=nobody&password=word", "refuses the login")],
    ids=["no such database", "a wrong password"],
)
def test_a_refusal_is_a_failed_check_and_the_others_go_on(tmp_path: Path, change: str, told: str) -> None:
    with EmbeddedServer(tmp_path / "server", append_only=False) as server:
        found = checks(Settings(redis_url=server.url.removesuffix("/0") + change))
    assert found["redis"].verdict is Verdict.FAIL
    assert told in found["redis"].advice
    assert "model" in found


def test_a_certificate_of_the_model_s_that_nobody_vouches_for_is_told_as_such(tmp_path: Path) -> None:
    context = Certificates(tmp_path).server()
    with ProxyThread() as proxies, socket.create_server(("127.0.0.1", 0)) as nobody:
        port = proxies.open(nobody.getsockname()[1], context).port
        found = check_model(Settings(openai_base_url=f"https://localhost:{port}/v1"))
    assert (found.verdict, found.detail) == (Verdict.FAIL, f"the certificate of localhost:{port} is not trusted")


@pytest.mark.parametrize(
    ("theirs", "verdict", "detail"),
    [
        ({}, Verdict.OK, f"alike, version {package_version()}"),
        ({"history_ttl": 8}, Verdict.FAIL, "TURNSTILE_HISTORY_TTL is unset here and 8 at worker w1"),
        (
            {"history_prefix": "theirs:"},
            Verdict.FAIL,
            "TURNSTILE_HISTORY_PREFIX is message_store: here and theirs: at worker w1",
        ),
        ({"max_attempts": 2}, Verdict.WARN, "TURNSTILE_MAX_ATTEMPTS is 5 here and 2 at worker w1"),
    ],
)
def test_settings_that_differ_are_pointed_out(
    settings: Settings, client: redis.Redis, theirs: dict[str, Any], verdict: Verdict, detail: str
) -> None:
    store = TurnStore(settings)
    other = settings.model_copy(update=theirs)
    now = store.now()
    assert TurnStore(other).register_worker("w1", {**registry.introduce(other), "started": now, "seen": now}) == ""
    with listening(client, store.keys.orders("w1")):
        check = checks(settings)["settings"]
    assert (check.verdict, check.detail) == (verdict, detail)
    assert bool(check.advice) == (verdict is not Verdict.OK)


def test_several_versions_at_work_are_pointed_out(settings: Settings, client: redis.Redis) -> None:
    store = TurnStore(settings)
    now = store.now()
    for name, version in (("w1", "0.0.1"), ("w2", package_version())):
        facts = {**registry.introduce(settings), "version": version, "started": now, "seen": now}
        assert store.register_worker(name, facts) == ""
    with listening(client, store.keys.orders("w1"), store.keys.orders("w2")):
        check = checks(settings)["settings"]
    assert check.verdict is Verdict.WARN
    assert f"0.0.1/{digest()}, {package_version()}/{digest()}" in check.detail


def test_a_schema_that_a_newer_version_has_raised_is_pointed_out(settings: Settings, client: redis.Redis) -> None:
    store = TurnStore(settings)
    assert checks(settings)["schema"].verdict is Verdict.OK
    assert not store.check_schema()
    assert checks(settings)["schema"].detail == f"{SCHEMA}, since version {package_version()}"
    client.hset(store.keys.schema, mapping={"number": SCHEMA + 1, "version": "9.8.7"})
    found = checks(settings)["schema"]
    assert found.verdict is Verdict.FAIL
    assert "9.8.7" in found.detail
    assert "Upgrade" in found.advice


def test_failed_turns_are_pointed_out(settings: Settings, client: redis.Redis) -> None:
    client.zadd(TurnStore(settings).keys.failed, {"t1": 1})
    assert "1 failed" in checks(settings)["turns"].detail


def test_open_turns_that_have_ended_are_pointed_out(settings: Settings, client: redis.Redis) -> None:
    client.zadd(TurnStore(settings).keys.open, {"t1": 1})
    found = checks(settings)["turns"]
    assert found.verdict is Verdict.WARN
    assert "1 that count as open have ended" in found.detail


def test_a_count_below_zero_is_pointed_out(settings: Settings, client: redis.Redis) -> None:
    client.hset(TurnStore(settings).keys.stats, "failed", -3)
    assert "failed is below zero" in checks(settings)["turns"].detail


def test_a_model_that_its_server_does_not_list(base_url: str) -> None:
    check = check_model(Settings(openai_base_url=base_url, model="another"))
    assert check.verdict is Verdict.WARN
    assert "TURNSTILE_MODEL" in check.advice


def test_a_server_without_a_list_is_no_fault(base_url: str) -> None:
    check = check_model(Settings(openai_base_url=f"{base_url}/nowhere", openai_api_key=SecretStr("sk-secret")))
    assert (check.verdict, "answers 404" in check.detail) == (Verdict.WARN, True)
    assert "secret" not in str(check)


def test_keys_that_others_may_read_or_that_nobody_can(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{}")
    settings = Settings(api_keys_file=str(file))
    file.chmod(0o640)
    assert check_keys(settings).verdict is Verdict.OK
    for mode, can in ((0o644, "read"), (0o602, "write")):
        file.chmod(mode)
        found = check_keys(settings)
        assert found.verdict is Verdict.WARN
        assert f"may {can} {file}" in found.advice
    file.write_text("{ half a fi")
    assert check_keys(settings).verdict is Verdict.FAIL
