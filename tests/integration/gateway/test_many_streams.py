"""Two thousand open streams on one gateway process."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.support.gateways import Gateway
from tests.support.step_worker import StepWorker
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

STREAMS = 2_000
AT_ONCE = 100
# The multiplexer, the pub/sub connection, and this test's own.
MOST_CONNECTIONS = 1 + 1 + 3


class Reader:
    """One open stream, on a bare socket."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.received = b""
        self.began = asyncio.Event()

    async def run(self, port: int) -> None:
        """Read to the end."""
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        sink.write(f"GET /v1/responses/{self.id}?stream=true HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        while piece := await source.read(65_536):
            self.received += piece
            if b"response.queued" in self.received:
                self.began.set()
        sink.close()

    def last(self) -> dict[str, object]:
        """Return the last event."""
        lines = [line for line in self.received.split(b"\n") if line.startswith(b"data: ")]
        last: dict[str, object] = json.loads(lines[-1].removeprefix(b"data: ").strip())
        return last


def resident_mib(pid: int) -> float:
    """Memory of a process, where the system tells; else 0."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


@pytest.mark.timeout(300)
async def test_open_streams(redis_url: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    store, worker = TurnStore(Settings(redis_url=redis_url)), StepWorker(Settings(redis_url=redis_url))
    readers = [Reader(f"resp_{number}") for number in range(STREAMS)]
    for reader in readers:
        store.submit(reader.id, f"of-{reader.id}", "hi", Options(request={"background": True}))
    with Gateway(redis_url, tmp_path) as gateway, redis.Redis.from_url(redis_url) as client:
        before = resident_mib(gateway.pid)
        gate = asyncio.Semaphore(AT_ONCE)
        reading = await asyncio.gather(*(_opened(reader, gateway.port, gate) for reader in readers))
        open_mib = resident_mib(gateway.pid)
        database = redis_url.rpartition("/")[2]
        connections = [c for c in client.client_list() if c["db"] == database]
        assert len(connections) <= MOST_CONNECTIONS
        await asyncio.to_thread(_answer_all, worker)
        await asyncio.gather(*reading)
    record_property("mib_before", before)
    record_property("mib_open", open_mib)
    for reader in readers:
        assert reader.last()["type"] == "response.completed"
        assert reader.last()["sequence_number"] == 9
    wait_until(lambda: store.stats()["open"] == 0, "all turns have ended")


async def _opened(reader: Reader, port: int, gate: asyncio.Semaphore) -> asyncio.Task[None]:
    async with gate:
        reading = asyncio.create_task(reader.run(port))
        beginning = asyncio.create_task(reader.began.wait())
        await asyncio.wait({reading, beginning}, return_when=asyncio.FIRST_COMPLETED)
        assert reader.began.is_set(), reader.received[:500]
        return reading


def _answer_all(worker: StepWorker) -> None:
    for _ in range(STREAMS):
        claim = worker.take()
        worker.say(claim, "hello")
        worker.answer(claim, "hello")
