"""The gateway's ASGI application, put together from its resources."""
# ruff: noqa: E402 - a missing extra is named before anything of it is imported

from turnstile.turns.extras import need

need("gateway")

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from redis.exceptions import ResponseError

from turnstile.producers.gateway import health, models
from turnstile.producers.gateway.chat import routes as chat
from turnstile.producers.gateway.conversations import routes as conversations
from turnstile.producers.gateway.desk import Desk
from turnstile.producers.gateway.edge import errors
from turnstile.producers.gateway.edge.auth import Gate
from turnstile.producers.gateway.edge.middleware import Envelope
from turnstile.producers.gateway.page import routes as page
from turnstile.producers.gateway.responses import routes as responses
from turnstile.turns.errors import QueueUnreachable, SettingError
from turnstile.turns.settings import Settings
from turnstile.turns.settings import settings as read_settings
from turnstile.turns.store.roster import oddities

log = logging.getLogger(__name__)

_ABOUT = "OpenAI's Responses and Conversations API, background mode included: the unmodified `openai` SDKs are its clients."

_WRONG_USE = 2
_CHECK_SECONDS = 2.0


class Gateway(FastAPI):
    """FastAPI, but for its own error of a wrong request, which is never sent here."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                if operation["responses"].get("422", {}).get("description") == "Validation Error":
                    del operation["responses"]["422"]
        return document


def build(settings: Settings) -> FastAPI:
    """The application for these settings."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.desk = Desk(settings)
        await _check(app.state.desk)
        app.state.desk.check_rights()
        yield
        await app.state.desk.close()

    app = Gateway(title="Turnstile", version="1", description=_ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None)
    for part in (responses, conversations, chat, models, health, page):
        app.include_router(part.router)
    errors.install(app)
    app.add_middleware(Envelope, gate=Gate(settings))
    return app


async def _check(desk: Desk) -> None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await desk.agreement.check_async(desk.store)
            workers = await desk.store.roll(1)
            for difference in oddities(desk.settings, workers):
                log.warning("%s", difference)
    except SettingError as error:
        sys.stderr.write(f"turnstile: {error}\n")
        sys.stderr.flush()
        # An exception would be shown with its traceback, and end the server with a status that means something else.
        os._exit(_WRONG_USE)
    except (QueueUnreachable, ResponseError, TimeoutError):
        log.debug("the workers' settings could not be looked at yet")


def _start() -> FastAPI:
    try:
        return build(read_settings())
    except SettingError as error:
        sys.stderr.write(f"turnstile: {error}\n")
        raise SystemExit(_WRONG_USE) from None


app = _start()
