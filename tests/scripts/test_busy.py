"""A server that is busy with somebody's script takes no other call: it is waited out as an outage is."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import redis
from redis.exceptions import ResponseError

from tests.scripts.conftest import Memory
from tests.scripts.scene import Scene
from tests.support.wait import wait_until
from turnstile.deploy.local.server import EmbeddedServer
from turnstile.turns.errors import QueueUnreachable
from turnstile.turns.states import State


@contextmanager
def _busy(client: redis.Redis, url: str) -> Iterator[None]:
    """Have the server run an endless script for the block."""
    client.config_set("busy-reply-threshold", 1)
    with redis.Redis.from_url(url, socket_timeout=None) as caller, ThreadPoolExecutor(1) as thread:
        running = thread.submit(caller.eval, "while true do end", 0)
        try:
            wait_until(lambda: _is_busy(client), "the server is busy")
            yield
        finally:
            client.script_kill()
            with suppress(ResponseError):
                running.result()


def _is_busy(client: redis.Redis) -> bool:
    try:
        client.ping()
    except ResponseError as error:
        return str(error).startswith("BUSY")
    return False


def test_a_busy_server_is_told_as_an_outage(cramped: tuple[Scene, Memory], small_server: EmbeddedServer) -> None:
    scene, _ = cramped
    with _busy(scene.client, small_server.url):
        for call in (lambda: scene.submit("a"), lambda: scene.turns.history("foo"), lambda: scene.turns.status("a")):
            with pytest.raises(QueueUnreachable, match="busy with a script that takes long; try again"):
                call()
    scene.submit("a")
    assert scene.turns.status("a").state is State.QUEUED
