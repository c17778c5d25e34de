"""The cost of idling and of starting."""

import subprocess
import time
from collections.abc import Sequence
from statistics import median

from bench.contestants import Turnstile
from bench.machine import PYTHON, ROOT, Bench, usage
from bench.tables import Table, spread

SECONDS = 12.0
TIMES = 5


def run(bench: Bench) -> tuple[Table, dict[str, float]]:
    """Idle worker, start of the worker, of the command line, and of the client."""
    table = Table("Idle and starting", f"An idle worker over {SECONDS:.0f} s; {TIMES} starts each.", ("what", "figure"))
    found: dict[str, float] = {}
    with Turnstile(bench, 100) as who:
        who.ready()
        time.sleep(2)
        before = (who.usage(), usage(bench.server.pid).cpu, who.client.info("stats")["total_reads_processed"])
        time.sleep(SECONDS)
        after = (who.usage(), usage(bench.server.pid).cpu, who.client.info("stats")["total_reads_processed"])
        found["worker"] = (after[0].cpu - before[0].cpu) / SECONDS
        table.add("idle worker, share of a core", f"{found['worker'] * 100:.2f} %")
        table.add("Redis beside it, share of a core", f"{(after[1] - before[1]) / SECONDS * 100:.2f} %")
        table.add("round trips a second of an idle worker", f"{(after[2] - before[2]) / SECONDS:.1f}")
        table.add("memory of an idle worker", f"{after[0].memory / 2**20:.0f} MiB")
    workers = []
    for _ in range(2):
        began = time.monotonic()
        with Turnstile(bench, 100) as who:
            who.ready()
            workers.append(time.monotonic() - began)
    table.add("start of a worker until it takes turns, s", spread(workers, digits=2))
    help_times = _starts([str(ROOT / ".venv" / "bin" / "turnstile"), "--help"])
    found["help"] = median(help_times)
    table.add("turnstile --help, s", spread(help_times, digits=3))
    table.add(
        "import turnstile.producers.client, s", spread(_starts([PYTHON, "-c", "import turnstile.producers.client"]), digits=3)
    )
    table.add("Python itself, s", spread(_starts([PYTHON, "-c", "pass"]), digits=3))
    return table, found


def _starts(command: Sequence[str]) -> list[float]:
    times = []
    for _ in range(TIMES):
        began = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return times
