"""The wait of a tenant's first turn while another tenant has thousands waiting."""

import time
from statistics import median
from uuid import uuid4

from bench.contestants import Turnstile
from bench.load import question
from bench.machine import Bench
from bench.tables import Table
from tests.support.wait import wait_until
from turnstile.turns.question import Options
from turnstile.turns.store.turns import TurnStore

SLOTS = (1, 2, 4, 50)
WAITING = 10_000
PROBES = 7
_TURN_SECONDS = 2.0
_BATCH = 500
_PLAIN = Options(stream=False)
_ONE_SLOT = "With a single slot no turn stands on the queue while one is at work: the next is chosen when the slot falls free."


def run(bench: Bench) -> tuple[Table, float]:
    """Return the waits, and the longest of all, in turns' lengths."""
    table = Table(
        "A tenant's first turn beside 10,000 of another's",
        f"One worker; each turn takes the model {_TURN_SECONDS:.0f} s. One tenant has {WAITING:,} turns of as many sessions "
        f"waiting; {PROBES} times, at odd moments while its turns have all slots, another asks its first question.",
        (
            "slots",
            "wait of the first turn, turns' lengths",
            "the longest",
            "in one line it would be",
            "dispatches on the queue",
            "a turn",
        ),
    )
    longest = 0.0
    for slots in SLOTS:
        with Turnstile(bench, slots) as who:
            who.ready()
            waits, standing, dispatches = _probe(who, slots)
            table.add(
                f"{slots}",
                f"{median(waits):.2f}",
                f"{max(waits):.2f}",
                f"{WAITING / slots:,.0f}",
                f"{standing}",
                f"{dispatches:.3f}",
            )
            longest = max(longest, *waits)
    table.notes.append(_ONE_SLOT)
    return table, longest


def _probe(who: Turnstile, slots: int) -> tuple[list[float], int, float]:
    """Return the waits, the most dispatches that stood on the queue, and the dispatches for each turn that was claimed."""
    base = who.store.stats()
    _enqueue(who, WAITING)
    waits, standing = [], 0
    for number in range(PROBES):
        # As if ten minutes had passed: no slot is kept for whoever asked before.
        who.client.zrem(who.store.keys.tenants, *(f"late-{earlier}" for earlier in range(PROBES)))
        wait_until(lambda: who.bench.open() >= slots, "all slots are taken", 60)
        time.sleep(_TURN_SECONDS * (0.3 + number / PROBES))
        standing = max(standing, who.client.llen("chat"))
        id = str(uuid4())
        who.store.submit(id, f"late-{number}/s", question(_TURN_SECONDS), _PLAIN)
        wait_until(lambda id=id: who.store.status(id).ended, "it has ended", 120)
        record = who.store.status(id)
        assert record.started is not None
        waits.append((record.started - record.created) / _TURN_SECONDS)
    now = who.store.stats()
    sent, claimed = (now[name] - base.get(name, 0) for name in ("sent:chat", "claimed"))
    return waits, standing, (sent - who.client.llen("chat")) / claimed


def _enqueue(who: Turnstile, turns: int) -> None:
    sha = who.client.script_load(who.store.scripts["submit"].source)
    for start in range(0, turns, _BATCH):
        pipe = who.client.pipeline(transaction=False)
        for number in range(start, start + _BATCH):
            call = TurnStore.submit.describe(who.store, str(uuid4()), f"a/{number}", question(_TURN_SECONDS), _PLAIN)
            pipe.evalsha(sha, 0, *call.args)
        assert all(reply[0] == b"accepted" for reply in pipe.execute())
