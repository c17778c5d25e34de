"""The doctor at real servers that were brought into a bad state, and what it says that mends them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from tests.chaos.proxy import FaultProxy
from tests.support.processes import environment
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.doctor.check import Check, Verdict
from turnstile.producers.cli.doctor.report import examine
from turnstile.producers.cli.doctor.server_checks import check_clock
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
_SLOW_SECONDS = 0.03


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server that writes its log, which every test leaves as it found it."""
    with EmbeddedServer(tmp_path_factory.mktemp("own")) as running:
        yield running


@pytest.fixture
def plain(own: EmbeddedServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own.url, decode_responses=True) as client:
        yield client


def check(server: EmbeddedServer | str, name: str) -> Check:
    url = server if isinstance(server, str) else server.url
    found = {check.name: check for check in examine(Settings(redis_url=url))}
    return found[name]


def wrong(server: EmbeddedServer, name: str) -> Check:
    """Return the outcome of a check, as soon as it is not well."""
    wait_until(lambda: check(server, name).verdict is not OK, f"{name} is not well")
    return check(server, name)


def run(client: redis.Redis, line: str) -> None:
    """Run a command of the server's, as a person types it."""
    client.execute_command(*line.split())  # type: ignore[no-untyped-call]  # untyped in redis-py


@pytest.mark.parametrize(
    ("name", "option", "value", "verdict"),
    [
        ("memory", "maxmemory", "0", WARN),
        ("eviction", "maxmemory-policy", "volatile-ttl", FAIL),
        ("durability", "appendonly", "no", WARN),
        ("sync", "appendfsync", "no", WARN),
        ("streams", "stream-node-max-bytes", "4096", WARN),
    ],
)
def test_the_line_that_is_advised_mends_the_server(
    own: EmbeddedServer, plain: redis.Redis, name: str, option: str, value: str, verdict: Verdict
) -> None:
    assert check(own, name).verdict is OK
    before = str(plain.config_get(option)[option])
    plain.config_set(option, value)
    found = check(own, name)
    assert found.verdict is verdict
    command = found.advice.split("`")[1]
    assert command.startswith(f"CONFIG SET {option} ")
    run(plain, command)
    assert check(own, name).verdict is OK
    plain.config_set(option, before)


def test_memory_that_is_nearly_full(own: EmbeddedServer, plain: redis.Redis) -> None:
    used = int(plain.info("memory")["used_memory"])
    before = str(plain.config_get("maxmemory")["maxmemory"])
    plain.config_set("maxmemory", int(used / 0.9))
    found = check(own, "memory")
    plain.config_set("maxmemory", before)
    assert found.verdict in (WARN, FAIL)
    assert "TURNSTILE_RESULT_TTL" in found.advice


