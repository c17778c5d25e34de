"""The ledger storm: agents that pay when a person has approved, while their workers die, freeze and are cut off."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chaos import journal
from tests.chaos.faults import Kind, plan
from tests.chaos.hits import HITS
from tests.chaos.ledger_checker import Ledger, check
from tests.chaos.payers import Payer
from tests.chaos.proxy import ProxyThread
from tests.chaos.scene import LEASE_SECONDS, SETTINGS, Scene, Size
from tests.chaos.slots import WorkerSlot
from tests.chaos.timeline import recoveries
from turnstile.turns.settings import Settings
from turnstile.turns.store.turns import TurnStore

KINDS = (
    Kind.KILL_WORKER,
    Kind.FREEZE_WORKER,
    Kind.CUT_WORKER,
    Kind.DEAFEN_WORKER,
    Kind.SILENCE_WORKER,
    Kind.SLOW_WORKER,
    Kind.KILL_CONNECTION,
    Kind.CLOSE_AT_SERVER,
    Kind.CLOSE_AT_CLIENT,
    Kind.HOLD_CONNECTION,
    Kind.KILL_SERVER,
    Kind.STOP_SERVER,
    Kind.LOSE_DISPATCH,
    Kind.DOUBLE_DISPATCH,
    Kind.STALE_DISPATCH,
)
_CHAIN = "tests.chains.payments:agent"
_THREADS = 24
_CONCURRENCY = 8


@dataclass(slots=True)
class Outcome:
    """One run's outcome. `repeated`: calls that began again, each cut off by a fault before its result was kept."""

    seed: int
    seconds: float
    turns: int
    approved: int
    rejected: int
    calls: int
    repeated: int
    repeated_payments: int
    faults: dict[str, int]
    wrong: list[str]
    recoveries: dict[str, list[float]] = field(default_factory=dict)


class LedgerScene(Scene):
    """Workers whose chain is an agent, and nobody beside them."""

    def __init__(self, folder: Path, seed: int, size: Size, proxies: ProxyThread) -> None:
        super().__init__(folder, "", seed, size, proxies)
        self.ledger = folder / "ledger"
        self.settings = {**SETTINGS, "TURNSTILE_CHAIN": _CHAIN, "LEDGER": str(self.ledger)}

    def populate(self) -> None:
        """Make the places of the workers, once the server runs."""
        self.client = redis.Redis.from_url(self.server.url, socket_timeout=10, retry=Retry(NoBackoff(), 0))
        self.store = TurnStore(Settings(redis_url=self.server.url))
        self.slots = [WorkerSlot(self.proxy(), self.folder, _CONCURRENCY, self.settings) for _ in range(self.size.workers)]

    @property
    def placed(self) -> Sequence[WorkerSlot]:  # type: ignore[override]  # nothing but workers has a place here
        """Every process behind a proxy."""
        return self.slots


def run(seed: int, size: Size, folder: Path) -> Outcome:
    """One run, judged."""
    with ExitStack() as things:
        proxies = ProxyThread()
        scene = LedgerScene(folder, seed, size, proxies)
        things.enter_context(scene.server)
        things.enter_context(proxies)
        scene.populate()
        things.callback(scene.client.close)
        things.callback(_stop, scene)
        for slot in scene.slots:
            slot.start()
        for slot in scene.slots:
            slot.wait_until_at_work(scene.client)
        payers, wrong = _storm(scene)
        ledger = Ledger.read(scene.ledger)
        wrong += check(scene.store, payers, ledger)
    log = journal.read(scene.server.folder, LEASE_SECONDS)
    decided = [approved for payer in payers for approved in payer.asked.decided.values()]
    return Outcome(
        seed=seed,
        seconds=size.seconds,
        turns=sum(len(payer.asked.turns) for payer in payers),
        approved=sum(decided),
        rejected=len(decided) - sum(decided),
        calls=len(ledger.begun),
        repeated=ledger.repeated(),
        repeated_payments=ledger.repeated("pay"),
        faults=dict(Counter(struck.kind for struck in scene.struck)),
        wrong=[*wrong, *log.violations],
        recoveries=recoveries(scene.struck, log.attempts),
    )


def _storm(scene: LedgerScene) -> tuple[list[Payer], list[str]]:
    stop = threading.Event()
    payers = [Payer(scene.server.url, f"payer{n}", scene.seed, stop) for n in range(scene.size.sessions)]
    for payer in payers:
        payer.start()
    wrong: list[str] = []
    start = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as threads:
        pending = []
        for fault in plan(scene.seed, scene.size.faults, scene.size.seconds, scene.size.only or KINDS):
            time.sleep(max(0.0, start + fault.at - time.monotonic()))
            pending.append(threads.submit(HITS[fault.kind], scene, fault))
        wait(pending)
    wrong += [f"{type(error).__name__}: {error}" for done in pending if (error := done.exception())]
    for placed in scene.placed:
        placed.proxy.heal()
    stop.set()
    for payer in payers:
        payer.join()
    return payers, wrong


def _stop(scene: LedgerScene) -> None:
    for slot in scene.slots:
        slot.stop()
