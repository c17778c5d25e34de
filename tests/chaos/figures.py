"""Tables in docs/reliability.md, written from docs/reliability.json: what was measured, and nothing else."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.faults import Kind
from tests.chaos.record import MODEL_FAULTS
from tests.support.processes import ROOT

Data = dict[str, Any]

DATA = ROOT / "docs" / "reliability.json"
PAGE = ROOT / "docs" / "reliability.md"
_CONFIDENCE = 0.05
_RUNS = ("storm", "recovery", "ledger")


def load() -> Data:
    """Everything measured so far, by section."""
    data: Data = json.loads(DATA.read_text()) if DATA.exists() else {}
    return data


def publish(section: str, value: Any, *, add: bool = False) -> None:
    """Keep a section's new measurement (`add`: a run beside earlier ones) and write all tables again."""
    data = load()
    data[section] = [*(data.get(section, []) if add else []), value] if section in _RUNS else value
    DATA.write_text(_text(data))
    write(data)


def _text(data: Data) -> str:
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {_lines(value)}" for name, value in data.items()) + "\n}\n"


def _lines(value: Any) -> str:
    """JSON with each run on a line of its own."""
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in value) + "\n]"


def write(data: Data, page: Path = PAGE) -> None:
    """Put each section's table between its two markers in the page."""
    text = page.read_text()
    data = {**data, "proofs": None}
    for name, table in _TABLES.items():
        body = "\n".join(table(data[name])) if name in data else "Not measured yet."
        marks = f"<!-- {name} -->", f"<!-- end {name} -->"
        pattern = f"{re.escape(marks[0])}.*?{re.escape(marks[1])}"
        text = re.sub(pattern, lambda _, b=body, m=marks: f"{m[0]}\n{b}\n{m[1]}", text, flags=re.DOTALL)  # type: ignore[misc]  # a lambda's default
    page.write_text(text)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least this share of them does not pass."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def upper_bound(count: int, trials: int) -> float:
    """Return the highest rate that would still show so few events in 5 % of such runs; with none, the rule of three."""
    low, high = 0.0, count + 20.0
    for _ in range(60):
        rate = (low + high) / 2
        likely = sum(math.exp(-rate) * rate**k / math.factorial(k) for k in range(count + 1))
        low, high = (rate, high) if likely > _CONFIDENCE else (low, rate)
    return high / trials


def storm(runs: Sequence[Data]) -> list[str]:
    """Faults by class, and what became of the turns."""
    faults: Counter[str] = Counter()
    for run in runs:
        faults.update(run["faults"])
    rows = [_row(kind, f"{faults[kind]:,}") for kind in (*Kind, *MODEL_FAULTS) if faults[kind]]
    head = [_row("class of fault", "faults"), _row("---", "--:")]
    return [*head, *rows, _row("**all**", f"**{faults.total():,}**"), "", *_totals(runs, faults.total())]


def _totals(runs: Sequence[Data], faults: int) -> list[str]:
    turns, attempts = _sum(runs, "turns"), _sum(runs, "attempts")
    dispatches, calls = _sum(runs, "dispatches"), _sum(runs, "model_calls")
    modes = Counter(run["fsync"] for run in runs)
    seeds = ", ".join(str(run["seed"]) for run in runs)
    broken = [run for run in runs if any(run["findings"].values())]
    rows = [_row("of these turns", "count", "at most, in 95 of 100 such runs"), _row("---", "--:", "--:")]
    for name in ("lost", "doubled", "misordered"):
        count = sum(len(run["findings"][name]) for run in runs)
        rows.append(_row(name, f"**{count}**", f"1 in {1 / upper_bound(count, turns):,.0f} turns"))
    others = sum(len(run["findings"]["others"]) for run in runs)
    return [
        (
            f"{turns:,} accepted turns, {len(runs)} runs ({', '.join(f'{n} with appendfsync {m}' for m, n in modes.items())}; "
            f"seeds {seeds}), of which {len(broken)} broke a promise."
        ),
        "",
        *rows,
        _row("anything else that the checker looks for", f"**{others}**", ""),
        "",
        (
            f"What it cost: {attempts:,} attempts and {calls:,} model calls for {turns:,} turns, so "
            f"{(calls - turns) / faults:.2f} wasted model calls for each fault; "
            f"{dispatches / turns:.2f} dispatches for each turn. "
            f"{sum(run.get('unexplained', 0) for run in runs)} attempts were taken from workers to which nothing had been done."
        ),
    ]


def proofs(_: object) -> list[str]:
    """Return the results of the pages beside this one: states explored, mutants killed."""
    pages = {"exploration.md": "states", "mutants.md": "mutants"}
    found = [_line_with(ROOT / "docs" / page, word) for page, word in pages.items()]
    return [
        f"Every interleaving in small scopes ([exploration.md](exploration.md)): {found[0]}",
        "",
        f"Deliberate faults in scripts and workers ([mutants.md](mutants.md)): {found[1]}",
    ]


