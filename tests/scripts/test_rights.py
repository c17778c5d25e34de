"""The rights of a user of Redis, on every server: versions say in different words that a script lacks one."""

import secrets
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.scripts.conftest import Stage
from tests.scripts.scene import Scene
from turnstile.turns.errors import MissingRight

AsUser = Callable[[str], Scene]


@pytest.fixture
def as_user(stage: Stage, redis_url: str, client: redis.Redis) -> Iterator[AsUser]:
    """Open scenes of a user who has all rights but those that are named."""
    name = f"few-{secrets.token_hex(4)}"

    def scene(rights: str) -> Scene:
        client.execute_command("ACL", "SETUSER", name, "reset", "on", ">word", *rights.split())  # type: ignore[no-untyped-call]  # untyped
        return stage.open(redis_url=redis_url.replace("://", f"://{name}:word@"))

    yield scene
    client.acl_deluser(name)


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        ("~* &* +@all", set()),
        ("~* &* +@all -rpush -hset", {"+rpush", "+hset"}),
        ("~turnstile:t* ~message_store:* &* +@all", {"~turnstile:mailbox:*", "~turnstile:stats"}),
        ("~* +@all resetchannels", {"&turnstile:wake:*"}),
    ],
)
def test_rights_that_are_missing_are_named(as_user: AsUser, rights: str, missing: set[str]) -> None:
    found = set(as_user(rights).turns.lacking("producer"))
    assert missing <= found
    assert bool(missing) == bool(found)
    assert not {"~turnstile:turn:*", "+hget"} & found


@pytest.mark.parametrize("rights", ["~* &* +@all -hset", "~turnstile:turn:* &* +@all"])
def test_a_script_that_lacks_a_right_says_so(as_user: AsUser, rights: str) -> None:
    with pytest.raises(MissingRight):
        as_user(rights).submit("foo", "t1")
