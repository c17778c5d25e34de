"""A command of ours with a person before it."""

import fcntl
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
from tests.support.wait import PATIENCE_SECONDS


class OnATerminal:
    """A command with a terminal of its own, and a person's fingers."""

    def __init__(self, redis_url: str, *arguments: str, rows: int = 24, columns: int = 80) -> None:
        self._fingers, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        # A shell starts what runs in the background with Ctrl-C ignored, and that is inherited.
        heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        command = [sys.executable, "-c", f"{heard}; from turnstile.producers.cli.commands import main; main()", *arguments]
        env = environment({"REDIS_URL": redis_url, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"})
        self.process = subprocess.Popen(
            command, env=env, stdin=screen, stdout=screen, stderr=screen, start_new_session=True, close_fds=True
        )
        os.close(screen)
        self.seen, self.shown = "", ""

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
            text = os.read(self._fingers, 4096).decode(errors="replace")
        except OSError:
            return False
        self.seen += text
        self.shown += text
        return True

    def types(self, text: str) -> None:
        os.write(self._fingers, text.encode())

    def modes(self) -> list[object]:
        """Return the modes of the terminal: whether it shows what is typed, and so on."""
        return list(termios.tcgetattr(self._fingers))

    def interrupts(self) -> None:
        """Ctrl-C while the command is at work, and not at its prompt."""
        self.process.send_signal(signal.SIGINT)

    def ends(self) -> int:
        """Return the exit status; the screen is read, or the command could not end."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None and self._read():
            assert time.monotonic() < end, f"it did not end: {self.seen!r}"
        return self.process.wait(PATIENCE_SECONDS)