def test_a_log_that_cannot_be_rewritten(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, redis.Redis.from_url(server.url) as client:
        # A folder has the name that the new file would get.
        (tmp_path / "server" / "appendonlydir" / "appendonly.aof.2.base.rdb").mkdir()
        run(client, "BGREWRITEAOF")
        found = wrong(server, "durability")
    assert found.verdict is WARN
    assert "BGREWRITEAOF" in found.advice


def test_a_snapshot_that_cannot_be_written(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, redis.Redis.from_url(server.url) as client:
        (tmp_path / "server" / "dump.rdb").mkdir()
        client.bgsave()
        found = wrong(server, "durability")
    assert (found.verdict, found.detail) == (FAIL, "the last snapshot failed")


def test_a_server_that_cannot_write_its_snapshot_is_examined_further(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server, redis.Redis.from_url(server.url) as client:
        assert check(server, "writes").verdict is OK
        (tmp_path / "server" / "dump.rdb").mkdir()
        client.config_set("save", "3600 1")
        client.bgsave()
        found = wrong(server, "writes")
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            client.ping()
        checks = list(examine(Settings(redis_url=server.url)))
    assert (found.verdict, "its last snapshot failed" in found.advice) == (FAIL, True)
    assert [check.name for check in checks if check.verdict is FAIL] == ["writes", "durability", "workers"]
    assert {"redis", "memory", "clock", "turns", "sessions"} <= {check.name for check in checks}


def test_a_primary_without_its_replicas_is_examined_further(own: EmbeddedServer, plain: redis.Redis) -> None:
    plain.config_set("min-replicas-to-write", 1)
    checks = list(examine(Settings(redis_url=own.url)))
    plain.config_set("min-replicas-to-write", 0)
    assert [check.name for check in checks if check.verdict is FAIL] == ["writes", "workers"]
    assert "min-replicas-to-write" in next(check.advice for check in checks if check.name == "writes")


def test_changes_that_are_on_no_disk_are_counted(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", append_only=False) as server, redis.Redis.from_url(server.url) as client:
        client.set("a", "b")
        found = check(server, "durability")
    assert (found.verdict, found.detail.startswith("no append-only file; 1 changes in ")) == (WARN, True)


def test_a_server_that_was_made_a_replica(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "one") as one, EmbeddedServer(tmp_path / "two") as two:
        assert check(two, "role").verdict is OK
        with redis.Redis.from_url(two.url) as client:
            client.replicaof("127.0.0.1", one.port)
            assert check(two, "role").verdict is FAIL
            wait_until(lambda: check(one, "replicas").detail == "1 follow", "the replica follows")
            client.replicaof("NO", "ONE")
        wait_until(lambda: check(one, "replicas").detail == "none", "it has left")


def test_a_replica_that_falls_behind(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "primary") as primary:
        options = {"replicaof": f"127.0.0.1 {primary.port}"}
        with EmbeddedServer(tmp_path / "replica", options=options) as replica:
            wait_until(lambda: check(primary, "replicas") == Check("replicas", OK, "1 follow"), "the replica follows")
            os.kill(replica.pid, signal.SIGSTOP)
            found = wrong(primary, "replicas")
            os.kill(replica.pid, signal.SIGCONT)
    assert "would lose the turns" in found.advice


def test_a_user_without_a_right_is_told_the_line_that_grants_it(own: EmbeddedServer, plain: redis.Redis) -> None:
    run(plain, "ACL SETUSER few reset on >word ~* &* +@all -rpush -hset")
    url = own.url.replace("redis://", "redis://few:word@")
    found = check(url, "rights")
    assert (found.verdict, found.detail) == (FAIL, "a producer lacks +hset +rpush")
    run(plain, found.advice.split("`")[1])
    assert check(url, "rights").verdict is OK
    run(plain, "ACL DELUSER few")


@pytest.mark.parametrize("right", ["client", "client|info", "client|kill"])
def test_a_user_who_may_close_no_connections_is_told_the_risk(own: EmbeddedServer, plain: redis.Redis, right: str) -> None:
    run(plain, f"ACL SETUSER few reset on >word ~* &* +@all -{right}")
    found = check(own.url.replace("redis://", "redis://few:word@"), "rights")
    run(plain, "ACL DELUSER few")
    assert found.verdict is WARN
    assert "may run a second time later" in found.detail
    assert "lacks +client|" in found.advice


@pytest.mark.parametrize(("right", "name"), [("info", "server"), ("scan", "lifetimes")])
def test_a_check_for_which_the_user_has_no_right_leaves_the_others(
    own: EmbeddedServer, plain: redis.Redis, right: str, name: str
) -> None:
    store = TurnStore(Settings(redis_url=own.url))
    store.submit(str(uuid4()), "foo", "hello")
    run(plain, f"ACL SETUSER few reset on >word ~* &* +@all -{right}")
    found = {check.name: check for check in examine(Settings(redis_url=own.url.replace("redis://", "redis://few:word@")))}
    run(plain, "ACL DELUSER few")
    plain.flushall()
    assert (found[name].verdict, found[name].detail) == (WARN, "not examined")
    assert f"+{right}" in found[name].advice
    assert found["turns"].verdict is OK


@pytest.mark.parametrize(("shift", "said"), [(90, "90.0 s behind"), (-90, "90.0 s ahead of")])
def test_a_clock_that_differs(own: EmbeddedServer, shift: float, said: str) -> None:
    store = TurnStore(Settings(redis_url=own.url))
    found = check_clock(store, lambda: time.time() + shift)
    assert (found.verdict, said in found.detail, "timedatectl" in found.advice) == (WARN, True, True), found
    assert check_clock(store).verdict is OK


def test_a_server_that_answers_late(own: EmbeddedServer, proxies: Any) -> None:
    proxy: FaultProxy = proxies.open(own.port)
    proxy.slow_down(_SLOW_SECONDS)
    found = check(f"redis://127.0.0.1:{proxy.port}/0", "redis")
    assert (found.verdict, "near Redis" in found.advice) == (WARN, True)


def test_sessions_that_nobody_sets_going(own: EmbeddedServer, plain: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=own.url))
    for session in ("lost", "late", "well"):
        store.submit(str(uuid4()), session, "hello")
    assert check(own, "sessions") == Check("sessions", OK, "none stands still")
    plain.zadd(store.keys.due, {"late": 1})
    found = check(own, "sessions")
    assert (found.verdict, found.detail) == (FAIL, "1 overdue by more than 30 s: late")
    plain.zrem(store.keys.due, "lost")
    found = check(own, "sessions")
    assert (found.verdict, found.detail) == (FAIL, "1 without an entry in `due`: lost")
    said = command(own.url, found.advice.split("`")[1])
    assert (said.returncode, json.loads(said.stdout)) == (0, {"restored": 1})
    store.sweep()
    assert check(own, "sessions").verdict is OK
    plain.flushall()


def test_schedules_that_nobody_asks(own: EmbeddedServer, plain: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=own.url))
    for id in ("lost", "late", "well"):
        store.schedule(id, f"acme/{id}", "hello", cron="0 9 * * *", now=store.now())
    assert check(own, "schedules") == Check("schedules", OK, "3, none overdue")
    plain.zadd(store.keys.schedules_due, {"acme/late late": 1})
    found = check(own, "schedules")
    assert (found.verdict, found.detail) == (FAIL, "1 overdue by more than 30 s: late")
    plain.zrem(store.keys.schedules_due, "acme/lost lost")
    plain.zrem(store.keys.schedules("acme"), "acme/lost lost")
    plain.zadd(store.keys.schedules("acme"), {"acme/gone gone": 0})
    plain.set(store.keys.schedule("broken"), "something else")
    plain.set(store.keys.schedules("broken"), "something else")
    found = check(own, "schedules")
    assert (found.verdict, found.detail) == (FAIL, "1 without an entry in `schedules_due`: lost")
    said = command(own.url, found.advice.split("`")[1])
    assert (said.returncode, json.loads(said.stdout)) == (0, {"restored": 2})
    assert store.claim_schedules()[1] == []
    assert check(own, "schedules").verdict is OK
    assert {found.id for found in store.schedules(tenant="acme")} == {"lost", "late", "well"}
    assert plain.zcard(store.keys.schedules_due) == plain.zcard(store.keys.schedules("acme")) == 3
    plain.flushall()


def test_records_that_never_go(own: EmbeddedServer, plain: redis.Redis) -> None:
    store = TurnStore(Settings(redis_url=own.url))
    for name in ("kept", "goes", "open", "ends"):
        store.submit(name, name, "hello")
    for name in ("kept", "goes", "ends"):
        store.cancel(name)
    long_ago = (store.now() - 3_600) * 1000
    assert plain.pttl(store.keys.turn("kept")) > 0
    plain.hset(store.keys.turn("kept"), "finished", str(long_ago))
    plain.hset(store.keys.turn("goes"), "finished", str(long_ago))
    assert check(own, "lifetimes").verdict is OK
    for name in ("kept", "ends"):
        plain.persist(store.keys.turn(name))
    found = check(own, "lifetimes")
    assert (found.verdict, "that of turn kept" in found.detail) == (WARN, True), found
    run(plain, found.advice.split("`")[1])
    assert check(own, "lifetimes").verdict is OK
    plain.flushall()


def command(url: str, line: str) -> subprocess.CompletedProcess[str]:
    """Run one of our commands with --json."""
    program = f"from turnstile.producers.cli.commands import main; main({[*line.split()[1:], '--json']})"
    words = [sys.executable, "-c", program]
    return subprocess.run(words, env=environment({"REDIS_URL": url}), capture_output=True, text=True, check=False)


def test_the_exit_status_and_a_line_of_json_for_each_check(own: EmbeddedServer, plain: redis.Redis) -> None:
    said = command(own.url, "turnstile doctor")
    found = {one["name"]: one for one in map(json.loads, said.stdout.splitlines())}
    assert said.returncode == 1  # no worker is at work
    assert [name for name, one in found.items() if one["verdict"] == "fail"] == ["workers"]
    assert {"redis", "version", "role", "replicas", "eviction", "durability", "memory", "sync", "streams", "rights"} <= set(
        found
    )
    assert {"clock", "settings", "turns", "sessions", "schedules", "lifetimes", "extras", "API keys", "model"} <= set(found)
    assert all(one["advice"] for one in found.values() if one["verdict"] != "ok")
    assert command(own.url + "9", "turnstile doctor").returncode == 1  # there is no such database
    assert command("nonsense", "turnstile doctor").returncode == 2
