"""A run of a batch: every line that has no result yet is asked, and its result is written when its turn ends."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from turnstile.producers.batching import accepted, answer_all
from turnstile.producers.cli.batch.lines import AnyLine, read
from turnstile.producers.cli.batch.results import ANSWERED, Result, Results
from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import AsyncChatClient
from turnstile.producers.reading.follow import ended
from turnstile.turns.errors import TurnRefused, UnknownTurn
from turnstile.turns.settings import Settings

_STDIO = Path("-")

Show = Callable[[int, int], None]


def run_and_report(
    terminal: Terminal, settings: Settings, source: Path, target: Path, at_once: int, *, as_csv: bool, retry_failed: bool
) -> int:
    """Ask all lines, show the counts, and return the exit status: 1 while a line of the input has no answer."""
    lines = read(_input(source, target), as_csv=as_csv)
    results = Results(None if target == _STDIO else target)
    with _progress() as show:
        counts = asyncio.run(run(settings, lines, results, at_once, show, retry_failed=retry_failed))
    text = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "no questions"
    if target == _STDIO:
        terminal.complain(text)
    else:
        terminal.result(text, counts)
    if not counts.keys() <= ANSWERED:
        terminal.notice("Ask the lines without an answer again with --retry-failed.")
        return 1
    return 0


def _input(source: Path, target: Path) -> bytes:
    if source == _STDIO:
        return sys.stdin.buffer.read()
    try:
        if target.exists() and source.samefile(target):
            raise click.UsageError(f"{target} is the input: name another file for the results.")
        return source.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{source} cannot be read: {error.strerror}.") from None


@contextmanager
def _progress() -> Iterator[Show]:
    """Show a progress bar, on a terminal only."""
    columns = (TextColumn("answered"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


async def run(
    settings: Settings, lines: Sequence[AnyLine], results: Results, at_once: int, show: Show, *, retry_failed: bool = False
) -> Counter[str]:
    """Ask the lines that have no result, `at_once` unfinished at most, and return the number of all lines by state.

    `show` gets the number of lines with a result, and of all. With `retry_failed`, lines without an answer are asked again.
    """
    todo = [line for line in lines if _is_open(results.state(line.id), retry_failed)]
    done = len(lines) - len(todo)
    show(done, len(lines))
    with results:
        async with AsyncChatClient(settings=settings) as client:
            answering = answer_all(_each(todo), partial(_submit, client, results), partial(_result, client), at_once)
            async with aclosing(answering) as ended_lines:
                async for result in ended_lines:
                    results.write(result)
                    done += 1
                    show(done, len(lines))
    return Counter(results.state(line.id) for line in lines)


def _is_open(state: str, retry_failed: bool) -> bool:
    return not state or (retry_failed and state not in ANSWERED)


async def _each(lines: list[AnyLine]) -> AsyncIterator[AnyLine]:
    for line in lines:
        yield line


async def _submit(client: AsyncChatClient, results: Results, line: AnyLine) -> tuple[AnyLine, TurnRefused | None]:
    async def ask() -> None:
        if results.state(line.id):
            with suppress(UnknownTurn):
                await client.retry(line.id)
        await line.ask(client)

    return line, await accepted(ask)


async def _result(client: AsyncChatClient, submitted: tuple[AnyLine, TurnRefused | None]) -> Result:
    line, refusal = submitted
    if refusal:
        return line.refused(refusal)
    return line.ended(client, await ended(client.store, client.wakeups, line.id))
