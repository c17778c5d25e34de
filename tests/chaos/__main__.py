"""Run faults and measurements; `--publish` writes what came of them into docs/reliability.md."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos import failover, figures, ledger, measures, plain
from tests.chaos.faults import Kind
from tests.chaos.result import Result
from tests.chaos.result import run as judged
from tests.chaos.scene import Size
from tests.support.processes import offline_model

Arguments = argparse.Namespace


def replay(seed: int, size: Size) -> str:
    """Return the command that runs a seed again."""
    sizes = f"--faults {size.faults} --seconds {size.seconds:g} --workers {size.workers}"
    sizes += f" --producers {size.producers} --sessions {size.sessions} --fsync {size.fsync}"
    sizes += f" --only {','.join(kind.name for kind in size.only)}" if size.only else ""
    return f"python -m tests.chaos run --seed {seed} {sizes}"


def _run(arguments: Arguments) -> int:
    only = tuple(Kind[name] for name in arguments.only.split(",") if name)
    size = Size(
        arguments.faults,
        arguments.seconds,
        workers=arguments.workers,
        producers=arguments.producers,
        sessions=arguments.sessions,
        fsync=arguments.fsync,
        only=only,
    )
    broken = 0
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        # A model of its own: it remembers which turns it has failed already.
        with offline_model() as model_url, _folder(arguments.keep) as folder:
            result = judged(seed, size, folder, model_url)
        _tell(result, size)
        broken += not result.findings.clean
        if arguments.publish:
            figures.publish("recovery" if only else "storm", asdict(result), add=arguments.add or seed > arguments.seed)
    return 1 if broken else 0


def _pay(arguments: Arguments) -> int:
    only = tuple(Kind[name] for name in arguments.only.split(",") if name)
    size = Size(arguments.faults, arguments.seconds, workers=arguments.workers, sessions=8, only=only)
    broken = 0
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        with _folder(arguments.keep) as folder:
            outcome = ledger.run(seed, size, folder)
        sys.stdout.write(f"seed {seed}: {sum(outcome.faults.values())} faults, {outcome.turns} turns, {outcome.calls} calls, ")
        sys.stdout.write(f"{outcome.repeated} repeated: {'; '.join(outcome.wrong) or 'clean'}\n")
        sys.stdout.flush()
        broken += bool(outcome.wrong)
        if arguments.publish:
            figures.publish("ledger", asdict(outcome), add=arguments.add or seed > arguments.seed)
    return 1 if broken else 0


def _tell(result: Result, size: Size) -> None:
    say = sys.stdout.write
    say(f"seed {result.seed}: {sum(result.faults.values())} faults, {result.turns} turns, {result.attempts} attempts: ")
    say("clean\n" if result.findings.clean else f"{result.findings}\n  again with: {replay(result.seed, size)}\n")
    if result.unexplained:
        say(f"  {result.unexplained} attempts were taken from workers to which nothing had been done\n")
    for kind, times in sorted(result.recoveries.items()):
        shown = [f"{figures.percentile(times, share):.2f}" for share in (0.5, 0.99)]
        say(f"  {kind}: {len(times)} recoveries, p50 {shown[0]} s, p99 {shown[1]} s\n")
    sys.stdout.flush()


@contextmanager
def _folder(keep: str) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="chaos-", dir=keep))
        return
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        yield Path(folder)


def _measuring(section: str, measure: Callable[[Arguments, Path], Any]) -> Callable[[Arguments], int]:
    def action(arguments: Arguments) -> int:
        with _folder("") as folder:
            value = measure(arguments, folder)
        sys.stdout.write(f"{section}: {value}\n")
        if arguments.publish:
            figures.publish(section, value)
        return 0

    return action


def _tables(_: Arguments) -> int:
    figures.write(figures.load())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, about: str, action: Callable[[Arguments], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about)
        added.add_argument("--publish", action="store_true", help="write the outcome into docs/reliability.md")
        added.set_defaults(action=action)
        return added

    def storm(name: str, about: str, action: Callable[[Arguments], int], workers: int) -> argparse.ArgumentParser:
        added = command(name, about, action)
        added.add_argument("--seed", type=int, default=1)
        added.add_argument("--runs", type=int, default=1)
        added.add_argument("--faults", type=int, default=100)
        added.add_argument("--seconds", type=float, default=65)
        added.add_argument("--workers", type=int, default=workers)
        added.add_argument("--only", default="", help="classes of faults, by name: KILL_WORKER,LOSE_DISPATCH")
        added.add_argument("--add", action="store_true", help="publish beside what was measured before, not in its place")
        added.add_argument("--keep", default="", help="keep logs and data in this folder")
        return added

    run = storm("run", "do the faults of some seeds", _run, 5)
    run.add_argument("--producers", type=int, default=Size().producers)
    run.add_argument("--sessions", type=int, default=Size().sessions, help="sessions of each producer")
    run.add_argument("--fsync", choices=("always", "everysec"), default="always")
    storm("ledger", "faults for agents whose tools pay", _pay, 4)
    compare = command("plain", "plain Celery under kill -9", _measuring("plain", lambda a, f: plain.measure(a.kills, f)))
    compare.add_argument("--kills", type=int, default=100)
    command("starvation", "false expiries", _measuring("starvation", lambda _, f: measures.starvation(f)))
    command("backlog", "dispatches under a backlog", _measuring("backlog", lambda _, f: measures.backlog(f)))
    lost = command("failover", "Sentinel failovers", _measuring("failover", lambda a, f: failover.measure(a.failovers, f)))
    lost.add_argument("--failovers", type=int, default=5)
    command("tables", "write the tables again", _tables)
    return parser


def main() -> int:
    """Run a command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments = _parser().parse_args()
    return int(arguments.action(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
