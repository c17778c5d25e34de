"""Many questions from a file: asked at once, answered in order within each session, safe to run again.

An input line is a JSON object with `session` and `question`, and may have an `id` and any option of `ask`. An output line
holds `line` (from 1), `id`, `session`, `state`, and `answer` or `error`; lines are written as turns end. Without an `id`, a
line's turn id is made from the line, so a second run asks nothing twice: it skips the lines that the output holds, and
continues with the unfinished ones.
"""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from turnstile.producers.cli.terminal import Terminal
from turnstile.producers.client import AsyncChatClient, AsyncTurn
from turnstile.turns.errors import InvalidTurn, QueueMemoryFull, TooManyWaiting, TurnEnded, TurnRefused
from turnstile.turns.question import Options
from turnstile.turns.settings import Settings
from turnstile.turns.text import dumps

_PAUSE_SECONDS = 1.0
_OPTIONS = frozenset(field.name for field in fields(Options))
_REQUIRED = frozenset({"session", "question"})


@dataclass(frozen=True, slots=True)
class Line:
    """One question of the input."""

    number: int
    id: str
    session: str
    question: Any
    options: dict[str, Any]

    @classmethod
    def parse(cls, number: int, text: str) -> "Line":
        """Read one line. Raises InvalidTurn, naming the line, if it is wrong."""
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise InvalidTurn(f"line {number}: not a JSON object", param="line")
        names = set(content)
        unknown = names - _OPTIONS - _REQUIRED - {"id"}
        if not names >= _REQUIRED or unknown:
            fault = f"`{min(unknown)}` is unknown" if unknown else "`session` and `question` are required"
            raise InvalidTurn(f"line {number}: {fault}", param="line")
        options = {"queue": "batch", "stream": False, **{name: content[name] for name in names & _OPTIONS}}
        try:
            Options(**options)
        except InvalidTurn as error:
            raise InvalidTurn(f"line {number}: {error}", param="line") from None
        id = content.get("id") or f"batch-{hashlib.sha256(f'{number}:{text}'.encode()).hexdigest()[:32]}"
        return cls(number, id, content["session"], content["question"], options)


def read(source: Path) -> Iterator[Line]:
    """Yield the lines of a file, without empty ones. Raises InvalidTurn."""
    with source.open(encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            if text.strip():
                yield Line.parse(number, text.strip())


def answered(target: Path) -> set[int]:
    """Return the numbers of the lines that an output holds; a truncated last line is removed from it."""
    if not target.exists():
        return set()
    whole = target.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    target.write_bytes(whole)
    return {json.loads(text)["line"] for text in whole.splitlines()}


def run_and_report(terminal: Terminal, settings: Settings, source: Path, target: Path, at_once: int) -> int:
    """Ask all lines, show the counts, and return the exit status: 1 if a line has no answer."""
    counts = run_with_progress(settings, source, target, at_once)
    terminal.result(", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing to do", counts)
    return int(bool(counts.keys() - {"completed", "incomplete"}))


def run_with_progress(settings: Settings, source: Path, target: Path, at_once: int) -> dict[str, int]:
    """Run with a progress bar on a terminal. See `run`."""
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("answered", total=None)

        def show(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        return asyncio.run(run(settings, source, target, at_once, show))


async def run(
    settings: Settings, source: Path, target: Path, at_once: int, progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Ask every line without an answer, `at_once` unfinished at most, and return the number of turns by state.

    The whole input is checked before anything is asked. `progress` gets the number of finished lines, and of all.

    Raises:
        InvalidTurn: a line of the input is wrong; nothing was asked.
    """
    done = answered(target)
    lines = [line for line in read(source) if line.number not in done]
    counts: dict[str, int] = {}
    with target.open("a", encoding="utf-8") as output:
        async with AsyncChatClient(settings=settings) as client:
            async for result in _results(client, lines, at_once):
                output.write(dumps(result) + "\n")
                output.flush()
                counts[result["state"]] = counts.get(result["state"], 0) + 1
                progress(sum(counts.values()), len(lines))
    return counts


async def _results(client: AsyncChatClient, lines: list[Line], at_once: int) -> AsyncIterator[dict[str, Any]]:
    """Yield results as they come. Lines are submitted one by one, so that a session's keep their order."""
    waiting: set[asyncio.Task[dict[str, Any]]] = set()
    try:
        for line in lines:
            turn = await _submitted(client, line)
            waiting.add(asyncio.create_task(_result(line, turn)))
            if len(waiting) >= at_once:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        for ended in asyncio.as_completed(waiting):
            yield await ended
    finally:
        for task in waiting:
            task.cancel()


async def _submitted(client: AsyncChatClient, line: Line) -> AsyncTurn | TurnRefused:
    while True:
        try:
            return await client.ask(line.session, line.question, id=line.id, **line.options)
        except (TooManyWaiting, QueueMemoryFull):
            await asyncio.sleep(_PAUSE_SECONDS)
        except TurnRefused as error:
            return error


async def _result(line: Line, turn: AsyncTurn | TurnRefused) -> dict[str, Any]:
    result: dict[str, Any] = {"line": line.number, "id": line.id, "session": line.session}
    if isinstance(turn, TurnRefused):
        return {**result, "state": "refused", "error": {"code": turn.code, "message": str(turn)}}
    try:
        answer = await turn.result()
    except TurnEnded:
        answer = None
    record = await turn.status()
    if answer is not None:
        return {**result, "state": str(record.state), "answer": answer}
    return {
        **result,
        "state": str(record.state),
        "error": {"code": record.code or "cancelled", "message": record.message or ""},
    }
