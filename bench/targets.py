"""The targets, and what this run says of them."""

from bench.contestants import Bare, BareOwn, Defaults, Gevent, Prefork, Threads, Turnstile
from bench.tables import Table
from bench.throughput import LATENCY, Results, cpu, rate, tables

STOCK = (Threads.name, Gevent.name, Prefork.name)


class Targets:
    """Collects what the parts of a run find."""

    def __init__(self) -> None:
        self.turn_microseconds = 0.0
        self._table = Table(
            "Targets", "What was wanted, and what this run measured.", ("target", "wanted", "measured", "reached")
        )

    def table(self) -> Table:
        """Return the targets that were measured."""
        return self._table

    def throughput(self, found: Results) -> list[Table]:
        """CPU against the bare loop, rates against the rivals, memory."""
        fast, slow, most = found[500, 0], found[500, LATENCY], found[2_000, LATENCY]
        self.turn_microseconds = cpu(fast[Turnstile.name]) * 1e6
        ours = cpu(fast[Turnstile.name])
        self._most("CPU a turn ÷ the seed's chain on a bare loop", ours / cpu(fast[Bare.name]), 1.3)
        self._most("CPU a turn ÷ Turnstile's own chain on a bare loop", ours / cpu(fast[BareOwn.name]), 1.3)
        best = max(rate(samples) for level in found.values() for name, samples in level.items() if name in STOCK)
        stock = max(rate(level[name]) for level in (slow, most) for name in STOCK if name in level)
        mine = max(rate(level[Turnstile.name]) for level in (slow, most))
        self._least("turns/s ÷ the seed's chain on its best stock pool, 2 s model", mine / stock, 4)
        self._least("the same, model at once", rate(fast[Turnstile.name]) / best, 4)
        self._least("turns/s ÷ Celery's default settings, 2 s model", mine / rate(found[2, LATENCY][Defaults.name]), 100)
        memory = max(sample.memory for sample in most[Turnstile.name]) / 2**20
        self._most("memory of 2,000 turns in flight in one process, MiB above idle", memory, 400)
        return tables(found)

    def lengths(self, table: Table, ratio: float) -> Table:
        """Judge the cost of a turn in a long session against one in a short one."""
        self._most("cost of a turn at 99,000 messages ÷ at 10", ratio, 1.05)
        return table

    def summaries(self, table: Table, ratio: float) -> Table:
        """Judge the cost of a turn in a long session against one in a short one, where both are summed up."""
        self._most("cost of a turn with summaries at 100,000 messages ÷ at 100", ratio, 1.1)
        return table

    def prompt_cache(self, table: Table, share: float) -> Table:
        """Judge the part of prompts that a provider's cache keeps."""
        self._least("share of prompt tokens that a provider's cache keeps", share, 0.7)
        return table

    def latency(self, table: Table, added: dict[str, float]) -> Table:
        """Judge the latency that the queue adds."""
        self._most("added latency p50, ms", added["the answer"] * 1000, 10)
        self._most("added time to the first piece p50, ms", added["the first piece"] * 1000, 15)
        return table

    def producing(self, table: Table, per_second: float) -> Table:
        """Judge the number of turns that a producer's core can enqueue."""
        self._least("turns enqueued a CPU second of a blocking producer", per_second, 3_000)
        return table

    def server(self, table: Table, trips: float) -> Table:
        """Round trips."""
        self._most("Redis round trips a turn, not streamed", trips, 4)
        return table

    def idle(self, table: Table, found: dict[str, float]) -> Table:
        """Judge the cost of idling and starting."""
        self._most("idle worker, % of a core", found["worker"] * 100, 1)
        self._most("turnstile --help, s", found["help"], 0.3)
        return table

    def fairness(self, table: Table, longest: float) -> Table:
        """Judge the wait of a tenant's first turn."""
        self._most("wait of a tenant's first turn ÷ the length of a turn, 10,000 of another's waiting", longest, 1.05)
        return table

    def _most(self, name: str, value: float, limit: float) -> None:
        self._table.add(name, f"≤ {limit:,g}", f"{value:,.2f}", "yes" if value <= limit else "no")

    def _least(self, name: str, value: float, limit: float) -> None:
        self._table.add(name, f"≥ {limit:,g}", f"{value:,.2f}", "yes" if value >= limit else "no")
