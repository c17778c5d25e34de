"""One server of models: an address, a key, and the connections to it."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai

from turnstile.turns.http_connector import BoundedConnector
from turnstile.turns.model_names import server_name
from turnstile.turns.settings import Settings
from turnstile.workers.chains.openai.bodies import BROKEN, BrokenAnswer, beginning, whole

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 30.0
_MOST_REDIRECTS = 5


class ModelServer:
    """A server that speaks OpenAI's API. Its connections are opened on the event loop of their first use, and belong to it."""

    def __init__(self, settings: Settings, url: str, key: str) -> None:
        self.url = url
        self._http = http = _http_client(settings, url)
        self.client = openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, http_client=http)
        self.name = server_name(url, key)
        """Tells servers and keys apart: a model has a budget of its own at each address, and with each key."""
        self._completions = self.client.base_url.join("chat/completions")
        # Put together once: merging them anew costs more than sending a request.
        headers = {name: value for name, value in self.client.default_headers.items() if isinstance(value, str)}
        sample = http.build_request("POST", self._completions, headers=headers)
        self._headers = [(name, value) for name, value in sample.headers.raw if name.lower() != b"content-length"]
        self._extensions = sample.extensions

    async def complete(self, content: bytes, *, stream: bool) -> httpx2.Response:
        """POST the body of a chat completion. The answer's body is there, unless it is to be streamed.

        Raises:
            openai.APIError: as the SDK's own method.
        """
        headers = [*self._headers, (b"Content-Length", str(len(content)).encode())]
        body = httpx2.ByteStream(content)
        request = httpx2.Request("POST", self._completions, headers=headers, stream=body, extensions=self._extensions)
        request.read()
        try:
            response = await self._send(request)
            if not response.is_success:
                response = await beginning(response)
            elif not stream:
                response = await whole(response)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except (*BROKEN, BrokenAnswer) as error:
            raise openai.APIConnectionError(request=request) from error
        if not response.is_success:
            raise self.client._make_status_error_from_response(response)
        return response

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        """Return a response whose body is not read, and follow redirects without reading theirs, as httpx2 would."""
        for _ in range(_MOST_REDIRECTS):
            response = await self._http.send(request, stream=True, follow_redirects=False)
            if response.next_request is None:
                return response
            await response.aclose()
            request = response.next_request
        raise httpx2.TooManyRedirects("The server redirects too often.", request=request)


def _http_client(settings: Settings, url: str) -> httpx2.AsyncClient:
    connect = min(settings.model_timeout, CONNECT_SECONDS)
    connections = max(100, 2 * settings.concurrency)
    client = openai.DefaultAioHttpClient(
        limits=httpx2.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEPALIVE_SECONDS
        ),
        timeout=httpx2.Timeout(settings.model_timeout, connect=connect, pool=connect),
        headers={"accept-encoding": "identity"},
        trust_env=not _on_this_machine(url),
    )
    for transport in (client._transport, *client._mounts.values()):
        if transport is not None:
            _bound(transport, connections)
    return client


def _bound(transport: Any, connections: int) -> None:
    """Have a transport open connections of ours; by itself it would open aiohttp's own, with the same options."""

    def opened() -> aiohttp.ClientSession:
        options = {"limit": connections, "keepalive_timeout": KEEPALIVE_SECONDS, "ssl": transport.ssl_context}
        return aiohttp.ClientSession(connector=BoundedConnector(**options))

    transport.client = opened


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
