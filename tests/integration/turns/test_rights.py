"""Users that lack a right: it is named at the start and by the doctor, and what it broke off is completed once it is given."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from tests.scripts.cutting import bring_to_rest, violations
from tests.scripts.scene import Scene, pair
from tests.support.processes import Worker
from tests.support.wait import PATIENCE_SECONDS
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.producers.cli.doctor.check import Verdict
from turnstile.producers.cli.doctor.report import examine
from turnstile.turns.errors import MissingRight
from turnstile.turns.redis.scripts import NAMES, build
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.rights import ROLES, ask, commands
from turnstile.turns.store.turns import AsyncTurnStore, TurnStore
from turnstile.turns.turn import Claim

ROOT = Path(__file__).parents[3]
_ALWAYS = "+eval +evalsha +hello +ping +select +info"
# More than the scripts need: what is called beside them.
_BESIDE = "+xrange +lrange +time +zrevrange +zcard"


class Users:
    """Users of one server, each with the rights of a role, and shorthands to change them."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self.client = redis.Redis.from_url(server.url, decode_responses=True)

    def store(self, role: str) -> TurnStore:
        """Return the turns as a user of this role's name sees them, who has the least rights of the role."""
        store = TurnStore(Settings(redis_url=self._server.url))
        asked, said = ask(role, store.scripts, store.keys)
        assert asked
        allowed = [f"+{name.lower()}" for name in commands(role, tuple(store.scripts.values()))]
        self.set(role, "reset", "on", ">p", "-@all", *_ALWAYS.split(), *_BESIDE.split(), *allowed)
        self.set(role, *(pattern for pattern in said.values()), f"~{store.keys.probe()}*")
        url = self._server.url.replace("redis://", f"redis://{role}:p@")
        return TurnStore(Settings(redis_url=url))

    def scene(self) -> Scene:
        """Return the turns as a user with all rights sees them."""
        return Scene(TurnStore(Settings(redis_url=self._server.url)), self.client)

    def set(self, role: str, *rules: str) -> None:
        """Change a user's rights."""
        self.client.execute_command("ACL", "SETUSER", role, *rules)  # type: ignore[no-untyped-call]  # untyped in redis-py


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("rights"), append_only=False) as running:
        yield running


@pytest.fixture
def users(server: EmbeddedServer) -> Iterator[Users]:
    found = Users(server)
    found.client.flushall()
    yield found
    found.client.close()


@pytest.mark.parametrize("role", ROLES)
def test_the_least_rights_are_enough(users: Users, role: str) -> None:
    store = users.store(role)
    assert store.lacking(role) == []
    assert users.client.keys("*") == []


@pytest.mark.parametrize("role", ROLES)
def test_every_command_that_is_missing_is_named(users: Users, role: str) -> None:
    store = users.store(role)
    for name in commands(role, tuple(store.scripts.values())):
        users.set(role, f"-{name.lower()}")
        assert store.lacking(role) == ["+pubsub|numsub" if name == "PUBSUB" else f"+{name.lower()}"]
        users.set(role, f"+{name.lower()}")
    # One that has expired meanwhile is told as -2.
    assert all(users.client.pttl(key) != -1 for key in users.client.keys("*"))


@pytest.mark.parametrize("role", ROLES)
def test_every_family_that_is_missing_is_named(users: Users, role: str) -> None:
    store = users.store(role)
    patterns = list(ask(role, store.scripts, store.keys)[1].values())
    for lost in patterns:
        users.set(role, "resetkeys", "resetchannels", *(pattern for pattern in patterns if pattern != lost))
        users.set(role, f"~{store.keys.probe()}*")
        assert [right for right in store.lacking(role) if right != "~turnstile:probe:*"] == [
            lost
        ] or lost == "~turnstile:probe:*"


def test_several_are_named_at_once(users: Users) -> None:
    store = users.store("worker")
    users.set("worker", "-xadd", "-lpush", "resetchannels", "&turnstile:*")
    assert store.lacking("worker") == ["+lpush", "+xadd", "&celery-task-meta-*"]


def test_no_role_is_short_of_a_script() -> None:
    """Each role's list holds what its packages call, and every script is somebody's."""
    called = {"worker": "workers/**/*.py", "gateway": "producers/gateway/**/*.py"}
    operations = {name: "write_conversation" if name in ("begin", "amend") else name for name in (*NAMES, "begin", "amend")}
    for role, files in called.items():
        text = "".join(path.read_text() for path in ROOT.glob(files))
        used = {operations[name] for name in re.findall(r"store\.(\w+)\(", text) if name in operations}
        assert used <= set(ROLES[role]), role
    assert set(NAMES) == {name for names in ROLES.values() for name in names}


def test_every_command_of_the_scripts_is_tried() -> None:
    scripts = build(Settings())
    tried = set(re.findall(r"\b([A-Z]+) = \{", scripts["rights"].source))
    assert {name for role in ROLES for name in commands(role, tuple(scripts.values()))} <= tried


