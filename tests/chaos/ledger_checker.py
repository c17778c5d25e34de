"""The judgement of a ledger storm: one payment for each approved call, and no history that holds a call without its answer."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Self

from tests.chaos.payers import Asked, Payer
from turnstile.producers.transcript import HistoryMessage, read_history
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore

_SECOND_ROUND = ("d", "e", "f")


@dataclass(slots=True)
class Ledger:
    """The lines that tools wrote: who began and who ended, with the thing and the idempotency key, in order."""

    begun: list[tuple[str, str, str]] = field(default_factory=list)
    ended: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ledger's file."""
        ledger = cls()
        for line in path.read_text().splitlines() if path.exists() else ():
            word, tool, what, key = line.split()
            (ledger.begun if word == "begun" else ledger.ended).append((tool, what, key))
        return ledger

    def repeated(self, tool: str = "") -> int:
        """Return how many calls (of one tool) began again."""
        counts = Counter(call for call in self.begun if not tool or call[0] == tool)
        return sum(count - 1 for count in counts.values())


def check(store: TurnStore, payers: Iterable[Payer], ledger: Ledger) -> list[str]:
    """Return everything that is wrong, in words."""
    found = [*_payments(payers, ledger), *_later_rounds(ledger)]
    for payer in payers:
        asked = payer.asked
        found += asked.wrong
        found += [f"{turn} ended as {state}" for turn, state in asked.ended.items() if state is not State.COMPLETED]
        found += _history(payer.session, asked, read_history(store.history(payer.session)))
    return found


def _payments(payers: Iterable[Payer], ledger: Ledger) -> list[str]:
    keys: dict[str, set[str]] = {}
    for _, what, key in ledger.begun:
        keys.setdefault(what, set()).add(key)
    found = [f"{what} has several keys: {sorted(own)}" for what, own in keys.items() if len(own) > 1]
    decided = {what: approved for payer in payers for what, approved in payer.asked.decided.items()}
    paid = {what for tool, what, _ in ledger.ended if tool == "pay"}
    begun = {what for tool, what, _ in ledger.begun if tool == "pay"}
    found += [f"{what} was approved and not paid" for what, approved in decided.items() if approved and what not in paid]
    return found + [f"{what} was paid without an approval" for what in begun if not decided.get(what)]


def _later_rounds(ledger: Ledger) -> list[str]:
    """A call of the second round proves that all of the first have ended and are kept: none of them begins again."""
    found, beyond = [], set()
    for _, what, _ in ledger.begun:
        exchange, _, call = what.rpartition(".")
        if call in _SECOND_ROUND:
            beyond.add(exchange)
        elif exchange in beyond:
            found.append(f"{what} was finished, and began again")
    return found


def _history(session: str, asked: Asked, messages: list[HistoryMessage]) -> list[str]:
    turns = [turn for turn, _ in groupby(message.turn for message in messages)]
    found = [] if turns == asked.turns else [f"{session} holds {turns}, and {asked.turns} were asked"]
    answers = Counter(message.call_id for message in messages if message.call_id)
    calls = Counter(call["call_id"] for message in messages for call in message.calls)
    if answers != calls:
        found.append(f"{session}: calls without answers {calls - answers}, answers without calls {answers - calls}")
    return found
