"""The ACL file that `turnstile acl` makes: every role works with its user, and is refused everything else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from click.testing import CliRunner
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.commands import run_as
from tests.support.flower import Flower
from tests.support.gateways import Gateway
from tests.support.processes import Worker
from tests.support.wait import PATIENCE_SECONDS, wait_until
from turnstile.deploy import acl
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.commands import main
from turnstile.producers.client import ChatClient
from turnstile.turns.api_keys import Limits, new_key
from turnstile.turns.errors import SettingError
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.text import dumps

PASSWORDS = {user: f"{user}-password" for user in acl.USERS}
DIGESTS = {user: acl.digest(password) for user, password in PASSWORDS.items()}
CELERY = ("celery", "-A", "turnstile")
Url = Callable[[str], str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Yield a server with the users' file. Its own program comes in as `default`, which the file locks out."""
    folder = tmp_path_factory.mktemp("acl")
    text = acl.text(Settings(), DIGESTS).replace("user default reset", "user default on nopass ~* &* +@all")
    (folder / "users.acl").write_text(text)
    with EmbeddedServer(folder, append_only=False, options={"aclfile": str(folder / "users.acl")}) as running:
        yield running


@pytest.fixture
def url(server: EmbeddedServer) -> Url:
    """Return a user's URL of a server that is empty and has refused nothing."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.acl_log_reset()
    return lambda user: server.url.replace("redis://", f"redis://{user}:{PASSWORDS[user]}@")


def refused(server: EmbeddedServer) -> set[tuple[str, str]]:
    """Return what users were refused, but for the name of their library: redis-py tells it, and does without."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        found = client.acl_log()
    return {(one["username"], one["object"]) for one in found if one["object"] != "client|setinfo"}


@pytest.mark.timeout(900)
def test_every_role_does_its_work(server: EmbeddedServer, url: Url, tmp_path: Path) -> None:
    key = new_key("tests", "acme", Limits(requests_per_minute=10_000), "", "tenant", 1)
    reader = new_key("prometheus", "acme", Limits(), "", "operator", 1)
    keys = dumps({key.digest: key.entry, reader.digest: reader.entry})
    gateway = Gateway(url("gateway"), tmp_path, TURNSTILE_API_KEYS=keys, TURNSTILE_BATCHES="true")
    with Worker(url("worker"), tmp_path) as worker, gateway, Flower(url("flower"), tmp_path) as seen:
        seen.hear_workers()
        _as_a_producer(url("producer"))
        _as_a_client_of_the_gateway(gateway, key.text, reader.text)
        _as_a_celery_app(url("celery"))
        _as_an_operator(url("operator"))
        wait_until(lambda: "SUCCESS" in seen.get("/api/tasks"), "Flower shows a turn")
        assert '"name": "chat"' in seen.get("/api/queues/length")
        assert worker.stop() == 0
    asked = {("flower", "publish") if "pidbox" in what else (user, what) for user, what in refused(server)}
    assert asked <= {("flower", "publish")}  # it would ask the workers, and goes on without
    assert "lacks" not in worker.text() + gateway.text()
    assert "NOPERM" not in worker.text() + gateway.text()


def test_the_doctor_sees_everything_as_the_operator(url: Url) -> None:
    said = run_as(url("operator"), "turnstile", "doctor")[1]
    assert "noeviction" in said
    assert not {"a producer lacks", "an operator lacks"} & set(said.split("; "))
    assert "enough for producer, operator" in said, said


def _as_a_producer(url: str) -> None:
    chat = ChatClient(url)
    assert chat.ask("foo", "hello").result(timeout=PATIENCE_SECONDS) == "You said: hello"
    pieces = chat.ask("foo", "again", stream=True).stream(timeout=PATIENCE_SECONDS)
    assert "".join(pieces) == "You said: again"
    assert len(chat.history("foo")) == 4
    turn = chat.ask("foo", "[[hang]]")
    turn.cancel()
    wait_until(lambda: turn.status().state.ended, "it is cancelled")
    assert (chat.failed(), chat.held()) == ([], [])
    assert chat.erase("foo")


