"""Preflights: requests without a key, by which a browser asks whether a page of another site may use the gateway."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from turnstile.producers.gateway.edge.rotation import next_of_address


class Preflights(CORSMiddleware):
    """Starlette's middleware for requests across sites; those of one address that come beforehand wait for each other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, after those of its address that came before it if a browser asks beforehand."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await next_of_address("preflights", scope)
        await super().__call__(scope, receive, send)
