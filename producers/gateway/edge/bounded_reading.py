"""Bounded reading of requests: in small pieces, with little beside their bodies, and charged where it takes long.

uvicorn's protocols take sizes of chunks, what is written behind those, and trailers without end, before any application
sees a request, and chunks of a byte take a hundred times as long as one large chunk.
"""

import asyncio
from time import thread_time
from typing import Any

from turnstile.producers.gateway.edge.caller import CALLER
from turnstile.producers.gateway.edge.loop_accounts import account_of

HEAD_BYTES = 65_536
"""Of a request's head, and of whatever comes at one time without a byte of a body, such as trailers or the next head."""
MOST_TARGET_BYTES = 4_096
"""Of a path and its query, which are decoded before requests are served in turn; each wrong parameter is complained of."""
MOST_HEADERS = 200
"""Of a request. Each costs a microsecond several times over, before requests are served in turn."""
SPARE_BYTES = 65_536
"""Of all that comes with a body and is none of it, beside as many bytes as the body has had."""
_PIECE_BYTES = 16_384
_FREE_SECONDS = 0.002
"""Time for reading a request that nobody is charged for: ordinary ones take a tenth of it."""

_UNKNOWN = "callers without a key"


class BoundedReading(asyncio.Protocol):
    """A connection that ends when too much comes beside its requests, before one of uvicorn's protocols.

    Reading that takes long is charged to the request's tenant, or to all together whose tenants are not known; the connection
    then rests, like everything else of its tenant.
    """

    cycle: Any
    flow: Any
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    headers: list[tuple[bytes, bytes]]
    url: bytes

    _spare = _without_body = 0
    _seconds = 0.0
    _rests = False
    _kept = b""
    _refusal = ""

    @property
    def busy(self) -> bool:
        """True while a request's answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Take what has come, up to where the connection has to rest."""
        for start in range(0, len(data), _PIECE_BYTES):
            if self.transport.is_closing():
                return
            if self._rests:
                # The server lets a connection be read, too, once an application has taken what there was of a body.
                self._kept += data[start:]
                self.transport.pause_reading()
                return
            self.take(data[start : start + _PIECE_BYTES])

    def take(self, piece: bytes) -> None:
        """Pass on a piece."""
        request, had, enough, began = self.cycle, self._body_bytes, self.flow.read_paused, thread_time()
        super().data_received(piece)
        self._seconds += thread_time() - began
        if self.cycle is not request:
            self._spare = self._without_body = 0
        elif not enough:  # The rest of one read may belong to requests that the server has not begun to read.
            self._count(len(piece), self._body_bytes - had)
        if self._seconds > _FREE_SECONDS:
            self._charge()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the path and its query, with httptools."""
        super().on_url(url)  # type: ignore[misc]  # uvicorn's
        if len(self.url) > MOST_TARGET_BYTES:
            self._refuse(f"The path and its query have more than {MOST_TARGET_BYTES:,} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, with httptools."""
        super().on_header(name, value)  # type: ignore[misc]  # uvicorn's
        if len(self.headers) > MOST_HEADERS:
            self._refuse(f"The request has more than {MOST_HEADERS} headers.")

    def _refuse(self, reason: str) -> None:
        """End the reading of a head, which is answered with 400, and the connection with it."""
        self._refusal = reason
        raise ValueError(reason)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or none that is taken."""
        super().send_400_response(self._refusal or msg)  # type: ignore[misc]  # uvicorn's

    def on_response_complete(self) -> None:
        """Begin to count anew."""
        self._spare = self._without_body = 0
        self._seconds = 0.0
        super().on_response_complete()  # type: ignore[misc]  # uvicorn's

    @property
    def _body_bytes(self) -> int:
        return len(self.cycle.body) if self.busy else 0

    def _count(self, size: int, of_body: int) -> None:
        self._spare += size - 2 * of_body
        self._without_body = 0 if of_body else self._without_body + size
        if self._spare > SPARE_BYTES or self._without_body > HEAD_BYTES:
            self.transport.abort()

    def _charge(self) -> None:
        caller = self.cycle.scope.get(CALLER) if self.busy else None
        account = account_of(caller.tenant if caller and caller.api_key else _UNKNOWN)
        account.charge(self._seconds)
        self._seconds = 0.0
        if (seconds := account.owed) and not self.transport.is_closing():
            self._rests = True
            self.transport.pause_reading()
            self.loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._rests = False
        kept, self._kept = self._kept, b""
        if self.transport.is_closing():
            return
        self.data_received(kept)
        if not self._rests and not self.flow.read_paused:
            self.transport.resume_reading()
