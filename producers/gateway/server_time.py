"""Redis's time in a gateway, whose own clock may be wrong."""

import time


class ServerTime:
    """The server's time, carried on from when it was last told, in seconds since the epoch."""

    def __init__(self, now: float) -> None:
        self.tell(now)

    def tell(self, now: float) -> None:
        """Note that it is `now`."""
        self._ahead = now - time.monotonic()

    def now(self) -> float:
        """Return what the time is at the server, as far as is known."""
        return time.monotonic() + self._ahead
