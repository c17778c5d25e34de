"""Look-ups of names, each in a thread of its own.

A look-up that nobody answers cannot be cancelled. libuv has two threads for all those of a process, and waits for them at
its end: a few names whose name server is silent would keep the model's server and everybody else's names from being found.
"""

import socket
from concurrent.futures import Future
from threading import Thread
from typing import Any

Lookup = Future[list[tuple[Any, ...]]]
Name = tuple[Any, ...]
"""The arguments of `socket.getaddrinfo`."""


class Lookups:
    """The look-ups of one event loop, in any number. Whoever asks for a name that is being looked up gets the same answer."""

    def __init__(self) -> None:
        self._under_way: dict[Name, Lookup] = {}

    def under_way(self, name: Name) -> Lookup | None:
        """Return the look-up of a name that has not ended, if there is one."""
        return self._under_way.get(name)

    def start(self, name: Name) -> Lookup:
        """Return the look-up of a name, begun if none is under way. It fails with OSError."""
        if found := self._under_way.get(name):
            return found
        found = self._under_way[name] = Lookup()
        found.set_running_or_notify_cancel()
        found.add_done_callback(lambda _: self._under_way.pop(name))
        try:
            # The interpreter's end waits for no daemon.
            Thread(target=_look_up, args=(found, name), name="look-up", daemon=True).start()
        except RuntimeError as error:
            found.set_exception(OSError(str(error)))
        return found


def _look_up(found: Lookup, name: Name) -> None:
    try:
        found.set_result(socket.getaddrinfo(*name))
    except UnicodeError:
        found.set_exception(OSError("no name of a host"))
    except Exception as error:
        found.set_exception(error)
