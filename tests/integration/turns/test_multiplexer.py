"""Many calls over one connection: order, coalescing, faults of the connection, and the errors that callers get."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis
import uvloop

from tests.chaos.proxy import FaultProxy
from tests.integration.slow_to_end import SlowToEnd
from tests.support.wait import wait_until
from turnstile.turns.redis import multiplexer as module
from turnstile.turns.redis import silence
from turnstile.turns.redis.connection import close_async, multiplexer
from turnstile.turns.redis.multiplexer import Multiplexer

NewLoop = Callable[[], asyncio.AbstractEventLoop]
Work = Callable[[Multiplexer], Coroutine[Any, Any, None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    """Makes the loops that the multiplexer has to run on."""
    made: NewLoop = request.param
    return made


def run(new_loop: NewLoop, url: str, work: Work) -> None:
    async def all_of_it() -> None:
        await work(multiplexer(url))
        await close_async(url)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(all_of_it())


@pytest.fixture
def proxied(proxy: FaultProxy, redis_url: str) -> str:
    """Return the test's database by way of the proxy."""
    return f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}"


def test_replies_find_their_callers(new_loop: NewLoop, redis_url: str) -> None:
    async def work(line: Multiplexer) -> None:
        assert await asyncio.gather(*(line.execute("ECHO", f"é{n}") for n in range(500))) == [
            f"é{n}".encode() for n in range(500)
        ]
        assert await line.execute("ECHO", "x" * 3_000_000) == b"x" * 3_000_000
        assert await line.execute("SET", "count", 7) == b"OK"
        assert await line.execute("INCRBYFLOAT", "count", 0.5) == b"7.5"

    run(new_loop, redis_url, work)


def test_what_is_asked_at_one_moment_goes_out_together(new_loop: NewLoop, redis_url: str, client: redis.Redis) -> None:
    async def work(line: Multiplexer) -> None:
        await line.execute("PING")
        before = client.info("stats")
        await asyncio.gather(*(line.execute("PING") for _ in range(200)))
        after = client.info("stats")
        assert after["total_commands_processed"] - before["total_commands_processed"] >= 200
        assert after["total_reads_processed"] - before["total_reads_processed"] <= 3
        assert after["total_connections_received"] == before["total_connections_received"]

    run(new_loop, redis_url, work)


def test_an_error_is_its_own_callers(new_loop: NewLoop, redis_url: str) -> None:
    async def work(line: Multiplexer) -> None:
        calls = [line.execute("ECHO", "a"), line.execute("LPUSH"), line.execute("ECHO", "b")]
        with pytest.raises(redis.ResponseError):
            await calls[1]
        assert (await calls[0], await calls[2]) == (b"a", b"b")
        with pytest.raises(Exception, match="must be str, int"):
            line.execute("ECHO", None)  # type: ignore[arg-type]  # that is the fault
        assert await line.execute("ECHO", "c") == b"c"

    run(new_loop, redis_url, work)


def test_a_caller_who_leaves_takes_nobody_elses_reply(new_loop: NewLoop, redis_url: str) -> None:
    async def work(line: Multiplexer) -> None:
        first, left, last = (asyncio.ensure_future(line.execute("ECHO", word)) for word in "abc")
        await asyncio.sleep(0)
        left.cancel()
        assert (await first, await last) == (b"a", b"c")
        unsent = line.execute("SET", "k", "v")
        unsent.cancel()
        assert await line.execute("GET", "k") is None

    run(new_loop, redis_url, work)


def test_a_connection_that_the_server_closes_is_opened_again(new_loop: NewLoop, redis_url: str, client: redis.Redis) -> None:
    async def work(line: Multiplexer) -> None:
        for _ in range(3):
            before = await line.execute("CLIENT", "ID")
            client.client_kill_filter(_id=str(before))
            wait_until(lambda id=before: id not in {int(c["id"]) for c in client.client_list()}, "it is gone")  # type: ignore[misc]  # a lambda's default
            assert await line.execute("CLIENT", "ID") != before

    run(new_loop, redis_url, work)