def _as_a_client_of_the_gateway(gateway: Gateway, key: str, reader: str) -> None:
    with gateway.http() as http:
        assert http.get("/readyz").status_code == 200, gateway.text()
        operator = {"authorization": f"Bearer {reader}"}
        told = http.get("/metrics", headers=operator).text
        for method, path in (
            ("GET", "/overview"),
            ("GET", "/turns/none"),
            ("POST", "/turns/none/cancel"),
            ("POST", "/turns/none/retry"),
        ):
            assert http.request(method, f"/admin{path}", headers=operator).status_code in (200, 404), path
    assert "turnstile_redis_memory_bytes" in told
    with gateway.sdk(api_key=key) as sdk:
        conversation = sdk.conversations.create()
        first = sdk.responses.create(model="m", input="hello", conversation=conversation.id)
        branched = sdk.responses.create(model="m", input="hi", previous_response_id=first.id)
        assert (first.output_text, branched.output_text) == ("You said: hello", "You said: hi")
        assert [one.type for one in sdk.responses.create(model="m", input="x", stream=True)][-1] == "response.completed"
        assert sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}]).choices
        assert sdk.embeddings.create(model="m", input="hello").data
        assert sdk.models.list().data
        sdk.responses.delete(branched.id)
        sdk.conversations.delete(conversation.id)
        line = dumps({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": {"model": "m", "input": "hello"}})
        file = sdk.files.create(file=("a.jsonl", line.encode()), purpose="batch")
        batch = sdk.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
        wait_until(lambda: sdk.batches.retrieve(batch.id).status == "completed", "the batch has ended")
        assert "You said: hello" in sdk.files.content(sdk.batches.retrieve(batch.id).output_file_id or "").text


def _as_a_celery_app(url: str) -> None:
    stranger = Celery("stranger", broker=url, backend=url)
    asked = stranger.send_task("workers.answer", args=["bar", "hello"])
    assert asked.get(timeout=PATIENCE_SECONDS) == "You said: hello"


def _as_an_operator(url: str) -> None:
    assert run_as(url, "turnstile", "ask", "baz", "hello") == (0, "You said: hello\n")
    for words in ("stats", "tenants", "failed", "top --once", "metrics", "webhooks", "calls", "history baz", "erase baz --yes"):
        status, said = run_as(url, "turnstile", *words.split())
        assert status == 0, said
    assert "prefetch_count" in run_as(url, *CELERY, "inspect", "--timeout=20", "stats")[1]
    assert "No messages purged" in run_as(url, *CELERY, "purge", "-f")[1]


# The acts that are refused to each role, each with a command that would do it.
_CONTROL = ["PUBLISH", "/0.celery.pidbox", "{}"]
_SERVER = [
    ["FLUSHALL"],
    ["CONFIG", "SET", "maxmemory", "1"],
    ["ACL", "SETUSER", "x"],
    ["SHUTDOWN", "NOSAVE"],
    ["MONITOR"],
    ["KEYS", "*"],
]
_NOT = {
    "producer": [
        _CONTROL,
        ["LPUSH", "celery", "x"],
        ["LRANGE", "turnstile:pieces:x", "0", "-1"],
        ["HGETALL", "turnstile:file:x"],
        ["SCAN", "0"],
    ],
    "gateway": [_CONTROL, ["LPUSH", "celery", "x"], ["BRPOP", "chat", "1"], ["SCAN", "0"]],
    "worker": [["HGETALL", "turnstile:file:x"], ["GET", "turnstile:once:x"], ["RENAME", "message_store:x", "message_store:y"]],
    "flower": [
        _CONTROL,
        ["LRANGE", "message_store:x", "0", "-1"],
        ["HGETALL", "turnstile:turn:x"],
        ["HGET", "turnstile:session:x", "calls"],
        ["LRANGE", "celery", "0", "-1"],
        ["GET", "celery-task-meta-x"],
        ["LPUSH", "chat", "x"],
        ["DEL", "chat"],
        ["DEL", "turnstile:open"],
    ],
    "operator": [["CONFIG", "GET", "masterauth"], ["CLIENT", "PAUSE", "1"], ["GET", "other"]],
    "celery": [
        _CONTROL,
        ["CLIENT", "KILL", "ID", "1"],
        ["LPUSH", "chat", "x"],
        ["LRANGE", "message_store:x", "0", "-1"],
        ["HGETALL", "turnstile:turn:x"],
    ],
}


@pytest.mark.parametrize("user", _NOT)
def test_a_role_is_refused_what_is_not_its_work(url: Url, user: str) -> None:
    with redis.Redis.from_url(url(user)) as client:
        for command in [*_NOT[user], *_SERVER, ["SET", "other", "x"], ["SUBSCRIBE", "other"]]:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)


@pytest.mark.parametrize("user", [user for user in acl.USERS if user not in ("admin", "celery")])
def test_a_role_may_close_the_connection_whose_place_it_takes(server: EmbeddedServer, url: Url, user: str) -> None:
    store = TurnStore(Settings(redis_url=url(user)))
    store.try_fence()
    with redis.Redis.from_url(server.url) as client:
        client.client_kill_filter(user=user)
    store.try_fence()
    assert not refused(server)


def test_flower_counts_what_waits_in_lines_without_reading_sessions(url: Url) -> None:
    producer = ChatClient(url("producer"))
    for number in range(20):
        producer.ask(f"session-{number}", "hello")
    stats = TurnStore(Settings(redis_url=url("flower"))).stats()
    assert stats["ready:chat"] == 20 - producer.store.client.llen("chat")
    assert stats["ready:chat"] > 0


@pytest.mark.timeout(900)
def test_control_commands_of_celery_are_the_operators(url: Url, tmp_path: Path) -> None:
    with Worker(url("worker"), tmp_path) as worker:
        for user in ("producer", "gateway", "flower", "celery"):
            assert "ermissions" in run_as(url(user), *CELERY, "control", "shutdown")[1]
            assert worker.process
            assert worker.process.poll() is None
        run_as(url("operator"), *CELERY, "control", "shutdown")
        assert worker.process
        assert worker.process.wait(PATIENCE_SECONDS) == 0


def test_nobody_comes_in_without_a_password(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", append_only=False) as server:
        admin = redis.Redis.from_url(server.url)
        for line in reversed(acl.text(Settings(), DIGESTS).splitlines()):  # the last one shuts us out
            admin.execute_command("ACL", "SETUSER", *line.split()[1:])  # type: ignore[no-untyped-call]  # untyped in redis-py
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0)).ping()
        for user in acl.USERS:
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=server.port, username=user, password="wrong", retry=Retry(NoBackoff(), 0)).ping()
            assert redis.Redis(port=server.port, username=user, password=PASSWORDS[user]).ping()
        assert redis.Redis(port=server.port, username="admin", password=PASSWORDS["admin"]).config_get("port")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["acl", *arguments], catch_exceptions=False)


def test_the_command_makes_new_passwords_and_keeps_old_ones(tmp_path: Path) -> None:
    made = run()
    shown = {line.split()[0]: line.split()[1] for line in made.stderr.splitlines()[1:]}
    assert set(shown) == set(acl.USERS)
    assert all(acl.digest(password) in made.stdout for password in shown.values())
    assert not any(password in made.stdout for password in shown.values())
    (tmp_path / "users.acl").write_text(made.stdout)
    kept = run("--keep", str(tmp_path / "users.acl"))
    assert (kept.stdout, kept.stderr) == (made.stdout, "")
    assert run().stdout != made.stdout


def test_a_file_without_a_password_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no password of admin, producer"):
        acl.kept("user worker reset on #" + "a" * 64)


def test_another_prefix_separates_the_users_too() -> None:
    rights = acl.rights("worker", Settings(key_prefix="two:", redis_url="redis://localhost/3", intake_queue="asked"))
    assert {"~two:queue:chat", "~two:queue:asked???", "&two:queue:/3.celery.pidbox", "~two:turn:*"} <= set(rights.split())
    assert "turnstile:" not in rights
    assert "~chat" not in rights.split()
