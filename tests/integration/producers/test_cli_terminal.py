"""The commands on a terminal, with a person before it."""

import json
import subprocess
import sys

from tests.support.on_a_terminal import OnATerminal
from tests.support.processes import environment
from tests.support.step_worker import StepWorker
from tests.support.wait import PATIENCE_SECONDS
from turnstile.producers.client import ChatClient
from turnstile.turns.states import State


def test_a_conversation_on_a_terminal(redis_url: str, asked: ChatClient, step_worker: StepWorker) -> None:
    asked.ask("foo", "before")
    step_worker.answer(step_worker.take(), "what was before")
    with OnATerminal(redis_url, "chat", "foo") as person:
        person.sees("user: before")
        person.sees("assistant: what was before")
        person.sees("foo>")
        person.types("hello\r")
        claim = step_worker.take()
        step_worker.say(claim, "Good ")
        person.sees("Good ")
        step_worker.say(claim, "day")
        step_worker.answer(claim, "Good day")
        person.sees("day")
        person.sees("foo>")
        person.types("too long a story\r")
        story = step_worker.take()
        step_worker.say(story, "Once upon a time ")
        person.sees("Once upon a time")
        person.interrupts()
        person.sees("Cancelled.")
        assert step_worker.store.status(story.id).state is State.CANCELLED
        person.sees("foo>")
        person.types("\x04")
        assert person.ends() == 0
    assert [message.text for message in asked.history("foo")][-1] == "Good day"


def test_ctrl_c_leaves_an_asked_turn_alone(redis_url: str, step_worker: StepWorker) -> None:
    with OnATerminal(redis_url, "ask", "foo", "hello", "--id", "t1") as person:
        claim = step_worker.take()
        step_worker.say(claim, "Good ")
        person.sees("Good ")
        person.interrupts()
        person.sees("turnstile cancel t1")
        assert person.ends() == 130
    assert step_worker.store.status("t1").state is State.RUNNING


def test_steps_are_shown_on_a_terminal_alone(redis_url: str, step_worker: StepWorker) -> None:
    with OnATerminal(redis_url, "ask", "foo", "hello") as person:
        claim = step_worker.take()
        steps = [json.dumps({"name": name, "status": status}) for name in ("look", "pay") for status in ("started", "done")]
        assert step_worker.store.emit(claim, claim.sequence, steps, "step")
        person.sees("look …")
        person.sees("pay …")
        step_worker.say(claim, "Done")
        person.sees("Done")
        step_worker.answer(claim, "Done")
        assert person.ends() == 0
    program = "from turnstile.producers.cli.commands import main; main()"
    command = [sys.executable, "-c", program, "ask", "foo", "hi"]
    env = environment({"REDIS_URL": redis_url})
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as piped:
        claim = step_worker.take()
        assert step_worker.store.emit(claim, claim.sequence, steps, "step")
        step_worker.answer(claim, "Done")
        assert piped.communicate(timeout=PATIENCE_SECONDS) == ("Done\n", "")


def test_erase_asks_a_person_first(redis_url: str, asked: ChatClient, step_worker: StepWorker) -> None:
    asked.ask("foo", "hello")
    step_worker.answer(step_worker.take(), "Good day")
    with OnATerminal(redis_url, "erase", "foo") as person:
        person.sees("[y/N]")
        person.types("n\r")
        assert person.ends() == 1
    assert len(asked.history("foo")) == 2
