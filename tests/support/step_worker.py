"""A worker made of single steps: drives the scripts as a worker does, without Celery or a model, in a thread of the test."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from tests.support.wait import wait_until
from turnstile.memory.element import Element, write
from turnstile.turns.output import said
from turnstile.turns.settings import Settings
from turnstile.turns.states import State
from turnstile.turns.store.turns import TurnStore
from turnstile.turns.store.working import Outcome
from turnstile.turns.turn import Claim

Reply = Callable[[Claim], str]


def element(kind: str, text: str, turn: str) -> str:
    """Return a stored message, as a worker writes it."""
    return write(Element(kind, {"content": text, "type": kind}, {"tokens": 1, "turn": turn}))


class StepWorker:
    """Takes dispatches from the queue and does with each what the test says."""

    def __init__(self, settings: Settings) -> None:
        self.store = TurnStore(settings)
        self._numbers = count(1)

    def take(self, queue: str = "chat") -> Claim:
        """Claim the next turn; waits until one is dispatched."""
        claim = wait_until(lambda: self.take_if_any(queue), "a turn is dispatched")
        assert claim is not None
        return claim

    def take_if_any(self, queue: str = "chat") -> Claim | None:
        """Claim the next turn, if one is dispatched."""
        message = self.store.client.rpop(queue)
        if message is None:
            return None
        assert isinstance(message, bytes)
        id = json.loads(message)["headers"]["id"]
        claim = self.store.claim(id, f"step-worker-{next(self._numbers)}", secrets.token_hex(8))
        return claim if isinstance(claim, Claim) else None

    def say(self, claim: Claim, *texts: str) -> None:
        """Write pieces of the answer to the turn's events."""
        for text in texts:
            last = self.store.status(claim.id).sequence
            assert self.store.emit(claim, last, [text]) is not None

    def answer(self, claim: Claim, answer: str, state: State = State.COMPLETED) -> None:
        """End the turn with an answer, which goes into the history."""
        question = claim.question if isinstance(claim.question, str) else "(parts)"
        messages = [element("human", question, claim.id), element("ai", answer, claim.id)]
        assert self.store.finish(claim, Outcome(state, said(answer)), messages) is state

    def fail(self, claim: Claim, code: str = "model_timeout", message: str = "The model did not answer in time.") -> None:
        """End the turn as failed."""
        assert self.store.finish(claim, Outcome(State.FAILED, code=code, message=message)) is State.FAILED

    @staticmethod
    @contextmanager
    def later(act: Callable[[], object]) -> Iterator[None]:
        """Do something in a thread while the block waits for it."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                act()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run, name="step-worker-later")
        thread.start()
        try:
            yield
        finally:
            thread.join()
        assert not failures, failures

    def work(self, reply: Reply, queue: str = "chat") -> bool:
        """Do one turn, if there is one: word by word when it streams."""
        claim = self.take_if_any(queue)
        if claim is None:
            return False
        answer = reply(claim)
        if claim.stream:
            self.say(claim, *[word for word in answer.replace(" ", " |").split("|") if word])
        self.answer(claim, answer)
        return True


def remember_names(claim: Claim) -> str:
    """Answers the seed's two questions from what the history holds."""
    question = str(claim.question)
    known = "bob" in " ".join(item.decode() for item in claim.window)
    return "Your name is Bob." if known and "name" in question else f"You said: {question}"


@contextmanager
def answering(settings: Settings, reply: Reply = remember_names, queue: str = "chat") -> Iterator[None]:
    """Yield to a block beside a step worker that answers everything."""
    worker, done = StepWorker(settings), threading.Event()

    def run() -> None:
        while not done.is_set():
            with suppress(AssertionError):  # a turn that was cancelled in its hands
                if worker.work(reply, queue):
                    continue
            time.sleep(0.005)

    thread = threading.Thread(target=run, name="step-worker")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
