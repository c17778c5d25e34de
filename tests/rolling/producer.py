"""A producer as `tests.chaos.producer`, whose model makes no faults; one named `old…` asks with the client of version 0.1.0."""

import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.chaos import record
from tests.chaos.callers import FOLLOW_SECONDS, Caller, caller
from tests.chaos.producer import Producer

OLD = "old"


class ByOldClient:
    """Asks and reads as a program does that was written for version 0.1.0."""

    def __init__(self, url: str) -> None:
        settings = import_module("turns.settings").Settings(redis_url=url)
        self._client: Any = import_module("producers.client").ChatClient(settings=settings)

    def submit(self, turn: str, session: str) -> None:
        """See Caller."""
        self._client.ask(session, record.question(turn), id=turn, stream=True)

    def follow(self, turn: str) -> str:
        """See Caller."""
        handle = self._client.turn(turn)
        answer = handle.result(timeout=FOLLOW_SECONDS)
        return "" if "".join(handle.stream(timeout=FOLLOW_SECONDS)) == answer else "a stream's text is not the answer"


def main(url: str, path: str, name: str, pause: str, *sessions: str) -> None:
    """Run until SIGTERM."""
    record.model_fault = lambda turn: ""
    asking: Caller = ByOldClient(url) if name.startswith(OLD) else caller(name, url)
    producer = Producer(asking, Path(path), name, "1", float(pause), list(sessions))
    signal.signal(signal.SIGTERM, producer.end)
    producer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