def test_the_doctor_names_what_is_missing(users: Users) -> None:
    store = users.store("producer")
    users.set("producer", "-rpush")
    check = {check.name: check for check in examine(store.settings)}["rights"]
    assert check.verdict is Verdict.FAIL
    assert "+rpush" in check.detail


def test_a_worker_that_lacks_a_right_does_not_start(users: Users, tmp_path: Path) -> None:
    url = users.store("worker").settings.redis_url
    users.set("worker", "allkeys", "allchannels", "+@all", "-xadd")
    worker = Worker(url, tmp_path)
    worker.start(ready=False)
    assert worker.process
    assert worker.process.wait(PATIENCE_SECONDS) == 2
    assert "lacks +xadd" in worker.text()


@pytest.mark.parametrize(
    "lost",
    [("-xadd",), ("resetkeys", "~turnstile:*", "~message_store:*", "~chat", "~batch", "~webhooks"), ("-hdel",), ("-publish",)],
    ids=["events", "results", "hdel", "publish"],
)
def test_an_end_without_a_right_is_in_the_history_once(users: Users, lost: tuple[str, ...]) -> None:
    whole = users.scene()
    store = users.store("worker")
    claim = whole.start("a", reply=True)
    whole.submit("b", reply=True)
    users.set("worker", *lost)
    for _ in range(3):
        with pytest.raises(MissingRight, match="lacks"):
            Scene(store, users.client).complete(claim)
        whole.expire_lease()
        with pytest.raises(MissingRight, match="lacks"):
            store.sweep()
    assert whole.history() == pair("a")
    assert whole.state("a") is State.COMPLETED
    users.store("worker")
    bring_to_rest(whole)
    assert list(violations(whole)) == []
    assert whole.history() == [*pair("a"), *pair("b")]


@pytest.mark.parametrize("lost", ["rpush", "hset", "zadd", "lpush", "hincrby", "pexpire"])
def test_a_turn_that_was_submitted_without_a_right_runs_once_it_is_asked_again(users: Users, lost: str) -> None:
    whole = users.scene()
    store = users.store("producer")
    whole.submit("a")
    asked = (("b", "foo"), ("c", "bar"))
    users.set("producer", f"-{lost}")
    for id, session in asked:
        with suppress(MissingRight):
            store.submit(id, session, "hi")
    users.set("producer", f"+{lost}")
    for id, session in asked:
        assert store.submit(id, session, "hi").state is State.QUEUED
    bring_to_rest(whole)
    assert list(violations(whole)) == []
    assert [whole.state(id) for id in "abc"] == [State.COMPLETED] * 3


@pytest.mark.parametrize("lost", ["hmget", "hset", "zadd", "pexpire"])
def test_a_renewal_without_a_right_gives_no_turn_up(users: Users, lost: str) -> None:
    whole, store = users.scene(), users.store("worker")
    claim = whole.start("a")
    users.set("worker", f"-{lost}")
    with pytest.raises(MissingRight, match=rf"lacks \+{lost}"):
        store.renew("w1", [claim])
    users.store("worker")
    assert store.renew("w1", [claim]) == ["kept"]


def test_whatever_stops_a_renewal_stops_the_sweep_that_would_take_the_turn(users: Users) -> None:
    whole, store = users.scene(), users.store("worker")
    claim = whole.start("a")
    for name in set(re.findall(r"redis\.p?call\('([A-Z]+)'", store.scripts["renew"].source)) - {"PEXPIRE"}:
        whole.expire_lease()
        users.set("worker", f"-{name.lower()}")
        with pytest.raises(MissingRight):
            store.sweep(worker="w2")
        users.store("worker")
        assert whole.state("a") is State.RUNNING
    assert whole.complete(claim) is State.COMPLETED


@pytest.mark.parametrize("lost", ["publish", "xadd", "lrange", "sadd", "hincrby"])
def test_a_claim_without_a_right_is_made_again_and_counts_once(users: Users, lost: str) -> None:
    whole, store = users.scene(), users.store("worker")
    whole.submit("a")
    users.set("worker", f"-{lost}")
    for number in range(8):
        with suppress(MissingRight):
            store.claim("a", "w1", f"nonce{number // 4}")
    users.store("worker")
    claim = store.claim("a", "w1", "nonce0" if lost in ("sadd", "hincrby") else "nonce2")
    assert isinstance(claim, Claim)
    assert claim.attempt == 1
    assert whole.complete(claim) is State.COMPLETED


def test_a_call_of_the_loop_names_it_too(users: Users) -> None:
    users.store("worker")
    users.set("worker", "-hset")
    url = users.store("producer").settings.redis_url.replace("producer", "worker")

    async def ask_it() -> list[str]:
        return await AsyncTurnStore(Settings(redis_url=url)).lacking("worker")

    assert asyncio.run(ask_it()) == ["+hset"]
