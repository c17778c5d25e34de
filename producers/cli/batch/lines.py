"""The questions of a batch: JSON lines, or CSV with a header; UTF-8, with or without a byte order mark.

A line has a `session` and a `question`, and may have an `id` and any option of `ask`; or it has the form of OpenAI's Batch API.
Without an `id`, a line's turn id is made from its text: the same line is the same turn, wherever it stands; the second of two
equal lines is another turn.
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from turnstile.producers.cli.batch.results import Result
from turnstile.producers.client import AsyncChatClient
from turnstile.turns.errors import InvalidTurn, TurnRefused
from turnstile.turns.ids import check_turn
from turnstile.turns.question import NOT_ASKED, Options
from turnstile.turns.turn import TurnResult

_OPTIONS = frozenset(field.name for field in fields(Options)) - {*NOT_ASKED}
_TEXTS = frozenset({"session", "question", "id", "queue", "name", "model", "instructions"})
_REQUIRED = frozenset({"session", "question"})
_LONGEST_CELL = 16_777_216
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Line:
    """One question of the input; `number` is its line, from 1."""

    number: int
    id: str
    session: str
    question: Any
    options: dict[str, Any]

    async def ask(self, client: AsyncChatClient) -> None:
        """Have the turn accepted. Raises as `client.ask`."""
        await client.ask(self.session, self.question, id=self.id, **self.options)

    def refused(self, error: TurnRefused) -> Result:
        """Return the result of a line whose turn was not accepted."""
        return self._result("refused", error={"code": error.code, "message": str(error)})

    def ended(self, _: AsyncChatClient, record: TurnResult, /) -> Result:
        """Return the result of a line whose turn has ended."""
        if record.state.answered:
            return self._result(str(record.state), answer=record.answer or "")
        error = {"code": record.code or "cancelled", "message": record.message or ""}
        return self._result(str(record.state), error=error)

    def _result(self, state: str, **more: Any) -> Result:
        return {"line": self.number, "id": self.id, "session": self.session, "state": state, **more}


class AnyLine(Protocol):
    """A line in either form."""

    @property
    def number(self) -> int: ...

    @property
    def id(self) -> str: ...

    def ask(self, client: AsyncChatClient) -> Awaitable[None]: ...

    def refused(self, error: TurnRefused) -> Result: ...

    def ended(self, client: AsyncChatClient, record: TurnResult, /) -> Result: ...


def read(data: bytes, *, as_csv: bool = False) -> Sequence[AnyLine]:
    """Return the lines of a file, without empty ones.

    Raises:
        InvalidTurn: a line is wrong; the message names it.
    """
    rows = _csv_rows(_text(data)) if as_csv else _json_rows(_text(data))
    seen: Counter[str] = Counter()
    lines: dict[str, AnyLine] = {}
    for number, text, content in rows:
        seen[text] += 1
        made_id = f"batch-{hashlib.sha256(f'{seen[text]}:{text}'.encode()).hexdigest()[:32]}"
        name, line = _request(number, text, content, made_id) if "body" in content else _question(number, content, made_id)
        if name in lines:
            raise _wrong(number, f"its id is that of line {lines[name].number}")
        lines[name] = line
    return list(lines.values())


def _request(number: int, text: str, content: Mapping[str, Any], made_id: str) -> tuple[str, AnyLine]:
    """Return the `custom_id` of a line in OpenAI's form, and the line."""
    from turnstile.producers.cli.batch.openai_line import read_line

    try:
        line = read_line(number, text, content.get("url"), made_id)
    except InvalidTurn as error:
        raise _wrong(number, str(error)) from None
    return f"custom_id {line.request.row.custom_id}", line


def _question(number: int, content: Mapping[str, Any], made_id: str) -> tuple[str, AnyLine]:
    line = _line(number, content, made_id)
    return line.id, line


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong(data.count(b"\n", 0, error.start) + 1, "not UTF-8") from None


def _json_rows(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if stripped := line.strip():
            try:
                content = json.loads(stripped)
            except (ValueError, RecursionError):
                content = None
            if not isinstance(content, dict):
                raise _wrong(number, "not a JSON object")
            yield number, stripped, content


def _csv_rows(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_header(reader.fieldnames or ())
        for row in reader:
            if None in row:
                raise _wrong(reader.line_num, "more cells than the header has")
            cells = {name: cell for name, cell in row.items() if cell}
            if cells:
                number = reader.line_num - sum(len(_LINE_END.findall(cell)) for cell in cells.values())
                yield number, json.dumps(cells), {name: _value(number, name, cell) for name, cell in cells.items()}
    except csv.Error as error:
        raise _wrong(reader.reader.line_num, f"no CSV ({error})") from None


def _check_header(names: Sequence[str]) -> None:
    if "body" not in names and not {*names} >= _REQUIRED:
        raise _wrong(1, "the header must name `session` and `question`, separated by a comma")


def _value(number: int, name: str, cell: str) -> Any:
    if name in _TEXTS:
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise _wrong(number, f"`{name}` must be a number, true, false, or JSON") from None


def _line(number: int, content: Mapping[str, Any], made_id: str) -> Line:
    if unknown := content.keys() - _OPTIONS - _REQUIRED - {"id"}:
        raise _wrong(number, f"`{min(unknown)}` is unknown")
    if not content.keys() >= _REQUIRED:
        raise _wrong(number, "`session` and `question` are required")
    options = {"queue": "batch", "stream": False, **{name: content[name] for name in content.keys() & _OPTIONS}}
    try:
        Options(**options)
        id = check_turn(content.get("id", made_id))
    except InvalidTurn as error:
        raise _wrong(number, str(error)) from None
    return Line(number, id, content["session"], content["question"], options)


def _wrong(number: int, fault: str) -> InvalidTurn:
    return InvalidTurn(f"line {number}: {fault.rstrip('.')}.", param="line")
