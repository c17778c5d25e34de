"""Long sessions, one hot session, and very many sessions."""

import time
from collections import defaultdict
from statistics import median
from uuid import uuid4

from bench.contestants import Threads, Turnstile
from bench.load import measure
from bench.machine import Bench
from bench.tables import Table, spread
from turnstile.turns.question import Options
from turnstile.turns.store.turns import TurnStore

LENGTHS = (10, 100, 1_000, 10_000, 99_000)
"""Up to what TURNSTILE_MAX_HISTORY_MESSAGES allows."""
SESSIONS = 25
LONG_SESSIONS = 5
_LONG = 50_000
ROUNDS = 4
MANY = 100_000
_BATCH = 500
_MANY_SECONDS = 8.0


def lengths(bench: Bench) -> tuple[Table, float]:
    """Cost of a turn by the length of its session; and the ratio of the longest to the shortest."""
    table = Table(
        "Cost of a turn by the length of its session",
        f"Windows of 10 messages, so that every prompt is the same; {SESSIONS} sessions of each length, {LONG_SESSIONS} of the "
        f"longest; {ROUNDS} rounds in turn. The seed's chain reads the whole history, and so does the model.",
        (
            "messages in the session",
            "Turnstile, CPU ms a turn",
            "Redis, CPU ms a turn",
            "seed on Celery threads, CPU ms a turn",
        ),
    )
    ours: dict[int, list[float]] = defaultdict(list)
    server: dict[int, list[float]] = defaultdict(list)
    theirs: dict[int, list[float]] = defaultdict(list)
    with (
        Turnstile(bench, 20, TURNSTILE_WINDOW_MESSAGES="10", TURNSTILE_WINDOW_BLOCK="0") as turnstile,
        Threads(bench, 20) as seed,
    ):
        turnstile.ready()
        seed.ready()
        names = {length: turnstile.fill(_sessions(length), length) * (SESSIONS // _sessions(length)) for length in LENGTHS}
        long = {length: seed.fill(2, length) for length in LENGTHS if length < _LONG}
        measure(turnstile, 200, 0)
        measure(seed, 20, 0)
        for _ in range(ROUNDS):
            for length in LENGTHS:
                before = _server_cpu(turnstile)
                ours[length].append(measure(turnstile, 8 * SESSIONS, 0, sessions=names[length] * 8).cpu * 1000)
                server[length].append((_server_cpu(turnstile) - before) / (8 * SESSIONS) * 1000)
        for length in long:
            theirs[length].append(measure(seed, 4, 0, sessions=long[length] * 2).cpu * 1000)
    for length in LENGTHS:
        two, three = spread(server[length], digits=2), spread(theirs[length])
        table.add(f"{length:,}", spread(ours[length], digits=2), two, three)
    ratio = median(a / b for a, b in zip(ours[LENGTHS[-1]], ours[LENGTHS[0]], strict=True))
    return table, ratio


def _sessions(length: int) -> int:
    return LONG_SESSIONS if length > _LONG else SESSIONS


def _server_cpu(who: Turnstile) -> float:
    info = who.client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def extremes(bench: Bench) -> Table:
    """One session with 1,000 waiting turns; 100,000 sessions with one turn each."""
    table = Table(
        "One hot session, and very many",
        "The model answers at once. In one session turns run one after the other, so its rate is that of the whole path.",
        ("what", "turns/s", "CPU ms a turn", "dispatches a turn"),
    )
    with Turnstile(bench, 100) as who:
        who.ready()
        measure(who, 100, 0)
        base = who.store.stats()
        hot = measure(who, 1_000, 0, 120, sessions=["hot"] * 1_000)
        table.add("1,000 turns of one session", f"{hot.rate:.0f}", f"{hot.cpu * 1000:.2f}", _dispatches(who, base))
        base = who.store.stats()
        few = measure(who, 1_000, 0)
        table.add("1,000 sessions with one turn each", f"{few.rate:.0f}", f"{few.cpu * 1000:.2f}", _dispatches(who, base))
    with Turnstile(bench, 100) as who:
        who.ready()
        measure(who, 100, 0)
        before = who.client.info("memory")["used_memory"]
        began = time.monotonic()
        enqueue_many(who, MANY)
        took = time.monotonic() - began
        size = (who.client.info("memory")["used_memory"] - before) / MANY
        base = who.store.stats()
        done, used = who.bench.answered(), who.usage().cpu
        time.sleep(_MANY_SECONDS)
        done, used = who.bench.answered() - done, who.usage().cpu - used
        table.add(
            f"{MANY:,} sessions with one turn each, {_MANY_SECONDS:.0f} s of them",
            f"{done / _MANY_SECONDS:.0f}",
            f"{used / done * 1000:.2f}",
            _dispatches(who, base),
        )
        table.notes.append(
            f"The {MANY:,} turns were accepted at {MANY / took:,.0f}/s over one connection, in pipelines of {_BATCH}, beside "
            f"the worker at work; one that waits takes {size:,.0f} bytes of Redis's memory."
        )
    return table


def _dispatches(who: Turnstile, base: dict[str, int]) -> str:
    now = who.store.stats()
    claimed = now["claimed"] - base.get("claimed", 0)
    again = sum(now.get(name, 0) - base.get(name, 0) for name in ("redispatched", "recovered", "retried"))
    return f"{1 + again / max(claimed, 1):.3f}"


def enqueue_many(who: Turnstile, turns: int) -> None:
    """Submit turns of as many sessions, in pipelines of the same script that every producer runs."""
    sha = who.client.script_load(who.store.scripts["submit"].source)
    options = Options(queue="batch", stream=False)
    for start in range(0, turns, _BATCH):
        pipe = who.client.pipeline(transaction=False)
        for number in range(start, min(start + _BATCH, turns)):
            call = TurnStore.submit.describe(who.store, str(uuid4()), f"many-{number}", "Hello", options)
            pipe.evalsha(sha, 0, *call.args)
        assert all(reply[0] == b"accepted" for reply in pipe.execute())
