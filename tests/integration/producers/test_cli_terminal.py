"""The commands on a terminal, with a person before it."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from tests.support.processes import environment
from tests.support.step_worker import StepWorker
from tests.support.wait import PATIENCE_SECONDS
from turnstile.producers.client import ChatClient
from turnstile.turns.states import State


class OnATerminal:
    """A command with a terminal of its own, and a person's fingers."""

    def __init__(self, redis_url: str, *arguments: str) -> None:
        self._fingers, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        # Whoever runs the tests in the background may have Ctrl-C ignored, and that is inherited.
        heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        command = [sys.executable, "-c", f"{heard}; from turnstile.producers.cli.commands import main; main()", *arguments]
        env = environment({"REDIS_URL": redis_url, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"})
        self.process = subprocess.Popen(
            command, env=env, stdin=screen, stdout=screen, stderr=screen, start_new_session=True, close_fds=True
        )
        os.close(screen)
        self.seen = ""

    def __enter__(self) -> "OnATerminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fingers)

    def sees(self, text: str) -> None:
        """Read on until `text` has appeared since the last call."""
        end = time.monotonic() + PATIENCE_SECONDS
        while text not in self.seen:
            alive = self._read()
            assert alive, f"it ended ({self.process.wait()}) before {text!r} appeared in {self.seen!r}"
            assert time.monotonic() < end, f"{text!r} did not appear in {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def _read(self) -> bool:
        """Read what is on the screen; False when the screen is off."""
        if not select.select([self._fingers], [], [], 0.5)[0]:
            return True
        try:
            self.seen += os.read(self._fingers, 4096).decode(errors="replace")
        except OSError:
            return False
        return True

    def types(self, text: str) -> None:
        os.write(self._fingers, text.encode())

    def interrupts(self) -> None:
        """Ctrl-C while the command is at work, and not at its prompt."""
        self.process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        """Return the exit status; the screen is read, or the command could not end."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None and self._read():
            assert time.monotonic() < end, f"it did not end: {self.seen!r}"
        return self.process.wait(PATIENCE_SECONDS)


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
