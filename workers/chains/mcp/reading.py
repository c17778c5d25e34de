"""The reading of one session with an MCP server: how much, at which pace, and why it ended early."""

import asyncio
from time import thread_time

MOST_SESSION_BYTES = 16_777_216
"""Of all that a server sends in one session, which is one call or one listing, as it comes over the wire."""
MOST_SECONDS = 3.0
"""Time of the loop's thread that reading one session may take; a large answer takes a twentieth of it."""
_FREE_SECONDS = 0.25
_LONG_SECONDS = 0.01
_PIECE_BYTES, _LEAST_BYTES = 8_192, 512
_REST = 3
_MOST_RESUMES = 10
_RESUME_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_FREE_REQUESTS = 32
_REQUEST_SECONDS = 1.0

TOO_MUCH = f"The tool's server sent more than {MOST_SESSION_BYTES:,} bytes."
TOO_LONG = "The answer of the tool's server takes too long to read."
ENDED = "The tool's server ended its answer without a result."


class BrokenAnswer(Exception):
    """An answer is of another form than MCP's, or larger than any. The message quotes nothing of it, and can be shown."""


class Reading:
    """The account of one session. `scope` encloses it, and is what ends it: the MCP library swallows most errors."""

    def __init__(self, scope: asyncio.Timeout) -> None:
        self.reason = ""
        """Why the session ends, or would if it ended now; empty while all is well."""
        self.piece = _PIECE_BYTES
        """Bytes to read next, at most: what kept other turns waiting for long is read in smaller pieces."""
        self._scope = scope
        self._bytes = self._requests = self._resumes = 0
        self._seconds = 0.0
        self._since: float | None = None

    def fail(self, reason: str) -> BrokenAnswer:
        """End the session, and return the error to raise."""
        self.reason = self.reason or reason
        self._end_after(0)
        return BrokenAnswer(self.reason)

    def ask(self) -> None:
        """Note that a request is sent: the time until its answer comes is not spent on reading."""
        self._since = None

    def take(self, size: int) -> None:
        """Note that so many bytes came. Raises BrokenAnswer."""
        self._bytes += size
        if self._bytes > MOST_SESSION_BYTES:
            raise self.fail(TOO_MUCH)
        self._since = thread_time()

    async def rest(self) -> None:
        """Let other turns run before the next bytes, and the longer the longer the last ones took. Raises BrokenAnswer."""
        spent = thread_time() - self._since if self._since is not None else 0.0
        self._since = None
        self._seconds += spent
        if self._seconds > MOST_SECONDS:
            raise self.fail(TOO_LONG)
        if spent > _LONG_SECONDS:
            self.piece = max(_LEAST_BYTES, self.piece // 2)
        await asyncio.sleep(_REST * spent if self._seconds > _FREE_SECONDS else 0)

    async def pace(self) -> None:
        """Return when a request may be sent. A server can have the library send any number."""
        self._requests += 1
        if self._requests > _FREE_REQUESTS:
            await asyncio.sleep(_REQUEST_SECONDS)

    def unanswered(self, *, resumed: bool = False) -> None:
        """Note that an answer broke off, and that the library asks for the rest, or gives up silently. Raises BrokenAnswer.

        `resumed`: what broke off was the rest of an answer, or a stream that answers nothing.
        """
        if resumed and not self._resumes:
            return
        self._resumes += 1
        if self._resumes > _MOST_RESUMES:
            raise self.fail(ENDED)
        self.reason = ENDED
        self._end_after(_RESUME_SECONDS)

    def resumed(self) -> None:
        """Note that a broken answer goes on."""
        if self.reason == ENDED and not self._scope.expired():
            self.reason = ""
            self._scope.reschedule(None)

    def answered(self) -> None:
        """Note that all is there that was asked for: saying goodbye may take a moment."""
        self._end_after(_CLOSE_SECONDS)

    def _end_after(self, seconds: float) -> None:
        if not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time() + seconds)
