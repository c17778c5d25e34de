"""Connections of HTTP clients to servers that may be broken or hostile.

aiohttp bounds a head, and its callers what they read of a body. In between it takes interim responses, sizes of chunks and
what is written behind those, without end, and nobody who reads the body ever sees them.
"""

from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_HEAD_BYTES = 65_536
"""Of all that comes before an answer's body, with interim responses (100 Continue, 103 Early Hints)."""
MOST_SPARE_BYTES = 1_048_576
"""Of what comes with a body and is none of it, beside as many bytes as the body has had so far."""


class BoundedConnector(aiohttp.TCPConnector):
    """A connector that ends a connection with ClientPayloadError when more comes beside an answer's body than is sensible."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        connection: type[ResponseHandler] = _Connection
        self._factory = partial(connection, loop=self._loop)


class _Connection(ResponseHandler):
    _received = 0

    def set_response_params(self, **params: Any) -> None:
        self._received = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._received += len(data)
        if self._received > MOST_HEAD_BYTES and self._received > self._most():
            self._break()

    def _most(self) -> int:
        """Return the bytes that may have come by now, with those of the body that have been read."""
        body = self._payload
        return MOST_HEAD_BYTES if body is None or body is aiohttp.EMPTY_PAYLOAD else MOST_SPARE_BYTES + 2 * body.total_bytes

    def _break(self) -> None:
        error = aiohttp.ClientPayloadError("The server sends too much beside its answer.")
        self.set_exception(error)
        if self._payload is not None:
            self._payload.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
