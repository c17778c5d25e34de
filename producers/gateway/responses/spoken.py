"""Output items that are told piece by piece: what a model thinks and says, in runs of one kind.

A stream tells of a run as it comes, so a response shows runs, too: messages without reasoning between them are one item.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import groupby
from operator import attrgetter
from typing import Any

from turnstile.producers.gateway.items.ids import kin, output_id
from turnstile.producers.gateway.items.shown import Item, output_text, refusal, shown_reasoning
from turnstile.turns.states import State
from turnstile.turns.turn import TurnResult

Told = tuple[str, dict[str, Any]]
"""An event's type, and what it holds beside its place in the stream."""

KINDS = ("reasoning", "text", "refusal")
"""Kinds of runs: the types of a turn's events."""


@dataclass(frozen=True, slots=True)
class Run:
    """Something said in one go. `text` is all of it."""

    kind: str
    text: str
    logprobs: tuple[Any, ...] = ()
    """The probabilities of its tokens, where the turn asked for them."""


def runs(record: TurnResult) -> list[Run]:
    """Return the runs of a turn's output, in order. One without text counts only where it is the last thing said."""
    said = [_run(part) for item in record.output if item["type"] in ("message", "reasoning") for part in item["content"]]
    told = [run for n, run in enumerate(said) if run.text or n == len(said) - 1]
    return [_joined(kind, list(some)) for kind, some in groupby(told, attrgetter("kind"))]


def _joined(kind: str, some: Sequence[Run]) -> Run:
    return Run(kind, "".join(run.text for run in some), tuple(token for run in some for token in run.logprobs))


def _run(part: dict[str, Any]) -> Run:
    kind = {"reasoning_text": "reasoning", "refusal": "refusal"}.get(part["type"], "text")
    tokens = [{**token, "bytes": token.get("bytes") or []} for token in part.get("logprobs", ())]
    return Run(kind, str(part.get("text") or part.get("refusal") or ""), tuple(tokens))


class Spoken:
    """The item of one run. Its id tells the place of the run among those of the same type that an attempt brought."""

    def __init__(self, kind: str, turn: str, attempt: int, place: int) -> None:
        """`place`: as `Places` tells it."""
        self.kind = kind
        self._thinks = kind == "reasoning"
        self.id = kin(output_id(turn, attempt), "rs" if self._thinks else "msg", place=place or None)
        self._text = StringIO()
        self._bytes_a_letter = 1

    @property
    def held(self) -> int:
        """The bytes of memory that the text takes, at most."""
        return self._text.tell() * self._bytes_a_letter

    def begin(self) -> Iterator[Told]:
        """Return the events of its beginning."""
        item = self._item("in_progress")
        yield "response.output_item.added", {"item": item}
        yield f"response.{self._part_name}.added", {**self._place, "part": self._part(Run(self.kind, ""))}

    def add(self, text: str) -> Told:
        """Return the event of another piece."""
        self._text.write(text)
        if not text.isascii():
            self._bytes_a_letter = 4
        return f"response.{self._text_name}.delta", {**self._place, "delta": text, **self._more}

    def end(self, status: str, run: Run | None = None) -> Iterator[Told]:
        """Return the events of its end; `run` is all of it, where that is known otherwise."""
        whole = run or Run(self.kind, self._text.getvalue())
        field = "refusal" if self.kind == "refusal" else "text"
        yield f"response.{self._text_name}.done", {**self._place, field: whole.text, **self._more}
        yield f"response.{self._part_name}.done", {**self._place, "part": self._part(whole)}
        yield "response.output_item.done", {"item": self.whole(status, whole)}

    def whole(self, status: str, run: Run) -> Item:
        """Return the item at its end."""
        return shown_reasoning(self.id, run.text, status) if self._thinks else self._item(status, self._part(run))

    def _item(self, status: str, *content: Item) -> Item:
        if self._thinks:
            return shown_reasoning(self.id, "", status)
        return {"id": self.id, "type": "message", "role": "assistant", "status": status, "content": list(content)}

    def _part(self, run: Run) -> Item:
        if self._thinks:
            return {"type": "summary_text", "text": run.text}
        return refusal(run.text) if self.kind == "refusal" else {**output_text(run.text), "logprobs": list(run.logprobs)}

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "summary_index" if self._thinks else "content_index": 0}

    @property
    def _more(self) -> dict[str, Any]:
        return {"logprobs": []} if self.kind == "text" else {}

    @property
    def _part_name(self) -> str:
        return "reasoning_summary_part" if self._thinks else "content_part"

    @property
    def _text_name(self) -> str:
        return {"reasoning": "reasoning_summary_text", "text": "output_text", "refusal": "refusal"}[self.kind]


class Places:
    """The places of runs among those of the same type."""

    def __init__(self) -> None:
        self._counts: Counter[bool] = Counter()

    def next(self, kind: str) -> int:
        """Return the place of the next run, and count it."""
        thinks = kind == "reasoning"
        self._counts[thinks] += 1
        return self._counts[thinks] - 1


def spoken_items(record: TurnResult) -> list[Item]:
    """Return the items of all that was said."""
    said, places = runs(record), Places()
    return [
        Spoken(run.kind, record.id, record.attempts, places.next(run.kind)).whole(run_status(record, n == len(said) - 1), run)
        for n, run in enumerate(said)
    ]


def run_status(record: TurnResult, last: bool) -> str:
    """Return the status of a run: the last one of an answer that broke off is incomplete."""
    return "completed" if record.state is State.COMPLETED or not last else "incomplete"
