"""People who ask agents to pay: they approve, reject, answer twice, or never, whatever dies meanwhile."""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from turnstile import ChatClient
from turnstile.turns.errors import QueueUnreachable, TurnNotFinished
from turnstile.turns.states import State
from turnstile.turns.turn import Record

T = TypeVar("T")

PATIENCE_SECONDS = 240.0
_PAUSE_SECONDS = 0.2


@dataclass(slots=True)
class Asked:
    """Everything that one person asked for and decided."""

    turns: list[str] = field(default_factory=list)
    """Ids in the order in which they belong into the history."""
    ended: dict[str, State] = field(default_factory=dict)
    decided: dict[str, bool] = field(default_factory=dict)
    """Payment → True if it was approved; one that nobody decided about is missing."""
    wrong: list[str] = field(default_factory=list)


class Payer(threading.Thread):
    """A person with a session: one exchange after another until told to stop."""

    def __init__(self, url: str, session: str, seed: int, stop: threading.Event) -> None:
        super().__init__(name=session, daemon=True)
        self.session, self.asked = session, Asked()
        self._client = ChatClient(url)
        self._chosen = random.Random(f"{seed}-{session}")
        self._stop_asking = stop

    def run(self) -> None:
        """Ask until told to stop, and see each exchange to its end."""
        number = 0
        while not self._stop_asking.is_set() and not self.asked.wrong:
            number += 1
            try:
                self._exchange(f"{self.session}-{number}")
            except Exception as error:  # whatever it is, the run has failed with it
                self.asked.wrong.append(f"{self.session}-{number}: {type(error).__name__}: {error}")

    def _exchange(self, id: str) -> None:
        question = f"call pay {id}.a; call look {id}.b; call pay {id}.c | call look {id}.d; call read {id}.e; call pay {id}.f"
        record = self._turn(id, lambda: self._client.ask(self.session, question, id=id).id)
        waiting = f"{id}-waiting" if self._chosen.random() < 0.3 else ""
        if waiting:
            self._insist(lambda: self._client.ask(self.session, "Just a question", id=waiting))
        rounds = 0
        while record.calls:
            if self._chosen.random() < 0.05:
                self._insist(lambda: self._client.release(self.session))
                break
            rounds += 1
            record = self._answer(record, f"{id}-answer{rounds}")
        if waiting:
            self._turn(waiting, lambda: waiting)

    def _answer(self, record: Record, id: str) -> Record:
        answers: dict[str, object] = {}
        for call in record.calls:
            approved = self._chosen.random() < 0.8
            answers[call["id"]] = approved
            self.asked.decided[json.loads(call["arguments"])["what"]] = approved
        times = 2 if self._chosen.random() < 0.3 else 1

        def answer() -> str:
            # The second answer has another id: it is the same turn all the same.
            ids = [f"{id}-again" if time else id for time in range(times)]
            turns = [self._client.answer(self.session, answers, id=one) for one in ids]
            return turns[-1].id

        return self._turn(id, answer)

    def _turn(self, id: str, ask: Callable[[], str]) -> Record:
        if (got := self._insist(ask)) != id:
            self.asked.wrong.append(f"{id} was accepted as {got}")
        end = time.monotonic() + PATIENCE_SECONDS
        while not (record := self._insist(lambda: self._client.turn(id).status())).state.ended:
            if time.monotonic() > end:
                raise TurnNotFinished(f"{id} is {record.state} after {PATIENCE_SECONDS:.0f} s")
            time.sleep(_PAUSE_SECONDS / 4)
        self.asked.turns.append(id)
        self.asked.ended[id] = record.state
        return record

    def _insist(self, call: Callable[[], T]) -> T:
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return call()
            except QueueUnreachable:
                if time.monotonic() > end:
                    raise
            time.sleep(_PAUSE_SECONDS)
