"""The fence's commands, and the answers to them."""

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from turnstile.turns.redis.fence import Fence

FIRST, SECOND, LOCAL = (
    b"id=%d addr=%s laddr=127.0.0.1:6379 fd=8 name= age=0\n" % one
    for one in ((7, b"10.0.0.1:5000"), (9, b"10.0.0.1:5001"), (3, b"/var/run/the socket:0"))
)
WHO = ("CLIENT", "INFO")
BUSY = ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")


def kill(id: bytes, address: bytes) -> tuple[str | bytes, ...]:
    return ("CLIENT", "KILL", "ID", id, "ADDR", address)


def test_each_connection_closes_the_last_one() -> None:
    fence = Fence()
    assert fence.commands() == [WHO]
    fence.take([FIRST])
    assert fence.commands() == [kill(b"7", b"10.0.0.1:5000"), WHO]
    fence.take([1, SECOND])
    assert fence.commands() == [kill(b"9", b"10.0.0.1:5001"), WHO]
    fence.take([0, LOCAL])
    assert fence.commands()[0] == kill(b"3", b"/var/run/the socket:0")


def test_one_that_was_lost_before_it_stood_leaves_the_last_one_to_the_next() -> None:
    fence = Fence()
    fence.take([FIRST])
    fence.commands()
    assert fence.commands()[0] == kill(b"7", b"10.0.0.1:5000")


@pytest.mark.parametrize("replies", [[BUSY, SECOND], [0, BUSY], [BUSY, BUSY]])
def test_a_server_that_is_busy_is_asked_again(replies: list[object]) -> None:
    fence = Fence()
    fence.take([FIRST])
    with pytest.raises(ResponseError):
        fence.take(replies)
    assert fence.commands()[0] == kill(b"7", b"10.0.0.1:5000")


@pytest.mark.parametrize(
    "reply", [NoPermissionError("no permissions"), ResponseError("unknown command 'CLIENT'"), b"", b"?", None]
)
def test_where_names_are_not_told_nothing_is_closed(reply: object) -> None:
    fence = Fence()
    fence.take([FIRST])
    fence.take([0, reply])
    assert fence.commands() == [WHO]