def _line_with(page: Path, word: str) -> str:
    """Return the first line of a page that begins with a number and speaks of `word`."""
    return next(line for line in page.read_text().splitlines() if line[:1].isdigit() and word in line)


def recovery(runs: Sequence[Data]) -> list[str]:
    """Time from a fault to the turn's next attempt, by class."""
    found = _pooled(runs)
    lines = [_row("class of fault", "recoveries", "p50", "p99", "worst"), _row("---", "--:", "--:", "--:", "--:")]
    for kind in Kind:
        if times := found.get(kind):
            shown = (f"{value:.2f} s" for value in (percentile(times, 0.5), percentile(times, 0.99), max(times)))
            lines.append(_row(kind, f"{len(times):,}", *shown))
    return lines


def plain(data: Data) -> list[str]:
    """Write the comparison with plain Celery."""
    per = 100 / data["kills"]
    return [
        _row("plain Celery, `acks_late`", "count", "for each 100 kills"),
        _row("---", "--:", "--:"),
        *(_row(name, f"{data[name]:,}", f"{data[name] * per:,.0f}") for name in ("lost", "doubled", "misordered")),
        "",
        f"{data['kills']} kills, {data['turns']:,} turns.",
    ]


def starvation(data: Data) -> list[str]:
    """False expiries."""
    most = upper_bound(data["false"], data["turns"])
    return [
        (
            f"{data['loops']} busy loops beside {data['workers']} workers on {data['cores']} cores, {data['turns']:,} turns "
            f"in {data['seconds']:,.0f} s: **{data['false']} false expiries** (at most 1 in {1 / most:,.0f} turns, "
            f"in 95 of 100 such runs); {data['dispatches'] / data['turns']:.3f} dispatches for each turn."
        )
    ]


def backlog(data: Data) -> list[str]:
    """Dispatches under a backlog."""
    return [
        (
            f"{data['turns']:,} turns at once for a worker that holds {data['held']}: {data['seconds']:,.0f} s, "
            f"**{data['dispatches'] / data['turns']:.3f} dispatches for each turn**."
        )
    ]


def failover(rows: Sequence[Data]) -> list[str]:
    """Sentinel failovers, by what was done to bound the loss, and by how the primary ended."""
    names = ("option", "primary", "failovers", "accepted turns", "lost", "of these accepted while the old primary came back")
    measured = ("failed", "attempts a turn", "pause p50", "worst pause", "submit p50")
    lines = [_row(*names, *measured), _row("---", "---", *["--:"] * 9)]
    for row in rows:
        pauses, lost = row["pauses"], row["lost"]
        shown = f"{percentile(pauses, 0.5):.1f} s", f"{max(pauses):.1f} s", f"{row['submit_ms']:.1f} ms"
        counts = len(pauses), row["turns"], sum(lost.values()), lost.get("return", 0)
        seen = (f"{row['failed']:,}", f"{row['attempts']:.2f}") if "failed" in row else ("", "")
        end = row.get("primary", "killed (signal 9)")
        lines.append(_row(row["option"], end, *(f"{count:,}" for count in counts), *seen, *shown))
    return lines


def ledger(runs: Sequence[Data]) -> list[str]:
    """Agents that pay: faults by class, calls, and what was repeated."""
    faults = Counter[str]()
    for run in runs:
        faults.update(run["faults"])
    wrong = sum(len(run["wrong"]) for run in runs)
    killed = _pooled(runs).get(Kind.KILL_WORKER, [])
    return [
        _row("class of fault", "faults"),
        _row("---", "--:"),
        *(_row(kind, f"{faults[kind]:,}") for kind in Kind if faults[kind]),
        _row("**all**", f"**{faults.total():,}**"),
        "",
        _row(
            f"{_sum(runs, 'turns'):,} turns in {len(runs)} runs (seeds {', '.join(str(run['seed']) for run in runs)})", "count"
        ),
        _row("---", "--:"),
        _row("payments approved", f"{_sum(runs, 'approved'):,}"),
        _row("payments rejected", f"{_sum(runs, 'rejected'):,}"),
        _row("calls of tools begun", f"{_sum(runs, 'calls'):,}"),
        _row("of these begun again under the same key", f"{_sum(runs, 'repeated'):,}"),
        _row("of these payments", f"{_sum(runs, 'repeated_payments'):,}"),
        _row("**rules broken**", f"**{wrong}**"),
        "",
        (
            f"After a kill a turn went on in p50 {percentile(killed, 0.5):.2f} s, p99 {percentile(killed, 0.99):.2f} s "
            f"({len(killed)} recoveries)."
        ),
    ]


def _pooled(runs: Iterable[Data]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for run in runs:
        for kind, times in run["recoveries"].items():
            found.setdefault(kind, []).extend(times)
    return found


def _sum(runs: Iterable[Data], name: str) -> int:
    return sum(run[name] for run in runs)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


_TABLES: dict[str, Callable[[Any], list[str]]] = {
    "proofs": proofs,
    "storm": storm,
    "recovery": recovery,
    "ledger": ledger,
    "plain": plain,
    "starvation": starvation,
    "backlog": backlog,
    "failover": failover,
}
