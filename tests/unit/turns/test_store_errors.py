"""The server's errors, in our words: what is waited out, and what must be done by hand."""

import pytest
import redis
from redis.exceptions import NoPermissionError, ReadOnlyError, ResponseError

from turnstile.turns.errors import BrokenRecord, MissingRight, QueueUnreachable
from turnstile.turns.redis.address import parse
from turnstile.turns.redis.failures import is_outage, translate

_WHERE = parse("redis://user:secret@localhost/0")
_FULL = "max number of clients reached"
_LACKS = "ACL failure in script: User worker has no permissions to run the 'xadd' command script: on @user_script:1."


@pytest.mark.parametrize(
    ("error", "right"),
    [
        (NoPermissionError("User worker has no permissions to run the 'evalsha' command"), "+evalsha"),
        (ResponseError(_LACKS), "+xadd"),
        (ResponseError(f"user_script:2: ERR {_LACKS}"), "+xadd"),
        (ResponseError("ACL failure in script: No permissions to access a key script: on @user_script:2."), "keys or channels"),
        (ResponseError("ACL failure in script: No permissions to access a channel script"), "keys or channels"),
        (
            ResponseError("The user executing the script can't run this command or subcommand script: on @user_script:1."),
            "lacks a",
        ),
        (
            ResponseError(
                "The user executing the script can't access at least one of the keys mentioned in the command arguments"
            ),
            "keys or channels",
        ),
    ],
)
def test_a_right_that_is_missing_is_named_and_waited_out(error: ResponseError, right: str) -> None:
    translated = translate(error, _WHERE, "claim")
    assert isinstance(translated, MissingRight)
    assert isinstance(translated, QueueUnreachable)
    assert right in str(translated)
    assert "secret" not in str(translated)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ReadOnlyError("You can't write against a read only replica."), "replica, after a failover"),
        (ResponseError("READONLY You can't write against a read only replica."), "replica, after a failover"),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "min-replicas-to-write"),
        (ResponseError("MISCONF Valkey is configured to save RDB snapshots"), "its last snapshot failed"),
        (ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "cannot write its append-only file"),
        (ResponseError("BUSY Valkey is busy running a script."), "busy"),
    ],
)
def test_a_server_that_takes_nothing_for_a_while_is_waited_out(error: ResponseError, cause: str) -> None:
    translated = translate(error, _WHERE, "finish")
    assert type(translated) is QueueUnreachable
    assert cause in str(translated)


@pytest.mark.parametrize("error", [redis.ConnectionError(_FULL), redis.ConnectionError("closed"), redis.TimeoutError(_FULL)])
def test_a_server_that_takes_no_more_connections_is_told_as_such(error: redis.RedisError) -> None:
    translated = translate(error, _WHERE, "submit")
    assert type(translated) is QueueUnreachable
    assert ("maxclients" in str(translated)) == (str(error) == _FULL)
    assert is_outage(error) == (str(error) != _FULL)


def test_a_key_of_another_type_is_not() -> None:
    translated = translate(ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), _WHERE, "finish")
    assert isinstance(translated, BrokenRecord)