def test_what_is_under_way_when_connections_are_cut_is_sent_again(
    new_loop: NewLoop, proxied: str, proxy: FaultProxy, client: redis.Redis
) -> None:
    async def work(line: Multiplexer) -> None:
        await line.execute("PING")
        for _ in range(5):
            calls = asyncio.gather(*(line.execute("ECHO", str(n)) for n in range(100)))
            await asyncio.sleep(0)
            proxy.cut()
            assert await calls == [str(n).encode() for n in range(100)]

    run(new_loop, proxied, work)


def test_a_reply_that_is_lost_is_asked_for_again(
    new_loop: NewLoop, proxied: str, proxy: FaultProxy, client: redis.Redis
) -> None:
    async def work(line: Multiplexer) -> None:
        await line.execute("PING")
        proxy.swallow_replies()
        call = asyncio.ensure_future(line.execute("RPUSH", "twice", "x"))
        await asyncio.to_thread(wait_until, lambda: client.llen("twice") > 0, "the command has run")
        proxy.heal()
        assert await call == client.llen("twice")

    run(new_loop, proxied, work)


def test_a_silent_connection_is_left(
    new_loop: NewLoop, proxied: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.5)

    async def work(line: Multiplexer) -> None:
        await line.execute("PING")
        proxy.go_silent()
        call = asyncio.ensure_future(line.execute("ECHO", "a"))
        await asyncio.sleep(0)
        proxy.heal()
        assert await call == b"a"

    run(new_loop, proxied, work)


def test_a_server_that_is_slow_but_talks_is_kept(new_loop: NewLoop, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.5)

    async def work(line: Multiplexer) -> None:
        before = await line.execute("CLIENT", "ID")
        # Each waits in vain for a replica, and those behind it wait for it.
        assert await asyncio.gather(*(line.execute("WAIT", 1, 200) for _ in range(6))) == [0] * 6
        assert await line.execute("CLIENT", "ID") == before

    run(new_loop, redis_url, work)


def test_a_server_that_is_gone_is_an_error_after_a_while(new_loop: NewLoop, proxied: str, proxy: FaultProxy) -> None:
    there = proxy.target

    async def work(line: Multiplexer) -> None:
        await line.execute("PING")
        proxy.target = 1  # nobody listens there
        proxy.cut()
        with pytest.raises(redis.ConnectionError):
            await line.execute("PING")
        proxy.target = there
        assert await line.execute("ECHO", "a") == b"a"

    run(new_loop, proxied, work)


def test_a_wrong_password_is_said_at_once(new_loop: NewLoop, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[Exception] = []
    wait = Multiplexer._after

    async def note(line: Multiplexer, trouble: Exception) -> None:
        waited.append(trouble)
        await wait(line, trouble)

    async def work(line: Multiplexer) -> None:
        with pytest.raises(redis.AuthenticationError):
            await line.execute("PING")

    monkeypatch.setattr(Multiplexer, "_after", note)
    run(new_loop, redis_url.replace("://", "://nobody:wrong@"), work)
    assert not waited, "it is not tried again"


def test_whoever_waits_when_it_is_closed_is_told(new_loop: NewLoop, proxied: str, proxy: FaultProxy) -> None:
    async def work(line: Multiplexer) -> None:
        await line.execute("PING")
        proxy.go_silent()
        call = line.execute("PING")
        await asyncio.sleep(0)
        await line.close()
        with pytest.raises(redis.ConnectionError):
            await call
        proxy.heal()
        assert await line.execute("ECHO", "a") == b"a"

    run(new_loop, proxied, work)


def test_it_is_closed_while_its_connection_breaks(
    new_loop: NewLoop, proxied: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(line: Multiplexer) -> None:
        slow = SlowToEnd()
        monkeypatch.setattr(module, "watch_for_silence", slow.watch)
        await line.execute("PING")
        proxy.cut()
        await slow.ends_when(line.close)

    run(new_loop, proxied, work)
